"""The same storage on a real PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy

from greentune.storage.address import StorageError, redact
from greentune.storage.locks import named_lock
from greentune.storage.rdb import open_storage
from greentune.tuning.launch import check_connections, most_workers
from greentune.tuning.spec import SpecError

from ..databases import Postgres


def test_lock_is_taken_by_one_at_a_time(postgres_server: Postgres) -> None:
    storage = open_storage(postgres_server.new_database())
    locks = sqlalchemy.text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
    with named_lock(storage.engine, "x"), storage.engine.connect() as other:
        assert other.execute(locks).scalar() == 1
    with storage.engine.connect() as other:
        assert other.execute(locks).scalar() == 0


def test_worker_opens_without_making_tables(postgres_server: Postgres) -> None:
    url = postgres_server.new_database()
    with pytest.raises(StorageError, match="holds no studies"):
        open_storage(url, create=False)
    open_storage(url)
    assert open_storage(url, create=False).get_all_studies() == []


def test_eight_processes_open_a_fresh_database_at_once(postgres_server: Postgres) -> None:
    program = "import sys; from greentune.storage.rdb import open_storage; open_storage(sys.argv[1])"
    command = [sys.executable, "-c", program, postgres_server.new_database()]
    openers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(8)]
    for opener in openers:
        _, errors = opener.communicate(timeout=120)
        assert opener.returncode == 0, errors


def test_clients_that_vanish_do_not_hold_locks_for_hours(postgres_server: Postgres) -> None:
    storage = open_storage(postgres_server.new_database())
    with storage.engine.connect() as connection:
        for setting in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
            assert connection.exec_driver_sql(f"SHOW {setting}").scalar() in ("30s", "1min")


def test_password_of_an_unreachable_server_is_not_shown(tmp_path: Path) -> None:
    address = f"postgresql://somebody:canary@/none?host={tmp_path}"
    with pytest.raises(StorageError) as caught:
        open_storage(address)
    assert "canary" not in str(caught.value)
    assert "canary" not in redact(address)
    assert "somebody" in str(caught.value)


def test_database_that_does_not_exist_is_said_at_once(postgres_server: Postgres) -> None:
    with pytest.raises(StorageError, match='database "nowhere" does not exist'):
        open_storage(postgres_server.uri.replace("/postgres?", "/nowhere?"))


def test_more_workers_than_connections_are_refused_with_the_number_that_fits(postgres_server: Postgres) -> None:
    storage = open_storage(postgres_server.new_database())
    most = most_workers(storage)
    assert most is not None
    assert 10 < most < 25
    check_connections(storage, most - 2)
    with pytest.raises(SpecError, match=f"at most {most}"):
        check_connections(storage, 200)
