"""One worker at its tickets: what it tells, what it keeps, when it stops."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from greentune.objectives.callbacks import Listener
from greentune.storage.datasets import load_dataset
from greentune.storage.mistakes import Mistake
from greentune.storage.rdb import open_storage
from greentune.tuning import queue, records, worker
from greentune.tuning.presets import with_preset
from greentune.tuning.spec import parse_spec

from .wind_farm import study_tables, write_series


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[optuna.Study]:
    """A study with its tickets, in the database that workers find in their environment."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    affinity = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    monkeypatch.setenv("GREENTUNE_STORAGE", f"sqlite:///{tmp_path / 'a.db'}")
    yield new_study(tmp_path)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    if affinity is not None:
        os.sched_setaffinity(0, affinity)


def new_study(folder: Path, **tables: Any) -> optuna.Study:
    small = {"space": {"learning_rate": [0.01, 0.003]}, "training": {"epochs": 1, "batch_size": 64}} | tables
    spec = parse_spec(with_preset({}, study_tables(write_series(folder / "wind.csv"), **small)))
    spec = spec.model_copy(update={"backend": "jax"})
    storage = open_storage(folder / "a.db")
    study = records.create_study(storage, spec, fingerprint=load_dataset(spec.data).fingerprint, unit="MW")
    queue.reconcile(study, storage, queue.plan(spec))
    return study


def states(study: optuna.Study) -> list[TrialState]:
    return [trial.state for trial in study.trials]


def raises(error: BaseException) -> Any:
    def holdout(*_arguments: Any, listeners: tuple[Listener, ...], **_options: Any) -> None:
        raise error

    return holdout


def test_every_ticket_is_worked_off_and_its_facts_kept(study: optuna.Study) -> None:
    assert worker.work("small", worker=0) == 0
    assert states(study) == [TrialState.COMPLETE] * 2
    facts = study.trials[0].user_attrs
    assert facts["values"]["val_mse"] == study.trials[0].value == min(study.trials[0].intermediate_values.values())
    assert {"owner", "best_epoch", "epochs", "seconds", "n_parameters"} <= facts.keys()


def test_number_that_explodes_fails_as_nonfinite_and_the_study_goes_on(tmp_path: Path, study: optuna.Study) -> None:
    exploding = {"study": "exploding", "space": {"learning_rate": [1e30, 0.003]}, "training": {"epochs": 2}}
    study = new_study(tmp_path, **exploding)
    assert worker.work("exploding", worker=0) == 0
    assert states(study) == [TrialState.FAIL, TrialState.COMPLETE]
    assert study.trials[0].user_attrs["reason"] == "nonfinite"


def test_error_of_a_trial_is_kept_and_the_study_goes_on(study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "holdout", raises(RuntimeError("no such cell")))
    assert worker.work("small", worker=0) == 0
    assert states(study) == [TrialState.FAIL] * 2
    assert study.trials[0].user_attrs["reason"] == "error"
    assert "no such cell" in study.trials[0].user_attrs["detail"]


def test_wrong_set_up_stops_the_study_with_its_message(study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "holdout", raises(Mistake("the metric does not exist")))
    assert worker.work("small", worker=0) == records.EXIT_SETUP
    assert states(study) == [TrialState.FAIL, TrialState.WAITING]
    assert records.stopped_by(study) == ["the metric does not exist"]


def test_changed_data_stop_the_study(study: optuna.Study, tmp_path: Path) -> None:
    write_series(tmp_path / "wind.csv", n_rows=399)
    assert worker.work("small", worker=0) == records.EXIT_SETUP
    assert "have changed" in records.stopped_by(study)[0]


def test_nothing_is_claimed_after_the_time(study: optuna.Study) -> None:
    assert worker.work("small", worker=0, until=time.time() - 1) == 0
    assert states(study) == [TrialState.WAITING] * 2


def test_signal_in_training_ends_the_trial_at_once(study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow_training(*_arguments: Any, **_options: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    monkeypatch.setattr(worker, "holdout", slow_training)
    began = time.monotonic()
    assert worker.work("small", worker=0) == 0
    assert time.monotonic() - began < 5
    assert states(study) == [TrialState.FAIL, TrialState.WAITING]
    assert study.trials[0].user_attrs["reason"] == "interrupted"


def test_signal_while_reporting_waits_for_the_report(study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[int] = []

    def one_epoch(*_arguments: Any, listeners: tuple[Listener, ...], **_options: Any) -> None:
        for listener in listeners:
            listener(0, {"val_mse": 0.5})

    def report(self: optuna.Trial, value: float, step: int) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        reported.append(step)

    monkeypatch.setattr(worker, "holdout", one_epoch)
    monkeypatch.setattr(optuna.trial.Trial, "report", report)
    assert worker.work("small", worker=0) == 0
    assert reported == [0]
    assert study.trials[0].user_attrs["reason"] == "interrupted"


def test_result_that_comes_late_is_dropped(study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = worker.holdout

    def declared_dead_meanwhile(*arguments: Any, **options: Any) -> Any:
        result = trained(*arguments, **options)
        storage = open_storage(os.environ["GREENTUNE_STORAGE"])
        for trial in study.get_trials(states=(TrialState.RUNNING,)):
            queue.fail(storage, trial, "lost")
        return result

    monkeypatch.setattr(worker, "holdout", declared_dead_meanwhile)
    assert worker.work("small", worker=0) == 0
    assert states(study) == [TrialState.FAIL] * 2
    assert all(trial.user_attrs["reason"] == "lost" for trial in study.trials)


def test_worker_is_recycled_after_some_trials(study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "RECYCLE_AFTER_TRIALS", 1)
    assert worker.work("small", worker=0) == 0
    assert states(study) == [TrialState.COMPLETE, TrialState.WAITING]
