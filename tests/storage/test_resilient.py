"""Writes that landed although their answer was lost: repeated without doing anything twice."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import optuna
import psycopg
import pytest
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.study import StudyDirection
from optuna.trial import TrialState

from greentune.storage import fleet, spool, tickets
from greentune.storage.outages import StorageUnavailable
from greentune.storage.rdb import open_storage
from greentune.storage.resilient import ResilientStorage
from greentune.storage.tickets import Changes, NewTicket
from greentune.tuning.owner import owner_of, this_worker


@pytest.fixture
def storage(database_url: str) -> ResilientStorage:
    return open_storage(database_url)


@pytest.fixture
def study(storage: ResilientStorage) -> optuna.Study:
    study = optuna.create_study(storage=storage, study_name="s")
    tickets.revise(
        storage, study._study_id, lambda _session, _rows: Changes(add=[NewTicket({"x": 1}, {"ticket": "a"})])
    )
    return study


@contextmanager
def lost_answers(storage: ResilientStorage, n: int = 1) -> Iterator[None]:
    """The next commits reach the database, and their answers are lost."""
    dialect = storage.engine.dialect
    commit, left = dialect.do_commit, n

    def losing(connection: Any) -> None:
        nonlocal left
        commit(connection)
        if left:
            left -= 1
            if dialect.name == "sqlite":
                error = sqlite3.OperationalError("lost")
                error.sqlite_errorcode = sqlite3.SQLITE_IOERR
                raise error
            raise psycopg.OperationalError("lost")

    dialect.do_commit = losing  # type: ignore[method-assign]
    try:
        yield
    finally:
        dialect.do_commit = commit  # type: ignore[method-assign]


@contextmanager
def away(storage: ResilientStorage) -> Iterator[None]:
    """No connection can be had, and nobody waits for it."""

    def refuse(*_given: Any, **_named: Any) -> None:
        raise psycopg.OperationalError("away")

    def refuse_sqlite(*_given: Any, **_named: Any) -> None:
        error = sqlite3.OperationalError("away")
        error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
        raise error

    storage.engine.dispose()
    dialect = storage.engine.dialect
    connect, seconds = dialect.connect, storage.patience.seconds
    dialect.connect = refuse_sqlite if dialect.name == "sqlite" else refuse  # type: ignore[method-assign]
    storage.patience.seconds = 0.1
    try:
        yield
    finally:
        dialect.connect = connect  # type: ignore[method-assign]
        storage.patience.seconds = seconds


def claimed(study: optuna.Study, storage: ResilientStorage) -> tickets.Claim:
    claim = tickets.claim(storage, study._study_id, owner_of(this_worker(0, "cpu"), 0))
    assert claim is not None
    return claim


def test_claim_that_landed_is_found_again(study: optuna.Study, storage: ResilientStorage) -> None:
    with lost_answers(storage):
        claim = claimed(study, storage)
    assert claim.ticket == "a"
    assert [t.state for t in study.trials] == [TrialState.RUNNING]
    assert tickets.claim(storage, study._study_id, owner_of(this_worker(0, "cpu"), 1)) is None


def test_result_that_landed_counts_as_told(study: optuna.Study, storage: ResilientStorage) -> None:
    claim = claimed(study, storage)
    with lost_answers(storage):
        assert tickets.finish(storage, claim.trial_id, TrialState.COMPLETE, value=0.5, facts={"seconds": 1})
    assert [(t.state, t.value) for t in study.trials] == [(TrialState.COMPLETE, 0.5)]
    assert not tickets.finish(storage, claim.trial_id, TrialState.COMPLETE, value=0.5, facts={"seconds": 1})


def test_several_values_are_told_together_and_count_as_told_only_as_they_are(storage: ResilientStorage) -> None:
    directions = [StudyDirection.MINIMIZE] * 3
    study = optuna.create_study(storage=storage, study_name="several", directions=directions)
    tickets.revise(storage, study._study_id, lambda _session, _rows: Changes(add=[NewTicket({}, {"ticket": "a"})]))
    claim, facts = claimed(study, storage), {"seconds": 1}
    told = {"value": 0.5, "others": (1234.0, 2.5), "facts": facts}
    with lost_answers(storage):
        assert tickets.finish(storage, claim.trial_id, TrialState.COMPLETE, **told)  # type: ignore[arg-type]
    assert [(t.state, t.values) for t in study.trials] == [(TrialState.COMPLETE, [0.5, 1234.0, 2.5])]
    with lost_answers(storage):  # somebody else's result is not taken for ours
        assert not tickets.finish(
            storage, claim.trial_id, TrialState.COMPLETE, value=0.5, others=(9.0, 2.5), facts=facts
        )


def test_ticket_that_landed_is_not_added_twice(study: optuna.Study, storage: ResilientStorage) -> None:
    def decide(_session: Any, rows: list[tickets.Row]) -> Changes:
        there = {row.ticket for row in rows}
        return Changes(add=[NewTicket({}, {"ticket": key}) for key in ("b", "c") if key not in there])

    with lost_answers(storage):
        tickets.revise(storage, study._study_id, decide)
    assert [t.user_attrs["ticket"] for t in study.trials] == ["a", "b", "c"]


def test_study_and_trial_that_landed_are_found_again(storage: ResilientStorage) -> None:
    with lost_answers(storage):
        study_id = storage.create_new_study([StudyDirection.MINIMIZE], "new")
    assert storage.get_study_id_from_name("new") == study_id
    with pytest.raises(DuplicatedStudyError):
        storage.create_new_study([StudyDirection.MINIMIZE], "new")
    template = optuna.trial.create_trial(state=TrialState.WAITING, user_attrs={"ticket": "a"})
    with lost_answers(storage):
        trial_id = storage.create_new_trial(study_id, template)
    assert [t._trial_id for t in storage.get_all_trials(study_id)] == [trial_id]
    storage.create_new_trial(study_id, template)
    assert len(storage.get_all_trials(study_id)) == 2


def test_state_that_landed_counts_and_that_of_somebody_else_does_not(
    study: optuna.Study, storage: ResilientStorage
) -> None:
    trial_id = claimed(study, storage).trial_id
    with lost_answers(storage):
        assert storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [1.0])
    with lost_answers(storage), pytest.raises(UpdateFinishedTrialError):
        storage.set_trial_state_values(trial_id, TrialState.FAIL)


def test_deleted_study_that_landed_is_deleted(study: optuna.Study, storage: ResilientStorage) -> None:
    with lost_answers(storage):
        storage.delete_study(study._study_id)
    assert storage.get_all_studies() == []
    with pytest.raises(KeyError):
        storage.delete_study(study._study_id)


def test_outage_that_is_too_long_says_so_and_a_kept_result_is_told_later(
    study: optuna.Study, storage: ResilientStorage, database_url: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    claim = claimed(study, storage)
    facts = {"values": {"val_mse": 0.5}, "seconds": 1}
    with away(storage):
        with pytest.raises(StorageUnavailable, match="away"):
            tickets.finish(storage, claim.trial_id, TrialState.COMPLETE, value=0.5, facts=facts)
        spool.keep(database_url, claim.trial_id, TrialState.COMPLETE, value=0.5, facts=facts)
    assert study.trials[0].state is TrialState.RUNNING
    assert spool.replay(storage, database_url) == 1
    assert study.trials[0].value == 0.5
    assert study.trials[0].user_attrs["values"] == {"val_mse": 0.5}
    assert spool.replay(storage, database_url) == 0


def test_several_values_are_kept_and_told_later(
    storage: ResilientStorage, database_url: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    study = optuna.create_study(storage=storage, study_name="s", directions=[StudyDirection.MINIMIZE] * 2)
    added = [NewTicket({}, {"ticket": key}) for key in "ab"]
    tickets.revise(storage, study._study_id, lambda _session, _rows: Changes(add=added))
    path = spool.keep(
        database_url, claimed(study, storage).trial_id, TrialState.COMPLETE, value=0.5, others=[7.0], facts={}
    )
    assert json.loads(path.read_text())["others"] == [7.0]
    assert spool.replay(storage, database_url) == 1
    assert study.trials[0].values == [0.5, 7.0]


def test_result_kept_by_an_earlier_version_is_told(
    study: optuna.Study, storage: ResilientStorage, database_url: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = spool.keep(database_url, claimed(study, storage).trial_id, TrialState.COMPLETE, value=0.5, facts={})
    kept = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in kept.items() if name != "others"}))
    assert spool.replay(storage, database_url) == 1
    assert study.trials[0].value == 0.5


def test_kept_result_of_a_trial_declared_dead_is_dropped_with_a_line(
    study: optuna.Study,
    storage: ResilientStorage,
    database_url: str,
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    claim = claimed(study, storage)
    spool.keep(database_url, claim.trial_id, TrialState.COMPLETE, value=0.5, facts={})
    tickets.finish(storage, claim.trial_id, TrialState.FAIL, facts={"reason": "lost"})
    (spool.spool_folder(database_url) / "broken.json").write_text("{")
    assert spool.replay(storage, database_url) == 0
    assert "came too late and was dropped" in caplog.text
    assert "is no result" in caplog.text
    assert [path.name for path in spool.spool_folder(database_url).iterdir()] == ["broken.json"]


def test_worker_table_shows_who_was_heard_of_when(storage: ResilientStorage) -> None:
    worker = this_worker(3, "gpu 1")
    fleet.join(storage, worker)
    fleet.join(storage, worker)
    heard = fleet.beat(storage, worker.id, study=None, trial_id=None)
    assert not heard.fenced
    (seen,) = fleet.workers(storage)
    assert (seen.id, seen.device, seen.worker) == (worker.id, "gpu 1", 3)
    assert 0 <= seen.silence <= seen.age + 1e-6 < 5
    fleet.leave(storage, worker.id)
    assert fleet.workers(storage) == []


def test_beat_tells_that_the_trial_is_lost_and_what_was_ordered(study: optuna.Study, storage: ResilientStorage) -> None:
    worker = this_worker(0, "cpu")
    fleet.join(storage, worker)
    claim = claimed(study, storage)
    study.set_user_attr("greentune:control", "stop")
    heard = fleet.beat(storage, worker.id, study="s", trial_id=claim.trial_id)
    assert (heard.fenced, heard.attributes["greentune:control"]) == (False, '"stop"')
    tickets.finish(storage, claim.trial_id, TrialState.FAIL, facts={"reason": "lost"})
    assert fleet.beat(storage, worker.id, study="s", trial_id=claim.trial_id).fenced
