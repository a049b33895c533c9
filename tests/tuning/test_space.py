from __future__ import annotations

from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greentune.tuning.space import Choices, Range, Space, labels, parse_space, point_key

DOCUMENTED = {
    "lstm_units": [[32, 16], [50, 25], [64, 32], [128, 64]],
    "dropout_rate": [0.1, 0.2, 0.3],
    "learning_rate": [0.001, 0.0005, 0.0001],
    "batch_size": [16, 32, 64],
}


def space_of(raw: dict[str, Any]) -> Space:
    space, mistakes = parse_space(raw)
    assert mistakes == []
    return space


def test_documented_grid_has_108_different_points() -> None:
    points = list(space_of(DOCUMENTED).grid())
    assert len({point_key(point) for point in points}) == len(points) == 108
    assert points[0] == {"lstm_units": [32, 16], "dropout_rate": 0.1, "learning_rate": 0.001, "batch_size": 16}


def test_lists_are_stored_as_labels_and_come_back_as_lists() -> None:
    space = space_of(DOCUMENTED)
    point = {"lstm_units": [64, 32], "dropout_rate": 0.2, "learning_rate": 0.001, "batch_size": 16}
    assert labels(point)["lstm_units"] == "64-32"
    assert space.decode(labels(point)) == point


def test_key_does_not_depend_on_the_order_of_names() -> None:
    assert point_key({"a": 1, "b": [2, 3]}) == point_key({"b": (2, 3), "a": 1})


def test_sampled_point_is_fixed_by_the_trial() -> None:
    space = space_of(DOCUMENTED | {"l1": {"low": 1e-6, "high": 1e-2, "log": True}, "dense": {"low": 8, "high": 64}})
    fixed = {
        "lstm_units": "50-25",
        "dropout_rate": 0.3,
        "learning_rate": 0.0001,
        "batch_size": 64,
        "l1": 1e-4,
        "dense": 9,
    }
    assert space.sample(optuna.trial.FixedTrial(fixed)) == fixed | {"lstm_units": [50, 25]}


def test_condition_switches_a_parameter_off() -> None:
    raw = {"delta": {"choices": [0.1, 1.0], "when": {"loss": "huber"}}, "loss": ["mse", "huber"]}
    space = space_of(raw)
    assert space.names == ("loss", "delta")
    assert list(space.grid()) == [{"loss": "mse"}, {"loss": "huber", "delta": 0.1}, {"loss": "huber", "delta": 1.0}]
    assert space.sample(optuna.trial.FixedTrial({"loss": "mse"})) == {"loss": "mse"}


def test_range_is_of_whole_numbers_when_both_ends_are() -> None:
    space = space_of({"units": {"low": 4, "high": 16, "step": 4}, "rate": {"low": 0.0, "high": 0.3, "step": 0.1}})
    units, rate = space.parameters
    assert isinstance(units, Range)
    assert units.grid() == (4, 8, 12, 16)
    assert rate.grid() == (0.0, 0.1, 0.2, 0.3)


def test_steps_leave_no_dust() -> None:
    space = space_of({"rate": {"low": 0.0, "high": 0.4, "step": 0.1}})
    dusty = 0.1 + 0.2
    assert dusty != 0.3
    assert space.sample(optuna.trial.FixedTrial({"rate": dusty})) == space.decode({"rate": dusty}) == {"rate": 0.3}


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ({"a": []}, "at least one choice"),
        ({"a": {"choices": []}}, "at least one choice"),
        ({"a": 3}, "must be a list of choices or a table"),
        ({"a": {"low": 2, "high": 1}}, "low ≤ high; got low=2, high=1"),
        ({"a": {"low": 0, "high": 1.0, "log": True}}, "needs low > 0; got low=0"),
        ({"a": {"low": 1, "high": "x"}}, "`space.a.high` must be a number"),
        ({"a": {"low": 1, "high": float("nan")}}, "must be a number"),
        ({"a": {"low": 1, "hihg": 3}}, "Did you mean 'high'?"),
        ({"a": {"low": 1, "high": 2, "step": 0}}, "must be positive"),
        ({"a": {"low": 1.0, "high": 2, "step": 0.5, "log": True}}, "step or log, not both"),
        ({"a": [1, "x"]}, "must be of one type"),
        ({"a": [True, 1]}, "must be of one type"),
        ({"a": [1, 1.0]}, "must differ"),
        ({"a": [{"b": 1}]}, "may hold numbers"),
        ({"a": {"choices": [1], "when": {"lsos": "mse"}}, "loss": ["mse"]}, "Did you mean 'loss'?"),
        ({"a": {"choices": [1], "when": {"loss": "mea"}}, "loss": ["mse"]}, "none of its choices"),
        ({"a": {"choices": [1], "when": {"b": 1}}, "b": {"choices": [1], "when": {"a": 1}}}, "wait for each other"),
    ],
)
def test_mistake_is_named(raw: dict[str, Any], sentence: str) -> None:
    _, mistakes = parse_space(raw)
    assert any(sentence in mistake for mistake in mistakes), mistakes


def test_all_mistakes_come_at_once() -> None:
    _, mistakes = parse_space({"a": [], "b": {"low": 2, "high": 1}, "c": 3})
    assert len(mistakes) == 3


@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "c"]),
        st.one_of(
            st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True),
            st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=3), min_size=1, max_size=4, unique_by=tuple),
        ),
        min_size=1,
    )
)
def test_every_grid_point_survives_the_database_form(raw: dict[str, Any]) -> None:
    space = space_of(raw)
    points = list(space.grid())
    expected = 1
    for parameter in space.parameters:
        assert isinstance(parameter, Choices)
        expected *= len(parameter.values)
    assert len(points) == expected
    assert all(space.decode(labels(point)) == point for point in points)
