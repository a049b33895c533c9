"""Which trials are worth another seed, and what one that was given up would have come to."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from greentune.storage.tickets import Claim
from greentune.tuning.bench import Bench
from greentune.tuning.follow import Follow
from greentune.tuning.stopping import StopSignal

from ..simulation.study import new_study, spec_of

SPACE = {"x": FloatDistribution(0.0, 1.0)}


def complete(value: float) -> FrozenTrial:
    return create_trial(state=TrialState.COMPLETE, value=value, params={"x": 0.5}, distributions=SPACE)


@pytest.mark.parametrize(
    ("before", "value", "promising"),
    [
        ([], 1.0, False),  # nothing to compare with
        ([2.0], 1.0, True),
        ([2.0], 3.0, False),
        ([1.0, 2.0, 3.0], 1.5, False),
        ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], 2.0, True),  # the second of eight
        ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], 2.5, False),
    ],
)
def test_the_best_quarter_gets_another_seed(tmp_path: Path, before: list[float], value: float, promising: bool) -> None:
    spec = spec_of("s", validation={"seeds": 2})
    storage, study = new_study(f"sqlite:///{tmp_path / 'a.db'}", spec, tmp_path)
    study.add_trials([complete(number) for number in before])
    bench = Bench(study, storage, "", spec, [cast(Any, SimpleNamespace())], None, StopSignal(), True)
    trial = cast(optuna.Trial, SimpleNamespace())
    assert Follow(bench, Claim(0, 0, "a"), trial, {}).hooks().another(value) is promising
