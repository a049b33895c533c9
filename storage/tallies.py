"""What the trial table of a study adds up to: open tickets, results, seconds spent, the best so far."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from optuna.trial import TrialState

from .resilient import ResilientStorage
from .tables import TRIALS, USER_ATTRIBUTES, VALUES


def open_tickets(storage: ResilientStorage, study_id: int) -> int:
    """How many tickets wait or are in hand; trials that others than we have begun do not count."""
    ours = TRIALS.join(USER_ATTRIBUTES, USER_ATTRIBUTES.c.trial_id == TRIALS.c.trial_id)
    query = sa.select(sa.func.count()).select_from(ours).where(TRIALS.c.study_id == study_id)
    live = (TrialState.WAITING, TrialState.RUNNING)
    query = query.where(TRIALS.c.state.in_(live), USER_ATTRIBUTES.c.key == "ticket")
    return storage.transaction(lambda connection, _again: int(connection.scalar(query) or 0))


def results(storage: ResilientStorage, study_id: int) -> int:
    """How many trials of a study have ended with a result."""
    query = sa.select(sa.func.count()).where(TRIALS.c.study_id == study_id)
    ended = query.where(TRIALS.c.state.in_((TrialState.COMPLETE, TrialState.PRUNED)))
    return storage.transaction(lambda connection, _again: int(connection.scalar(ended) or 0))


def worker_seconds(connection: sa.Connection, study_id: int) -> float:
    """The seconds that all trials of a study took together, running ones until now."""
    begun = sa.select(TRIALS.c.datetime_start, TRIALS.c.datetime_complete).where(
        TRIALS.c.study_id == study_id, TRIALS.c.datetime_start.is_not(None)
    )
    now = datetime.now(UTC).replace(tzinfo=None)
    return float(sum(((end or now) - start).total_seconds() for start, end in connection.execute(begun)))


def best_numbers(storage: ResilientStorage, study_id: int, n: int) -> list[tuple[int, float]]:
    """Number and error of the `n` COMPLETE trials with the smallest errors, the best first."""
    query = (
        sa.select(TRIALS.c.number, VALUES.c.value)
        .join(VALUES, VALUES.c.trial_id == TRIALS.c.trial_id)
        .where(TRIALS.c.study_id == study_id, TRIALS.c.state == TrialState.COMPLETE, VALUES.c.objective == 0)
        .order_by(VALUES.c.value, TRIALS.c.number)
        .limit(n)
    )
    return storage.transaction(lambda connection, _again: [(row[0], row[1]) for row in connection.execute(query)])
