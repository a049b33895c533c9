from __future__ import annotations

import numpy as np
import pytest

from greentune.reports.baselines import baselines_of, persistence, same_hour_yesterday, steps_per_day
from greentune.storage.dataset import Dataset
from greentune.storage.datasets import load_dataset
from greentune.storage.dataspec import sample_spec

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


def test_a_series_has_both_baselines(dataset: Dataset) -> None:
    forecasts, missing = baselines_of(dataset, "test")
    assert sorted(forecasts) == ["persistence", "same_hour_yesterday"]
    assert missing == []
    assert all(values.shape == (len(dataset.test.windows), 1) for values in forecasts.values())


def test_foreign_arrays_have_none_and_say_so(tiny_dataset: Dataset) -> None:
    forecasts, missing = baselines_of(tiny_dataset, "test")
    assert forecasts == {}
    assert "left out" in missing[0]


def test_packaged_wind_farm_three_hours_ahead() -> None:
    # The documented figures (1.034 and 1.929 MW) are of slightly different rows; ours are those of the test windows.
    dataset = load_dataset(sample_spec())
    forecasts, _ = baselines_of(dataset, "test")
    observed = dataset.observed(dataset.test)
    error = {name: float(np.sqrt(np.mean((values - observed) ** 2))) for name, values in forecasts.items()}
    assert error["persistence"] == pytest.approx(1.034, rel=0.01)
    assert error["same_hour_yesterday"] == pytest.approx(1.929, rel=0.01)
