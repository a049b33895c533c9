"""What becomes of points in another space."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greentune.tuning.mapping import mapped, near_in
from greentune.tuning.presets import with_preset
from greentune.tuning.space import Range
from greentune.tuning.spec import StudySpec, parse_spec

DATA = {"path": "farm.csv", "target": "power_mw"}
ANY = {"learning_rate": {"low": 1e-6, "high": 1.0}, "l2": {"low": 0.0, "high": 1.0}, "batch_size": [1, 2, 4, 300]}


def spec_of(space: dict[str, Any], **more: Any) -> StudySpec:
    return parse_spec(with_preset({}, {"study": "s", "data": DATA, "space": space, **more}))


def one(point: dict[str, Any], new: dict[str, Any], old: dict[str, Any] = ANY) -> tuple[dict[str, Any], list[str]]:
    """The point in the new space, and what is said of it."""
    (found,), told = mapped([point], spec_of(old), spec_of(new))
    return found, list(told)


@pytest.mark.parametrize(
    ("value", "entry", "becomes", "said"),
    [
        (0.05, {"low": 1e-4, "high": 1e-2, "log": True}, 0.01, "0.05 is not a number from 0.0001 to 0.01 and becomes"),
        (1e-6, {"low": 1e-4, "high": 1e-2}, 1e-4, "becomes 0.0001"),
        (0.003, {"low": 1e-4, "high": 1e-2}, 0.003, None),
        (0.24, {"low": 0.1, "high": 0.35, "step": 0.1}, 0.2, "in steps of 0.1 and becomes 0.2"),
        (0.9, {"low": 0.1, "high": 0.35, "step": 0.1}, 0.3, "becomes 0.3"),
        (0.004, [0.01, 0.003, 0.001], 0.003, "0.004 is not one of 0.01, 0.003, 0.001 and becomes 0.003"),
        (0.003, [0.01, 0.003], 0.003, None),
    ],
)
def test_number_goes_to_the_nearest_value_of_the_space(value: float, entry: Any, becomes: float, said: str) -> None:
    found, told = one({"learning_rate": value}, {"learning_rate": entry})
    assert found == {"learning_rate": becomes}
    assert ([said in sentence for sentence in told] == [True]) if said else told == []


def test_whole_numbers_stay_whole() -> None:
    found, told = one({"batch_size": 300}, {"batch_size": {"low": 8, "high": 65, "step": 8}})
    assert repr(found) == "{'batch_size': 64}"
    assert told == ["batch_size: 300 is not a whole number from 8 to 65 in steps of 8 and becomes 64"]


def test_list_that_is_no_choice_is_left_to_the_sampler() -> None:
    old, new = {"lstm_units": [[64], [64, 32]]}, {"lstm_units": [[32], [64]], "l2": [0.0, 0.1]}
    point, told = one({"lstm_units": [64, 32]}, new, old)
    assert point.keys() == {"l2"}
    assert told[0] == "lstm_units: 64-32 is not one of 32, 64, so the sampler fills it in"
    assert one({"lstm_units": [64]}, new, old)[0]["lstm_units"] == [64]


def test_parameter_that_is_searched_no_more_is_told_where_that_makes_a_difference() -> None:
    new = spec_of({"learning_rate": [0.01]}, parameters={"l2": 0.0})
    points = [{"learning_rate": 0.01, "l2": value} for value in (0.0, 0.5)]
    found, told = mapped(points, spec_of(ANY), new)
    assert found == ({"learning_rate": 0.01},), "the two points have become one"
    assert "l2: 0.5 becomes 0, because it is not searched here" in told


def test_fixed_values_and_defaults_of_the_old_study_count_where_they_are_searched_now() -> None:
    old = spec_of(
        {"learning_rate": [0.01]},
        parameters={"l2": 0.25, "lstm_units": [8]},
        training={"batch_size": 48},
        data={**DATA, "lookback": 12},
    )
    new = {
        "l2": [0.0, 0.25],
        "lstm_units": [[8], [16]],
        "batch_size": [16, 32, 64],
        "lookback": [6, 12],
        "optimizer": ["adam", "rmsprop"],
    }
    (point,), told = mapped([{"learning_rate": 0.01}], old, spec_of(new))
    assert point == {"l2": 0.25, "lstm_units": [8], "batch_size": 32, "lookback": 12, "optimizer": "adam"}
    assert [sentence.split(":")[0] for sentence in told] == ["batch_size", "learning_rate"]


def test_groups_of_features_are_the_same_in_any_order_and_all_where_none_are_drawn() -> None:
    groups = {"feature_groups": {"weather": ["wind"], "clock": ["hour"]}}
    data = {**DATA, **groups, "calendar": ["hour"]}
    old, new = (
        spec_of({"feature_groups": choices, "l2": [0.0]}, data=data)
        for choices in ([["weather", "clock"], []], [["clock"], ["clock", "weather"]])
    )
    found, told = mapped([{"feature_groups": ["weather", "clock"], "l2": 0.0}], old, new)
    assert (found[0]["feature_groups"], told) == (["clock", "weather"], ())
    assert mapped([{"l2": 0.0}], spec_of({"l2": [0.0]}, data=data), new)[0] == found


def test_conditions_hold_in_the_new_space() -> None:
    space = {
        "optimizer": ["adam", "sgd"],
        "clipnorm": {"low": 0.5, "high": 5.0, "when": {"optimizer": "sgd"}},
    }
    always = {"optimizer": ["adam", "sgd", "rmsprop"], "clipnorm": {"low": 0.5, "high": 5.0}}
    assert one({"optimizer": "adam", "clipnorm": 1.0}, space, always)[0] == {"optimizer": "adam"}
    assert one({"optimizer": "sgd", "clipnorm": 9.0}, space, always)[0] == {"optimizer": "sgd", "clipnorm": 5.0}
    open_point, _ = one({"optimizer": "rmsprop", "clipnorm": 1.0}, space, always)
    assert open_point == {"clipnorm": 1.0}, "it counts if the sampler draws sgd"


def test_entries_of_a_comparison_start_a_search_of_their_parameters() -> None:
    entries = {"Small": {"builder": "stacked_lstm", "parameters": {"lstm_units": [16], "batch_size": 64}}}
    space = {"entry": ["Small"], "seed": {"low": 0, "high": 9}}
    old = spec_of({"l2": [0.0]}).model_copy(update={"space": space})
    old = StudySpec.model_validate({**old.model_dump(), "entries": entries})
    new = spec_of({"lstm_units": [[16], [32]], "batch_size": [32, 64]})
    assert mapped([{"entry": "Small"}], old, new) == (({"lstm_units": [16], "batch_size": 64},), ())


@given(
    value=st.floats(-1e6, 1e6),
    low=st.integers(-50, 50),
    width=st.integers(0, 100),
    step=st.one_of(st.none(), st.integers(1, 7), st.sampled_from([0.1, 0.25, 0.3])),
    whole=st.booleans(),
)
def test_what_a_range_makes_of_a_number_lies_in_it(value: float, low: int, width: int, step: Any, whole: bool) -> None:
    ends = (low, low + width) if whole else (float(low), float(low + width))
    parameter = Range("x", *ends, step=step)
    near = near_in(parameter, value)
    assert parameter.holds(near)
    assert near_in(parameter, near) == near
