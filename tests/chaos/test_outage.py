"""PostgreSQL crashes at the worst moments; no result is lost and no trial is repeated."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from optuna.trial import TrialState

from ..databases import Postgres
from ..simulation.outages import MOMENTS, crash_when_asked
from ..simulation.study import WORKER, new_study, spec_of, wrong_with
from .size import OUTAGE_SECONDS

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("GREENTUNE_OUTAGE_TEST_SECONDS", OUTAGE_SECONDS))


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
        time.sleep(SECONDS)
        postgres_server.start()
        came = crash_when_asked(postgres_server, tmp_path, seconds=SECONDS, limit=60 + 10 * SECONDS)
        _, said = worker.communicate(timeout=60 + 10 * SECONDS)
    finally:
        worker.kill()
    assert sorted(came) == sorted(MOMENTS), said
    assert worker.returncode == 0, said
    assert wrong_with(study, spec) == []
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}, "a trial was repeated"
