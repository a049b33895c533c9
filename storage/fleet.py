"""The table of workers: who they are, on what they work, and when the database last heard of them.

It stands beside Optuna's tables. Times are seconds since 1970 on the database's clock, which all hosts share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from optuna.trial import TrialState

from .locks import named_lock
from .resilient import ResilientStorage
from .tables import STUDIES, STUDY_ATTRIBUTES, TRIALS, WORKERS, create_workers


@dataclass(frozen=True)
class Worker:
    """A process that claims tickets.

    Attributes:
        id: unique for ever.
        machine: boot and process space: only there does `pid` mean this process.
        started: when the process began, in the kernel's ticks; process ids are reused.
        worker: its number under its supervisor.
        device: what it computes on: ``cpu 0``, ``gpu 1``.
        study, trial_id: on what it works; None: idle.
        age: seconds since its last beat, by the database's clock.
        silence: the same, but not counting the time before the database itself was started.
    """

    id: str
    host: str
    machine: str
    pid: int
    started: str | None
    worker: int | None
    device: str
    study: str | None
    trial_id: int | None
    joined: float = 0.0
    age: float = 0.0
    silence: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return asdict(self)


@dataclass(frozen=True)
class Beat:
    """What a worker learns when it beats.

    Attributes:
        forgotten: it was silent for so long that it left the table, and must join again.
        fenced: its trial is no longer its own.
        attributes: of its study.
    """

    forgotten: bool
    fenced: bool
    attributes: Mapping[str, str]


def ensure_table(storage: ResilientStorage) -> None:
    """Make the table in a database of Optuna's or of an older version of ours."""
    if not has_table(storage):
        with named_lock(storage.engine, "tables"):
            create_workers(storage.engine)


def has_table(storage: ResilientStorage) -> bool:
    """Whether the database has the table: one of Optuna's own has not."""
    return sa.inspect(storage.engine).has_table(WORKERS.name)


def database_time(engine: sa.Engine) -> sa.ColumnElement[float]:
    """Now, in seconds since 1970, on the database's clock."""
    if engine.dialect.name == "sqlite":
        return sa.literal_column("((julianday('now') - 2440587.5) * 86400.0)", sa.Float)
    return sa.literal_column("extract(epoch from clock_timestamp())::float8", sa.Float)


def now(storage: ResilientStorage) -> float:
    """The time on the database's clock, in seconds since 1970."""
    return storage.transaction(lambda connection, _again: time_of(connection))


def time_of(connection: sa.Connection) -> float:
    """The same, within a transaction."""
    return float(connection.execute(sa.select(database_time(connection.engine))).scalar_one())


def join(storage: ResilientStorage, worker: Worker) -> None:
    """Enter a worker in the table, or what it works on now."""
    row = {name: value for name, value in asdict(worker).items() if name not in ("joined", "age", "silence")}

    def work(connection: sa.Connection, _again: bool) -> None:
        time = database_time(storage.engine)
        if not _rows(connection.execute(WORKERS.update().where(WORKERS.c.id == worker.id).values(**row, beat=time))):
            connection.execute(WORKERS.insert().values(**row, joined=time, beat=time))

    storage.transaction(work)


def beat(storage: ResilientStorage, worker_id: str, *, study: str | None, trial_id: int | None) -> Beat:
    """Say that the worker lives and what it works on; learn what it must know."""

    def work(connection: sa.Connection, _again: bool) -> Beat:
        values = {"study": study, "trial_id": trial_id, "beat": database_time(storage.engine)}
        known = _rows(connection.execute(WORKERS.update().where(WORKERS.c.id == worker_id).values(**values)))
        state = (
            None
            if trial_id is None
            else connection.scalar(sa.select(TRIALS.c.state).where(TRIALS.c.trial_id == trial_id))
        )
        return Beat(
            forgotten=not known,
            fenced=trial_id is not None and state is not TrialState.RUNNING,
            attributes={}
            if study is None
            else {row.key: row.value_json for row in connection.execute(_attributes_of(study))},
        )

    return storage.transaction(work)


def leave(storage: ResilientStorage, worker_id: str) -> None:
    """Take a worker out of the table."""
    storage.transaction(
        lambda connection, _again: connection.execute(WORKERS.delete().where(WORKERS.c.id == worker_id))
    )


def remove(storage: ResilientStorage, *, machine: str, pid: int) -> None:
    """Take a worker out of the table that has died without leaving it."""
    gone = WORKERS.delete().where(WORKERS.c.machine == machine, WORKERS.c.pid == pid)
    storage.transaction(lambda connection, _again: connection.execute(gone))


def workers(storage: ResilientStorage) -> list[Worker]:
    """Everybody in the table, those who have died silently included; see `Worker.silence`."""
    return storage.transaction(lambda connection, _again: read_workers(connection))


def read_workers(connection: sa.Connection) -> list[Worker]:
    """The same, within a transaction."""
    engine = connection.engine
    time, up = connection.execute(sa.select(database_time(engine), _server_start(engine))).one()
    found = []
    for row in connection.execute(sa.select(WORKERS).order_by(WORKERS.c.host, WORKERS.c.worker, WORKERS.c.joined)):
        facts = dict(row._mapping)
        heard = facts.pop("beat")
        found.append(Worker(**facts, age=max(0.0, time - heard), silence=max(0.0, time - max(heard, up))))
    return found


def forget(connection: sa.Connection, seconds: float) -> None:
    """Remove workers that have been silent for so long that nobody asks for them any more."""
    engine = connection.engine
    connection.execute(WORKERS.delete().where(WORKERS.c.beat < database_time(engine) - seconds))


def _server_start(engine: sa.Engine) -> sa.ColumnElement[float]:
    """When the database came up: while it was down nobody could beat, and nobody may be called dead for that."""
    if engine.dialect.name == "sqlite":
        return sa.literal(0.0)
    return sa.literal_column("extract(epoch from pg_postmaster_start_time())::float8", sa.Float)


def _attributes_of(study: str) -> sa.Select[Any]:
    columns = STUDY_ATTRIBUTES.c
    query = sa.select(columns.key, columns.value_json).join(STUDIES, STUDIES.c.study_id == columns.study_id)
    return query.where(STUDIES.c.study_name == study)


def _rows(result: Any) -> int:
    return int(result.rowcount)
