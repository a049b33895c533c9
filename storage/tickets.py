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
from optuna.trial import TrialState

from .resilient import ResilientStorage
from .tables import (
    PARAMETERS,
    STUDIES,
    STUDY_ATTRIBUTES,
    SYSTEM_ATTRIBUTES,
    TRIALS,
    USER_ATTRIBUTES,
    VALUES,
    stored_value,
)

Attributes = Mapping[str, str]
"""User attributes of a study, still as JSON."""

AHEAD = "ahead"
"""User attribute of a WAITING trial that comes before the others."""

_WANTED = ("ticket", "attempt", "owner", "reason", "accumulate")


def _always(_connection: sa.Connection, _attributes: Attributes) -> bool:
    return True


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
    attempt: int = 1
    accumulate: int = 1


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


def claim(
    storage: ResilientStorage,
    study_id: int,
    owner: Mapping[str, Any],
    *,
    allowed: Callable[[sa.Connection, Attributes], bool] = _always,
) -> Claim | None:
    """Take the first WAITING trial, one with `AHEAD` before the others, and write its owner, in one transaction.

    Args:
        owner: who takes it; unlike that of any other claim, so that a claim whose answer was lost is found again.
        allowed: told the study's attributes as they stand in this transaction; False: nothing is claimed.

    Returns:
        the trial, now RUNNING; None when nothing is waiting, or nothing may be claimed.
    """
    written = json.dumps(owner, sort_keys=True)

    def work(connection: sa.Connection, again: bool) -> Claim | None:
        if again and (landed := _owned(connection, study_id, written)) is not None:
            return _claimed(storage, connection, landed)
        if not allowed(connection, read_attributes(connection, study_id)):
            return None
        while (trial_id := connection.scalar(_FIRST_WAITING, {"study": study_id})) is not None:
            if _count(connection, _CLAIM, {"trial": trial_id, "now": _utc()}):
                owned = {"trial_id": trial_id, "key": "owner", "value_json": written}
                connection.execute(sa.insert(USER_ATTRIBUTES), owned)
                return _claimed(storage, connection, trial_id)
        return None

    return storage.transaction(work)


def read_attributes(connection: sa.Connection, study_id: int) -> Attributes:
    """The user attributes of a study, still as JSON."""
    return {row.key: row.value_json for row in connection.execute(_STUDY_ATTRIBUTES, {"study": study_id})}


def finish(
    storage: ResilientStorage,
    trial_id: int,
    state: TrialState,
    *,
    value: float | None = None,
    others: Sequence[float] = (),
    facts: Mapping[str, Any],
) -> bool:
    """End a trial with its value and all its facts, in one transaction.

    Args:
        value: its number; None: it has none.
        others: its values in further objectives.
        facts: user attributes to write with it.

    Returns:
        False when it had ended already, because its worker was declared dead: then nothing changes.
    """
    values = () if value is None else (value, *others)

    def work(connection: sa.Connection, again: bool) -> bool:
        if not _end(connection, trial_id, TrialState.RUNNING, state, facts):
            return again and _landed(connection, trial_id, state, values, facts)
        for objective, (number, kind) in enumerate(map(stored_value, values)):
            row = {"trial_id": trial_id, "objective": objective, "value": number, "value_type": kind}
            connection.execute(sa.insert(VALUES), row)
        return True

    return storage.transaction(work)


def revise(
    storage: ResilientStorage, study_id: int, decide: Callable[[sa.Connection, list[Row]], Changes]
) -> tuple[Changes, list[Row]]:
    """Read the queue, decide what is wrong with it and put it right, in one transaction.

    The row of the study is locked, as Optuna locks it to create a trial, so that nobody else adds a trial between
    reading and writing. A row that ended or was claimed meanwhile is left as it is.

    Args:
        decide: a function of what is there; it must not write.

    Returns:
        what was done, and the rows as they were before.
    """

    def work(connection: sa.Connection, _again: bool) -> tuple[Changes, list[Row]]:
        connection.execute(sa.select(STUDIES.c.study_id).where(STUDIES.c.study_id == study_id).with_for_update())
        rows = read_rows(connection, study_id)
        wanted = decide(connection, rows)
        failed = []
        for row, reason, detail in wanted.fail:
            facts = {"reason": reason} | ({"detail": detail} if detail else {})
            if _end(connection, row.trial_id, row.state, TrialState.FAIL, facts):
                failed.append((row, reason, detail))
        _insert(connection, study_id, first=len(rows), tickets=wanted.add)
        return Changes(failed, wanted.add), rows

    return storage.transaction(work)


def read_rows(connection: sa.Connection, study_id: int) -> list[Row]:
    """Every trial of a study in the order of their numbers.

    In one statement: between two, a claim could come through, and its trial would seem to have no owner.
    """
    wanted = sa.and_(USER_ATTRIBUTES.c.trial_id == TRIALS.c.trial_id, USER_ATTRIBUTES.c.key.in_(_WANTED))
    query = (
        sa.select(
            TRIALS.c.trial_id,
            TRIALS.c.number,
            TRIALS.c.state,
            TRIALS.c.datetime_complete,
            USER_ATTRIBUTES.c.key,
            USER_ATTRIBUTES.c.value_json,
        )
        .select_from(TRIALS.outerjoin(USER_ATTRIBUTES, wanted))
        .where(TRIALS.c.study_id == study_id)
        .order_by(TRIALS.c.trial_id)
    )
    found: dict[int, tuple[int, TrialState, datetime | None, dict[str, Any]]] = {}
    for trial_id, number, state, ended, key, text in connection.execute(query):
        attributes = found.setdefault(trial_id, (number, state, ended, {}))[-1]
        if key is not None:
            attributes[key] = json.loads(text)
    return [Row(trial_id, *facts) for trial_id, facts in found.items()]


def parameters_of(connection: sa.Connection, trial_ids: Collection[int]) -> dict[int, dict[str, Any]]:
    """The parameters that trials have drawn or were given, as the database stores them (labels, not lists)."""
    found: dict[int, dict[str, Any]] = {trial_id: {} for trial_id in trial_ids}
    columns = SYSTEM_ATTRIBUTES.c
    fixed = sa.select(columns.trial_id, columns.value_json).where(columns.key == "fixed_params")
    for trial_id, text in connection.execute(fixed.where(columns.trial_id.in_(trial_ids))):
        found[trial_id] |= json.loads(text)
    for row in connection.execute(sa.select(PARAMETERS).where(PARAMETERS.c.trial_id.in_(trial_ids))):
        value = json_to_distribution(row.distribution_json).to_external_repr(row.param_value)
        found[row.trial_id][row.param_name] = value
    return found


_STUDY_ATTRIBUTES = sa.select(STUDY_ATTRIBUTES.c.key, STUDY_ATTRIBUTES.c.value_json).where(
    STUDY_ATTRIBUTES.c.study_id == sa.bindparam("study")
)
_IS_AHEAD = sa.exists().where(USER_ATTRIBUTES.c.trial_id == TRIALS.c.trial_id, USER_ATTRIBUTES.c.key == AHEAD)
_FIRST_WAITING = (
    sa.select(TRIALS.c.trial_id)
    .where(TRIALS.c.study_id == sa.bindparam("study"), TRIALS.c.state == TrialState.WAITING)
    .order_by(_IS_AHEAD.desc(), TRIALS.c.trial_id)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_CLAIM = (
    sa.update(TRIALS)
    .where(TRIALS.c.trial_id == sa.bindparam("trial"), TRIALS.c.state == TrialState.WAITING)
    .values(state=TrialState.RUNNING, datetime_start=sa.bindparam("now"))
)
"""The condition on the state lets one of several claims of a ticket through."""
_END = (
    sa.update(TRIALS)
    .where(TRIALS.c.trial_id == sa.bindparam("trial"), TRIALS.c.state == sa.bindparam("before"))
    .values(state=sa.bindparam("after"), datetime_complete=sa.bindparam("now"))
)
"""Likewise: one of several ends of a trial gets through."""


def _end(
    connection: sa.Connection, trial_id: int, before: TrialState, after: TrialState, facts: Mapping[str, Any]
) -> bool:
    if not _count(connection, _END, {"trial": trial_id, "before": before, "after": after, "now": _utc()}):
        return False
    _write_facts(connection, trial_id, facts)
    return True


def _insert(connection: sa.Connection, study_id: int, *, first: int, tickets: Sequence[NewTicket]) -> None:
    for number, ticket in enumerate(tickets, start=first):
        row = {"study_id": study_id, "number": number, "state": TrialState.WAITING}
        key = connection.execute(sa.insert(TRIALS), row).inserted_primary_key
        assert key is not None
        fixed = {"trial_id": key[0], "key": "fixed_params", "value_json": json.dumps(dict(ticket.fixed))}
        connection.execute(sa.insert(SYSTEM_ATTRIBUTES), fixed)
        _write_facts(connection, key[0], ticket.attributes)


def _write_facts(connection: sa.Connection, trial_id: int, facts: Mapping[str, Any]) -> None:
    if facts:
        rows = [{"trial_id": trial_id, "key": name, "value_json": json.dumps(fact)} for name, fact in facts.items()]
        connection.execute(sa.insert(USER_ATTRIBUTES), rows)


def _claimed(storage: ResilientStorage, connection: sa.Connection, trial_id: int) -> Claim:
    """Everything about the claimed trial, which Optuna need not read once more."""
    trial = connection.execute(sa.select(TRIALS).where(TRIALS.c.trial_id == trial_id)).one()
    user, system = (
        {row.key: json.loads(row.value_json) for row in connection.execute(_attributes(table, trial_id))}
        for table in (USER_ATTRIBUTES, SYSTEM_ATTRIBUTES)
    )
    storage.expect(trial_id, trial.number, begun=trial.datetime_start, user=user, system=system)
    # A trial that somebody enqueued with Optuna itself has no ticket.
    ticket = user.get("ticket", f"trial {trial.number}")
    return Claim(trial_id, trial.number, ticket, user.get("attempt", 1), user.get("accumulate", 1))


def _attributes(table: sa.Table, trial_id: int) -> sa.Select[Any]:
    return sa.select(table.c.key, table.c.value_json).where(table.c.trial_id == trial_id)


def _owned(connection: sa.Connection, study_id: int, owner: str) -> int | None:
    columns = USER_ATTRIBUTES.c
    query = sa.select(columns.trial_id).join(TRIALS, TRIALS.c.trial_id == columns.trial_id)
    query = query.where(TRIALS.c.study_id == study_id, TRIALS.c.state == TrialState.RUNNING, columns.key == "owner")
    return connection.scalar(query.where(columns.value_json == owner))


def _landed(
    connection: sa.Connection, trial_id: int, state: TrialState, values: Sequence[float], facts: Mapping[str, Any]
) -> bool:
    """Whether a trial has ended just as we wanted to end it."""
    if connection.scalar(sa.select(TRIALS.c.state).where(TRIALS.c.trial_id == trial_id)) is not state:
        return False
    written = {row.key: row.value_json for row in connection.execute(_attributes(USER_ATTRIBUTES, trial_id))}
    if any(written.get(name) != json.dumps(fact) for name, fact in facts.items()):
        return False
    told = sa.select(VALUES.c.value).where(VALUES.c.trial_id == trial_id).order_by(VALUES.c.objective)
    return list(connection.scalars(told)) == [stored_value(value)[0] for value in values]


def _count(connection: sa.Connection, statement: sa.Update, values: Mapping[str, Any]) -> int:
    return int(connection.execute(statement, values).rowcount)


def _utc() -> datetime:
    """Now, as Optuna's tables hold it: UTC without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)
