"""The SQL database that holds every study: opened safely, created once, never printed with its password."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from .mistakes import Mistake

SQLITE_TIMEOUT_SECONDS = 60
"""How long a writer waits for another one before SQLite gives up."""

_POSTGRES_SETTINGS: dict[str, Any] = {
    "pool_pre_ping": True,
    "pool_size": 2,
    "max_overflow": 2,
    "pool_recycle": 1800,
    "connect_args": {"connect_timeout": 10, "options": "-c statement_timeout=60000 -c lock_timeout=30000"},
}
_SQLITE_MAGIC = b"SQLite format 3\x00"


class StorageError(Mistake):
    """The database cannot be opened, cannot be written, or holds something that is not ours."""


def storage_url(storage: str | os.PathLike[str]) -> str:
    """Return the database URL of what a user wrote: a URL as it is, a path as ``sqlite:///path``.

    ``postgresql://`` is opened through psycopg 3.
    """
    text = os.fspath(storage)
    if "://" not in text:
        return f"sqlite:///{Path(text).expanduser().resolve()}"
    for plain in ("postgresql://", "postgres://"):
        if text.startswith(plain):
            return "postgresql+psycopg://" + text.removeprefix(plain)
    return text


def redact(url: str) -> str:
    """Return the URL with its password replaced by ``***``, in the authority and in ``?password=``."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        return "(not a database URL)"
    hidden = {name: "***" if "pass" in name.lower() else value for name, value in parsed.query.items()}
    return parsed.set(query=hidden).render_as_string(hide_password=True)


def open_storage(storage: str | os.PathLike[str], *, create: bool = True) -> RDBStorage:
    """Open the database that everything uses.

    SQLite gets a write-ahead log, full synchronisation and BEGIN IMMEDIATE for every transaction: without the last, two
    workers that read one WAITING trial both take it.

    Args:
        storage: a database URL (``sqlite:///…``, ``postgresql://…``) or the path of an SQLite file.
        create: make the file and its tables where there are none. Workers pass False.

    Raises:
        StorageError: the URL is none, the file is no database or not ours, the place cannot be written, or there is
            nothing yet and ``create`` is False.
    """
    url = storage_url(storage)
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StorageError(
            "`storage` must be a database URL or the path of an SQLite file; got something that is neither. "
            "Use sqlite:///path/to/file.db or postgresql://user@host/database."
        ) from None
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        return _open_sqlite(url, Path(parsed.database or ""), create=create)
    if backend == "postgresql":
        return _open(url, dict(_POSTGRES_SETTINGS), create=create)
    raise StorageError(f"`storage` must be sqlite:/// or postgresql://; got {backend}://. Use one of the two.")


@contextlib.contextmanager
def exclusive(storage: RDBStorage, name: str) -> Iterator[None]:
    """Hold the one lock called ``name`` of this database: planning and reconciling take turns.

    A file lock beside an SQLite file, an advisory lock in PostgreSQL. Both go when their holder dies.
    """
    if storage.engine.dialect.name == "sqlite":
        with file_lock(Path(f"{storage.engine.url.database}.lock")):
            yield
        return
    number = int.from_bytes(hashlib.sha256(f"greentune:{name}".encode()).digest()[:8], "big", signed=True)
    with storage.engine.connect() as connection:
        connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:n)"), {"n": number})
        try:
            yield
        finally:
            connection.execute(sqlalchemy.text("SELECT pg_advisory_unlock(:n)"), {"n": number})
            connection.commit()


@contextlib.contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold the lock of a file, which is made if it is missing; it goes when its holder dies."""
    import fcntl  # not at the top: only POSIX systems have it

    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


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
    if not create:
        return _immediate(_open(url, settings, create=False))
    with file_lock(Path(f"{path}.lock")):  # eight openers of a fresh file at once would trip over each other
        return _immediate(_open(url, settings, create=True))


def _refuse_foreign_file(path: Path) -> None:
    with path.open("rb") as handle:
        if handle.read(len(_SQLITE_MAGIC)) != _SQLITE_MAGIC:
            raise StorageError(
                f"`storage` must be an SQLite database; {path} is another kind of file. Name another file."
            )
    with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        try:
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        except sqlite3.DatabaseError as error:
            raise StorageError(
                f"{path} cannot be read as a database ({error}). Restore it, or name another."
            ) from error
    if tables and "studies" not in tables:
        shown = ", ".join(sorted(tables)[:3])
        raise StorageError(
            f"`storage` must be a database of greentune or Optuna; {path} holds other tables ({shown}). Name another."
        )


def _open(url: str, engine_settings: dict[str, Any], *, create: bool) -> RDBStorage:
    template = url.replace("{", "{{").replace("}", "}}")  # Optuna formats the URL as a template
    # Whoever may create also checks the version of the tables; that takes a tenth of a second, and `tune status` none.
    try:
        storage = RDBStorage(
            template, engine_kwargs=engine_settings, skip_compatibility_check=not create, skip_table_creation=not create
        )
    except (SQLAlchemyError, StorageInternalError, RuntimeError) as error:
        reason = (str(getattr(error, "orig", None) or error).strip() or type(error).__name__).splitlines()[0]
        password = make_url(url).password
        if password:
            reason = reason.replace(str(password), "***")
        raise StorageError(
            f"The database {redact(url)} cannot be opened: {reason}. Check address, account and that it is running."
        ) from error
    weakref.finalize(storage, storage.engine.dispose)  # connections are closed when nobody holds the storage any more
    return storage


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
