"""Data cut again and again: folds with their own scalers, all before the test, shorter windows, fewer features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from greentune.storage.datasets import load_dataset, load_source
from greentune.storage.dataspec import DataError, DataSpec, sample_spec
from greentune.storage.prepare import prepare_arrays
from greentune.storage.variants import feature_owners, group_mistakes, variant
from greentune.storage.windows import target_rows

from .tiny_series import tiny_csv, tiny_frame, tiny_spec, write_csv

SPEC = {"known_ahead": ("wind",), "circular": ("direction",), "calendar": ("hour",)}


def test_scalers_of_a_fold_know_its_training_rows_only(tmp_path: Path) -> None:
    frame = tiny_frame()
    frame["power"] = np.arange(len(frame), dtype=float)  # rises, so every later row would move the scaler
    source = load_source(tiny_spec(write_csv(tmp_path, frame)))
    fold = source.fold(range(5), range(12, 15))
    origins = fold.train.origins
    assert origins is not None
    last = int(target_rows(origins, fold.steps_ahead).max())
    assert fold.y_scaler is not None
    assert fold.y_scaler.offset[0] == 0
    assert fold.y_scaler.scale[0] == last
    assert fold.x_scaler is not None
    assert fold.x_scaler.scale[0] == last
    np.testing.assert_allclose(fold.observed(fold.val), fold.to_units(fold.val.y), rtol=1e-6)


def test_samples_of_folds_are_the_windows_before_the_test_part(tmp_path: Path) -> None:
    source = load_source(tiny_spec(tiny_csv(tmp_path)))
    whole = source.dataset
    assert source.n_samples > len(whole.train.windows) + len(whole.val.windows), "those over the border are used, too"
    everything = source.everything()
    assert len(everything.train.windows) == source.n_samples
    assert len(everything.val.windows) == 0
    assert everything.val.windows.array().shape == (0, whole.lookback, whole.n_features)
    times = everything.target_times(everything.train)
    assert times is not None
    assert source.sample_times is not None
    np.testing.assert_array_equal(times[:, -1], source.sample_times)
    test_times = whole.target_times(whole.test)
    assert test_times is not None
    assert times.max() < test_times.min()
    np.testing.assert_array_equal(everything.observed(everything.test), whole.observed(whole.test))


def test_windows_left_out_are_counted_before_the_test_part(tmp_path: Path) -> None:
    frame = tiny_frame()
    frame.loc[[5, len(frame) - 3], "power"] = np.nan
    source = load_source(tiny_spec(write_csv(tmp_path, frame)))
    counts = source.everything().counts
    assert 0 < counts["windows_left_out_train"] < counts["windows_left_out"]
    assert counts["windows_left_out_val"] == 0
    assert counts["windows_left_out_test"] == source.dataset.counts["windows_left_out_test"] > 0


def test_prepared_arrays_are_cut_into_the_same_windows(tmp_path: Path) -> None:
    spec = tiny_spec(tiny_csv(tmp_path), **SPEC)
    series = load_source(spec)
    arrays = prepare_arrays(spec, tmp_path / "arrays")
    source = load_source(DataSpec(path=str(tmp_path / "arrays")))
    n = len(arrays.train.windows)
    assert source.n_samples == n + len(arrays.val.windows)
    fold = source.fold(range(n), range(n, source.n_samples))
    np.testing.assert_array_equal(fold.train.windows.array(), series.dataset.train.windows.array())
    np.testing.assert_array_equal(fold.val.windows.array(), series.dataset.val.windows.array())
    np.testing.assert_array_equal(fold.val.origins, series.dataset.val.origins)
    assert source.sample_times is not None


def test_shorter_windows_forecast_the_same_targets_and_copy_nothing(tmp_path: Path) -> None:
    whole = load_dataset(tiny_spec(tiny_csv(tmp_path), **SPEC))
    short = variant(whole, lookback=2)
    assert short.lookback == short.spec.lookback == 2
    np.testing.assert_array_equal(short.train.y, whole.train.y)
    np.testing.assert_array_equal(short.val.windows.array(), whole.val.windows.array()[:, -2:, :])
    assert np.shares_memory(short.train.windows.view, whole.train.windows.view)
    assert variant(whole) is whole


def test_left_out_groups_make_the_data_set_that_never_had_them(tmp_path: Path) -> None:
    path = tiny_csv(tmp_path)
    groups = {"weather": ("wind", "hour"), "vane": ("direction",)}
    whole = load_dataset(tiny_spec(path, **SPEC, feature_groups=groups))
    without = variant(whole, groups=["vane"])
    plain = load_dataset(tiny_spec(path, features=("direction",), circular=("direction",), calendar=()))
    assert without.feature_names == plain.feature_names
    assert without.spec.model_dump(exclude={"path"}) == plain.spec.model_dump(exclude={"path"})
    n = len(without.train.windows)  # known-ahead weather costs the last windows of the whole
    np.testing.assert_array_equal(without.train.windows.array(), plain.train.windows.array()[:n])
    assert plain.x_scaler is not None
    assert without.x_scaler is not None
    np.testing.assert_array_equal(without.x_scaler.offset, plain.x_scaler.offset)
    assert variant(whole, groups=["weather", "vane"]) is whole


def test_features_of_the_packaged_farm_have_owners() -> None:
    dataset = load_dataset(sample_spec())
    owners = feature_owners(dataset)
    assert len(owners) == dataset.n_features
    assert owners[0] == "wind_power_mw"
    assert owners[-2:] == ["hour", "hour"]


def test_groups_are_checked_against_the_data(tmp_path: Path) -> None:
    path = tiny_csv(tmp_path)
    dataset = load_dataset(tiny_spec(path, feature_groups={"weather": ("wnd", "hour")}, calendar=("hour",)))
    (mistake,) = group_mistakes(dataset)
    assert "`data.feature_groups.weather`" in mistake
    assert "'wnd'" in mistake
    with pytest.raises(DataError, match=r"must not hold the target 'power'"):
        load_dataset(tiny_spec(path, feature_groups={"own": ("power",)}))
