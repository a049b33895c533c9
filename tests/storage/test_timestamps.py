from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from greentune.storage.dataspec import DataError
from greentune.storage.grid import step_of
from greentune.storage.table import Table, frame_table
from greentune.storage.timestamps import find_timestamp, utc_times


def table_of(times: Sequence[object]) -> Table:
    return frame_table(pd.DataFrame({"id": range(len(times)), "time": list(times), "y": 1.0}), "the frame")


def read(times: Sequence[object], timezone: str = "UTC") -> list[str]:
    return [str(time)[:16] for time in utc_times(table_of(times), "time", timezone)]


def message(times: Sequence[object], timezone: str = "UTC") -> str:
    table = table_of(times)
    with pytest.raises(DataError) as caught:
        step_of(table, utc_times(table, "time", timezone))
    return str(caught.value)


NOON = ["2015-06-01T12:00", "2015-06-01T13:00"]


@pytest.mark.parametrize(
    ("times", "timezone"),
    [
        (["2015-06-01T12:00:00Z", "2015-06-01T13:00:00Z"], "Europe/Paris"),
        (["2015-06-01 12:00", "2015-06-01 13:00"], "UTC"),
        (["2015-06-01T14:00:00+02:00", "2015-06-01T16:00:00+03:00"], "UTC"),
        (["2015-06-01 14:00", "2015-06-01 15:00"], "Europe/Paris"),
        (pd.to_datetime(["2015-06-01 14:00", "2015-06-01 15:00"]), "Europe/Paris"),
        (pd.to_datetime(["2015-06-01 14:00", "2015-06-01 15:00"]).tz_localize("Europe/Paris"), "Asia/Tokyo"),
    ],
)
def test_times_are_put_on_the_utc_clock(times: Sequence[object], timezone: str) -> None:
    assert read(times, timezone) == NOON


def test_date_with_the_day_first_is_read_where_only_that_reads() -> None:
    assert read(["30.06.2015 12:00", "01.07.2015 12:00"]) == ["2015-06-30T12:00", "2015-07-01T12:00"]


def test_date_with_the_month_first_is_read_where_only_that_reads() -> None:
    assert read(["06/30/2015 12:00", "07/01/2015 12:00"]) == ["2015-06-30T12:00", "2015-07-01T12:00"]


def test_date_that_reads_in_two_ways_is_refused() -> None:
    assert "readable in one way" in message(["01/02/2015 12:00", "02/02/2015 12:00"])


def test_first_column_of_times_is_found() -> None:
    assert find_timestamp(table_of(NOON)) == "time"


def test_table_without_times_is_refused() -> None:
    with pytest.raises(DataError, match="No column of the frame reads as times"):
        find_timestamp(frame_table(pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), "the frame"))


def test_hour_that_autumn_repeats_is_told_apart_by_the_order() -> None:
    local = ["2015-10-25 01:00", "2015-10-25 02:00", "2015-10-25 02:00", "2015-10-25 03:00"]
    assert read(local, "Europe/Paris") == ["2015-10-24T23:00", *(f"2015-10-25T0{hour}:00" for hour in range(3))]


def test_hour_that_autumn_repeats_but_the_series_does_not_is_ambiguous() -> None:
    found = message(["2015-10-25 01:00", "2015-10-25 02:00", "2015-10-25 03:00"], "Europe/Paris")
    assert "shows 2015-10-25 02:00:00 twice" in found
    assert "row 1" in found


def test_hour_that_spring_skips_is_refused() -> None:
    found = message(["2015-03-29 01:00", "2015-03-29 02:00", "2015-03-29 03:00"], "Europe/Paris")
    assert "skips 2015-03-29 02:00:00" in found


def test_local_times_read_as_utc_are_told_about_the_timezone() -> None:
    found = message(["2015-10-25 01:00", "2015-10-25 02:00", "2015-10-25 02:00", "2015-10-25 03:00"])
    assert "row 2 repeats 2015-10-25T02:00:00" in found
    assert "name it with `timezone`" in found


def test_times_with_an_offset_are_not_told_about_the_timezone() -> None:
    assert "`timezone`" not in message(["2015-10-25T01:00Z", "2015-10-25T01:00Z", "2015-10-25T02:00Z"])


def test_local_times_in_disorder_are_called_disorder() -> None:
    found = message(["2015-10-25 01:00", "2015-10-25 02:00", "2015-10-25 05:00", "2015-10-25 04:00"], "Europe/Paris")
    assert "must rise; row 3" in found


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (["2015-01-01T02:00Z", "2015-01-01T01:00Z", "2015-01-01T03:00Z"], "must rise; row 1 (2015-01-01T01:00:00)"),
        (["2015-01-01T01:00Z", "2015-01-01T02:00Z", "2015-01-01T01:00Z"], "must be distinct; row 2 repeats"),
        (["2015-01-01T01:00Z", "yesterday", "2015-01-01T03:00Z"], "row 1 has 'yesterday'"),
        (["2015-01-01T01:00Z", None, "2015-01-01T03:00Z"], "row 1 has nothing"),
        (["2015-01-01T01:00Z", "2015-01-01T02:00", "2015-01-01T03:00Z"], "row 1 has none: '2015-01-01T02:00'"),
        ([1420070400, 1420074000, 1420077600], "got numbers such as 1420070400"),
        (["9015-01-01T01:00Z", "9015-01-01T02:00Z"], "must lie between 1678 and 2262"),
        (["2015-01-01T00:00Z", "2015-01-01T01:00Z", "2015-01-01T02:00Z", "2015-01-01T02:30Z"], "row 3 "),
        (["2015-01-01T00:00Z", "2015-01-01T01:00Z", "2099-01-01T02:00Z"], "Is this time right?"),
    ],
)
def test_times_out_of_order_or_form_are_refused(times: Sequence[object], expected: str) -> None:
    assert expected in message(times)


def test_step_is_the_most_common_difference() -> None:
    table = table_of(["2015-01-01T00:00Z", "2015-01-01T02:00Z", "2015-01-01T03:00Z", "2015-01-01T04:00Z"])
    assert step_of(table, utc_times(table, "time", "UTC")) == np.timedelta64(1, "h")
