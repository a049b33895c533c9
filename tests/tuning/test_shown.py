"""A trial's parameters under the names that people know."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial

from greentune.tuning.shown import DRAWN, parameter_names, parameters_of
from greentune.tuning.space import parse_space

SPACE, _ = parse_space({"lstm_units": [[4], [8, 4]], "batch_size": [16, 32]})


def trial(params: dict[str, Any], drawn: dict[str, Any] | None = None) -> FrozenTrial:
    kinds = {
        n: FloatDistribution(0, 99) if isinstance(v, float) else CategoricalDistribution((v,))
        for n, v in params.items()
    }
    attributes = {} if drawn is None else {DRAWN: drawn}
    return optuna.create_trial(params=params, distributions=kinds, value=1.0, user_attrs=attributes)


def test_lists_come_out_of_their_labels() -> None:
    assert parameters_of(trial({"lstm_units": "8-4", "batch_size": 16}), SPACE) == {
        "lstm_units": [8, 4],
        "batch_size": 16,
    }


def test_what_the_users_code_drew_has_its_own_names_behind_those_of_the_space() -> None:
    stored = {"width [kind=wide]": 8.0, "kind": "wide", "batch_size": 32}
    shown = parameters_of(trial(stored, {"kind": "wide", "width": 8}), SPACE)
    assert list(shown.items()) == [("batch_size", 32), ("kind", "wide"), ("width", 8)]


def test_code_that_drew_nothing_leaves_what_the_space_drew() -> None:
    assert parameters_of(trial({"batch_size": 32}, {}), SPACE) == {"batch_size": 32}


@pytest.mark.parametrize("drawn", [None, {"n": 3}])
def test_searched_builder_is_shown_without_its_folder(drawn: dict[str, Any] | None) -> None:
    builders, _ = parse_space({"builder": ["stacked_lstm", "/farm/nets/build.py:build"]})
    shown = parameters_of(trial({"builder": "/farm/nets/build.py:build"}, drawn), builders)
    assert shown["builder"] == "build.py:build"


def test_names_are_those_of_the_space_and_then_the_users_as_they_appear() -> None:
    trials = [
        trial({"batch_size": 16}, {"kind": "wide", "width": 8}),
        trial({"batch_size": 16}, {"kind": "d", "depth": 1}),
    ]
    assert parameter_names(trials, SPACE) == ["lstm_units", "batch_size", "kind", "width", "depth"]
    assert parameter_names([], SPACE) == ["lstm_units", "batch_size"]
