"""`tune compare --study A --study B`: delivered studies by what stands in their bundles."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from greentune.storage.rdb import open_storage
from greentune.tuning import compare, records
from greentune.tuning.delivered import ComparisonError
from greentune.tuning.presets import with_preset
from greentune.tuning.spec import parse_spec

from .test_comparing import complaint
from .wind_farm import study_tables


def write_delivered(
    folder: Path, name: str, error: float, *, rows: slice = slice(None), shift: float = 0.0, **more: Any
) -> None:
    """A study in the database of the folder, and as much of its bundle as a comparison reads."""
    folder.mkdir(exist_ok=True)
    unit, target = more.get("unit", "MW"), more.get("target", "power_mw")
    steps_ahead: list[int] = more.get("steps_ahead", [3])
    write_study(folder, name)
    random = np.random.default_rng(0)
    observed = (random.random(200) * 5)[rows] + shift
    times = pd.date_range("2024-03-01", periods=200, freq="h")[rows].strftime("%Y-%m-%dT%H:%M:%SZ")
    frame = pd.DataFrame(
        {
            "target_time": times,
            "step_ahead": steps_ahead[0],
            f"observed_{unit.lower()}": observed,
            f"forecast_{unit.lower()}": observed + error * random.standard_normal(200)[rows],
            f"persistence_{unit.lower()}": observed + 2 * random.standard_normal(200)[rows],
        }
    )
    bundle = folder / name / "bundle"
    bundle.mkdir(parents=True)
    frame.to_csv(bundle / "test_predictions.csv", index=False, float_format="%.7g")
    data = {"target": target, "steps_ahead": steps_ahead, "step_seconds": 3600.0, "source": "wind.csv"}
    winner = {"values": {"val_loss": 0.2, "val_mse": 0.1}}
    facts = {
        "kind": "greentune bundle",
        "format_version": 1,
        "builder": "stacked_lstm",
        "hyperparameters": {"lstm_units": [4]},
        "model": {"n_parameters": 321},
        "study": {"winner": winner},
        "data": data,
        "training": {"fit": {"members": more.get("members", [])}},
    }
    (bundle / "model_info.json").write_text(json.dumps(facts))
    figures = {"units": unit, "n_windows": len(frame), "baselines": more.get("baselines", {})}
    (bundle / "metrics.json").write_text(json.dumps(figures))


def write_study(folder: Path, name: str) -> None:
    tables: Mapping[str, Any] = study_tables(folder / "wind.csv", study=name)
    records.create_study(
        open_storage(folder / "greentune.db"), parse_spec(with_preset({}, tables)), fingerprint="f", unit="MW"
    )


def test_delivered_studies_are_compared_by_their_recorded_forecasts(tmp_path: Path) -> None:
    write_delivered(tmp_path, "a", 1.0)
    write_delivered(tmp_path, "b", 0.5)
    result = compare(studies=["a", "b"], out=tmp_path)
    assert result.content is not None
    a, b = result.content["rows"]
    assert result.content["best"] == "b"
    assert a["rmse"] == pytest.approx(2 * b["rmse"], rel=1e-5)
    assert a["p_value"] < 0.05
    assert a["behind_ci"][0] > 0
    assert (a["val_loss"], a["val_mse"], a["n_parameters"]) == (0.2, 0.1, 321)
    assert [row["name"] for row in result.content["references"]] == ["persistence"]
    assert result.folder == tmp_path / "compare-a-b"
    assert {path.name for path in result.folder.iterdir()} == {
        "comparison.csv",
        "comparison.html",
        "comparison.json",
    }
    assert "behind b (MW)" in "\n".join(result.lines())


def recorded(boosting: float, model: float) -> dict[str, Any]:
    """The baselines that a study has recorded beside its own model."""
    shared = {"persistence": {"rmse": 2.0}, "climatology": {"rmse": 3.0, "model_rmse": model, "n_left_out": 0}}
    tested = {"rmse": boosting, "r2": 0.9, "model_rmse": model, "n_left_out": 0, "dm": {"p_value": 0.2}}
    return {**shared, "gradient_boosting": tested}


def test_best_baseline_is_the_best_of_the_recorded_ones(tmp_path: Path) -> None:
    write_delivered(tmp_path, "a", 1.0, baselines=recorded(0.4, 1.0))
    write_delivered(tmp_path, "b", 0.5, baselines=recorded(0.4, 0.5))
    content = compare(studies=["a", "b"], out=tmp_path).content
    assert content is not None
    names = [row["name"] for row in content["references"]]
    assert names == ["persistence", "climatology", "gradient_boosting"]
    assert "The best baseline, gradient boosting, misses by 0.100 MW less than b" in content["verdict"]
    assert "which may be luck (p = 0.200)" in content["verdict"], "b has tested it against its own model"
    page = (tmp_path / "compare-a-b" / "comparison.html").read_text()
    assert "gradient boosting has a smaller one</h1>" in page
    assert "keeps the forecasts of persistence only" in page


def test_baselines_that_saw_other_features_have_a_line_for_each_study(tmp_path: Path) -> None:
    write_delivered(tmp_path, "a", 1.0, baselines=recorded(0.3, 1.0))
    write_delivered(tmp_path, "b", 0.5, baselines=recorded(0.6, 0.5))
    content = compare(studies=["a", "b"], out=tmp_path).content
    assert content is not None
    rows = {row["name"]: row for row in content["references"][2:]}
    assert list(rows) == ["gradient boosting (a)", "gradient boosting (b)"]
    assert [row["p_value"] for row in rows.values()] == [None, 0.2]
    assert rows["gradient boosting (a)"]["behind"] < 0 < rows["gradient boosting (b)"]["behind"]
    assert "The best baseline, gradient boosting (a)" in content["verdict"]
    assert "cannot be tested" in content["verdict"]


def test_ensemble_has_no_validation_errors_and_the_parameters_of_all_its_members(tmp_path: Path) -> None:
    members = [{"trial": n, "parameters": {"lstm_units": [n]}} for n in (0, 2)]
    write_delivered(tmp_path, "a", 1.0, members=members)
    write_delivered(tmp_path, "b", 0.5)
    content = compare(studies=["a", "b"], out=tmp_path).content
    assert content is not None
    row = content["rows"][0]
    assert (row["val_loss"], row["val_mse"]) == (None, None)
    assert row["parameters"] == {"trial 0": {"lstm_units": [0]}, "trial 2": {"lstm_units": [2]}}


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"rows": slice(3, None)}, "the one has 200 windows from 2024-03-01T00:00:00Z"),
        ({"rows": slice(3, None)}, "differ are 2024-03-01T00:00:00Z and 2024-03-01T03:00:00Z"),
        ({"unit": "kW"}, "the errors of the one are in MW, those of the other in kW"),
        ({"target": "solar_mw"}, "the one forecasts power_mw, the other solar_mw"),
        ({"steps_ahead": [1]}, "the one forecasts 3 steps ahead, the other 1 steps ahead"),
        ({"shift": 0.1}, "what was observed differs in 200 of 200 values, first at 2024-03-01T00:00:00Z"),
    ],
)
def test_studies_on_other_test_windows_are_refused(tmp_path: Path, other: dict[str, Any], sentence: str) -> None:
    write_delivered(tmp_path, "a", 1.0)
    write_delivered(tmp_path, "b", 1.0, **other)
    with pytest.raises(ComparisonError, match="The test windows of 'a' and 'b' must be the same") as refused:
        compare(studies=["a", "b"], out=tmp_path)
    assert sentence in str(refused.value)
    assert not (tmp_path / "compare-a-b").exists()


def test_bad_studies_and_options_come_all_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_delivered(tmp_path / "runs", "farm", 1.0)
    write_study(tmp_path / "runs", "raw")
    studies = ["--study", "farm", "--study", "farn", "--study", "raw", "--study", "farm"]
    options = ["--seeds", "2", "--epochs", "3", "--lookback", "6", "--workers", "1", "--name", "raw"]
    said = complaint([*studies, *options], monkeypatch, capsys)
    for part in (
        "There is no study 'farn' in the database. Did you mean 'farm'",
        "`tune export --study raw` makes it",
        "'farm' is named twice",
        "got settings of data, training beside `--study`",
        "got `seeds` beside `--study`",
        "got workers beside `--study`",
        "`name` must be that of a new folder",
    ):
        assert part in said, part
    assert "at least two studies" in complaint(["--study", "farm"], monkeypatch, capsys)
    assert "no database" in complaint(["--study", "a", "--study", "b", "--out", "nowhere"], monkeypatch, capsys)


def test_damaged_forecasts_are_named(tmp_path: Path) -> None:
    write_delivered(tmp_path, "a", 1.0)
    write_delivered(tmp_path, "b", 1.0)
    (tmp_path / "b" / "bundle" / "test_predictions.csv").write_text("target_time,step_ahead\n2024,1\n")
    with pytest.raises(ComparisonError, match=r"test_predictions\.csv must hold observed, forecast and persistence"):
        compare(studies=["a", "b"], out=tmp_path)
