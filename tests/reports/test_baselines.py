from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from greentune.reports.baselines import (
    baselines_of,
    persistence,
    same_hour_yesterday,
    seasonal_naive,
    steps_per_day,
)
from greentune.storage.dataset import Dataset
from greentune.storage.datasets import load_dataset
from greentune.storage.dataspec import sample_spec

from .conftest import small_spec

TARGET = np.arange(100.0)


def test_persistence_repeats_the_value_at_the_origin() -> None:
    assert persistence(TARGET, np.array([5, 9]), (1, 3)).tolist() == [[5.0, 5.0], [9.0, 9.0]]


@pytest.mark.parametrize(
    ("step", "row"),
    [(1, 50 + 1 - 24), (3, 50 + 3 - 24), (24, 50), (25, 50 + 25 - 48), (48, 50)],
)
def test_same_hour_yesterday_takes_the_youngest_known_same_hour(step: int, row: int) -> None:
    (value,) = same_hour_yesterday(TARGET, np.array([50]), (step,), 24)[0]
    assert value == row


@pytest.mark.parametrize("step", range(1, 60))
def test_same_hour_yesterday_reads_nothing_after_the_origin(step: int) -> None:
    future = np.where(np.arange(200) > 100, np.nan, 1.0)
    assert same_hour_yesterday(future, np.array([100]), (step,), 24).tolist() == [[1.0]]


def test_same_hour_yesterday_is_exact_on_a_daily_rhythm() -> None:
    rhythm = np.sin(2 * np.pi * np.arange(200) / 24)
    origins = np.arange(60, 150)
    assert same_hour_yesterday(rhythm, origins, (3,), 24)[:, 0] == pytest.approx(rhythm[origins + 3])


def test_rows_before_the_series_are_unknown() -> None:
    assert np.isnan(same_hour_yesterday(TARGET, np.array([5, 21]), (3,), 24)[:, 0]).tolist() == [True, False]


def test_rows_in_a_gap_are_unknown() -> None:
    target = TARGET.copy()
    target[29] = np.nan
    assert np.isnan(same_hour_yesterday(target, np.array([50]), (3,), 24)).all()
    assert np.isnan(persistence(target, np.array([29]), (1,))).all()


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(3600.0, 24), (900.0, 96), (86_400.0, 1), (7 * 3600.0, None), (2 * 86_400.0, None), (None, None), (0.0, None)],
)
def test_steps_per_day(seconds: float | None, expected: int | None) -> None:
    assert steps_per_day(seconds) == expected


@pytest.mark.parametrize(("step", "row"), [(1, 501 - 168), (167, 499), (168, 500), (169, 500 + 169 - 336)])
def test_seasonal_naive_takes_the_youngest_known_value_of_the_phase(step: int, row: int) -> None:
    assert seasonal_naive(np.arange(600.0), np.array([500]), (step,), 168).tolist() == [[row]]


def test_a_series_has_all_baselines(dataset: Dataset) -> None:
    forecasts, missing = baselines_of(dataset, "test", boosting=True)
    assert list(forecasts) == [
        "persistence",
        "same_hour_yesterday",
        "seasonal_naive",
        "climatology",
        "gradient_boosting",
    ]
    assert missing == []
    assert all(values.shape == (len(dataset.test.windows), 1) for values in forecasts.values())


def test_gradient_boosting_is_trained_on_request_only(dataset: Dataset) -> None:
    assert "gradient_boosting" not in baselines_of(dataset, "test")[0]


def test_gradient_boosting_does_not_forecast_what_it_learnt(dataset: Dataset) -> None:
    assert "gradient_boosting" not in baselines_of(dataset, "train", boosting=True)[0]


@pytest.mark.parametrize("part", ["val", "test"])
def test_no_baseline_knows_the_part_that_it_forecasts(dataset: Dataset, part: str) -> None:
    """Everything after the first origin of the part is changed: what was forecast there from earlier rows stays."""
    assert dataset.target is not None
    origins = dataset.part(part).origins
    assert origins is not None
    target = dataset.target.copy()
    target[origins[0] + 1 :] += 100.0
    changed = dataclasses.replace(dataset, target=target)
    before, after = (baselines_of(one, part)[0] for one in (dataset, changed))
    assert np.array_equal(before["climatology"], after["climatology"])
    assert all(np.array_equal(before[name][0], after[name][0]) for name in before)


def test_climatology_of_the_validation_part_learns_from_training_rows_only(dataset: Dataset) -> None:
    assert dataset.target is not None
    origins = dataset.train.origins
    assert origins is not None
    target = dataset.target.copy()
    target[origins[-1] + dataset.steps_ahead[-1] + 1 :] = 1e6
    changed = dataclasses.replace(dataset, target=target)
    assert baselines_of(changed, "val")[0]["climatology"].max() < 1e3
    assert baselines_of(changed, "test")[0]["climatology"].max() > 1e3


def test_a_month_that_was_never_seen_is_said(series_file: Path) -> None:
    dataset = load_dataset(small_spec(series_file))
    assert dataset.times is not None
    later = dataclasses.replace(dataset, times=dataset.times + np.timedelta64(9, "D"))
    assert any("never saw the month" in note for note in baselines_of(later, "test")[1])


def test_a_step_that_fits_no_day_leaves_the_rhythms_out(dataset: Dataset) -> None:
    forecasts, missing = baselines_of(dataclasses.replace(dataset, step_seconds=11 * 3600.0), "test")
    assert sorted(forecasts) == ["climatology", "persistence"]
    assert [note for note in missing if "does not divide a day" in note or "does not divide a week" in note] == missing
    assert len(missing) == 2


def test_foreign_arrays_have_none_but_gradient_boosting_and_say_so(tiny_dataset: Dataset) -> None:
    forecasts, missing = baselines_of(tiny_dataset, "test")
    assert forecasts == {}
    assert "left out" in missing[0]
    assert list(baselines_of(tiny_dataset, "test", boosting=True)[0]) == ["gradient_boosting"]


def test_packaged_wind_farm_three_hours_ahead() -> None:
    # The documented figures (1.034 and 1.929 MW) are of slightly different rows; ours are those of the test windows.
    # Gradient boosting with ERA5 at the target hour is documented with 0.786; ours sees more and must not be weaker.
    dataset = load_dataset(sample_spec())
    forecasts, _ = baselines_of(dataset, "test", boosting=True)
    observed = dataset.observed(dataset.test)
    error = {name: float(np.sqrt(np.nanmean((values - observed) ** 2))) for name, values in forecasts.items()}
    assert error["persistence"] == pytest.approx(1.034, rel=0.01)
    assert error["same_hour_yesterday"] == pytest.approx(1.929, rel=0.01)
    assert error["seasonal_naive"] == pytest.approx(2.624, rel=0.001)
    assert error["climatology"] == pytest.approx(2.014, rel=0.001)
    assert 0.70 < error["gradient_boosting"] < 0.786
