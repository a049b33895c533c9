"""The queue of tickets: Optuna's own WAITING trials, planned once, claimed by one worker each, reconciled at any time.

A ticket has a key. For a grid the key is the canonical point, otherwise its place in the plan. A key is settled when
one of its trials is COMPLETE or PRUNED, or failed in a way that a repetition cannot mend. :func:`reconcile` derives all
of this from the trial table, adds what is missing and removes what is twice; running it again changes nothing. It is
also the resume. Execution is at least once, the result exactly once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from ..storage.rdb import exclusive
from .owner import is_alive
from .samplers import planned_points
from .space import Scalar, labels, point_key

if TYPE_CHECKING:
    from .spec import StudySpec

RETRIES = 1
"""How often a ticket whose trial raised an error is tried again. Lost and interrupted trials do not count."""

CLAIM_GRACE = timedelta(seconds=20)
"""A RUNNING trial without an owner is between two writes of its claim; after this time its worker died there."""

FINAL_REASONS = ("nonfinite",)
"""Reasons of failure that the same parameters and the same seed would only repeat."""


@dataclass(frozen=True)
class Ticket:
    """A promise of work: its key, and the parameters that are fixed (labels, as the database stores them)."""

    key: str
    fixed: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True)
class Reconciled:
    """What :func:`reconcile` changed."""

    added: int
    lost: int
    removed: int


def plan(spec: StudySpec) -> list[Ticket]:
    """Every ticket of the study, in the order in which they are worked off."""
    points = planned_points(spec, spec.search.trials)
    if spec.search.sampler == "grid":
        return [Ticket(point_key(point), labels(point)) for point in points]
    return [Ticket(f"{number:05d}", labels(point)) for number, point in enumerate(points)]


def reconcile(study: optuna.Study, storage: RDBStorage, tickets: Sequence[Ticket]) -> Reconciled:
    """Make the trial table agree with the plan: dead owners' trials fail, missing tickets are added, double ones go."""
    with exclusive(storage, study.study_name):
        trials = study.get_trials(deepcopy=False)
        lost = sum(_fail_if_lost(storage, trial) for trial in trials if trial.state is TrialState.RUNNING)
        if lost:
            trials = study.get_trials(deepcopy=False)
        by_key: dict[str, list[FrozenTrial]] = {}
        for trial in trials:
            by_key.setdefault(trial.user_attrs.get("ticket", ""), []).append(trial)
        added = removed = 0
        for ticket in tickets:
            mine = by_key.get(ticket.key, [])
            waiting = [t for t in mine if t.state is TrialState.WAITING]
            running = [t for t in mine if t.state is TrialState.RUNNING]
            surplus = waiting if running or is_settled(mine) else waiting[1:]
            removed += sum(fail(storage, trial, "duplicate") for trial in surplus)
            if not waiting and not running and not is_settled(mine):
                fixed = next((dict(labels(t.params)) for t in reversed(mine) if t.params), dict(ticket.fixed))
                study.enqueue_trial(fixed, user_attrs={"ticket": ticket.key, "attempt": len(mine) + 1})
                added += 1
        planned = {ticket.key for ticket in tickets}
        for trial in trials:  # the plan has become shorter
            if trial.state is TrialState.WAITING and trial.user_attrs.get("ticket") not in planned:
                removed += fail(storage, trial, "withdrawn")
    return Reconciled(added, lost, removed)


def is_settled(trials: Sequence[FrozenTrial]) -> bool:
    """Whether the trials of one key hold its final result."""
    if any(t.state in (TrialState.COMPLETE, TrialState.PRUNED) for t in trials):
        return True
    reasons = [t.user_attrs.get("reason") for t in trials if t.state is TrialState.FAIL]
    return any(reason in FINAL_REASONS for reason in reasons) or reasons.count("error") > RETRIES


def claim(study: optuna.Study, storage: RDBStorage, owner: Mapping[str, Any]) -> int | None:
    """Take the first WAITING trial that nobody else took.

    Returns:
        the trial id, now RUNNING with its owner written; None when nothing is waiting.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        try:
            if storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING):
                storage.set_trial_user_attr(trial._trial_id, "owner", dict(owner))
                return trial._trial_id
        except UpdateFinishedTrialError:
            continue  # removed as a duplicate meanwhile
    return None


def fail(storage: RDBStorage, trial: FrozenTrial | optuna.Trial, reason: str, detail: str = "") -> bool:
    """End a trial as FAIL and say why.

    Returns:
        False when it had ended already; then nothing changes.
    """
    try:
        storage.set_trial_user_attr(trial._trial_id, "reason", reason)
        if detail:
            storage.set_trial_user_attr(trial._trial_id, "detail", detail)
        return storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
    except UpdateFinishedTrialError:
        return False


def _fail_if_lost(storage: RDBStorage, trial: FrozenTrial) -> bool:
    owner = trial.user_attrs.get("owner")
    if owner is None:
        claimed = trial.datetime_start
        now = datetime.now()  # noqa: DTZ005 - Optuna writes local times without a zone
        dead = claimed is not None and now - claimed > CLAIM_GRACE
        return dead and fail(storage, trial, "lost", "its worker died while it claimed the ticket")
    if is_alive(owner):
        return False
    return fail(storage, trial, "lost", f"worker {owner.get('worker')} (pid {owner.get('pid')}) died")
