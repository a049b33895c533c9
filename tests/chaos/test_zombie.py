"""A worker that stands still for longer than anybody waits comes back: its ticket has one result, and it goes on."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from greentune.storage.resilient import ResilientStorage
from greentune.tuning import queue
from greentune.tuning.spec import StudySpec

from ..simulation.processes import nothing_left, start_supervisor, wait_for_end
from ..simulation.study import WORKER, new_study, spec_of, wrong_with
from .real import wait_until
from .size import FULL, ZOMBIE_ROUNDS

pytestmark = pytest.mark.slow

EXPIRY_SECONDS = 1.5
VARIABLES = {"SIMULATED_SECONDS": "0.4", "SIMULATED_REPORTS": "2"}
DROPPED = re.compile(r"trial (\d+) (?:was declared dead meanwhile|came late and was dropped)")


def some_tickets(url: str, folder: Path, n: int) -> tuple[ResilientStorage, optuna.Study, StudySpec]:
    """A study that beats quickly and expires soon."""
    spec = spec_of(
        f"zombie-{os.getpid()}",
        space={
            "lstm_units": [[k + 1] for k in range(n // 2)],
            "dropout_rate": [0.1, 0.2],
            "learning_rate": [0.001],
            "batch_size": [16],
        },
        run={"beat_seconds": 0.3, "expiry_seconds": EXPIRY_SECONDS},
    )
    return *new_study(url, spec, folder), spec


def stand_still(study: optuna.Study, url: str) -> tuple[int, int]:
    """Stop a worker in the middle of a trial, and not in the middle of a beat: that would be an outage for all.

    Returns:
        its process, and the number of the trial.
    """

    def running() -> Any:
        rows = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return next(((t.user_attrs["owner"]["pid"], t.number) for t in rows if t.intermediate_values), None)

    while True:
        pid, number = wait_until(running, seconds=60)
        os.kill(pid, signal.SIGSTOP)
        if not is_locked(url):
            return int(pid), int(number)
        os.kill(pid, signal.SIGCONT)


def is_locked(url: str) -> bool:
    """Whether an SQLite database stays locked: on PostgreSQL a beat holds nothing that others want."""
    if not url.startswith("sqlite:///"):
        return False
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=0.5, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        connection.execute("ROLLBACK")
    return False


def reason_of(study: optuna.Study, number: int) -> str | None:
    reason: str | None = study.get_trials(deepcopy=False)[number].user_attrs.get("reason")
    return reason


def assert_one_result_and_the_worker_went_on(
    study: optuna.Study, spec: StudySpec, pid: int, number: int, woken: float, said: str
) -> None:
    assert wrong_with(study, spec) == []
    failed = {t.number: t.user_attrs["reason"] for t in study.trials if t.state is TrialState.FAIL}
    # On a machine that is busy with other tests the other worker may be late with its beats as well.
    assert failed[number] == "lost"
    assert set(failed.values()) == {"lost"}
    assert sorted(DROPPED.findall(said)) == sorted(map(str, failed)), "a result was dropped without a word"
    later = [t for t in study.trials if t.user_attrs["owner"]["pid"] == pid and t.number != number]
    after = [t for t in later if t.datetime_start is not None and t.datetime_start.timestamp() > woken]
    assert [t.state for t in after] == [TrialState.COMPLETE] * len(after)
    assert after, "the worker did not go on"


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"] if FULL else ["postgresql"], indirect=True)
@pytest.mark.parametrize("_round", range(ZOMBIE_ROUNDS))
def test_worker_that_stood_still_under_a_supervisor(database_url: str, tmp_path: Path, _round: int) -> None:
    _, study, spec = some_tickets(database_url, tmp_path, 30)
    supervisor = start_supervisor(database_url, spec.study, workers=2, folder=tmp_path, **VARIABLES)
    with nothing_left(spec.study):
        pid, number = stand_still(study, database_url)
        wait_until(lambda: reason_of(study, number) == "lost", seconds=30)  # the supervisor has found out
        woken = time.time()
        os.kill(pid, signal.SIGCONT)
        wait_for_end(supervisor, spec.study, tmp_path, seconds=60)
    assert supervisor.returncode == 0, (tmp_path / "supervisor.log").read_text()
    said = "".join(path.read_text() for path in (tmp_path / "logs").glob("worker-*.log"))
    assert_one_result_and_the_worker_went_on(study, spec, pid, number, woken, said)


@pytest.mark.parametrize("_round", range(ZOMBIE_ROUNDS))
def test_worker_that_stood_still_without_a_supervisor(database_url: str, tmp_path: Path, _round: int) -> None:
    storage, study, spec = some_tickets(database_url, tmp_path, 16)
    environment = os.environ | VARIABLES | {"GREENTUNE_STORAGE": database_url}
    command = [*WORKER, "--study", spec.study, "--worker"]
    with ExitStack() as stack:
        workers = [
            subprocess.Popen([*command, str(n)], env=environment, stderr=subprocess.PIPE, text=True) for n in range(2)
        ]
        for worker in workers:
            stack.enter_context(worker)
            stack.callback(worker.kill)
        pid, number = stand_still(study, database_url)
        time.sleep(EXPIRY_SECONDS / 2)
        planned = queue.plan(spec)
        queue.reconcile(study, storage, planned, spec.run)  # as somebody on another machine does
        assert reason_of(study, number) is None, "it was given up before its time"
        time.sleep(EXPIRY_SECONDS / 2 + 0.5)
        queue.reconcile(study, storage, planned, spec.run)
        assert reason_of(study, number) == "lost"
        woken = time.time()
        os.kill(pid, signal.SIGCONT)
        said = "".join(worker.communicate(timeout=60)[1] for worker in workers)
    assert [worker.returncode for worker in workers] == [0, 0], said
    assert_one_result_and_the_worker_went_on(study, spec, pid, number, woken, said)
