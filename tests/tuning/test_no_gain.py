"""The end of a search that gains nothing any more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from greentune.tuning import records, worker
from greentune.tuning.no_gain import ASSUMED_NOISE, no_gain, noise

from .test_worker import new_study, study

__all__ = ["study"]


def trials(*values: float | None, folds: Sequence[Sequence[float]] = ()) -> list[FrozenTrial]:
    """COMPLETE trials with these values, None for a pruned one, in the order of their ends."""
    made = []
    for number, value in enumerate(values):
        scores = [{"fold": i, "val_mse": v} for i, v in enumerate(folds[number])] if folds else []
        trial = create_trial(
            state=TrialState.PRUNED if value is None else TrialState.COMPLETE,
            value=value,
            user_attrs={"folds": scores},
        )
        trial.number = number
        trial.datetime_complete = datetime(2026, 1, 1) + timedelta(seconds=number)  # noqa: DTZ001 (as Optuna's)
        made.append(trial)
    return made


def test_gains_smaller_than_the_noise_do_not_count() -> None:
    assert no_gain(trials(1.0, 0.999, 0.998), 2, "val_mse")
    assert not no_gain(trials(1.0, 0.999, 0.98), 2, "val_mse")


def test_small_gains_that_add_up_count() -> None:
    assert not no_gain(trials(1.0, 0.996, 0.992, 0.988), 3, "val_mse")


def test_pruned_trials_count_as_trials_without_a_gain() -> None:
    assert not no_gain(trials(1.0, None), 2, "val_mse")
    assert no_gain(trials(1.0, None, None), 2, "val_mse")
    assert not no_gain(trials(None, None, None), 2, "val_mse"), "there is no result yet"


def test_order_is_that_of_the_ends() -> None:
    late = trials(0.5, 1.0, 1.1)
    late[0].datetime_complete = datetime(2026, 2, 1)  # noqa: DTZ001 (as Optuna's)
    assert not no_gain(late, 1, "val_mse")


def test_noise_comes_from_repeats_or_folds_or_is_assumed() -> None:
    assert noise(trials(1.0, 1.1), "val_mse") == ASSUMED_NOISE
    even = trials(1.0, 2.0, 3.0, folds=[[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]])
    assert noise(even, "val_mse") == pytest.approx(0.0, abs=1e-12), "every trial has the same ratio between the folds"
    uneven = trials(1.0, 2.0, 3.0, folds=[[1.0, 2.2], [2.0, 4.0], [3.0, 5.4]])
    assert 0.01 < noise(uneven, "val_mse") < 0.1
    repeated = trials(1.0)
    repeated[0].user_attrs["folds"] = [{"fold": 0, "val_mse": value} for value in (1.0, 1.1)]
    assert noise(repeated, "val_mse") == pytest.approx(0.0477, abs=1e-4)


def test_worker_ends_the_search_and_a_second_one_trains_nothing_more(
    tmp_path: Path, study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = new_study(
        tmp_path,
        study="long",
        space={"learning_rate": [1e-7, 1.1e-7, 1.2e-7, 1.3e-7, 1.4e-7, 1.5e-7]},
        search={"until_no_gain": 2},
    )
    assert worker.work("long", worker=0) == 0
    ended = [trial for trial in study.trials if trial.state is TrialState.COMPLETE]
    assert len(ended) == 3, "rates so small train nothing, so the second and third gain nothing"
    assert study.user_attrs[records.UNTIL] is not None
    assert study.user_attrs[records.ENDED] == "The last 2 trials brought no gain larger than the noise"
    records.begin_run(study, now=0.0, timeout=None)
    assert worker.work("long", worker=0) == 0
    assert len([trial for trial in study.trials if trial.state is TrialState.COMPLETE]) == 3
