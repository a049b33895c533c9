"""What is seen of a series before anybody says what its columns mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from greentune.storage.dataspec import DataError
from greentune.storage.overview import Overview, overview
from greentune.storage.table import frame_table
from greentune.storage.timestamps import find_timestamp


def seen(**columns: Any) -> Overview:
    return overview(frame_table(pd.DataFrame(columns), "the frame"))


def test_times_step_and_gaps_are_those_of_the_grid() -> None:
    times = pd.date_range("2024-01-01", periods=10, freq="h", tz="UTC").delete([3, 4, 7])
    found = seen(at=times, power=range(7))
    assert (found.timestamp, found.step_seconds, found.rows_missing, found.longest_gap) == ("at", 3600.0, 3, 2)
    assert found.span_days == pytest.approx(10 / 24)
    assert found.column("power").high == 6


def test_columns_are_told_apart() -> None:
    times = pd.date_range("2024-01-01", periods=4, freq="h")
    found = seen(
        at=times, a=[1, 2, 3, np.nan], b=["1,5", "2,5", "-3,25", ",5"], c=["x", "y", "z", "1"], d=["1", "2", "3", "no"]
    )
    assert found.names == ("a",)
    assert found.decimal_commas == ("b",)
    assert found.texts == ("c",)
    assert "row 3 has 'no'" in (found.column("d").unusable or "")
    assert found.column("a").share_missing == 0.25


def test_a_counter_counts_the_rows_of_the_table_or_those_of_the_grid() -> None:
    times = pd.date_range("2024-01-01", periods=6, freq="h").delete([2])
    found = seen(at=times, table=[5, 6, 7, 8, 9], grid=[0, 2, 6, 8, 10], flat=[1, 1, 1, 1, 1], power=[1, 2, 3, 4, 6])
    assert [column.name for column in found.columns if found.is_counter(column)] == ["table", "grid"]


def test_days_that_read_in_two_ways_are_settled_by_a_later_row() -> None:
    times = pd.date_range("2024-03-01", periods=14 * 24, freq="h").strftime("%d.%m.%Y %H:%M")
    assert find_timestamp(frame_table(pd.DataFrame({"no": range(len(times)), "at": times}), "the frame")) == "at"
    ambiguous = frame_table(pd.DataFrame({"no": range(100), "at": times[:100]}), "the frame")
    with pytest.raises(DataError, match="No column of the frame reads as times"):
        find_timestamp(ambiguous)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"a": [1, 2], "b": [3, 4]}, "No column of the frame reads as times"),
        ({"at": ["2024-01-01", "2024-01-02"], "a": ["x", "y"]}, "only text: a"),
        ({"at": ["2024-01-01", "2024-01-02"], "a": ["1,5", "2,5"]}, "decimal comma ('a')"),
        ({"at": ["2024-01-01", "2024-01-02"], "a": [np.inf, 1]}, "must be finite"),
        ({"at": ["2024-01-01"], "a": [1]}, "at least two rows"),
        ({"at": [], "a": []}, "has a header but no rows"),
    ],
)
def test_what_cannot_be_a_series_is_said(columns: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError) as caught:
        seen(**columns)
    assert said in str(caught.value)
