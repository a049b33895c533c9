"""The queue of tickets: Optuna's own WAITING trials, planned once, claimed by one worker each, reconciled at any time.

A ticket has a key. For a grid the key is the canonical point, otherwise its place in the plan. A key is settled when
one of its trials is COMPLETE or PRUNED, or failed in a way that a repetition cannot mend. :func:`reconcile` derives all
of this from the trial table, adds what is missing and removes what is twice, in one transaction; running it again
changes nothing. It is also the resume. Execution is at least once, the result exactly once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import optuna
import sqlalchemy as sa
from optuna.trial import TrialState

from ..storage import fleet, tallies, tickets
from ..storage.resilient import ResilientStorage
from ..storage.tickets import AHEAD, Changes, NewTicket, Row
from .owner import this_machine, why_dead
from .records import UNFINISHED
from .samplers import planned_points
from .space import Point, Scalar, labels, point_key

if TYPE_CHECKING:
    from .sections import RunSpec
    from .spec import StudySpec

FINAL_REASONS = ("nonfinite", "timeout")
"""Reasons of failure that the same parameters and the same seed would only repeat."""

EXTRA = "+"
"""First character of the keys of tickets that somebody enqueued beside the plan."""

_FOUND = {
    TrialState.WAITING: "waiting",
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "done",
    TrialState.PRUNED: "done",
}

FORGET_SECONDS = 3600.0
"""Workers that were silent for so long leave the table."""


@dataclass(frozen=True)
class Ticket:
    """A promise of work: its key, and the parameters that are fixed (labels, as the database stores them)."""

    key: str
    fixed: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True)
class Reconciled:
    """What :func:`reconcile` changed: tickets added, rows of dead workers, surplus tickets removed."""

    added: int
    lost: int
    removed: int


def plan(spec: StudySpec) -> list[Ticket]:
    """Every ticket of the study, in the order in which they are worked off."""
    points = planned_points(spec, spec.search.trials)
    if spec.search.sampler in ("grid", "points"):
        return [Ticket(point_key(point), labels(point)) for point in points]
    return [Ticket(f"{number:05d}", labels(point)) for number, point in enumerate(points)]


def reconcile(study: optuna.Study, storage: ResilientStorage, planned: Sequence[Ticket], run: RunSpec) -> Reconciled:
    """Make the trial table agree with the plan: dead owners' trials fail, missing tickets are added, double ones go."""
    silent: list[str] = []

    def decide(connection: sa.Connection, rows: list[Row]) -> Changes:
        known = {worker.id: worker for worker in fleet.read_workers(connection)}
        silent[:] = [worker.id for worker in known.values() if worker.silence > FORGET_SECONDS]
        lost = [
            (row, "lost", why)
            for row in rows
            if row.state is TrialState.RUNNING and (why := _why_lost(row, known, run.expiry_seconds)) is not None
        ]
        gone = {row.trial_id for row, _, _ in lost}
        left = [row if row.trial_id not in gone else _failed(row) for row in rows]
        surplus, missing = compare(left, planned, run)
        latest = [past[-1].trial_id for _, past in missing if past]
        drawn = tickets.parameters_of(connection, latest) if latest else {}
        return Changes([*lost, *surplus], [_again(ticket, past, drawn) for ticket, past in missing])

    done, _ = tickets.revise(storage, study._study_id, decide)
    lost = sum(reason == "lost" for _, reason, _ in done.fail)
    if silent:
        storage.transaction(lambda connection, _again: fleet.forget(connection, FORGET_SECONDS))
    return Reconciled(added=len(done.add), lost=lost, removed=len(done.fail) - lost)


def give_back(study: optuna.Study, storage: ResilientStorage, *, pid: int, reason: str, detail: str) -> None:
    """End the trial of a process of this machine that has ended; the next reconciliation puts its ticket back."""

    def decide(_connection: sa.Connection, rows: list[Row]) -> Changes:
        mine = {"machine": this_machine(), "pid": pid}.items()
        running = [row for row in rows if row.state is TrialState.RUNNING]
        return Changes([(row, reason, detail) for row in running if mine <= row.attributes.get("owner", {}).items()])

    tickets.revise(storage, study._study_id, decide)
    fleet.remove(storage, machine=this_machine(), pid=pid)


def compare(
    rows: Sequence[Row], planned: Sequence[Ticket], run: RunSpec
) -> tuple[list[tuple[Row, str, str]], list[tuple[Ticket, list[Row]]]]:
    """What the trial table has too much, and which tickets it lacks.

    Returns:
        rows to fail, each with its reason and detail; and missing tickets, each with its earlier rows.
    """
    by_key: dict[str, list[Row]] = {}
    for row in rows:
        if row.ticket is not None:
            by_key.setdefault(row.ticket, []).append(row)
    wanted = {ticket.key: ticket for ticket in planned}
    wanted |= {key: Ticket(key) for key in by_key if key.startswith(EXTRA) and key not in wanted}
    surplus, missing = [], []
    for key, ticket in wanted.items():
        mine = by_key.get(key, [])
        waiting = [row for row in mine if row.state is TrialState.WAITING]
        running = any(row.state is TrialState.RUNNING for row in mine)
        settled = is_settled(mine, run)
        surplus += [(row, "duplicate", "") for row in (waiting if running or settled else waiting[1:])]
        if not waiting and not running and not settled:
            missing.append((ticket, mine))
    for key, mine in by_key.items():  # the plan has become shorter
        if key not in wanted:
            surplus += [(row, "withdrawn", "") for row in mine if row.state is TrialState.WAITING]
    return surplus, missing


def is_settled(rows: Sequence[Row], run: RunSpec) -> bool:
    """Whether the rows of one key hold its final result."""
    if any(row.state in (TrialState.COMPLETE, TrialState.PRUNED) for row in rows):
        return True
    reasons = Counter(row.reason for row in rows if row.state is TrialState.FAIL)
    tries = {"error": 1 + run.retries, "oom": 2 if run.oom == "retry" else 1} | dict.fromkeys(FINAL_REASONS, 1)
    return any(reasons[reason] >= most for reason, most in tries.items())


def anybody_at_work(storage: ResilientStorage, study: optuna.Study) -> bool:
    """Whether a ticket is in the hands of a worker, or waits."""
    return tallies.open_tickets(storage, study._study_id) > 0


def enqueue(study: optuna.Study, storage: ResilientStorage, point: Point, run: RunSpec) -> str:
    """Add one point beside the plan; it is the next to be trained.

    Returns:
        ``added``; ``waiting``, ``running`` or ``done`` when the queue has that very point already; ``failed`` when it
        has failed in a way that a repetition cannot mend.
    """
    key, wanted = point_key(point), labels(point)
    found = "added"

    def decide(connection: sa.Connection, rows: list[Row]) -> Changes:
        nonlocal found
        live = [row for row in rows if row.state in _FOUND]
        known = tickets.parameters_of(connection, [row.trial_id for row in live])
        same = {row.state for row in live if row.ticket in (key, EXTRA + key) or known[row.trial_id] == wanted}
        found = next((name for state, name in _FOUND.items() if state in same), "added")
        mine = [row for row in rows if row.ticket == EXTRA + key]
        if found == "added" and is_settled(mine, run):
            found = "failed"
        if found != "added":
            return Changes()
        attributes = {"ticket": EXTRA + key, "attempt": len(mine) + 1, AHEAD: True}
        return Changes(add=[NewTicket(wanted, attributes)])

    tickets.revise(storage, study._study_id, decide)
    return found


def _again(ticket: Ticket, past: Sequence[Row], drawn: Mapping[int, Mapping[str, Any]]) -> NewTicket:
    """A ticket for the first or the next attempt: with the parameters that the last one had drawn."""
    attributes: dict[str, Any] = {"ticket": ticket.key, "attempt": len(past) + 1}
    if not past:
        return NewTicket(ticket.fixed, attributes)
    if past[-1].reason in UNFINISHED:
        attributes[AHEAD] = True
    if any(row.reason == "oom" for row in past):
        attributes["accumulate"] = 2
    return NewTicket(dict(ticket.fixed) | dict(drawn[past[-1].trial_id]), attributes)


def _why_lost(row: Row, known: Mapping[str, fleet.Worker], expiry: float) -> str | None:
    owner = row.attributes.get("owner")
    if row.ticket is None:
        return None  # not ours: somebody works on this study with Optuna itself
    if owner is None:
        return "it was claimed by a version that wrote no owner"
    why = why_dead(owner, known, expiry)
    return (
        None if why is None else f"worker {owner.get('worker')} (pid {owner.get('pid')} on {owner.get('host')}) {why}"
    )


def _failed(row: Row) -> Row:
    return Row(row.trial_id, row.number, TrialState.FAIL, row.ended, {**row.attributes, "reason": "lost"})
