"""The series that users really have: each gives its rule, its value and a way out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from greentune.storage.datasets import load_dataset
from greentune.storage.dataspec import DataError

from .tiny_series import replaced, tiny_csv, tiny_frame, tiny_spec, write_csv

Make = Callable[[Path], Path]


def changed(**columns: Any) -> Make:
    return lambda folder: tiny_csv(folder, **columns)


def cut(n_rows: int) -> Make:
    return lambda folder: write_csv(folder, tiny_frame(n_rows))


def _gappy(folder: Path) -> Path:
    wind = tiny_frame()["wind"]
    return tiny_csv(folder, wind=wind.where((wind.index < 42) | (wind.index % 5 > 0)))


BAD: dict[str, tuple[Make, dict[str, Any], list[str]]] = {
    "no such file": (lambda folder: changed()(folder).with_name("serie.csv"), {}, ["Did you mean 'series.csv'?"]),
    "target missing": (changed(power=None), {}, ["has no column 'power' (`target`)"]),
    "target misspelt": (changed(), {"target": "powr"}, ["Did you mean 'power'?"]),
    "target not named": (changed(), {"target": None}, ["A series needs a `target`", "Valid: direction, power, wind."]),
    "target is the time": (
        changed(),
        {"target": "time"},
        ["has no column 'time' (`target`). It is the column of times."],
    ),
    "timestamp misspelt": (changed(), {"timestamp": "tim"}, ["'tim' (`timestamp`). Did you mean 'time'?"]),
    "feature misspelt": (changed(), {"features": ("wnd",)}, ["'wnd' (`features`). Did you mean 'wind'?"]),
    "known ahead unknown": (
        changed(),
        {"known_ahead": ("wnd",)},
        ["`known_ahead` names 'wnd'", "Did you mean 'wind'?"],
    ),
    "circular unknown": (changed(), {"circular": ("dir",)}, ["`circular` names 'dir'", "Did you mean 'direction'?"]),
    "known ahead not among features": (
        changed(),
        {"features": ("direction",), "known_ahead": ("wind",)},
        ["`known_ahead` names 'wind', which is not among the features. Add it to `features`."],
    ),
    "target known ahead": (changed(), {"known_ahead": ("power",)}, ["cannot be known ahead"]),
    "feature of text": (changed(note=["a"] * 60), {"features": ("note",)}, ["line 2 has 'a' (60 in all)"]),
    "one bad value": (changed(wind=replaced("wind", 9, "calm")), {}, ["Column 'wind'", "line 11 has 'calm'"]),
    "bad value in the target": (changed(power=replaced("power", 0, "off")), {}, ["Column 'power'", "line 2 has 'off'"]),
    "decimal comma": (changed(wind=['"1,5"'] * 60), {"features": ("wind",)}, ["Write decimals with a point"]),
    "infinite": (
        changed(wind=replaced("wind", 30, np.inf)),
        {},
        ["'wind' of series.csv must be finite; line 32 has inf"],
    ),
    "target all gaps": (changed(power=[np.nan] * 60), {}, ["Column 'power' of series.csv has no value at all"]),
    "target without training": (
        lambda folder: tiny_csv(folder, power=tiny_frame()["power"].where(tiny_frame().index >= 42)),
        {},
        ["has no value in the training part"],
    ),
    "constant target": (changed(power=[3.5] * 60), {}, ["must vary", "always 3.5"]),
    "named feature all gaps": (
        changed(wind=[np.nan] * 60),
        {"features": ("wind",)},
        ["'wind' of series.csv has no value"],
    ),
    "too few rows": (cut(30), {}, ["lookback 6 + horizon 2 = 8 rows in each part", "need at least 52 rows; got 30"]),
    "one row": (cut(1), {}, ["must have at least two rows; got 1"]),
    "header only": (cut(0), {}, ["has a header but no rows"]),
    "part too short by dates": (
        changed(),
        {"val_start": "2015-01-02", "test_start": "2015-01-02T03:00Z"},
        ["validation has 3"],
    ),
    "dates outside": (
        changed(),
        {"val_start": "2014-01-02", "test_start": "2016-01-02"},
        ["`val_start` must lie inside the series", "`test_start` must lie inside the series"],
    ),
    "no window without a gap": (
        _gappy,
        {},
        ["The validation part must keep at least one", "The test part", "'wind' lacks 2"],
    ),
    "unsorted": (lambda folder: write_csv(folder, tiny_frame().iloc[::-1]), {}, ["must rise; line 3"]),
    "duplicated": (changed(time=replaced("time", 5, "2015-01-01T04:00:00Z")), {}, ["must be distinct; line 7 repeats"]),
    "irregular": (changed(time=replaced("time", 5, "2015-01-01T05:10:00Z")), {}, ["must be regular", "line 7"]),
    "two features of one name": (
        changed(direction_sin=[float(row) for row in range(60)]),
        {"circular": ("direction",)},
        ["Two features would be named 'direction_sin'"],
    ),
    "wrong specification": (changed(), {"split": (0.5, 0.2, 0.2)}, ["sum to 1"]),
    "unknown time zone": (changed(), {"timezone": "Europe/Lisbonn"}, ["Did you mean 'Europe/Lisbon'?"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_series_is_refused(tmp_path: Path, case: str) -> None:
    make, fields, messages = BAD[case]
    with pytest.raises(DataError) as caught:
        load_dataset(tiny_spec(make(tmp_path), **fields))
    assert [message for message in messages if message not in str(caught.value)] == []
    assert all(mistake.strip().endswith((".", "?")) for mistake in caught.value.mistakes), "a sentence each"


def test_rows_needed_are_enough(tmp_path: Path) -> None:
    """The number that the message about too few rows names is the smallest that works."""
    load_dataset(tiny_spec(write_csv(tmp_path, tiny_frame(52))))
    with pytest.raises(DataError, match="need at least 52 rows; got 51"):
        load_dataset(tiny_spec(write_csv(tmp_path, tiny_frame(51))))


def test_all_mistakes_of_a_series_come_at_once(tmp_path: Path) -> None:
    path = tiny_csv(
        tmp_path,
        time=replaced("time", 5, "2015-01-01T04:00:00Z"),
        power=replaced("power", 3, "off"),
        wind=replaced("wind", 30, np.inf),
    )
    with pytest.raises(DataError) as caught:
        load_dataset(tiny_spec(path, lookback=0, circular=("dirction",), capacity=-1.0))
    text = str(caught.value)
    assert len(caught.value.mistakes) == 6
    for said in ("`lookback`", "`capacity`", "'off'", "must be finite", "'dirction'", "must be distinct"):
        assert said in text


def test_mistakes_of_the_specification_come_with_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_dataset(tiny_spec(tmp_path / "none.csv", horizon=0))
    assert len(caught.value.mistakes) == 2
