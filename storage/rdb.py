"""The SQL database that holds every study: opened safely, created once, checked before it is used."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.exc import SQLAlchemyError

from .address import StorageError, parse_url, redact, storage_url
from .locks import file_lock, named_lock
from .outages import Patience, StorageUnavailable, outage_seconds
from .resilient import ResilientStorage
from .tables import create_workers

SQLITE_TIMEOUT_SECONDS = 60
"""How long a writer waits for another one before SQLite gives up."""

CONNECTIONS_PER_PROCESS = 4
"""Most connections that one process opens to PostgreSQL."""

# A client that vanishes with its machine must not hold locks until TCP notices after two hours, nor may we wait so long
# for a server that has vanished.
_POSTGRES_OPTIONS = {
    "statement_timeout": "60s",
    "lock_timeout": "30s",
    "idle_in_transaction_session_timeout": "60s",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
_POSTGRES_SETTINGS: dict[str, Any] = {
    "pool_pre_ping": True,
    "pool_size": 2,
    "max_overflow": CONNECTIONS_PER_PROCESS - 2,
    "pool_recycle": 1800,
    "connect_args": {
        "connect_timeout": 10,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 60_000,
        "options": " ".join(f"-c {name}={value}" for name, value in _POSTGRES_OPTIONS.items()),
    },
}


def open_storage(
    storage: str | os.PathLike[str], *, create: bool = True, outage: float | None = None, patient: bool = False
) -> ResilientStorage:
    """Open the database that everything uses.

    SQLite gets a write-ahead log, full synchronisation and BEGIN IMMEDIATE for every transaction: without the last, two
    workers that read one WAITING trial both take it.

    Args:
        storage: a database URL (``sqlite:///…``, ``postgresql://…``) or the path of an SQLite file.
        create: make the file and its tables where there are none. Workers pass False.
        outage: seconds that an outage may last before a call fails; None: ``GREENTUNE_OUTAGE_SECONDS``, or 10 minutes.
        patient: wait as long for a database that does not answer at the opening; otherwise that is an error at once.

    Raises:
        StorageError: the URL is none, the file is no database or not ours, the place cannot be written, the tables are
            those of another version of Optuna, or there is nothing yet and ``create`` is False.
        StorageUnavailable: `patient`, and it did not answer all that time.
    """
    url = storage_url(storage)
    parsed = parse_url(url)
    patience = Patience(url, outage_seconds() if outage is None else outage)
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        rdb = _open_sqlite(url, Path(parsed.database or ""), create=create)
    elif backend == "postgresql":
        opening = patience if patient else Patience(url, 0)
        with _explained(url, patient=patient):
            rdb = opening.keep_trying(lambda _again: _open_postgres(url, create=create))
    else:
        raise StorageError(f"`storage` must be sqlite:/// or postgresql://; got {backend}://. Use one of the two.")
    return ResilientStorage(rdb, patience, again=(_again, (url, patience.seconds)))


def _again(url: str, outage: float) -> ResilientStorage:
    return open_storage(url, create=False, outage=outage)


def _open_sqlite(url: str, path: Path, *, create: bool) -> RDBStorage:
    shown = redact(url)
    if str(path) in ("", ".", ":memory:"):
        raise StorageError(f"`storage` must be a file that workers can share; got {shown}. Name a file.")
    if path.is_dir():
        raise StorageError(f"`storage` must be a file; {path} is a folder. Name a file in it: {path / 'greentune.db'}.")
    if not path.exists() or path.stat().st_size == 0:
        if not create:
            raise StorageError(f"There is no database at {path}. Start a study first, or name another with --storage.")
        if not path.parent.is_dir():
            raise StorageError(f"The folder of the database must exist; {path.parent} does not. Create it first.")
        if not os.access(path.parent, os.W_OK):
            raise StorageError(
                f"The folder of the database must be writable; {path.parent} is not. Use --out or --storage."
            )
    else:
        _refuse_foreign_file(path)
        if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
            raise StorageError(
                f"The database and its folder must be writable; {path} is not. Use --storage for another."
            )
    settings: dict[str, Any] = {"connect_args": {"timeout": SQLITE_TIMEOUT_SECONDS}}
    with _explained(url, patient=False):
        if not create:
            return _immediate(_optuna_storage(url, settings, create=False))
        with file_lock(Path(f"{path}.lock")):  # eight openers of a fresh file at once would trip over each other
            return _immediate(_optuna_storage(url, settings, create=True))


def _open_postgres(url: str, *, create: bool) -> RDBStorage:
    settings = dict(_POSTGRES_SETTINGS)
    engine = sqlalchemy.create_engine(url, **settings)
    try:
        if create:
            with named_lock(engine, "tables"):
                return _optuna_storage(url, settings, create=True)
        if not sqlalchemy.inspect(engine).has_table("alembic_version"):
            raise StorageError(f"{redact(url)} holds no studies. Start one first, or name another with --storage.")
        return _optuna_storage(url, settings, create=False)
    finally:
        engine.dispose()


def _optuna_storage(url: str, engine_settings: dict[str, Any], *, create: bool) -> RDBStorage:
    template = url.replace("{", "{{").replace("}", "}}")  # Optuna formats the URL as a template
    storage = RDBStorage(
        template, engine_kwargs=engine_settings, skip_compatibility_check=True, skip_table_creation=not create
    )
    if create:
        create_workers(storage.engine)
    try:
        _check_version(storage, url)
    except StorageError:
        storage.engine.dispose()
        raise
    return storage


def _check_version(storage: RDBStorage, url: str) -> None:
    """Refuse tables of another version; upgrading them is the user's decision, because older programs stop working."""
    with storage.engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    known = storage.get_all_versions()  # the newest first
    if found == known[0]:
        return
    shown = redact(url)
    if found in known:
        raise StorageError(
            f"The tables in {shown} are of version {found}, this Optuna needs {known[0]}. Make a copy, then upgrade "
            f"them with: optuna storage upgrade --storage {shown}"
        )
    raise StorageError(
        f"The tables in {shown} are of version {found}, which this Optuna ({known[0]}) does not know. "
        "Use the Optuna that made them or a newer one: pip install -U optuna."
    )


@contextlib.contextmanager
def _explained(url: str, *, patient: bool) -> Iterator[None]:
    """Say in one sentence why the database cannot be opened."""
    try:
        yield
    except StorageUnavailable as error:
        if patient:
            raise
        raise _cannot_open(url, error.reason) from error
    except (
        SQLAlchemyError,
        StorageInternalError,
        AssertionError,
    ) as error:  # Optuna asserts that its tables are filled
        raise _cannot_open(url, Patience(url, 0).reason(error.__cause__ or error)) from error


def _cannot_open(url: str, reason: str) -> StorageError:
    return StorageError(
        f"The database {redact(url)} cannot be opened: {reason}. Check address, account and that it is running."
    )


def _refuse_foreign_file(path: Path) -> None:
    # Never with open(): closing a file gives up all locks that this process has on it. If somebody here has the
    # database open already, the next process that leaves would take itself for the last and remove the log under us.
    with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        try:
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
                raise StorageError(
                    f"`storage` must be an SQLite database; {path} is another kind of file. Name another file."
                ) from None
            raise StorageError(
                f"{path} cannot be read as a database ({error}). Restore it, or name another."
            ) from error
    if tables and "studies" not in tables:
        shown = ", ".join(sorted(tables)[:3])
        raise StorageError(
            f"`storage` must be a database of greentune or Optuna; {path} holds other tables ({shown}). Name another."
        )


def _immediate(storage: RDBStorage) -> RDBStorage:
    """Give the engine our connection set-up, after Optuna has made its tables.

    Not before: Optuna's opening nests two connections, of which the second would wait for the lock of the first.
    """
    storage.engine.dispose()
    sqlalchemy.event.listen(storage.engine, "connect", _configure_sqlite)
    sqlalchemy.event.listen(storage.engine, "begin", begin_immediate)
    return storage


def _configure_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the driver must not open transactions of its own
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def begin_immediate(connection: sqlalchemy.Connection) -> None:
    """Take SQLite's write lock before the first read of a transaction, so that a claim is one step."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")
