"""Objective functions of users: any Optuna objective, run by a worker of this very process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from greentune.tuning import records
from greentune.tuning.result import load_result
from greentune.tuning.study_data import OtherData, check_study_data, load_study_data

from .here import in_this_process, opened, states, trials_of, worked
from .user_code import function_study, write_files

COMPLETE, PRUNED, FAIL, WAITING = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.WAITING


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the command, with a user's code."""
    with in_this_process(tmp_path, monkeypatch):
        yield write_files(tmp_path)


def test_function_is_called_with_the_live_trial(folder: Path) -> None:
    worked(folder, function_study(folder, "square"))
    for trial in trials_of(folder, "square"):
        assert (trial.state, trial.value) == (COMPLETE, (trial.params["x"] - 2) ** 2)


def test_trial_that_the_function_gives_up_is_pruned_with_its_last_report(folder: Path) -> None:
    worked(folder, function_study(folder, "pruned"))
    found = trials_of(folder, "pruned")
    assert [trial.state for trial in found] == [COMPLETE, PRUNED] * 2
    assert found[1].value == found[1].params["x"] + 1 == found[1].intermediate_values[1]


def test_value_that_is_no_number_fails_the_trial_once_and_the_study_goes_on(folder: Path) -> None:
    worked(folder, function_study(folder, "nan_at_first"))
    found = trials_of(folder, "nan_at_first")
    assert [trial.state for trial in found] == [FAIL, COMPLETE, COMPLETE, COMPLETE]
    assert (found[0].user_attrs["reason"], found[0].user_attrs["detail"]) == (
        "nonfinite",
        "value became nan in epoch 0",
    )


@pytest.mark.parametrize(
    ("name", "directions", "sentence"),
    [
        ("nothing", [], "must return a number, as the study has 1 direction; it returned None"),
        ("two", [], "must return a number, as the study has 1 direction; it returned ("),
        ("square", ["minimize", "maximize"], "must return 2 numbers, as the study has 2 directions; it returned "),
    ],
)
def test_wrong_number_of_values_stops_the_study(folder: Path, name: str, directions: list[str], sentence: str) -> None:
    raw = function_study(folder, name, search={"directions": directions})
    study = worked(folder, raw, code=records.EXIT_SETUP)
    assert states(folder, name) == [FAIL, WAITING, WAITING, WAITING]
    (stopped,) = records.stopped_by(study.study)
    assert sentence in stopped
    assert "--direction" in stopped


@pytest.mark.parametrize("text", ["numpy.float32(x)", "numpy.array(x)", "int(x)", "keras.ops.convert_to_tensor(x)"])
def test_numbers_of_libraries_are_numbers(folder: Path, text: str) -> None:
    code = f"import keras, numpy\ndef number(trial):\n    x = trial.suggest_int('x', 1, 9)\n    return {text}\n"
    (folder / "objectives.py").write_text(code)
    worked(folder, function_study(folder, "number"))
    assert [trial.value for trial in trials_of(folder, "number")] == [
        t.params["x"] for t in trials_of(folder, "number")
    ]


def test_error_of_the_function_keeps_its_own_frames_and_the_ticket_is_tried_again(folder: Path) -> None:
    worked(folder, function_study(folder, "broken"))
    found = trials_of(folder, "broken")
    assert [trial.state for trial in found].count(COMPLETE) == 4
    detail = found[1].user_attrs["detail"]
    assert [line.split(", in ")[1] for line in detail.splitlines() if line.startswith("  File")] == ["broken", "inner"]
    assert detail.endswith("RuntimeError: my own reason")


def test_largest_value_is_the_best_where_it_is_maximised(folder: Path) -> None:
    worked(folder, function_study(folder, "square", search={"directions": ["maximize"]}))
    result = load_result("square", storage=folder / "a.db", out=folder / "runs")
    assert result.best is not None
    assert result.best["value"] == max(trial.value or 0 for trial in trials_of(folder, "square"))


def test_two_directions_make_a_front(folder: Path) -> None:
    worked(folder, function_study(folder, "two", search={"directions": ["maximize", "minimize"]}))
    result = load_result("two", storage=folder / "a.db", out=folder / "runs").to_json()
    for row in result["pareto"]:
        better = [
            trial.number
            for trial in trials_of(folder, "two")
            if trial.values[0] > row["values"]["value_0"] and trial.values[1] < row["values"]["value_1"]
        ]
        assert better == []
    assert {"value_0", "value_1"} <= set(result["pareto"][0]["values"])


def test_budget_of_all_workers_ends_the_search(folder: Path) -> None:
    worked(folder, function_study(folder, "square", search={"worker_seconds": 1e-6}))
    assert states(folder, "square") == [COMPLETE, WAITING, WAITING, WAITING]


def test_search_without_a_gain_ends_in_either_direction(folder: Path) -> None:
    text = "def {0}(trial):\n    return {1}trial.number\n"
    (folder / "objectives.py").write_text(text.format("worse", "") + text.format("better", "0.01 ** "))
    for name, done in (("worse", 4), ("better", 9)):
        worked(folder, function_study(folder, name, search={"trials": 9, "until_no_gain": 3}))
        assert states(folder, name).count(COMPLETE) == done, name


def test_study_of_a_function_that_is_maximised_starts_from_the_largest_values(folder: Path) -> None:
    search: dict[str, Any] = {"directions": ["maximize"]}
    worked(folder, function_study(folder, "square", search=search))
    best = max(trials_of(folder, "square"), key=lambda trial: trial.value or 0)
    again = {**search, "start_from": "square", "start_best": 1, "trials": 1}
    worked(folder, function_study(folder, "square", study="next", search=again))
    assert [trial.params for trial in trials_of(folder, "next")] == [best.params]


def test_host_without_data_may_serve_a_study_that_has_none(folder: Path) -> None:
    study = opened(folder, function_study(folder, "square"))
    check_study_data(study.study, study.spec)
    with pytest.raises(OtherData):
        load_study_data(study.study, study.spec)
