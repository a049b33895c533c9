"""One worker at its tickets: what it tells, what it keeps, when it stops."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from greentune.objectives import cross_validation
from greentune.objectives.callbacks import Listener
from greentune.reports.forecast_file import read_forecast
from greentune.storage import tickets
from greentune.storage.datasets import load_dataset
from greentune.storage.mistakes import Mistake
from greentune.storage.rdb import open_storage
from greentune.storage.resilient import ResilientStorage
from greentune.tuning import queue, records, watchdog, worker
from greentune.tuning.presets import with_preset
from greentune.tuning.samplers import claim_sampler
from greentune.tuning.spec import parse_spec

from .wind_farm import study_tables, write_series


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[optuna.Study]:
    """A study with its tickets, in the database that workers find in their environment."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)}
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
    study = records.create_study(
        storage,
        spec,
        fingerprint=load_dataset(spec.data).fingerprint,
        unit="MW",
        folder=str(folder),
        artifacts=str(folder / "artifacts"),
    )
    queue.reconcile(study, storage, queue.plan(spec), spec.run)
    return study


def states(study: optuna.Study) -> list[TrialState]:
    return [trial.state for trial in study.trials]


def raises(error: BaseException) -> Any:
    def holdout(*_arguments: Any, **_options: Any) -> None:
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


def test_error_of_a_trial_is_kept_and_its_ticket_tried_once_more(
    study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cross_validation, "holdout", raises(RuntimeError("no such cell")))
    assert worker.work("small", worker=0) in (0, records.EXIT_SETUP)
    assert set(states(study)) == {TrialState.FAIL}
    assert len(states(study)) == 4
    assert study.trials[0].user_attrs["reason"] == "error"
    assert "no such cell" in study.trials[0].user_attrs["detail"]


def test_study_whose_every_trial_fails_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREENTUNE_STORAGE", f"sqlite:///{tmp_path / 'a.db'}")
    study = new_study(tmp_path, study="broken", space={"learning_rate": [0.01, 0.02, 0.03, 0.04, 0.05, 0.06]})
    monkeypatch.setattr(cross_validation, "holdout", raises(RuntimeError("no such cell")))
    assert worker.work("broken", worker=0) == records.EXIT_SETUP
    assert len([t for t in study.trials if t.state is TrialState.FAIL]) == 4
    assert "failed 4 times in a row" in records.stopped_by(study)[0]


def test_out_of_memory_replaces_the_process_and_fails_the_trial(
    study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cross_validation, "holdout", raises(MemoryError()))
    assert worker.work("small", worker=0) == records.EXIT_OOM
    assert states(study) == [TrialState.FAIL, TrialState.WAITING]
    assert study.trials[0].user_attrs["reason"] == "oom"


def test_trial_over_its_time_fails_and_the_next_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREENTUNE_STORAGE", f"sqlite:///{tmp_path / 'a.db'}")
    study = new_study(tmp_path, study="slow", run={"trial_timeout": 0.1})
    monkeypatch.setattr(cross_validation, "holdout", lambda *_given, **_named: time.sleep(20))
    began = time.monotonic()
    assert worker.work("slow", worker=0) == 0
    assert time.monotonic() - began < 10
    assert [t.user_attrs["reason"] for t in study.trials] == ["timeout"] * 2


def test_trial_over_the_memory_limit_goes_back_from_an_old_process_and_fails_in_a_fresh_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREENTUNE_STORAGE", f"sqlite:///{tmp_path / 'a.db'}")
    study = new_study(tmp_path, study="large", run={"memory_limit_mb": 100})
    monkeypatch.setattr(watchdog, "resident_mb", lambda: 101)
    monkeypatch.setattr(cross_validation, "holdout", lambda *_given, **_named: time.sleep(20))
    assert worker.work("large", worker=0) == records.EXIT_OOM
    assert study.trials[0].user_attrs["reason"] == "oom"

    def first_quick(*_given: Any, **_named: Any) -> None:
        monkeypatch.setattr(cross_validation, "holdout", lambda *_given, **_named: time.sleep(20))
        raise RuntimeError("quick")

    monkeypatch.setattr(cross_validation, "holdout", first_quick)
    monkeypatch.setattr(worker, "resident_mb", lambda: 1)
    study = new_study(tmp_path, study="larger", run={"memory_limit_mb": 100, "retries": 0})
    assert worker.work("larger", worker=0) == 0
    assert [t.user_attrs.get("reason") for t in study.trials] == ["error", "recycled"]


def test_paused_study_waits_and_goes_on(study: optuna.Study) -> None:
    records.order(study, records.PAUSE)
    resumed = threading.Timer(2.5, lambda: records.order(fresh(study), records.RUN))
    resumed.start()
    began = time.monotonic()
    assert worker.work("small", worker=0) == 0
    assert time.monotonic() - began > 2
    assert states(study) == [TrialState.COMPLETE] * 2


def test_stop_from_another_machine_puts_the_running_trial_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREENTUNE_STORAGE", f"sqlite:///{tmp_path / 'a.db'}")
    study = new_study(tmp_path, study="stopped", run={"beat_seconds": 0.2, "expiry_seconds": 5})

    def stopped_meanwhile(*_given: Any, **_named: Any) -> None:
        records.order(fresh(study), records.STOP)
        time.sleep(20)

    monkeypatch.setattr(cross_validation, "holdout", stopped_meanwhile)
    assert worker.work("stopped", worker=0) == 0
    assert states(study) == [TrialState.FAIL, TrialState.WAITING]
    assert study.trials[0].user_attrs["reason"] == "interrupted"


def test_trial_that_was_declared_dead_ends_early_and_tells_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREENTUNE_STORAGE", f"sqlite:///{tmp_path / 'a.db'}")
    study = new_study(tmp_path, study="fenced", run={"beat_seconds": 0.2, "expiry_seconds": 5})
    trained = cross_validation.holdout

    def declared_dead(*given: Any, **named: Any) -> Any:
        monkeypatch.setattr(cross_validation, "holdout", trained)
        (running,) = study.get_trials(states=(TrialState.RUNNING,))
        tickets.finish(fresh_storage(), running._trial_id, TrialState.FAIL, facts={"reason": "lost"})
        time.sleep(20)

    monkeypatch.setattr(cross_validation, "holdout", declared_dead)
    began = time.monotonic()
    assert worker.work("fenced", worker=0) == 0
    assert time.monotonic() - began < 15
    assert states(study) == [TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE]


def test_budget_of_all_workers_together_ends_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREENTUNE_STORAGE", f"sqlite:///{tmp_path / 'a.db'}")
    study = new_study(tmp_path, study="budget", search={"worker_seconds": 0.001})
    assert worker.work("budget", worker=0) == 0
    assert states(study) == [TrialState.COMPLETE, TrialState.WAITING]


def test_wrong_set_up_stops_the_study_with_its_message(study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_validation, "holdout", raises(Mistake("the metric does not exist")))
    assert worker.work("small", worker=0) == records.EXIT_SETUP
    assert states(study) == [TrialState.FAIL, TrialState.WAITING]
    assert records.stopped_by(study) == ["the metric does not exist"]


def test_worker_with_other_data_refuses_and_the_study_goes_on_elsewhere(study: optuna.Study, tmp_path: Path) -> None:
    write_series(tmp_path / "wind.csv", n_rows=399)
    assert worker.work("small", worker=0) == records.EXIT_DATA
    (tmp_path / "wind.csv").unlink()
    assert worker.work("small", worker=0) == records.EXIT_DATA
    assert records.stopped_by(study) == []
    assert states(study) == [TrialState.WAITING] * 2


def test_nothing_is_claimed_after_the_time(study: optuna.Study) -> None:
    records.begin_run(study, now=time.time() - 10, timeout=1)
    assert worker.work("small", worker=0) == 0
    assert states(study) == [TrialState.WAITING] * 2


def test_signal_in_training_ends_the_trial_at_once(study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow_training(*_arguments: Any, **_options: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    monkeypatch.setattr(cross_validation, "holdout", slow_training)
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

    monkeypatch.setattr(cross_validation, "holdout", one_epoch)
    monkeypatch.setattr(optuna.trial.Trial, "report", report)
    assert worker.work("small", worker=0) == 0
    assert reported == [0]
    assert study.trials[0].user_attrs["reason"] == "interrupted"


def test_result_that_comes_late_is_dropped(study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = cross_validation.holdout

    def declared_dead_meanwhile(*arguments: Any, **options: Any) -> Any:
        result = trained(*arguments, **options)
        for trial in study.get_trials(states=(TrialState.RUNNING,)):
            tickets.finish(fresh_storage(), trial._trial_id, TrialState.FAIL, facts={"reason": "lost"})
        monkeypatch.setattr(cross_validation, "holdout", trained)
        return result

    monkeypatch.setattr(cross_validation, "holdout", declared_dead_meanwhile)
    assert worker.work("small", worker=0) == 0
    assert states(study) == [TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE]
    assert study.trials[0].user_attrs["reason"] == "lost"
    assert "values" not in study.trials[0].user_attrs


def test_worker_is_recycled_after_some_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREENTUNE_STORAGE", f"sqlite:///{tmp_path / 'a.db'}")
    study = new_study(tmp_path, study="recycled", run={"recycle_after": 1})
    assert worker.work("recycled", worker=0) == 0
    assert states(study) == [TrialState.COMPLETE, TrialState.WAITING]


def test_best_trials_keep_model_and_forecast_and_others_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREENTUNE_STORAGE", f"sqlite:///{tmp_path / 'a.db'}")
    study = new_study(tmp_path, study="kept", run={"keep_best": 1}, space={"learning_rate": [0.01, 0.02, 0.03]})
    assert worker.work("kept", worker=0) == 0
    best = study.best_trial
    assert [p.name for p in (tmp_path / "artifacts" / "models").iterdir()] == [f"trial-{best.number}.keras"]
    kept = read_forecast(tmp_path / "artifacts" / "forecasts" / f"trial-{best.number}.npz")
    rmse = float(np.sqrt(np.mean((kept.observed - kept.predicted) ** 2)))
    assert rmse == pytest.approx(best.user_attrs["values"]["val_rmse"], rel=1e-4)
    assert not any((tmp_path / "artifacts" / "checkpoints").glob("*/*"))


def test_full_disk_is_said_once_and_costs_no_trial(
    study: optuna.Study, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / "models").write_text("not a folder")
    assert worker.work("small", worker=0) == 0
    assert states(study) == [TrialState.COMPLETE] * 2
    assert caplog.text.count("Not kept in") == 1


def test_tpe_proposes_by_the_results_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.simulation import worker as simulated

    monkeypatch.setattr(cross_validation, "holdout", simulated.train)
    monkeypatch.setenv("SIMULATED_SECONDS", "0")
    monkeypatch.setenv("GREENTUNE_STORAGE", f"sqlite:///{tmp_path / 'a.db'}")
    space = {"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}, "dropout_rate": {"low": 0.0, "high": 0.9}}
    run = {"keep_best": 0, "checkpoint_every": 0}
    study = new_study(tmp_path, space=space, search={"sampler": "tpe", "trials": 16}, run=run)
    assert worker.work("small", worker=0) == 0

    spec, at_random = records.read_spec(study), []
    for trial in study.trials:
        sampler = claim_sampler(spec, trial.user_attrs["ticket"])
        drawn = spec.parsed_space().sample(optuna.create_study(sampler=sampler).ask())
        at_random.append(drawn == trial.params)
    assert at_random == [True] * 10 + [False] * 6, "ten results are what TPE waits for"


def fresh_storage() -> ResilientStorage:
    """The database, seen by somebody else."""
    return open_storage(os.environ["GREENTUNE_STORAGE"])


def fresh(study: optuna.Study) -> optuna.Study:
    """The study, seen by somebody else."""
    return optuna.load_study(study_name=study.study_name, storage=fresh_storage())
