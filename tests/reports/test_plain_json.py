from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greentune.reports.plain_json import plain, to_text

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), None),
        (float("-inf"), None),
        (np.float32("nan"), None),
        (np.float64(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.datetime64("2024-01-01T01", "ns"), "2024-01-01T01:00:00Z"),
        (np.datetime64("NaT"), None),
        (np.array([[1.0, np.nan]]), [[1.0, None]]),
        ((1, (2,)), [1, [2]]),
        ({"b", "a"}, ["a", "b"]),
        ({1: Path("x")}, {"1": "x"}),
        (datetime(2024, 1, 1, tzinfo=UTC), "2024-01-01T00:00:00+00:00"),
        (complex(1, 2), "(1+2j)"),
    ],
)
def test_plain_values(value: object, expected: object) -> None:
    assert plain(value) == expected


@given(JSON)
def test_what_is_json_already_comes_back(value: object) -> None:
    assert json.loads(to_text(value)) == value
