"""The JSON schema of a study file: it takes what `tune` takes, refuses what types can refuse, explains everything."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greentune.tuning.beginning import begin
from greentune.tuning.explanations import explanations
from greentune.tuning.presets import PRESETS, with_preset
from greentune.tuning.schema import section_models, study_schema
from greentune.tuning.spec import StudySpec, parse_spec

from .wind_farm import tune, write_series, write_study

jsonschema = pytest.importorskip("jsonschema")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = study_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def examples() -> list[str]:
    return re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("text", examples())
def test_the_examples_of_the_readme_fit(validator: Any, text: str) -> None:
    assert [error.message for error in validator.iter_errors(tomllib.loads(text))] == []


def test_the_readme_has_a_whole_study_file_and_a_comparison() -> None:
    keys = [key for text in examples() for key in tomllib.loads(text)]
    assert {*section_models(), "space", "compare"} <= set(keys)


def test_the_files_of_init_and_of_the_tests_fit(validator: Any, tmp_path: Path) -> None:
    made = begin(str(write_series(tmp_path / "wind.csv")), tmp_path / "a.toml", {}, ask=None, with_schema=True).text
    for text in (made, begin(None, tmp_path / "b.toml", {}, ask=None, with_schema=True).text):
        assert [error.message for error in validator.iter_errors(tomllib.loads(text))] == []
    assert validator.is_valid(tomllib.loads(write_study(tmp_path).read_text()))


@pytest.mark.parametrize("name", PRESETS)
def test_what_presets_settle_fits(validator: Any, name: str) -> None:
    settled = json.loads(parse_spec(with_preset({}, {"preset": name})).to_json())
    del settled["entries"]
    without_nothing = json.loads(
        json.dumps(settled), object_hook=lambda t: {k: v for k, v in t.items() if v is not None}
    )
    assert [error.message for error in validator.iter_errors(without_nothing)] == []


@pytest.mark.parametrize(
    "text",
    [
        'stduy = "a"',
        'study = "a/b"',
        'preset = "quik"',
        "seed = -1",
        "[search]\nsampler = 'gird'",
        "[search]\ntimeout = '5m'",
        "[training]\nepochs = 0",
        "[data]\nlokback = 3",
        "[data]\nsplit = [0.7, 0.3]",
        "[space]\nl1 = 0.1",
        "[space]\nl1 = []",
        "[space]\nl1 = { low = 0.1 }",
        "[space]\nl1 = { low = 0.1, high = 1, sep = 2 }",
        "[space]\nl1 = { choices = [1], low = 1 }",
        "[[compare]]\nname = 'only one'",
        "[entries.a]\nbuilder = 'stacked_lstm'",
    ],
)
def test_a_wrong_file_is_refused(validator: Any, text: str) -> None:
    assert not validator.is_valid(tomllib.loads(text))


@pytest.mark.parametrize(
    "entry",
    ["[1, 2]", "[[64, 32], [32]]", "{ low = 1e-4, high = 1e-2, log = true, when = { l2 = [0.0, 0.1] } }",
     "{ low = 0, high = 1, step = 0.5 }", "{ choices = ['a', 'b'], when = { loss = 'huber' } }"],
)  # fmt: skip
def test_each_notation_of_the_space_fits(validator: Any, entry: str) -> None:
    assert validator.is_valid(tomllib.loads(f"[space]\nx = {entry}"))


def test_every_setting_is_explained() -> None:
    silent = []
    for section, model in {"": StudySpec, **section_models()}.items():
        told = explanations(model)
        silent += [f"{section}.{name}" for name in model.model_fields if len(told.get(name, "")) < 5]
        silent += [f"{section}.{name} does not exist" for name in told if name not in model.model_fields]
    assert silent == []


def descriptions(tree: Any) -> Iterator[str]:
    if isinstance(tree, dict):
        for name, body in tree.get("properties", {}).items():
            yield body.get("description", f"none of {name}")
        for value in tree.values():
            yield from descriptions(value)


def test_explanations_reach_the_schema_as_plain_sentences() -> None:
    found = list(descriptions(study_schema()))
    assert explanations(section_models()["data"])["lookback"] in found
    assert [text for text in found if text.startswith("none of") or "``" in text or ":mod:" in text] == []


def test_the_command_prints_it(tmp_path: Path) -> None:
    printed = tune(tmp_path, "schema")
    assert printed.returncode == 0, printed.stderr
    assert json.loads(printed.stdout) == study_schema()
