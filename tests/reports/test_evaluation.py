from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from greentune.reports import evaluation as evaluation_module
from greentune.reports.baselines import baselines_of
from greentune.reports.evaluation import evaluate, predict_part, predict_windows
from greentune.storage.dataset import Dataset, Part
from greentune.storage.datasets import load_dataset
from greentune.storage.windows import Windows

from .conftest import Trained, small_spec


def test_layout_of_the_json(dataset: Dataset) -> None:
    content = json.loads(json.dumps(evaluate(dataset, "test", _persistence(dataset)).to_json(), allow_nan=False))
    assert {"test", "baselines", "units"} <= content.keys()
    assert {"rmse", "mae", "r2", "mape", "bias", "nrmse", "skill"} <= content["test"].keys()
    assert {"persistence", "same_hour_yesterday"} <= content["baselines"].keys()
    assert content["units"] == "MW"


def test_persistence_has_no_skill_against_itself(dataset: Dataset) -> None:
    evaluation = evaluate(dataset, "test", _persistence(dataset))
    assert evaluation.metrics["skill"] == 0.0
    assert evaluation.metrics["rmse"] == evaluation.baselines["persistence"]["rmse"]


def test_perfect_forecast(dataset: Dataset) -> None:
    evaluation = evaluate(dataset, "val", dataset.observed(dataset.val))
    assert evaluation.metrics["skill"] == 1.0
    assert evaluation.to_json()["val"]["r2"] == 1.0


def test_one_output_may_come_flat(dataset: Dataset) -> None:
    values = _persistence(dataset)
    assert evaluate(dataset, "test", values[:, 0]).metrics == evaluate(dataset, "test", values).metrics


def test_another_shape_is_refused(dataset: Dataset) -> None:
    with pytest.raises(ValueError, match="shape of the test part"):
        evaluate(dataset, "test", np.zeros((3, 1)))


def test_skill_compares_the_same_rows(dataset: Dataset) -> None:
    """The model errs by 100 exactly where persistence is unknown: that must not touch its skill."""
    assert dataset.target is not None
    target, origins = dataset.target.copy(), dataset.test.origins
    assert origins is not None
    holes = origins[:5]
    forecast = dataset.observed(dataset.test)
    forecast[:5] += 100.0
    with_gaps = _with_unknown_baseline(dataset, target, holes)
    evaluation = evaluate(with_gaps, "test", forecast)
    assert evaluation.baselines["persistence"]["n_left_out"] == 5
    assert evaluation.baselines["persistence"]["model_rmse"] == 0.0
    assert evaluation.metrics["skill"] == 1.0
    assert evaluation.metrics["rmse"] is not None
    assert evaluation.metrics["rmse"] > 1.0
    assert any("5 of" in note for note in evaluation.notes)


def test_foreign_arrays_are_judged_without_skill(tiny_dataset: Dataset) -> None:
    evaluation = evaluate(tiny_dataset, "test", tiny_dataset.observed(tiny_dataset.test) + 1.0)
    assert evaluation.metrics["bias"] == pytest.approx(1.0)
    assert evaluation.metrics["skill"] is None
    assert list(evaluation.baselines) == ["gradient_boosting"]
    assert any("Baselines" in note for note in evaluation.notes)
    assert evaluate(tiny_dataset, "test", tiny_dataset.observed(tiny_dataset.test), boosting=False).baselines == {}


def test_scaled_units_are_said(tiny_dataset: Dataset) -> None:
    dataset = dataclasses.replace(tiny_dataset, y_scaler=None, unit="scaled units", capacity=None)
    evaluation = evaluate(dataset, "test", dataset.observed(dataset.test))
    assert evaluation.metrics["nrmse"] is None
    assert any("scaled units" in note for note in evaluation.notes)


def test_several_outputs_are_judged_one_by_one_and_together(series_file: Path) -> None:
    dataset = load_dataset(small_spec(series_file, outputs="all"))
    forecast = dataset.observed(dataset.test) + np.array([0.0, 1.0, 2.0])
    evaluation = evaluate(dataset, "test", forecast)
    assert [row["step_ahead"] for row in evaluation.per_output] == [1, 2, 3]
    assert [row["rmse"] for row in evaluation.per_output] == pytest.approx([0.0, 1.0, 2.0], abs=1e-9)
    assert evaluation.metrics["rmse"] == pytest.approx(np.sqrt(5 / 3))


def test_every_output_stands_beside_persistence_and_gradient_boosting(series_file: Path) -> None:
    dataset = load_dataset(small_spec(series_file, outputs="all"))
    forecasts = baselines_of(dataset, "test", boosting=True)[0]
    evaluation = evaluate(dataset, "test", forecasts["persistence"])
    assert [row["rmse"] for row in evaluation.per_output] == [row["persistence_rmse"] for row in evaluation.per_output]
    assert [row["skill"] for row in evaluation.per_output] == [0.0, 0.0, 0.0]
    boosted = np.sqrt(np.mean((forecasts["gradient_boosting"] - dataset.observed(dataset.test)) ** 2, axis=0))
    assert [row["gradient_boosting_rmse"] for row in evaluation.per_output] == pytest.approx(boosted)


def test_intervals_and_tests_stand_in_the_json(dataset: Dataset) -> None:
    content = json.loads(json.dumps(evaluate(dataset, "test", _persistence(dataset) * 0.8).to_json(), allow_nan=False))
    for name in ("rmse", "mae", "skill"):
        low, high = content["test"][f"{name}_ci"]
        assert low < content["test"][name] < high
    assert content["test"]["skill_ci"] == content["baselines"]["persistence"]["skill_ci"]
    for values in content["baselines"].values():
        low, high = values["skill_ci"]
        assert low < values["skill"] < high
        assert values["dm"].keys() == {"statistic", "p_value"}
        assert (values["dm"]["statistic"] > 0) is (values["skill"] > 0)
    assert content["best_baseline"]["name"] == "gradient_boosting"
    assert "gradient boosting" in content["best_baseline"]["sentence"]
    assert content["bootstrap"] == {"level": 0.95, "resamples": 2000, "block_windows": len(dataset.test.windows) // 10}


def test_a_baseline_does_not_differ_from_itself(dataset: Dataset) -> None:
    evaluation = evaluate(dataset, "test", _persistence(dataset), boosting=False)
    assert evaluation.comparisons["persistence"].dm.p_value == 1.0
    assert evaluation.intervals["skill"] == (0.0, 0.0)


def test_best_baseline_is_the_best_on_what_all_know(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """One baseline is perfect, but silent where the other errs; on the rest the other is as good, and comes first."""
    observed = dataset.observed(dataset.test)
    silent, erring = observed.copy(), observed.copy()
    silent[:20], erring[:20] = np.nan, 50.0
    offered = {"erring": erring, "silent": silent, "mute": np.full(observed.shape, np.nan)}
    monkeypatch.setattr(evaluation_module, "baselines_of", lambda *_, **__: (offered, []))
    best = evaluate(dataset, "test", observed + 1.0).best_baseline
    assert best is not None
    assert best.name == "erring"


def test_few_windows_have_figures_without_intervals(tiny_dataset: Dataset) -> None:
    evaluation = evaluate(tiny_dataset, "test", tiny_dataset.observed(tiny_dataset.test) + 1.0)
    assert evaluation.metrics["rmse"] == pytest.approx(1.0)
    assert evaluation.intervals == {"rmse": None, "mae": None, "skill": None}
    assert evaluation.comparisons["gradient_boosting"].dm.p_value is None
    assert evaluation.best_baseline is not None
    assert "cannot be tested" in evaluation.best_baseline.sentence
    json.dumps(evaluation.to_json(), allow_nan=False)


def test_an_empty_part_is_not_judged(dataset: Dataset) -> None:
    assert dataset.val.origins is not None
    windows = dataclasses.replace(dataset.val.windows, index=dataset.val.windows.index[:0])
    val = dataclasses.replace(dataset.val, windows=windows, y=dataset.val.y[:0], origins=dataset.val.origins[:0])
    evaluation = evaluate(dataclasses.replace(dataset, val=val), "val", np.empty((0, 1)))
    assert evaluation.metrics["rmse"] is None
    assert evaluation.best_baseline is None
    json.dumps(evaluation.to_json(), allow_nan=False)


def test_a_model_that_answers_nan_gets_no_figures(dataset: Dataset) -> None:
    forecast = _persistence(dataset)
    forecast[3] = np.nan
    evaluation = evaluate(dataset, "test", forecast)
    assert evaluation.metrics["rmse"] is None
    assert evaluation.metrics["skill"] is None
    assert evaluation.intervals == {"rmse": None, "mae": None, "skill": None}
    assert evaluation.best_baseline is not None
    assert "cannot be known" in evaluation.best_baseline.sentence
    json.dumps(evaluation.to_json(), allow_nan=False)


def test_batches_give_what_the_whole_gives(trained: Trained) -> None:
    dataset = trained.dataset
    whole = np.asarray(trained.model.predict_on_batch(dataset.train.windows.array()))
    assert len(whole) > 300
    assert predict_part(trained.model, dataset, "train") == pytest.approx(dataset.to_units(whole), abs=1e-5)


def test_batches_are_small_and_of_one_size() -> None:
    sizes: list[int] = []

    class Recorder:
        def predict_on_batch(self, windows: np.ndarray) -> np.ndarray:
            sizes.append(len(windows))
            return windows[:, -1, :1]

    windows = Windows(np.arange(1300, dtype=np.float32).reshape(1300, 1, 1), np.arange(1300))
    answers = predict_windows(Recorder(), windows, 1)
    assert answers[:, 0].tolist() == list(range(1300))
    assert sizes == [512, 512, 512]


def test_no_window_gives_no_forecast() -> None:
    empty = Windows(np.empty((0, 4, 2), dtype=np.float32), np.arange(0))
    assert predict_windows(None, empty, 3).shape == (0, 3)


def _persistence(dataset: Dataset) -> np.ndarray:
    return baselines_of(dataset, "test")[0]["persistence"]


def _with_unknown_baseline(dataset: Dataset, target: np.ndarray, holes: np.ndarray) -> Dataset:
    """The same windows, but the target at their origins is a gap; what was observed stays."""
    observed = {part: dataset.observed(dataset.part(part)) for part in ("test",)}
    target[holes] = np.nan

    class WithGaps(Dataset):
        def observed(self, part: Part) -> np.ndarray:
            return observed[part.name]

    return WithGaps(**{**{f.name: getattr(dataset, f.name) for f in dataclasses.fields(dataset)}, "target": target})
