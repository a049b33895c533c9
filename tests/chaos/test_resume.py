"""A trial that is killed in the middle goes on from its last epoch, and comes to the number of one that was not."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest
from optuna.trial import FrozenTrial, TrialState

from .real import command, log_of, pid_after_epoch, run, sqlite_of, trials_of, wait_until, write_real_study
from .size import FULL

pytestmark = pytest.mark.slow

EPOCHS, KILLED_AFTER, AT_THE_LATEST = 12, 7, 9
"""A machine that is busy with other tests delivers a signal late."""
MIDDLE_SECONDS = 0.12
"""From the report of an epoch to the middle of the next: by then the state of the first is written."""


def study_of(folder: Path, *, checkpoint_every: int) -> Path:
    """One trial of 12 epochs of some 0.4 s, with dropout and a shuffled order: chance must be put back as well."""
    return write_real_study(
        folder,
        n_rows=1600,
        parameters={"lstm_units": [4], "dropout_rate": 0.1, "l1": 0.0, "l2": 0.0},
        space={"learning_rate": [0.003]},
        training={"epochs": EPOCHS, "batch_size": 1, "reduce_lr_patience": 2},
        run={"checkpoint_every": checkpoint_every},
    )


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> FrozenTrial:
    """The trial as it is when nothing happens."""
    folder = study_of(tmp_path_factory.mktemp("whole") / "here", checkpoint_every=1)
    run(folder, sqlite_of(folder), "submit", "study.toml")
    run(folder, sqlite_of(folder), "worker", "--study", "small", "--workers", "1")
    (trial,) = trials_of(sqlite_of(folder))
    assert "goes on" not in log_of(folder)
    assert len(trial.intermediate_values) == EPOCHS
    assert trial.user_attrs["best_epoch"] >= AT_THE_LATEST, "its number must not be known before the signal"
    return trial


def assert_went_on(url: str, folders: list[Path], uninterrupted: FrozenTrial, *, reason: str) -> None:
    """The first row failed in the middle, the second went on there and has every number of an unbroken trial."""
    first, second = trials_of(url)
    assert (first.state, first.user_attrs["reason"]) == (TrialState.FAIL, reason)
    done = len(first.intermediate_values)
    assert KILLED_AFTER <= done <= AT_THE_LATEST, "the signal came in another epoch than it was meant for"
    assert (second.state, second.user_attrs["attempt"]) == (TrialState.COMPLETE, 2)
    said = "\n".join(log_of(folder) for folder in folders)
    (after,) = re.findall(r"trial 1 goes on after epoch (\d+) of an earlier attempt", said)
    assert int(after) in (done, done - 1), "an epoch is reported a moment before its state is kept"
    assert second.intermediate_values == uninterrupted.intermediate_values
    assert second.value == uninterrupted.value
    assert second.user_attrs["values"] == uninterrupted.user_attrs["values"]
    assert second.user_attrs["best_epoch"] == uninterrupted.user_attrs["best_epoch"]
    assert not list(folders[0].parent.rglob("trial-*.npz"))


def completed(url: str) -> bool:
    return any(trial.state is TrialState.COMPLETE for trial in trials_of(url))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM] if FULL else [signal.SIGKILL])
def test_trial_of_a_worker_that_got_a_signal_goes_on(
    database_url: str, tmp_path: Path, uninterrupted: FrozenTrial, how: signal.Signals
) -> None:
    killed = how is signal.SIGKILL
    folder = study_of(tmp_path / "here", checkpoint_every=1 if killed else 50)
    with command(folder, database_url, "--config", "study.toml", "--workers", "1") as running:
        pid = pid_after_epoch(database_url, KILLED_AFTER)
        time.sleep(MIDDLE_SECONDS)
        os.kill(pid, how)
        wait_until(lambda: completed(database_url), every=0.2)
        wait_until(lambda: not any(folder.rglob("trial-*.npz")), every=0.1, seconds=10)
        running.send_signal(signal.SIGTERM)  # the winner's retraining is not the matter here
        running.wait(timeout=60)
    assert_went_on(database_url, [folder], uninterrupted, reason="lost" if killed else "interrupted")


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"] if FULL else ["postgresql"], indirect=True)
def test_trial_of_a_host_that_was_stopped_goes_on_at_another(
    database_url: str, tmp_path: Path, uninterrupted: FrozenTrial
) -> None:
    here = study_of(tmp_path / "here", checkpoint_every=50)
    there = tmp_path / "there"
    there.mkdir()
    join = ("worker", "--study", "small", "--workers", "1", "--out", "elsewhere")
    run(here, database_url, "submit", "study.toml", "--artifacts", str(tmp_path / "shared"))
    with command(here, database_url, *join) as running:
        pid_after_epoch(database_url, KILLED_AFTER)
        time.sleep(MIDDLE_SECONDS)
        running.send_signal(signal.SIGTERM)  # to the supervisor, which passes it on
        assert running.wait(timeout=60) == 130
    assert [path.name for path in (tmp_path / "shared").rglob("*.npz")] == ["trial-0.npz"]
    run(there, database_url, *join)
    assert_went_on(database_url, [here, there], uninterrupted, reason="interrupted")
