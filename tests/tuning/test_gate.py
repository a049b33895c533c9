"""Whether another trial may begin: orders, messages, time and worker-seconds, the latter over all machines."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from greentune.storage import fleet, tallies, tickets
from greentune.storage.tickets import Row
from greentune.tuning import gate, records
from greentune.tuning.gate import Gate, crash_loop
from greentune.tuning.owner import owner_of, this_worker

from ..simulation.processes import nothing_left, start_supervisor, wait_for_end
from ..simulation.study import new_study, spec_of


@pytest.mark.parametrize(
    ("attributes", "opening"),
    [
        ({}, Gate.OPEN),
        ({records.CONTROL: records.PAUSE}, Gate.PAUSED),
        ({records.CONTROL: records.PAUSE_NOW}, Gate.PAUSED),
        ({records.CONTROL: records.STOP}, Gate.CLOSED),
        ({records.STOPPED: ["the metric does not exist"]}, Gate.CLOSED),
        ({records.UNTIL: 1e12}, Gate.OPEN),
        ({records.UNTIL: 1.0}, Gate.CLOSED),
        ({records.UNTIL: 1.0, records.CONTROL: records.PAUSE}, Gate.CLOSED),
    ],
)
def test_orders_messages_and_time(attributes: Mapping[str, Any], opening: Gate, tmp_path: Path) -> None:
    spec = spec_of("s")
    storage, study = new_study(f"sqlite:///{tmp_path / 'a.db'}", spec, tmp_path)
    assert gate.opening(storage, study._study_id, spec, attributes) is opening


def test_worker_seconds_count_finished_and_running_trials_of_everybody(database_url: str, tmp_path: Path) -> None:
    spec = spec_of("s", search={"sampler": "grid", "worker_seconds": 0.5})
    storage, study = new_study(database_url, spec, tmp_path)
    first, second = (
        tickets.claim(storage, study._study_id, owner_of(replace(this_worker(0, "cpu"), host=host), 0))
        for host in ("one", "two")
    )
    assert gate.opening(storage, study._study_id, spec, {}) is Gate.OPEN
    assert first is not None
    assert second is not None
    time.sleep(0.3)
    tickets.finish(storage, first.trial_id, TrialState.COMPLETE, value=1.0, facts={})
    assert gate.opening(storage, study._study_id, spec, {}) is Gate.CLOSED  # 0.3 s each


@pytest.mark.slow
@pytest.mark.parametrize("budget", ["timeout", "worker_seconds"])
def test_budget_holds_over_two_supervisors(budget: str, tmp_path: Path) -> None:
    """Two machines with two workers each; trials of 0.25 s, 108 of them: the budget ends the study before."""
    name, url = f"budget-{budget}", f"sqlite:///{tmp_path / 'a.db'}"
    limit = {"timeout": 4.0, "worker_seconds": 5.0}[budget]
    spec = spec_of(name, search={"sampler": "grid", budget: limit})
    storage, study = new_study(url, spec, tmp_path)
    records.begin_run(study, now=fleet.now(storage), timeout=None)  # the time counts from the first claim
    with nothing_left(name):
        machines = []
        for folder in (tmp_path / "one", tmp_path / "two"):
            folder.mkdir()
            machines.append(start_supervisor(url, name, workers=2, folder=folder, SIMULATED_SECONDS="0.25"))
        for machine, folder in zip(machines, ("one", "two"), strict=True):
            wait_for_end(machine, name, tmp_path / folder, seconds=60)
            used_up = {"timeout": "The time limit is used up", "worker_seconds": "The time of all workers together is"}
            assert used_up[budget] in (tmp_path / folder / "supervisor.log").read_text()
    trials = study.trials
    done = [t for t in trials if t.state is TrialState.COMPLETE]
    assert 0 < len(done) < 108
    assert {t.state for t in trials} == {TrialState.COMPLETE, TrialState.WAITING}
    assert len({t.user_attrs["owner"]["pid"] for t in done}) > 2
    if budget == "timeout":
        begun = [t.datetime_start.timestamp() for t in done if t.datetime_start]
        assert max(begun) - min(begun) < limit + 0.5
    else:
        spent = storage.transaction(lambda connection, _again: tallies.worker_seconds(connection, study._study_id))
        assert limit <= spent < limit + 4 * 2.0  # running trials are finished


def ended(number: int, worker: int, reason: str | None, *, at: float, host: str = "one") -> Row:
    state = TrialState.COMPLETE if reason is None else TrialState.FAIL
    attributes = {"owner": {"host": host, "worker": worker}} | ({} if reason is None else {"reason": reason})
    return Row(number, number, state, datetime.fromtimestamp(at, UTC).replace(tzinfo=None), attributes)


@pytest.mark.parametrize(
    ("rows", "stops"),
    [
        ([(0, "error"), (0, "lost")], True),
        ([(0, "error")], False),
        ([(0, None), (0, "error"), (0, "oom")], True),
        ([(0, "error"), (0, None), (0, "error")], False),
        ([(0, "error"), (0, "error"), (1, None)], False),  # another worker succeeds
        ([(0, "error"), (0, "error"), (1, "error")], False),
        ([(0, "error"), (0, "error"), (1, "lost"), (1, "error")], True),
        ([(0, "nonfinite"), (0, "nonfinite")], False),  # bad points, not a bad set-up
        ([(0, "error"), (0, "interrupted"), (0, "error")], True),
        ([], False),
    ],
)
def test_crash_loop_is_every_worker_failing_in_a_row(rows: list[tuple[int, str | None]], stops: bool) -> None:
    table = [ended(n, worker, reason, at=100.0 + n) for n, (worker, reason) in enumerate(rows)]
    why = crash_loop(table, times=2, begun=None)
    assert (why is not None) is stops
    assert crash_loop(table, times=2, begun=200.0) is None  # what an earlier run left does not count
