from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from greentune.reports import boosting
from greentune.reports.boosting import gradient_boosting
from greentune.storage.dataset import Dataset
from greentune.storage.datasets import load_dataset
from greentune.storage.variants import variant
from tests.tiny import tiny_dataset as make_tiny_dataset

from .conftest import small_spec

BOTH = ("train", "val")


def rmse(dataset: Dataset, forecast: np.ndarray | None) -> float:
    assert forecast is not None
    return float(np.sqrt(np.mean((forecast - dataset.observed(dataset.test)) ** 2)))


def test_learns_what_there_is_to_learn(dataset: Dataset) -> None:
    """The target is 0.9 × weather at the target hour + noise of 0.3."""
    forecast, notes = gradient_boosting(dataset, "test", BOTH, 24)
    assert notes == []
    assert 0.25 < rmse(dataset, forecast) < 0.6


def test_same_data_give_the_same_forecast(dataset: Dataset) -> None:
    first, second = (gradient_boosting(dataset, "test", BOTH, 24)[0] for _ in range(2))
    assert np.array_equal(first, second)  # type: ignore[arg-type]


def test_what_is_forecast_is_not_learnt(dataset: Dataset) -> None:
    other = dataclasses.replace(dataset, test=dataclasses.replace(dataset.test, y=dataset.test.y + 9.0))
    first, second = (gradient_boosting(one, "test", BOTH, 24)[0] for one in (dataset, other))
    assert np.array_equal(first, second)  # type: ignore[arg-type]


def test_only_the_named_parts_are_learnt(dataset: Dataset) -> None:
    other = dataclasses.replace(dataset, val=dataclasses.replace(dataset.val, y=dataset.val.y + 9.0))
    of_both, of_train = (gradient_boosting(other, "test", parts, 24)[0] for parts in (BOTH, ("train",)))
    assert rmse(dataset, of_both) > 2 * rmse(dataset, of_train)


def test_foreign_arrays_are_forecast_in_their_unit(tiny_dataset: Dataset) -> None:
    forecast, _ = gradient_boosting(tiny_dataset, "test", BOTH, None)
    assert forecast is not None
    observed = tiny_dataset.observed(tiny_dataset.test)
    assert abs(forecast.mean() - observed.mean()) < observed.std()


def test_every_output_has_its_model() -> None:
    dataset = make_tiny_dataset(n_train=300, n_outputs=3)
    forecast, _ = gradient_boosting(dataset, "test", BOTH, None)
    assert forecast is not None
    assert rmse(dataset, forecast) < 0.6 * float(dataset.observed(dataset.test).std())
    assert forecast.mean(axis=0) == pytest.approx(dataset.observed(dataset.test).mean(axis=0), rel=0.1)


def test_known_weather_is_taken_at_the_target_of_each_output(series_file: Path) -> None:
    dataset = load_dataset(small_spec(series_file, outputs="all"))
    ahead = dataset.feature_names.index("weather@+3")
    steps = [
        [step for step, features in boosting._places(dataset, k, 24).items() if ahead in features] for k in range(3)
    ]
    # lookback 6, so the newest step is 5: it holds the weather three steps ahead, step 3 that of the first output.
    assert [sorted(chosen) for chosen in steps] == [[2, 3, 4], [3, 4, 5], [3, 4, 5]]


def test_known_weather_is_taken_beyond_the_target_as_far_as_the_model_sees_it(series_file: Path) -> None:
    dataset = load_dataset(small_spec(series_file, outputs="all", known_ahead_beyond=2))
    near, *far = (dataset.feature_names.index(f"weather@+{lead}") for lead in (3, 4, 5))
    steps = [
        [[step for step, features in boosting._places(dataset, k, 24).items() if one in features] for one in far]
        for k in range(3)
    ]
    assert steps == [[[3], [3]], [[4], [4]], [[5], [5]]]
    assert [near in features for features in boosting._places(dataset, 2, 24).values()] == [True] * 3


def test_own_past_a_day_before_the_target_is_taken_where_the_window_reaches(series_file: Path) -> None:
    dataset = load_dataset(small_spec(series_file, lookback=24))
    places = boosting._places(dataset, 0, 24)
    assert [step for step, features in places.items() if features == [0]] == [1, 2, 3]
    assert all(step >= 3 for step in boosting._places(load_dataset(small_spec(series_file)), 0, 24))


def test_a_variant_with_shorter_windows_is_forecast_too(dataset: Dataset) -> None:
    forecast, _ = gradient_boosting(variant(dataset, lookback=2), "test", BOTH, 24)
    assert rmse(dataset, forecast) < 0.6


def test_an_empty_validation_part_does_no_harm(dataset: Dataset) -> None:
    windows = dataclasses.replace(dataset.val.windows, index=dataset.val.windows.index[:0])
    assert dataset.val.origins is not None
    empty = dataclasses.replace(dataset.val, windows=windows, y=dataset.val.y[:0], origins=dataset.val.origins[:0])
    none = dataclasses.replace(dataset, val=empty)
    first, second = gradient_boosting(none, "test", BOTH, 24), gradient_boosting(none, "test", ("train",), 24)
    assert np.array_equal(first[0], second[0])  # type: ignore[arg-type]
    assert gradient_boosting(none, "val", ("train",), 24) == (None, [])


def test_too_many_outputs_and_too_few_windows_are_said() -> None:
    many = make_tiny_dataset(n_outputs=boosting.MAX_OUTPUTS + 1)
    assert gradient_boosting(many, "test", BOTH, None) == (
        None,
        ["Gradient boosting is left out: 25 outputs are more than 24."],
    )
    forecast, notes = gradient_boosting(make_tiny_dataset(n_train=10, n_val=5), "test", BOTH, None)
    assert forecast is None
    assert "15 windows" in notes[0]


def test_very_many_windows_are_thinned_and_it_is_said(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boosting, "_MOST_WORK", 1_000_000)
    forecast, notes = gradient_boosting(dataset, "test", BOTH, 24)
    assert rmse(dataset, forecast) < 1.0
    assert "evenly spread" in notes[0]


def test_rows_of_blocks_are_those_of_the_whole(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    places = boosting._places(dataset, 0, 24)
    whole = boosting._rows(dataset.train.windows, places)
    monkeypatch.setattr(boosting, "_BLOCK_BYTES", 1000)
    assert np.array_equal(boosting._rows(dataset.train.windows, places), whole)
    assert whole.shape == (len(dataset.train.windows), sum(map(len, places.values())) + dataset.n_features)
