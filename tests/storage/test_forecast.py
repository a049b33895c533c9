from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from greentune.storage.datasets import Dataset, load_dataset
from greentune.storage.dataspec import DataError, sample_spec
from greentune.storage.forecast import forecast_inputs
from greentune.storage.windows import Windows

from .tiny_series import tiny_csv, tiny_frame, tiny_spec


def trained_on(folder: Path, **fields: Any) -> Dataset:
    return load_dataset(tiny_spec(tiny_csv(folder), **fields))


def inputs(
    dataset: Dataset, series: pd.DataFrame | Path | str, step_seconds: float | None = 3600
) -> tuple[Windows, np.ndarray, np.ndarray]:
    assert dataset.x_scaler is not None
    return forecast_inputs(dataset.spec, dataset.x_scaler, dataset.feature_names, series, step_seconds=step_seconds)


@pytest.mark.parametrize("outputs", ["last", "all"])
def test_windows_are_those_of_the_training(tmp_path: Path, outputs: str) -> None:
    dataset = trained_on(tmp_path, known_ahead=("wind",), circular=("direction",), outputs=outputs)
    windows, origins, targets = inputs(dataset, tmp_path / "series.csv")
    assert dataset.times is not None
    for part in (dataset.train, dataset.val, dataset.test):
        assert part.origins is not None
        at = np.searchsorted(origins, dataset.times[part.origins])
        np.testing.assert_array_equal(windows.take(at), part.windows.array())
        np.testing.assert_array_equal(targets[at], dataset.target_times(part))


def test_newest_origin_is_the_last_row_where_nothing_is_known_ahead(tmp_path: Path) -> None:
    dataset = trained_on(tmp_path)
    windows, origins, targets = inputs(dataset, tmp_path / "series.csv")
    assert len(windows) == 60 - 6 + 1
    assert str(origins[-1])[:13] == "2015-01-03T11"
    assert str(targets[-1, 0])[:13] == "2015-01-03T13"


def test_known_ahead_columns_end_the_forecast_with_their_own_end(tmp_path: Path) -> None:
    _, origins, targets = inputs(trained_on(tmp_path, known_ahead=("wind",)), tmp_path / "series.csv")
    assert str(origins[-1])[:13] == "2015-01-03T09"
    assert str(targets[-1, 0])[:13] == "2015-01-03T11"


def test_beyond_the_target_a_forecast_needs_that_much_more_weather(tmp_path: Path) -> None:
    dataset = trained_on(tmp_path, known_ahead=("wind",), known_ahead_beyond=1)
    windows, origins, _ = inputs(dataset, tmp_path / "series.csv")
    assert str(origins[-1])[:13] == "2015-01-03T08"
    assert dataset.times is not None
    assert dataset.test.origins is not None
    at = np.searchsorted(origins, dataset.times[dataset.test.origins])
    np.testing.assert_array_equal(windows.take(at), dataset.test.windows.array())


@pytest.mark.parametrize("absent", ["blank", "rows later"])
def test_weather_after_the_last_target_is_used(tmp_path: Path, absent: str) -> None:
    dataset = trained_on(tmp_path, known_ahead=("wind",))
    frame = tiny_frame()
    frame.loc[50:, ["power", "direction"]] = np.nan
    frame = frame if absent == "blank" else frame.iloc[:52]
    _, origins, _ = inputs(dataset, frame)
    assert str(origins[-1])[:13] == "2015-01-03T01"  # row 49, the last one with a target


def test_series_of_one_window_is_enough(tmp_path: Path) -> None:
    dataset = trained_on(tmp_path)
    windows, origins, _ = inputs(dataset, tiny_frame().iloc[10:16])
    assert windows.shape == (1, 6, dataset.n_features)
    assert len(origins) == 1


def test_one_row_is_enough_for_a_lookback_of_one(tmp_path: Path) -> None:
    windows, _, targets = inputs(trained_on(tmp_path, lookback=1), tiny_frame().iloc[10:11])
    assert len(windows) == 1
    assert str(targets[0, 0])[:13] == "2015-01-01T12"


def test_further_columns_do_not_disturb(tmp_path: Path) -> None:
    dataset = trained_on(tmp_path)
    frame = tiny_frame().assign(later="text", number=1.0)[["number", "later", "wind", "direction", "power", "time"]]
    np.testing.assert_array_equal(inputs(dataset, frame)[0].array(), inputs(dataset, tiny_frame())[0].array())


def test_index_may_hold_the_times(tmp_path: Path) -> None:
    frame = tiny_frame()
    frame.index = pd.DatetimeIndex(pd.to_datetime(frame.pop("time")))
    assert len(inputs(trained_on(tmp_path), frame)[0]) == 55


def test_sample_reaches_its_last_rows() -> None:
    dataset = load_dataset(sample_spec())
    _, origins, targets = inputs(dataset, "sample:la_haute_borne")
    assert str(origins[-1])[:16] == "2015-12-31T20:00"
    assert str(targets[-1, 0])[:16] == "2015-12-31T23:00"


BAD: dict[str, tuple[pd.DataFrame, list[str]]] = {
    "columns missing": (
        tiny_frame().rename(columns={"wind": "wnd"}).drop(columns="power"),
        ["has no column 'power' (`target`)", "has no column 'wind' (`features`). Did you mean 'wnd'?"],
    ),
    "not a number": (tiny_frame().astype({"wind": object}).replace({"wind": {7.0: "calm"}}), ["row 0 has 'calm'"]),
    "another step": (tiny_frame(freq="15min"), ["trained on a step of 3600 s; the frame has 900 s"]),
    "too short": (tiny_frame().iloc[:5], ["needs 6 rows in a row without a gap; the frame has 5 rows"]),
    "gaps everywhere": (tiny_frame().assign(wind=lambda t: t["wind"].where(t.index % 5 > 0)), ["Gaps in: wind"]),
    "no rows": (tiny_frame().iloc[:0], ["has a header but no rows"]),
    "unsorted": (tiny_frame().iloc[::-1], ["must rise"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_series_is_refused(tmp_path: Path, case: str) -> None:
    frame, messages = BAD[case]
    with pytest.raises(DataError) as caught:
        inputs(trained_on(tmp_path), frame)
    assert [message for message in messages if message not in str(caught.value)] == []


def test_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder"):
        inputs(trained_on(tmp_path), tmp_path)
