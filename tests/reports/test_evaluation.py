from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

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
    assert sorted(content["baselines"]) == ["persistence", "same_hour_yesterday"]
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
    assert evaluation.baselines == {}
    assert any("Baselines" in note for note in evaluation.notes)


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


def test_a_model_that_answers_nan_gets_no_figures(dataset: Dataset) -> None:
    forecast = _persistence(dataset)
    forecast[3] = np.nan
    evaluation = evaluate(dataset, "test", forecast)
    assert evaluation.metrics["rmse"] is None
    assert evaluation.metrics["skill"] is None
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
