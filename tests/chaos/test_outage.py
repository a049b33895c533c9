"""PostgreSQL crashes at the worst moments; no result is lost and no trial is repeated."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from optuna.trial import TrialState

from greentune.tuning import records

from ..databases import Postgres
from ..simulation.outages import MOMENTS, crash_when_asked
from ..simulation.study import WORKER, new_study, spec_of, wrong_with
from .size import OUTAGE_SECONDS

pytestmark = pytest.mark.slow


def test_crashes_of_the_database_lose_nothing_and_repeat_nothing(postgres_server: Postgres, tmp_path: Path) -> None:
    url = postgres_server.new_database()
    spec = spec_of(
        "outage",
        space={
            "lstm_units": [[32, 16], [50, 25]],
            "dropout_rate": [0.1, 0.2],
            "learning_rate": [0.001, 0.0005, 0.0001],
        },
        run={"beat_seconds": 0.5, "expiry_seconds": 2.0},
    )
    _, study = new_study(url, spec, tmp_path)
    postgres_server.stop()  # and the worker opens it while it is down
    environment = os.environ | {
        "GREENTUNE_STORAGE": url,
        "SIMULATED_OUTAGES": str(tmp_path),
        "SIMULATED_SECONDS": "0.2",
        "SIMULATED_REPORTS": "3",
    }
    command = [*WORKER, "--study", "outage", "--worker", "0"]
    worker = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        time.sleep(OUTAGE_SECONDS)
        postgres_server.start()
        came = crash_when_asked(postgres_server, tmp_path, seconds=OUTAGE_SECONDS, limit=60 + 10 * OUTAGE_SECONDS)
        _, said = worker.communicate(timeout=60 + 10 * OUTAGE_SECONDS)
    finally:
        worker.kill()
    assert sorted(came) == sorted(MOMENTS), said
    assert worker.returncode == 0, said
    assert wrong_with(study, spec) == []
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}, "a trial was repeated"


def test_result_of_a_worker_that_gave_up_is_kept_and_told_at_the_next_start(
    postgres_server: Postgres, tmp_path: Path
) -> None:
    url = postgres_server.new_database()
    spec = spec_of("kept", space={"lstm_units": [[32, 16]], "dropout_rate": [0.1], "learning_rate": [0.001]})
    _, study = new_study(url, spec, tmp_path)
    environment = os.environ | {
        "GREENTUNE_STORAGE": url,
        "GREENTUNE_OUTAGE_SECONDS": "1",
        "SIMULATED_SECONDS": "5",
        "SIMULATED_REPORTS": "0",  # else the report would be the first to find the database away
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }
    command = [*WORKER, "--study", "kept", "--worker", "0"]
    worker = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        limit = time.monotonic() + 60
        while study.trials[0].state is not TrialState.RUNNING and time.monotonic() < limit:
            time.sleep(0.1)
        postgres_server.stop()
        _, said = worker.communicate(timeout=60)
    finally:
        worker.kill()
        postgres_server.start()
    assert worker.returncode == records.EXIT_STORAGE, said
    assert "Traceback" not in said
    kept = list((tmp_path / "state").rglob("*.json"))
    again = subprocess.run(command, env=environment | {"SIMULATED_SECONDS": "0.1"}, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert wrong_with(study, spec) == []
    assert len(kept) == 1
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}
