from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greentune.storage.dataspec import DataError, DataSpec, instant, parse_spec, sample_spec

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"lookback": 0}, "`lookback` must be at least 1; got 0"),
    ({"horizon": -3}, "`horizon` must be at least 1; got -3"),
    ({"lookback": "many"}, "`lookback`"),
    ({"capacity": 0.0}, "`capacity` must be a positive number of MW"),
    ({"capacity": float("inf")}, "`capacity`"),
    ({"unit": " "}, "`unit` must name the unit"),
    ({"timezone": "Europe/Pariss"}, "Did you mean 'Europe/Paris'"),
    ({"timezone": "../../etc/passwd"}, "`timezone` must be an IANA name"),
    ({"split": (0.7, 0.2, 0.2)}, "sum to 1; got [0.7, 0.2, 0.2] with sum 1.1"),
    ({"split": (1.0, 0.0, 0.0)}, "three positive shares"),
    ({"split": (float("nan"), 0.5, 0.5)}, "three positive shares"),
    ({"split": (0.5, 0.5)}, "`split"),
    ({"val_start": "2015-01-01"}, "got only `val_start`. Add `test_start`"),
    ({"test_start": "2015-01-01"}, "got only `test_start`. Add `val_start`"),
    ({"val_start": "2015-02-01", "test_start": "2015-01-01"}, "`val_start` must be before `test_start`"),
    ({"val_start": "soon", "test_start": "2015-01-01"}, "`val_start` must be a date in ISO form; got 'soon'"),
    ({"target": "a", "known_ahead": ("a",)}, "leak the answer"),
    ({"target": "a", "circular": ("a",)}, "The target cannot be circular"),
    ({"known_ahead": ("a",), "known_ahead_beyond": -1}, "`known_ahead_beyond` must be at least 0; got -1"),
    ({"known_ahead_beyond": 1}, "`known_ahead_beyond` needs features that are known ahead; got 1 and none"),
    ({"features": ("a", "b", "a")}, "`features` names 'a' more than once"),
    ({"lookbak": 24}, "Did you mean 'lookback'"),
    ({"calendar": ("week",)}, "`calendar"),
    ({"outputs": "some"}, "`outputs`"),
]


@pytest.mark.parametrize(("fields", "message"), WRONG, ids=[message[:40] for _, message in WRONG])
def test_wrong_fields_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_spec(fields)
    assert message in str(caught.value)


def test_all_mistakes_come_at_once() -> None:
    with pytest.raises(DataError) as caught:
        parse_spec({"lookback": 0, "horizon": 0, "unit": "", "timezone": "Mars", "path": "x"})
    assert len(caught.value.mistakes) == 4


def test_wrong_split_is_told_beside_a_wrong_timezone() -> None:
    with pytest.raises(DataError) as caught:
        parse_spec({"timezone": "Mars", "split": (0.5, 0.2, 0.2)})
    assert len(caught.value.mistakes) == 2


def test_unknown_names_and_wrong_types_come_together() -> None:
    with pytest.raises(DataError) as caught:
        parse_spec({"lookbak": 1, "horizon": "far"})
    assert len(caught.value.mistakes) == 2


@given(
    lookback=st.integers(1, 500),
    outputs=st.sampled_from(["last", "all"]),
    capacity=st.none() | st.floats(0.1, 1e6),
    features=st.none() | st.lists(st.text(min_size=1, max_size=5), max_size=3, unique=True).map(tuple),
)
def test_json_round_trip(lookback: int, outputs: str, capacity: float | None, features: tuple[str, ...] | None) -> None:
    spec = parse_spec({"lookback": lookback, "outputs": outputs, "capacity": capacity, "features": features})
    assert DataSpec.model_validate_json(spec.model_dump_json()) == spec


def test_steps_ahead() -> None:
    assert DataSpec(horizon=3).steps_ahead == (3,)
    assert DataSpec(horizon=3, outputs="all").steps_ahead == (1, 2, 3)


def test_instant_reads_by_the_clock_of_the_zone() -> None:
    assert instant("2015-07-01", "Europe/Paris") == datetime(2015, 6, 30, 22, tzinfo=UTC)
    assert instant("2015-07-01T00:00:00Z", "Europe/Paris") == datetime(2015, 7, 1, tzinfo=UTC)


def test_sample_spec_keeps_its_own_rules() -> None:
    assert sample_spec().mistakes() == []
