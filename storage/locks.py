"""Locks that go when their holder dies: of a file, and of a name in a database."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy


@contextlib.contextmanager
def named_lock(engine: sqlalchemy.Engine, name: str) -> Iterator[None]:
    """Hold the one lock called ``name`` of this database: creating and changing a study take turns.

    A file lock beside an SQLite file, an advisory lock in PostgreSQL.
    """
    if engine.dialect.name == "sqlite":
        with file_lock(Path(f"{engine.url.database}.lock")):
            yield
        return
    number = int.from_bytes(hashlib.sha256(f"greentune:{name}".encode()).digest()[:8], "big", signed=True)
    with engine.connect() as connection:
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
