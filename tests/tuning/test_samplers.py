from __future__ import annotations

from typing import Any

import pytest

from greentune.tuning.presets import with_preset
from greentune.tuning.queue import plan
from greentune.tuning.samplers import planned_points
from greentune.tuning.spec import StudySpec, parse_spec

SPACE = {
    "lstm_units": [[16], [32, 16]],
    "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "dropout_rate": {"low": 0.0, "high": 0.4, "step": 0.1},
}
WHOLE = {"lstm_units": [32, 16], "learning_rate": 0.003, "dropout_rate": 0.1}
FIRST = [WHOLE, {"dropout_rate": 0.3}]


def spec_of(**search: Any) -> StudySpec:
    return parse_spec(with_preset({}, {"space": SPACE, "search": search}))


@pytest.mark.parametrize("sampler", ["random", "qmc"])
def test_first_points_come_whole_before_the_sequence_that_the_sampler_draws_anyway(sampler: str) -> None:
    usual, first = planned_points(spec_of(sampler=sampler), 6), planned_points(spec_of(sampler=sampler, first=FIRST), 8)
    assert first[0] == WHOLE
    assert first[1]["dropout_rate"] == 0.3
    assert first[1].keys() == WHOLE.keys()
    assert first[2:] == usual


def test_tpe_fills_in_at_the_claim_what_first_points_lack() -> None:
    assert planned_points(spec_of(sampler="tpe", first=FIRST), 4) == [*FIRST, {}, {}]


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc"])
def test_longer_plan_with_first_points_begins_with_the_shorter_one(sampler: str) -> None:
    plans = [plan(spec_of(sampler=sampler, first=FIRST, trials=n)) for n in (1, 2, 5, 5, 9)]
    assert [len(tickets) for tickets in plans] == [1, 2, 5, 5, 9]
    assert all(tickets == plans[-1][: len(tickets)] for tickets in plans)
    assert plans[-1][0].fixed == {"lstm_units": "32-16", "learning_rate": 0.003, "dropout_rate": 0.1}


def test_first_points_change_neither_name_nor_identity() -> None:
    usual, first = spec_of(sampler="tpe"), spec_of(sampler="tpe", first=FIRST)
    assert (first.study, first.identity()) == (usual.study, usual.identity())
    assert StudySpec.from_json(first.to_json()) == first
