"""What is code of a user, and what can be said of it without importing it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from greentune.models.registry import builder_keys
from greentune.tuning.references import (
    all_builders,
    is_users,
    reference_mistakes,
    references,
    runs_user_code,
    searched_builders,
    with_whole_paths,
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the command, with a file of code."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "build.py").write_text("raise RuntimeError('imported')")
    return tmp_path


@pytest.mark.parametrize(("key", "users"), [("build.py:build", True), ("farm.nets:build", True), ("nets", False)])
def test_reference_is_the_users(key: str, *, users: bool) -> None:
    assert is_users(key) is users


def test_builders_of_ours_are_nobody_elses() -> None:
    assert [is_users(key) for key in builder_keys()] == [False, False]
    assert set(builder_keys()) <= set(all_builders())


@pytest.mark.parametrize(
    "entry",
    [["stacked_lstm", "build.py:build"], {"choices": ["stacked_lstm", "build.py:build"]}],
    ids=["list", "table"],
)
def test_searched_builders_are_the_choices_of_the_space(entry: Any) -> None:
    assert searched_builders({"builder": entry}) == ["stacked_lstm", "build.py:build"]
    assert references({"space": {"builder": entry}}) == {"space.builder[1]": "build.py:build"}


@pytest.mark.parametrize("space", [{}, {"builder": 3}, {"builder": {"low": 1, "high": 2}}])
def test_space_without_choices_of_builders_searches_none(space: dict[str, Any]) -> None:
    assert searched_builders(space) == []


def test_every_reference_is_found_with_the_setting_in_which_it_stands() -> None:
    raw = {"builder": "stacked_lstm", "entries": {"Mine": {"builder": "a.py:b"}, "Ours": {"builder": "stacked_lstm"}}}
    assert references(raw) == {"entries.Mine.builder": "a.py:b"}
    assert references({"hypermodel": "h.py:H"}) == {"hypermodel": "h.py:H"}
    assert references({"objective_function": "o.py:o"}) == {"objective_function": "o.py:o"}
    assert references({"space": 3, "entries": [], "builder": None}) == {}
    assert runs_user_code(raw)
    assert not runs_user_code({"builder": "stacked_lstm"})


def test_good_specification_has_no_mistakes_and_nothing_is_imported(folder: Path) -> None:
    assert reference_mistakes({"builder": "build.py:build", "search": {"sampler": "tpe"}}) == []
    assert reference_mistakes({"objective_function": "build.py:f", "search": {"directions": ["maximize"]}}) == []


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ({"builder": "stacked_lstm", "hypermodel": "build.py:H"}, "A study tunes one thing; got `builder` and `hyper"),
        ({"hypermodel": "Mine"}, "`hypermodel` must be FILE.py:NAME or MODULE:NAME; got 'Mine'."),
        ({"builder": "biuld.py:build"}, "`builder` must name a file that exists"),
        ({"space": {"builder": ["build.py"]}}, "`space.builder[0]` must name what is to be called; got the file"),
        ({"hypermodel": "build.py:H", "search": {"sampler": "grid"}}, "must be tpe or random with `hypermodel`"),
        ({"objective_function": "build.py:f", "search": {"sampler": "qmc"}}, "with `objective_function`"),
        ({"objective_function": "build.py:f", "space": {"x": [1]}}, "Leave [space] and [parameters] out."),
        ({"objective_function": "build.py:f", "parameters": {"x": 1}}, "Leave [space] and [parameters] out."),
        ({"search": {"directions": ["maximize"]}}, "everything else is minimised"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_what_cannot_be_is_said_without_an_import(raw: dict[str, Any], sentence: str) -> None:
    (mistake,) = reference_mistakes(raw)
    assert sentence in mistake


def test_paths_count_from_the_folder_of_the_study_file(tmp_path: Path) -> None:
    mine, whole = "nets/build.py:build", f"{tmp_path}/nets/build.py:build"
    raw = {
        "hypermodel": mine,
        "space": {
            "builder": {"choices": ["stacked_lstm", mine]},
            "units": {"choices": [1, 2], "when": {"builder": mine}},
            "rate": {"choices": [1, 2], "when": {"units": 2}},
        },
        "entries": {"Mine": {"builder": mine}, "Ours": {}},
    }
    found = with_whole_paths(raw, tmp_path)
    assert found["hypermodel"] == whole
    assert found["space"]["builder"] == {"choices": ["stacked_lstm", whole]}
    assert found["space"]["units"] == {"choices": [1, 2], "when": {"builder": [whole]}}
    assert found["space"]["rate"] == raw["space"]["rate"]  # type: ignore[index]
    assert found["entries"] == {"Mine": {"builder": whole}, "Ours": {}}


def test_specification_that_was_given_stays_as_it_is(tmp_path: Path) -> None:
    space = {"builder": ["a.py:b"], "units": {"choices": [1], "when": {"builder": "a.py:b"}}}
    raw = {"builder": "a.py:b", "space": space}
    with_whole_paths(raw, tmp_path)
    assert raw == {"builder": "a.py:b", "space": {"builder": ["a.py:b"], "units": space["units"]}}
    assert space["units"] == {"choices": [1], "when": {"builder": "a.py:b"}}


@pytest.mark.parametrize("key", ["stacked_lstm", "farm.nets:build", "wind_models", None, 3])
def test_what_is_no_file_has_no_path(key: Any, tmp_path: Path) -> None:
    assert with_whole_paths({"builder": key}, tmp_path)["builder"] == key


def test_path_that_is_whole_or_in_the_users_home_does_not_count_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    elsewhere = tmp_path / "elsewhere"
    assert with_whole_paths({"builder": f"{tmp_path}/a.py:b"}, elsewhere)["builder"] == f"{tmp_path}/a.py:b"
    assert with_whole_paths({"builder": "~/a.py:b"}, elsewhere)["builder"] == f"{tmp_path}/home/a.py:b"


def test_command_line_learns_of_references_without_keras() -> None:
    code = "import sys, greentune.tuning.references; print(sorted({'keras', 'optuna'} & set(sys.modules)))"
    child = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert "keras" not in child.stdout, child.stderr
    assert child.returncode == 0, child.stderr
