from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from greentune.reports.content import TOGETHER, ReportContent, Search, TrialRow, Winner, data_facts, report_content
from greentune.reports.evaluation import evaluate
from greentune.reports.model_info import versions
from greentune.storage.dataset import Dataset
from greentune.storage.datasets import load_dataset, load_source
from greentune.storage.source import without_validation

from .conftest import Trained, small_spec, train


def content_of(trained: Trained, **changes: object) -> ReportContent:
    """A report on the small wind farm."""
    parameters = {"units": [4], "learning_rate": 0.01}
    given = {
        "title": "Small farm",
        "created": "2026-11-23 12:00 UTC",
        "dataset": trained.dataset,
        "evaluation": trained.evaluation,
        "predicted": trained.predicted,
        "history": trained.history,
        "winner": Winner("flat", parameters, 153, 7, 1, 3, "val_mse", 0.0123, "jax", ("As good as its trial.",)),
        "search": Search(
            study="small",
            sampler="tpe",
            pruner="median",
            seed=1,
            monitor="val_mse",
            counts={"complete": 2, "pruned": 5},
            workers=2,
            seconds=75.0,
            space={"units": [[4], [8]], "learning_rate": {"low": 1e-3, "high": 1e-2, "log": True}},
            best_trials=(
                TrialRow(7, 0.0123, parameters, 0.91, 3.0),
                TrialRow(2, 0.0150, {"units": [8], "learning_rate": 0.01}, 0.95, 2.0),
            ),
        ),
        "commands": [("Forecast a series", "tune predict winner series.csv --out forecasts.csv")],
        "versions": versions(),
    }
    return report_content(**{**given, **changes})  # type: ignore[arg-type]


def test_facts_of_a_series(dataset: Dataset) -> None:
    facts = data_facts(dataset)
    assert facts.first == "2024-01-01 00:00 UTC"
    assert facts.last == "2024-01-25 23:00 UTC"
    assert facts.counts["target_missing"] == 3
    assert [part.name for part in facts.parts] == ["train", "val", "test"]
    assert facts.parts[0].n_windows == len(dataset.train.windows)
    assert facts.parts[2].last == "2024-01-25 23:00 UTC"


def test_every_feature_is_explained(dataset: Dataset) -> None:
    meanings = dict(data_facts(dataset).features)
    assert meanings["power"] == "own past"
    assert meanings["weather@+3"] == "known ahead, at the target time"
    far = load_dataset(dataset.spec.model_copy(update={"known_ahead_beyond": 2}))
    assert dict(data_facts(far).features)["weather@+5"] == "known ahead, 2 hours after the target time"
    assert meanings["hour_sin@+3"] == "calendar, at the target time"


def test_facts_of_arrays(tiny_dataset: Dataset) -> None:
    facts = data_facts(tiny_dataset)
    assert facts.first is None
    assert facts.scaling == "unknown"
    assert facts.parts[0].n_left_out is None
    assert {meaning for _, meaning in facts.features} == {"as in the arrays"}


def test_report_says_on_which_rows_scaling_was_fitted(trained: Trained) -> None:
    assert "Scaling was fitted on training rows only." in content_of(trained).validation
    told = " ".join(content_of(trained, dataset=without_validation(trained.dataset)).validation)
    assert "training and the validation part together" in told
    assert "training rows only" not in told


def test_parts_that_were_learnt_together_are_one(dataset: Dataset) -> None:
    learnt, test = data_facts(load_source(dataset.spec).everything()).parts
    apart = data_facts(dataset)
    assert (learnt.name, test) == (TOGETHER, apart.parts[2])
    assert (learnt.first, learnt.last) == (apart.parts[0].first, apart.parts[1].last)
    assert learnt.n_windows > apart.parts[0].n_windows + apart.parts[1].n_windows, "those over the border, too"


def test_report_gathers_pictures_reading_and_limits(trained: Trained) -> None:
    content = content_of(trained, limits=("Mine.",))
    assert sorted(content.figures) == ["curves", "forecast", "residuals", "scatter"]
    assert all(image.startswith(b"\x89PNG") for image in content.figures.values())
    assert content.residual_reading.endswith(".")
    assert any("8 steps lie between" in sentence for sentence in content.validation)
    assert any("known ahead" in sentence for sentence in content.limits)
    assert content.limits[-1] == "Mine."


def test_reading_is_of_all_steps_as_the_table_is(series_file: Path) -> None:
    """The first step is far too high, the last one is not off at all."""
    made = train(load_dataset(small_spec(series_file, outputs="all")))
    predicted = made.dataset.observed(made.dataset.test) + np.array([6.0, 0.0, 0.0])
    off = dataclasses.replace(made, predicted=predicted, evaluation=evaluate(made.dataset, "test", predicted))
    content = content_of(off)
    assert content.evaluation["test"]["bias"] == pytest.approx(2.0)
    assert "2.000 MW too high" in content.residual_reading
    assert "the farthest of the steps ahead" in content.forecast_caption
