from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from greentune.reports import layout
from greentune.reports.bundle import write_bundle
from greentune.reports.forecaster import Forecaster
from greentune.reports.layout import BundleError
from greentune.storage.datasets import load_dataset
from greentune.storage.dataspec import DataError
from greentune.storage.prepare import prepare_arrays

from .conftest import Trained, frame, small_spec, train


@pytest.fixture(scope="module")
def forecaster(written_bundle: Path) -> Forecaster:
    return Forecaster.load(written_bundle)


def test_forecasts_are_those_of_the_test_part(forecaster: Forecaster, written_bundle: Path, series_file: Path) -> None:
    stored = pd.read_csv(written_bundle / layout.PREDICTIONS, parse_dates=["target_time"])
    both = stored.merge(forecaster.predict(series_file), on="target_time", suffixes=("", "_again"))
    assert len(both) == len(stored)
    assert both.forecast_mw_again.to_numpy() == pytest.approx(both.forecast_mw.to_numpy(), abs=1e-4)


def test_columns_and_times(forecaster: Forecaster, series_file: Path) -> None:
    table = forecaster.predict(str(series_file))
    assert list(table) == ["origin_time", "target_time", "step_ahead", "forecast_mw"]
    assert ((table.target_time - table.origin_time) == pd.Timedelta(hours=3)).all()
    assert str(table.target_time.dtype).endswith("UTC]")
    assert np.isfinite(table.forecast_mw).all()


def test_frame_gives_what_the_file_gives(forecaster: Forecaster, series_file: Path) -> None:
    pd.testing.assert_frame_equal(forecaster.predict(frame()), forecaster.predict(series_file))


def test_newest_hours_are_forecast_before_their_target_is_known(forecaster: Forecaster) -> None:
    series = frame()
    series.loc[597:, "power"] = np.nan  # the weather forecast reaches three hours farther
    table = forecaster.predict(series)
    assert table.origin_time.max() == pd.Timestamp("2024-01-25 20:00", tz="UTC")
    assert table.target_time.max() == pd.Timestamp("2024-01-25 23:00", tz="UTC")


def test_series_without_a_needed_column(forecaster: Forecaster) -> None:
    with pytest.raises(DataError, match="weather"):
        forecaster.predict(frame().drop(columns="weather"))


def test_ready_windows(forecaster: Forecaster, trained: Trained) -> None:
    windows = trained.dataset.test.windows.array()
    assert forecaster.predict_windows(windows) == pytest.approx(trained.predicted, abs=1e-5)


@pytest.mark.parametrize("shape", [(6, 5), (2, 5, 5), (2, 6, 99)])
def test_windows_of_another_shape(forecaster: Forecaster, shape: tuple[int, ...]) -> None:
    with pytest.raises(BundleError, match="must have the shape"):
        forecaster.predict_windows(np.zeros(shape))


def test_several_steps_ahead(series_file: Path, tmp_path: Path) -> None:
    trained = train(load_dataset(small_spec(series_file, outputs="all")))
    folder = write_bundle(tmp_path / "b", **trained.arguments())
    table = Forecaster.load(folder).predict(series_file)
    first = table[table.origin_time == table.origin_time.min()]
    assert first.step_ahead.tolist() == [1, 2, 3]
    assert (first.target_time - first.origin_time).tolist() == [pd.Timedelta(hours=h) for h in (1, 2, 3)]
    assert len(pd.read_csv(folder / layout.PREDICTIONS)) == 3 * len(trained.dataset.test.windows)


def test_prepared_arrays_forecast_a_series_too(series_file: Path, tmp_path: Path) -> None:
    dataset = prepare_arrays(small_spec(series_file), tmp_path / "arrays")
    trained = train(dataset)
    assert trained.evaluation.metrics["skill"] is not None
    folder = write_bundle(tmp_path / "b", **trained.arguments())
    assert len(Forecaster.load(folder).predict(series_file)) > 500


def test_foreign_arrays_cannot_forecast_a_series(tiny_dataset, tmp_path: Path, series_file: Path) -> None:  # type: ignore[no-untyped-def]
    folder = write_bundle(tmp_path / "b", **train(tiny_dataset).arguments())
    with pytest.raises(BundleError, match="predict_windows"):
        Forecaster.load(folder).predict(series_file)
