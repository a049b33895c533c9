"""Whether another trial of a study may begin: orders, messages and budgets, which count over all workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from optuna.trial import TrialState

from ..storage import fleet, tallies
from ..storage.resilient import ResilientStorage
from ..storage.tickets import Row
from . import records

if TYPE_CHECKING:
    import optuna

    from .spec import StudySpec

BAD_ENDINGS = ("error", "lost", "oom")


class Gate(Enum):
    """What a worker does next."""

    OPEN = "open"
    PAUSED = "paused"
    CLOSED = "closed"


def opening(storage: ResilientStorage, study_id: int, spec: StudySpec, attributes: Mapping[str, Any]) -> Gate:
    """Whether a worker may claim a ticket; see :func:`look`."""
    return storage.transaction(lambda connection, _again: look(connection, study_id, spec, attributes))


def look(connection: sa.Connection, study_id: int, spec: StudySpec, attributes: Mapping[str, Any]) -> Gate:
    """Whether a worker may claim a ticket, as seen in a transaction.

    Args:
        attributes: of the study, as they stand now.
    """
    control = attributes.get(records.CONTROL, records.RUN)
    if attributes.get(records.STOPPED) or control == records.STOP:
        return Gate.CLOSED
    if _used_up(connection, study_id, spec, attributes) is not None:
        return Gate.CLOSED
    return Gate.OPEN if control == records.RUN else Gate.PAUSED


def used_up(storage: ResilientStorage, study_id: int, spec: StudySpec, attributes: Mapping[str, Any]) -> str | None:
    """Which budget is used up, so that no new trial begins, without a full stop; None while all last."""
    return storage.transaction(lambda connection, _again: _used_up(connection, study_id, spec, attributes))


def used_up_of(study: optuna.Study, storage: ResilientStorage) -> str | None:
    """The same of any study, as it stands; None where no ticket waits, or where another version made it."""
    attributes = study.user_attrs
    if not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        return None
    try:
        spec = records.spec_in(study.study_name, attributes)
    except records.StudyError:
        return None
    return used_up(storage, study._study_id, spec, attributes)


def _used_up(connection: sa.Connection, study_id: int, spec: StudySpec, attributes: Mapping[str, Any]) -> str | None:
    until = attributes.get(records.UNTIL)
    if until is not None and fleet.time_of(connection) >= until:
        return attributes.get(records.ENDED) or "The time limit is used up (the same command again goes on)"
    budget = spec.search.worker_seconds
    if budget is not None and tallies.worker_seconds(connection, study_id) >= budget:
        return "The time of all workers together is used up (a longer --worker-time goes on)"
    return None


def crash_loop(rows: Sequence[Row], *, times: int, begun: float | None) -> str | None:
    """Why the study should stop, when every worker has failed `times` times in a row; None while one succeeds.

    Args:
        rows: all trials.
        begun: when this run of the study began, seconds since 1970; what ended before does not count.
    """
    endings: dict[tuple[Any, Any], list[Row]] = {}
    for row in sorted(rows, key=lambda row: (row.ended_at or 0.0, row.number)):
        owner = row.attributes.get("owner")
        if owner is None or row.reason in records.UNFINISHED:
            continue
        if row.ended_at is not None and (begun is None or row.ended_at >= begun):
            endings.setdefault((owner.get("host"), owner.get("worker")), []).append(row)
    if not endings:
        return None
    for ended in endings.values():
        last = ended[-times:]
        if len(last) < times or not all(r.state is TrialState.FAIL and r.reason in BAD_ENDINGS for r in last):
            return None
    newest = max((ended[-1] for ended in endings.values()), key=lambda r: r.number)
    return (
        f"Every worker has failed {times} times in a row, last with trial {newest.number} ({newest.reason}): the study "
        "stops instead of burning its tickets. The logs of the workers say more; mend it, then start the same command."
        + _last_words(newest)
    )


def _last_words(row: Row) -> str:
    """What the failed trial said, where it said anything."""
    detail = str(row.attributes.get("detail", "")).strip()
    return f"\nThe last error:\n{detail}" if detail else ""
