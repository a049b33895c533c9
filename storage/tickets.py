"""The transactions of the queue, on Optuna's own tables: a ticket is claimed, told and replaced in one step each.

Through Optuna's interface a claim is two writes (state, owner) and a result half a dozen; a process that dies between
them leaves a row that nobody can explain. Here each is one transaction: it happened, with all that belongs to it, or it
did not. A repetition after an outage looks whether the first try has landed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from optuna.distributions import json_to_distribution
from optuna.storages._rdb.models import (
    StudyModel,
    TrialModel,
    TrialParamModel,
    TrialSystemAttributeModel,
    TrialUserAttributeModel,
    TrialValueModel,
)
from optuna.trial import TrialState
from sqlalchemy.orm import Session

from .resilient import ResilientStorage

_WANTED = ("ticket", "attempt", "owner", "reason", "accumulate")


@dataclass(frozen=True)
class Row:
    """A trial, as far as the queue needs it.

    Attributes:
        attributes: its user attributes ``ticket``, ``attempt``, ``owner``, ``reason`` and ``accumulate``.
        ended: when it ended, UTC without a zone.
    """

    trial_id: int
    number: int
    state: TrialState
    ended: datetime | None
    attributes: Mapping[str, Any]

    @property
    def ended_at(self) -> float | None:
        """When it ended, in seconds since 1970."""
        return None if self.ended is None else self.ended.replace(tzinfo=UTC).timestamp()

    @property
    def ticket(self) -> str | None:
        """The key of its ticket; None for a trial that somebody else put into the queue."""
        return self.attributes.get("ticket")

    @property
    def reason(self) -> str | None:
        """Why it failed."""
        return self.attributes.get("reason")


@dataclass(frozen=True)
class Claim:
    """A trial that has just become ours: its id and number, its ticket's key, attempt, and batches to accumulate."""

    trial_id: int
    number: int
    ticket: str
    attempt: int
    accumulate: int


@dataclass(frozen=True)
class NewTicket:
    """A WAITING trial to add: its fixed parameters (labels, as the database stores them) and its user attributes."""

    fixed: Mapping[str, Any]
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class Changes:
    """What is to be done to the queue: rows to fail with reason and detail, tickets to add."""

    fail: Sequence[tuple[Row, str, str]] = field(default_factory=tuple)
    add: Sequence[NewTicket] = field(default_factory=tuple)


def claim(storage: ResilientStorage, study_id: int, owner: Mapping[str, Any]) -> Claim | None:
    """Take the first WAITING trial and write its owner, in one transaction.

    Args:
        owner: who takes it; unlike that of any other claim, so that a claim whose answer was lost is found again.

    Returns:
        the trial, now RUNNING; None when nothing is waiting.
    """
    written = json.dumps(owner, sort_keys=True)

    def work(session: Session, again: bool) -> Claim | None:
        if again and (landed := _owned(session, study_id, written)) is not None:
            return _claimed(session, landed)
        waiting = sa.select(TrialModel.trial_id).where(TrialModel.study_id == study_id, still_waiting())
        first = waiting.order_by(TrialModel.trial_id).limit(1).with_for_update(skip_locked=True)
        while (trial_id := session.scalar(first)) is not None:
            begun = {"state": TrialState.RUNNING, "_datetime_start_utc": _utc()}
            if _count(session, sa.update(TrialModel).where(TrialModel.trial_id == trial_id, still_waiting()), begun):
                session.add(TrialUserAttributeModel(trial_id=trial_id, key="owner", value_json=written))
                return _claimed(session, trial_id)
        return None

    return storage.transaction(work)


def still_waiting() -> sa.ColumnElement[bool]:
    """The condition that lets one of several claims of a ticket through."""
    return sa.and_(TrialModel.state == TrialState.WAITING)


def finish(
    storage: ResilientStorage,
    trial_id: int,
    state: TrialState,
    *,
    value: float | None = None,
    facts: Mapping[str, Any],
) -> bool:
    """End a trial with its value and all its facts, in one transaction.

    Args:
        facts: user attributes to write with it.

    Returns:
        False when it had ended already, because its worker was declared dead: then nothing changes.
    """

    def work(session: Session, again: bool) -> bool:
        ended = sa.update(TrialModel).where(TrialModel.trial_id == trial_id, TrialModel.state == TrialState.RUNNING)
        if not _count(session, ended, {"state": state, "_datetime_complete_utc": _utc()}):
            return again and _landed(session, trial_id, state, value, facts)
        _write_facts(session, trial_id, facts)
        if value is not None:
            stored, kind = TrialValueModel.value_to_stored_repr(value)
            session.add(TrialValueModel(trial_id=trial_id, objective=0, value=stored, value_type=kind))
        return True

    return storage.transaction(work)


def revise(
    storage: ResilientStorage, study_id: int, decide: Callable[[Session, list[Row]], Changes]
) -> tuple[Changes, list[Row]]:
    """Read the queue, decide what is wrong with it and put it right, in one transaction.

    The row of the study is locked, as Optuna locks it to create a trial, so that nobody else adds a trial between
    reading and writing. A row that ended or was claimed meanwhile is left as it is.

    Args:
        decide: a function of what is there; it must not write.

    Returns:
        what was done, and the rows as they were before.
    """

    def work(session: Session, _again: bool) -> tuple[Changes, list[Row]]:
        session.execute(sa.select(StudyModel.study_id).where(StudyModel.study_id == study_id).with_for_update())
        rows = read_rows(session, study_id)
        wanted = decide(session, rows)
        failed = [each for each in wanted.fail if _fail(session, *each)]
        _insert(session, study_id, first=len(rows), tickets=wanted.add)
        return Changes(failed, wanted.add), rows

    return storage.transaction(work)


def read_rows(session: Session, study_id: int) -> list[Row]:
    """Every trial of a study in the order of their numbers."""
    attributes: dict[int, dict[str, Any]] = {}
    model = TrialUserAttributeModel
    query = sa.select(model.trial_id, model.key, model.value_json).join(TrialModel)
    for trial_id, key, text in session.execute(query.where(TrialModel.study_id == study_id, model.key.in_(_WANTED))):
        attributes.setdefault(trial_id, {})[key] = json.loads(text)
    columns = (TrialModel.trial_id, TrialModel.number, TrialModel.state, TrialModel._datetime_complete_utc)
    trials = sa.select(*columns).where(TrialModel.study_id == study_id).order_by(TrialModel.trial_id)
    return [Row(*found, attributes.get(found[0], {})) for found in session.execute(trials)]


def parameters_of(session: Session, trial_ids: Collection[int]) -> dict[int, dict[str, Any]]:
    """The parameters that trials have drawn or were given, as the database stores them (labels, not lists)."""
    found: dict[int, dict[str, Any]] = {trial_id: {} for trial_id in trial_ids}
    model = TrialSystemAttributeModel
    fixed = sa.select(model.trial_id, model.value_json).where(
        model.key == "fixed_params", model.trial_id.in_(trial_ids)
    )
    for trial_id, text in session.execute(fixed):
        found[trial_id] |= json.loads(text)
    drawn = sa.select(
        TrialParamModel.trial_id,
        TrialParamModel.param_name,
        TrialParamModel.param_value,
        TrialParamModel.distribution_json,
    ).where(TrialParamModel.trial_id.in_(trial_ids))
    for trial_id, name, value, distribution in session.execute(drawn):
        found[trial_id][name] = json_to_distribution(distribution).to_external_repr(value)
    return found


def open_tickets(storage: ResilientStorage, study_id: int) -> int:
    """How many tickets wait or are in hand; trials that others than we have begun do not count."""
    model = TrialUserAttributeModel
    query = sa.select(sa.func.count()).select_from(TrialModel).join(model).where(TrialModel.study_id == study_id)
    live = query.where(TrialModel.state.in_((TrialState.WAITING, TrialState.RUNNING)), model.key == "ticket")
    return storage.transaction(lambda session, _again: int(session.scalar(live) or 0))


def results(storage: ResilientStorage, study_id: int) -> int:
    """How many trials of a study have ended with a result."""
    query = sa.select(sa.func.count()).where(TrialModel.study_id == study_id)
    ended = query.where(TrialModel.state.in_((TrialState.COMPLETE, TrialState.PRUNED)))
    return storage.transaction(lambda session, _again: int(session.scalar(ended) or 0))


def worker_seconds(storage: ResilientStorage, study_id: int) -> float:
    """The seconds that all trials of a study took together, running ones until now."""

    def work(session: Session, _again: bool) -> float:
        spans = sa.select(TrialModel._datetime_start_utc, TrialModel._datetime_complete_utc)
        begun = spans.where(TrialModel.study_id == study_id, TrialModel._datetime_start_utc.is_not(None))
        ends: list[tuple[datetime, datetime | None]] = [(start, end) for start, end in session.execute(begun)]
        return sum(((end or _utc()) - start).total_seconds() for start, end in ends)

    return storage.transaction(work)


def best_numbers(storage: ResilientStorage, study_id: int, n: int) -> list[tuple[int, float]]:
    """Number and value of the `n` COMPLETE trials with the smallest values, the best first."""
    query = (
        sa.select(TrialModel.number, TrialValueModel.value)
        .join(TrialValueModel)
        .where(TrialModel.study_id == study_id, TrialModel.state == TrialState.COMPLETE)
        .order_by(TrialValueModel.value, TrialModel.number)
        .limit(n)
    )
    return storage.transaction(lambda session, _again: [(n, v) for n, v in session.execute(query)])


def _insert(session: Session, study_id: int, *, first: int, tickets: Sequence[NewTicket]) -> None:
    trials = [
        TrialModel(study_id=study_id, number=first + position, state=TrialState.WAITING)
        for position in range(len(tickets))
    ]
    session.add_all(trials)
    session.flush()
    for trial, ticket in zip(trials, tickets, strict=True):
        fixed = json.dumps(dict(ticket.fixed))
        session.add(TrialSystemAttributeModel(trial_id=trial.trial_id, key="fixed_params", value_json=fixed))
        _write_facts(session, int(trial.trial_id), ticket.attributes, fresh=True)


def _fail(session: Session, row: Row, reason: str, detail: str) -> bool:
    ended = sa.update(TrialModel).where(TrialModel.trial_id == row.trial_id, TrialModel.state == row.state)
    if not _count(session, ended, {"state": TrialState.FAIL, "_datetime_complete_utc": _utc()}):
        return False
    _write_facts(session, row.trial_id, {"reason": reason} | ({"detail": detail} if detail else {}))
    return True


def _write_facts(session: Session, trial_id: int, facts: Mapping[str, Any], *, fresh: bool = False) -> None:
    model = TrialUserAttributeModel
    if not fresh:
        session.execute(sa.delete(model).where(model.trial_id == trial_id, model.key.in_(list(facts))))
    session.add_all(model(trial_id=trial_id, key=name, value_json=json.dumps(fact)) for name, fact in facts.items())


def _claimed(session: Session, trial_id: int) -> Claim:
    model = TrialUserAttributeModel
    number = session.scalar(sa.select(TrialModel.number).where(TrialModel.trial_id == trial_id)) or 0
    query = sa.select(model.key, model.value_json).where(model.trial_id == trial_id, model.key.in_(_WANTED))
    known = {key: json.loads(text) for key, text in session.execute(query)}
    # A trial that somebody enqueued with Optuna itself has no ticket.
    ticket = known.get("ticket", f"trial {number}")
    return Claim(trial_id, number, ticket, known.get("attempt", 1), known.get("accumulate", 1))


def _owned(session: Session, study_id: int, owner: str) -> int | None:
    model = TrialUserAttributeModel
    query = sa.select(model.trial_id).join(TrialModel).where(TrialModel.study_id == study_id, model.key == "owner")
    return session.scalar(query.where(model.value_json == owner, TrialModel.state == TrialState.RUNNING))


def _landed(session: Session, trial_id: int, state: TrialState, value: float | None, facts: Mapping[str, Any]) -> bool:
    """Whether a trial has ended just as we wanted to end it."""
    if session.scalar(sa.select(TrialModel.state).where(TrialModel.trial_id == trial_id)) is not state:
        return False
    model = TrialUserAttributeModel
    query = sa.select(model.key, model.value_json).where(model.trial_id == trial_id)
    written = {row.key: row.value_json for row in session.execute(query)}
    return all(written.get(name) == json.dumps(fact) for name, fact in facts.items()) and (
        value is None
        or session.scalar(sa.select(TrialValueModel.value).where(TrialValueModel.trial_id == trial_id)) == value
    )


def _count(session: Session, statement: sa.Update, values: Mapping[str, Any]) -> int:
    columns = {getattr(TrialModel, name): value for name, value in values.items()}
    done: Any = session.execute(statement.values(columns), execution_options={"synchronize_session": False})
    return int(done.rowcount)


def _utc() -> datetime:
    """Now, as Optuna's tables hold it: UTC without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)
