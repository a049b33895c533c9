"""Many workers at once: nothing is lost, and the database keeps up."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..databases import Postgres
from ..simulation.crowd import crowd
from ..simulation.study import spec_of
from .size import EFFICIENCY, EFFICIENCY_TRIALS, EFFICIENCY_WORKERS, LOAD_PROCESSES, STARTING_SECONDS

pytestmark = pytest.mark.slow

TRIALS_EACH = 6
REPORTS = 20
SPACE = {
    "lstm_units": [[32, 16], [50, 25]],
    "dropout_rate": {"low": 0.0, "high": 0.5},
    "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
}


@pytest.mark.long
def test_crowd_at_sqlite_loses_nothing(tmp_path: Path) -> None:
    n = LOAD_PROCESSES * TRIALS_EACH
    spec = spec_of("load", space=SPACE, search={"sampler": "random", "trials": n, "pruner": "none"})
    url = f"sqlite:///{tmp_path / 'a.db'}"
    report = crowd(
        url,
        tmp_path,
        spec,
        workers=LOAD_PROCESSES,
        trial_seconds=0.02,
        reports=REPORTS,
        starting_seconds=STARTING_SECONDS,
    )
    assert report.wrong == [], report
    assert report.n_trials == n


@pytest.mark.long
def test_workers_of_one_second_trials_are_busy_with_their_trials(postgres_server: Postgres, tmp_path: Path) -> None:
    postgres_server.configure(max_connections=6 * EFFICIENCY_WORKERS + 20)
    spec = spec_of(
        "busy",
        space=SPACE,
        search={"sampler": "random", "trials": EFFICIENCY_TRIALS * EFFICIENCY_WORKERS, "pruner": "none"},
    )
    report = crowd(
        postgres_server.new_database(),
        tmp_path,
        spec,
        workers=EFFICIENCY_WORKERS,
        trial_seconds=1.0,
        starting_seconds=STARTING_SECONDS,
    )
    assert report.wrong == [], report
    assert report.efficiency(1.0) >= EFFICIENCY, report
    assert report.between_ms <= 1000 * (1 / EFFICIENCY - 1), report
