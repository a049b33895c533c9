"""What a study looks like at one moment, read from the trial table alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from . import records
from .objective_names import value_names
from .pareto import by_value, error_of
from .shown import parameters_of
from .space import Space, parse_space

_STATES = {
    "done": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "running": TrialState.RUNNING,
    "waiting": TrialState.WAITING,
    "failed": TrialState.FAIL,
}
_OPEN = (TrialState.WAITING, TrialState.RUNNING)
_BACK = ("lost", *records.UNFINISHED)
REQUEUED = (*_BACK, "duplicate", "withdrawn")
"""Reasons of FAIL rows whose ticket went back or was not needed; they are counted apart."""


@dataclass(frozen=True)
class Running:
    """A trial in the hands of a worker."""

    trial_id: int
    number: int
    worker: int | None
    host: str | None
    pid: int | None
    epoch: int | None
    value: float | None


@dataclass(frozen=True)
class Best:
    """The best finished trial so far; ``rmse`` is its validation RMSE in ``unit``."""

    number: int
    value: float
    rmse: float | None
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Snapshot:
    """Counts by state, the running trials, the best so far, and the seconds that finished trials took.

    Attributes:
        open: tickets that wait or are in hand; trials that others begin with Optuna itself do not count.
        returning: tickets whose worker ended, and that the next worker to come puts back into the queue.
        control: what was ordered: ``run``, ``pause``, ``pause-now`` or ``stop``.
        stopped: why the study has stopped by itself; empty when it has not.
        used_up: which budget is used up, so that no new trial begins; only where the caller looked.
        last_error: what the newest failed trial said at last.
    """

    study: str
    metric: str
    unit: str
    done: int
    pruned: int
    running: int
    waiting: int
    failed: int
    requeued: int
    failures: dict[str, int]
    best: Best | None
    workers: tuple[Running, ...]
    trial_seconds: float | None
    open: int = 0
    returning: int = 0
    control: str = records.RUN
    stopped: tuple[str, ...] = ()
    last_error: str | None = None
    used_up: str | None = None

    @property
    def finished(self) -> int:
        """Tickets with a result."""
        return self.done + self.pruned + self.failed

    @property
    def total(self) -> int:
        """All tickets."""
        return self.finished + self.running + self.waiting

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return asdict(self)


def take_snapshot(study: optuna.Study, *, used_up: str | None = None) -> Snapshot:
    """Read the study's state.

    ``trial_seconds`` is the mean wall time of finished trials; None before the first.
    """
    attributes = study.user_attrs
    tables = json.loads(attributes[records.SPEC])
    trials = study.get_trials(deepcopy=False)
    reasons = Counter(t.user_attrs.get("reason", "error") for t in trials if t.state is TrialState.FAIL)
    counts = {name: sum(t.state is state for t in trials) for name, state in _STATES.items()}
    requeued = sum(reasons[reason] for reason in REQUEUED)
    counts["failed"] -= requeued
    return Snapshot(
        study=study.study_name,
        metric=_first_name(tables["search"]),
        unit=str(attributes.get(records.UNIT, "")),
        requeued=requeued,
        failures=dict(reasons),
        best=best_of(trials, parse_space(tables["space"])[0], tables["search"].get("directions", ())),
        workers=tuple(_running(t) for t in trials if t.state is TrialState.RUNNING),
        trial_seconds=_mean_seconds(trials),
        returning=_returning(trials),
        last_error=_last_error(trials),
        open=sum(t.state in _OPEN and "ticket" in t.user_attrs for t in trials),
        control=str(attributes.get(records.CONTROL, records.RUN)),
        stopped=tuple(attributes.get(records.STOPPED, ())),
        used_up=used_up,
        **counts,
    )


def _first_name(search: Mapping[str, Any]) -> str:
    """What the number of a trial is called; of several values of an objective function the first."""
    return value_names(search["metric"], (), search.get("directions", ()))[0]


def _last_error(trials: Sequence[FrozenTrial]) -> str | None:
    """The last line of what the newest failed trial said."""
    for trial in reversed(trials):
        detail = str(trial.user_attrs.get("detail", "")).strip()
        if trial.state is TrialState.FAIL and trial.user_attrs.get("reason") not in REQUEUED and detail:
            return f"trial {trial.number}: {detail.splitlines()[-1]}"
    return None


def _returning(trials: Sequence[FrozenTrial]) -> int:
    """Tickets whose last row says that they go back, before somebody has put the new row into the queue."""
    last = {t.user_attrs["ticket"]: t for t in trials if "ticket" in t.user_attrs}
    return sum(t.state is TrialState.FAIL and t.user_attrs.get("reason") in _BACK for t in last.values())


def best_trial(trials: Sequence[FrozenTrial], directions: Sequence[str] = ()) -> FrozenTrial | None:
    """The COMPLETE trial with the smallest error, or the best value in its direction; of equal ones the first."""
    complete = [t for t in trials if t.state is TrialState.COMPLETE and t.values]
    return min(complete, key=by_value(directions), default=None)


def best_of(trials: Sequence[FrozenTrial], space: Space, directions: Sequence[str] = ()) -> Best | None:
    """The best finished trial in plain values."""
    trial = best_trial(trials, directions)
    number = None if trial is None else error_of(trial)
    if trial is None or number is None:
        return None
    return Best(trial.number, number, trial.user_attrs.get("values", {}).get("val_rmse"), parameters_of(trial, space))


def _running(trial: FrozenTrial) -> Running:
    owner = trial.user_attrs.get("owner", {})
    epoch = max(trial.intermediate_values, default=None)
    value = None if epoch is None else trial.intermediate_values[epoch]
    return Running(
        trial._trial_id, trial.number, owner.get("worker"), owner.get("host"), owner.get("pid"), epoch, value
    )


def _mean_seconds(trials: Sequence[FrozenTrial]) -> float | None:
    ended = (TrialState.COMPLETE, TrialState.PRUNED)
    spans = [_seconds(t.datetime_start, t.datetime_complete) for t in trials if t.state in ended]
    known = [span for span in spans if span is not None]
    return sum(known) / len(known) if known else None


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else (end - start).total_seconds()
