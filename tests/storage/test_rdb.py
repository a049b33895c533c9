from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from greentune.storage.address import StorageError, redact, storage_url
from greentune.storage.locks import named_lock
from greentune.storage.rdb import open_storage


def test_eight_processes_open_a_fresh_file_at_once(tmp_path: Path) -> None:
    program = "import sys; from greentune.storage.rdb import open_storage; open_storage(sys.argv[1])"
    openers = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "fresh.db")], stderr=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    for opener in openers:
        _, errors = opener.communicate(timeout=120)
        assert opener.returncode == 0, errors


def test_connections_use_a_write_ahead_log_and_full_synchronisation(tmp_path: Path) -> None:
    with open_storage(tmp_path / "a.db").engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 60_000


def test_braces_in_a_path_are_kept(tmp_path: Path) -> None:
    open_storage(tmp_path / "a{b}.db")
    assert (tmp_path / "a{b}.db").exists()


def test_lock_lets_one_at_a_time(tmp_path: Path) -> None:
    storage = open_storage(tmp_path / "a.db")
    program = (
        "import sys; from greentune.storage.locks import named_lock\n"
        "from greentune.storage.rdb import open_storage\n"
        "storage = open_storage(sys.argv[1], create=False)\n"
        "with named_lock(storage.engine, 'x'): print('in')"
    )
    with named_lock(storage.engine, "x"):
        other = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "a.db")], stdout=subprocess.PIPE, text=True
        )
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(timeout=3)
    assert other.communicate(timeout=60)[0] == "in\n"


def test_tables_of_another_version_are_refused_with_the_command_that_upgrades_them(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    open_storage(path)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v3.0.0.d'")
    before = path.read_bytes()
    for create in (True, False):
        with pytest.raises(StorageError, match="optuna storage upgrade --storage sqlite:///"):
            open_storage(path, create=create)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v99'")
    with pytest.raises(StorageError, match="does not know"):
        open_storage(path)
    assert len(path.read_bytes()) == len(before)


def test_path_and_url_name_the_same_file(tmp_path: Path) -> None:
    assert storage_url(tmp_path / "a.db") == f"sqlite:///{tmp_path / 'a.db'}"
    assert storage_url("postgresql://h/d") == "postgresql+psycopg://h/d"


def test_passwords_are_hidden_wherever_they_stand() -> None:
    shown = redact("postgresql://u:secret@h/d?password=secret&sslmode=require")
    assert "secret" not in shown
    assert "sslmode=require" in shown


def foreign_table(path: Path) -> Path:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE customers (id INTEGER)")
    return path


def text_file(path: Path) -> Path:
    path.write_text("not a database at all, but longer than a header")
    return path


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda folder: folder, "is a folder"),
        (lambda folder: folder / "none" / "a.db", "does not"),
        (lambda folder: text_file(folder / "a.db"), "another kind of file"),
        (lambda folder: foreign_table(folder / "a.db"), "other tables"),
        (lambda folder: "mysql://h/d", "got mysql"),
        (lambda folder: "sqlite://", "that workers can share"),
        (lambda folder: "://", "neither"),
    ],
)
def test_what_is_not_ours_is_refused(tmp_path: Path, make: object, sentence: str) -> None:
    with pytest.raises(StorageError, match=sentence):
        open_storage(make(tmp_path))  # type: ignore[operator]


def test_foreign_database_is_left_as_it_was(tmp_path: Path) -> None:
    path = foreign_table(tmp_path / "a.db")
    before = path.read_bytes()
    with pytest.raises(StorageError):
        open_storage(path)
    assert path.read_bytes() == before


def test_worker_does_not_make_a_database(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no database"):
        open_storage(tmp_path / "a.db", create=False)
    assert list(tmp_path.iterdir()) == []


def test_read_only_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda _path, mode: mode != os.W_OK)  # tests may run as root, who may all
    with pytest.raises(StorageError, match="must be writable"):
        open_storage(tmp_path / "a.db")


def test_second_opening_in_a_process_leaves_the_locks_of_the_first(tmp_path: Path) -> None:
    """SQLite's last user removes the log: another process must not take itself for the last one."""
    path = tmp_path / "a.db"
    first = open_storage(path)
    study = optuna.create_study(storage=first, study_name="s")
    open_storage(path)
    program = "import sys; from greentune.storage.rdb import open_storage; s = open_storage(sys.argv[1], create=False);"
    write = "s.set_study_user_attr(1, 'written', True)"
    subprocess.run([sys.executable, "-c", f"{program} {write}", str(path)], check=True)
    study.set_user_attr("here", True)
    assert study.user_attrs == {"written": True, "here": True}
    with contextlib.closing(sqlite3.connect(path)) as third:
        assert third.execute("SELECT count(*) FROM study_user_attributes").fetchone() == (2,)
