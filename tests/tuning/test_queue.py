from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from greentune.storage import fleet, tickets
from greentune.storage.rdb import open_storage
from greentune.storage.resilient import ResilientStorage
from greentune.storage.tickets import Claim
from greentune.tuning import queue
from greentune.tuning.owner import owner_of, this_worker, why_dead
from greentune.tuning.presets import with_preset
from greentune.tuning.queue import Ticket, plan
from greentune.tuning.sections import RunSpec
from greentune.tuning.spec import parse_spec

TICKETS = [Ticket(f"{number:05d}", {"x": number}) for number in range(4)]
NOTHING = queue.Reconciled(added=0, lost=0, removed=0)

PROGRAM = """
import json, sys
from dataclasses import asdict
from greentune.tuning.owner import this_worker
print(json.dumps(asdict(this_worker(7, "cpu"))), flush=True); input()
"""


@pytest.fixture
def storage(database_url: str) -> ResilientStorage:
    return open_storage(database_url)


@pytest.fixture
def study(storage: ResilientStorage) -> optuna.Study:
    return optuna.create_study(storage=storage, study_name="s")


@pytest.fixture
def me(storage: ResilientStorage) -> fleet.Worker:
    """This process, as a worker."""
    worker = this_worker(0, "cpu")
    fleet.join(storage, worker)
    return worker


@pytest.fixture
def other(storage: ResilientStorage) -> Iterator[tuple[fleet.Worker, subprocess.Popen[str]]]:
    """A worker in a process of its own, alive."""
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        worker = fleet.Worker(**json.loads(child.stdout.readline()))
        fleet.join(storage, worker)
        yield worker, child
        child.kill()


def by_state(study: optuna.Study, state: TrialState) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(state,))


def reconcile(study: optuna.Study, planned: list[Ticket] = TICKETS, **run: Any) -> queue.Reconciled:
    storage = study._storage
    assert isinstance(storage, ResilientStorage)
    return queue.reconcile(study, storage, planned, RunSpec(**run))


def claim(study: optuna.Study, worker: fleet.Worker, n: int = 0) -> Claim:
    claimed = tickets.claim(study._storage, study._study_id, owner_of(worker, n))  # type: ignore[arg-type]
    assert claimed is not None
    return claimed


def end(study: optuna.Study, claimed: Claim, state: TrialState, value: float | None = None, **facts: Any) -> bool:
    return tickets.finish(study._storage, claimed.trial_id, state, value=value, facts=facts)  # type: ignore[arg-type]


def test_reconcile_adds_the_plan_once(study: optuna.Study) -> None:
    assert reconcile(study).added == 4
    assert reconcile(study) == NOTHING
    waiting = by_state(study, TrialState.WAITING)
    assert [t.system_attrs["fixed_params"] for t in waiting] == [t.fixed for t in TICKETS]
    assert [t.number for t in waiting] == [0, 1, 2, 3]


def test_claim_takes_each_ticket_in_order_and_then_none(
    study: optuna.Study, storage: ResilientStorage, me: fleet.Worker
) -> None:
    reconcile(study)
    claimed = [tickets.claim(storage, study._study_id, owner_of(me, n)) for n in range(5)]
    assert [c.ticket for c in claimed[:4] if c is not None] == [t.key for t in TICKETS]
    assert claimed[4] is None
    running = by_state(study, TrialState.RUNNING)
    assert all(t.user_attrs["owner"]["pid"] == os.getpid() for t in running)
    assert all(t.datetime_start is not None for t in running)


def test_ticket_of_a_dead_worker_goes_back_with_its_parameters(
    study: optuna.Study, other: tuple[fleet.Worker, subprocess.Popen[str]]
) -> None:
    worker, process = other
    blank = [Ticket("00000")]
    reconcile(study, blank)
    claimed = claim(study, worker)
    drawn = optuna.trial.Trial(study, claimed.trial_id).suggest_float("x", 0, 1)
    assert reconcile(study, blank) == NOTHING
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, and not reaped: a zombie
    changed = reconcile(study, blank)
    assert (changed.lost, changed.added) == (1, 1)
    (lost,) = by_state(study, TrialState.FAIL)
    (again,) = by_state(study, TrialState.WAITING)
    assert lost.user_attrs["reason"] == "lost"
    assert "died" in lost.user_attrs["detail"]
    assert again.system_attrs["fixed_params"] == {"x": drawn}
    assert again.user_attrs["attempt"] == 2


def test_living_process_that_does_not_beat_is_dead_after_the_expiry(
    study: optuna.Study, other: tuple[fleet.Worker, subprocess.Popen[str]]
) -> None:
    worker, _ = other
    reconcile(study)
    claim(study, worker)
    assert reconcile(study).lost == 0
    assert reconcile(study, beat_seconds=1e-9, expiry_seconds=1e-8).lost == 1
    assert "not heard of" in by_state(study, TrialState.FAIL)[0].user_attrs["detail"]


def test_worker_on_another_host_lives_while_it_beats(
    study: optuna.Study, storage: ResilientStorage, me: fleet.Worker
) -> None:
    elsewhere = replace(me, id="elsewhere", machine="another", pid=1, started="1")
    fleet.join(storage, elsewhere)
    reconcile(study)
    claim(study, elsewhere)
    assert reconcile(study) == NOTHING
    fleet.leave(storage, "elsewhere")
    assert reconcile(study).lost == 1


def test_owner_with_a_reused_process_id_is_dead(me: fleet.Worker) -> None:
    owner = owner_of(me, 0)
    assert why_dead(owner, {me.id: me}, expiry=60) is None
    assert why_dead(owner | {"started": "1"}, {me.id: me}, expiry=60) is not None


def test_error_is_tried_as_often_as_wanted_and_nonfinite_never(study: optuna.Study, me: fleet.Worker) -> None:
    planned = TICKETS[:2]
    reconcile(study, planned)
    for n, reason in enumerate(("error", "nonfinite")):
        end(study, claim(study, me, n), TrialState.FAIL, reason=reason)
    assert reconcile(study, planned, retries=0) == NOTHING
    assert reconcile(study, planned).added == 1
    (again,) = by_state(study, TrialState.WAITING)
    assert again.user_attrs["ticket"] == "00000"
    end(study, claim(study, me, 2), TrialState.FAIL, reason="error")
    assert reconcile(study, planned) == NOTHING
    assert reconcile(study, planned, retries=2).added == 1


def test_out_of_memory_is_tried_once_more_with_added_gradients_where_that_is_wanted(
    study: optuna.Study, me: fleet.Worker
) -> None:
    reconcile(study, TICKETS[:1])
    end(study, claim(study, me), TrialState.FAIL, reason="oom")
    assert reconcile(study, TICKETS[:1]) == NOTHING
    assert reconcile(study, TICKETS[:1], oom="retry").added == 1
    assert claim(study, me, 1).accumulate == 2
    end(study, Claim(by_state(study, TrialState.RUNNING)[0]._trial_id, 1, "", 2, 2), TrialState.FAIL, reason="oom")
    assert reconcile(study, TICKETS[:1], oom="retry") == NOTHING


def test_interrupted_tickets_go_back_as_often_as_it_takes(study: optuna.Study, me: fleet.Worker) -> None:
    for n in range(4):
        assert reconcile(study, TICKETS[:1]).added == 1
        end(study, claim(study, me, n), TrialState.FAIL, reason="interrupted")


def test_double_tickets_are_removed_and_say_why(study: optuna.Study) -> None:
    for _ in range(3):
        study.enqueue_trial({"x": 0}, user_attrs={"ticket": "00000", "attempt": 1})
    assert reconcile(study, TICKETS[:1]).removed == 2
    assert [t.user_attrs["reason"] for t in by_state(study, TrialState.FAIL)] == ["duplicate"] * 2
    assert len(by_state(study, TrialState.WAITING)) == 1


def test_result_of_a_trial_declared_dead_is_dropped(
    study: optuna.Study, me: fleet.Worker, other: tuple[fleet.Worker, subprocess.Popen[str]]
) -> None:
    worker, process = other
    reconcile(study, TICKETS[:1])
    late = claim(study, worker)
    process.kill()
    process.wait()
    reconcile(study, TICKETS[:1])
    assert not end(study, late, TrialState.COMPLETE, 1.0, seconds=1)
    assert end(study, claim(study, me), TrialState.COMPLETE, 2.0, seconds=1)
    assert [t.value for t in by_state(study, TrialState.COMPLETE)] == [2.0]
    assert "seconds" not in by_state(study, TrialState.FAIL)[0].user_attrs
    assert reconcile(study, TICKETS[:1]) == NOTHING


def test_longer_plan_adds_the_difference_and_shorter_withdraws(study: optuna.Study) -> None:
    reconcile(study, TICKETS[:2])
    assert reconcile(study, TICKETS).added == 2
    assert reconcile(study, TICKETS[:1]).removed == 3
    assert reconcile(study, TICKETS).added == 3


def test_enqueued_point_stays_beside_the_plan_and_comes_next_also_when_put_back(
    study: optuna.Study, storage: ResilientStorage, me: fleet.Worker
) -> None:
    reconcile(study, TICKETS[:1])
    assert queue.enqueue(study, storage, {"units": [64, 32], "x": 9}, RunSpec()) == "added"
    assert queue.enqueue(study, storage, {"x": 9, "units": [64, 32]}, RunSpec()) == "waiting"
    assert reconcile(study, TICKETS[:1]) == NOTHING
    end(study, claim(study, me), TrialState.FAIL, reason="interrupted")
    assert reconcile(study, TICKETS[:1]).added == 1
    claim(study, me)
    (again,) = by_state(study, TrialState.RUNNING)
    assert again.system_attrs["fixed_params"] == {"units": "64-32", "x": 9}


@pytest.mark.parametrize(("reason", "first"), [("interrupted", 0), ("recycled", 0), ("lost", 1), ("error", 1)])
def test_ticket_that_was_put_back_unfinished_goes_on_before_others_begin(
    study: optuna.Study, me: fleet.Worker, reason: str, first: int
) -> None:
    reconcile(study, TICKETS[:2])
    end(study, claim(study, me), TrialState.FAIL, reason=reason)
    reconcile(study, TICKETS[:2])
    claim(study, me)
    (running,) = by_state(study, TrialState.RUNNING)
    assert running.user_attrs["ticket"] == TICKETS[first].key


def test_trials_of_others_are_left_alone(study: optuna.Study, storage: ResilientStorage) -> None:
    study.enqueue_trial({"x": 1})
    running = study.ask()
    study.ask()
    assert reconcile(study, []) == NOTHING
    assert not queue.anybody_at_work(storage, study)
    study.tell(running, 1.0)


def test_long_plan_is_reconciled_in_one_transaction(study: optuna.Study) -> None:
    many = [Ticket(f"{n:05d}", {"x": n}) for n in range(2000)]
    assert reconcile(study, many).added == 2000
    assert reconcile(study, many) == NOTHING


@pytest.mark.parametrize("sampler", ["random", "qmc"])
def test_random_plans_are_the_same_each_time_and_longer_ones_begin_alike(sampler: str) -> None:
    def points(n: int, seed: int = 0) -> list[Ticket]:
        return plan(parse_spec(with_preset({}, {"seed": seed, "search": {"sampler": sampler, "trials": n}})))

    ten, twenty = points(10), points(20)
    assert twenty[:10] == ten == points(10)
    assert len({tuple(t.fixed.items()) for t in twenty}) == 20
    assert points(10, seed=1) != ten


def test_tpe_plan_is_blank() -> None:
    blank = plan(parse_spec(with_preset({}, {"search": {"trials": 3}})))
    assert [ticket.fixed for ticket in blank] == [{}, {}, {}]
