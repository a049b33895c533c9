from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from greentune.storage.rdb import open_storage
from greentune.tuning import queue
from greentune.tuning.owner import is_alive, this_owner
from greentune.tuning.presets import with_preset
from greentune.tuning.queue import Ticket, claim, fail, plan, reconcile
from greentune.tuning.spec import parse_spec

TICKETS = [Ticket(f"{number:05d}", {"x": number}) for number in range(4)]


@pytest.fixture
def storage(tmp_path: Path) -> RDBStorage:
    return open_storage(tmp_path / "a.db")


@pytest.fixture
def study(storage: RDBStorage) -> optuna.Study:
    return optuna.create_study(storage=storage, study_name="s")


def by_state(study: optuna.Study, state: TrialState) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(state,))


def dead_owner() -> dict[str, object]:
    """The owner record of a process that was killed."""
    program = (
        "import json; from greentune.tuning.owner import this_owner\n"
        "print(json.dumps(this_owner(7)), flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        owner: dict[str, object] = json.loads(child.stdout.readline())
        assert is_alive(owner)
        os.kill(child.pid, signal.SIGKILL)
    return owner


def test_reconcile_adds_the_plan_once(study: optuna.Study, storage: RDBStorage) -> None:
    assert reconcile(study, storage, TICKETS).added == 4
    assert reconcile(study, storage, TICKETS) == queue.Reconciled(added=0, lost=0, removed=0)
    assert [t.system_attrs["fixed_params"] for t in by_state(study, TrialState.WAITING)] == [t.fixed for t in TICKETS]


def test_claim_takes_each_ticket_in_order_and_then_none(study: optuna.Study, storage: RDBStorage) -> None:
    reconcile(study, storage, TICKETS)
    claimed = [claim(study, storage, this_owner(0)) for _ in range(5)]
    assert claimed[:4] == sorted(c for c in claimed if c is not None)
    assert claimed[4] is None
    assert all(t.user_attrs["owner"]["pid"] == os.getpid() for t in by_state(study, TrialState.RUNNING))


def test_ticket_of_a_dead_worker_goes_back_with_its_parameters(study: optuna.Study, storage: RDBStorage) -> None:
    blank = [Ticket("00000")]
    reconcile(study, storage, blank)
    trial_id = claim(study, storage, dead_owner())
    assert trial_id is not None
    drawn = optuna.trial.Trial(study, trial_id).suggest_float("x", 0, 1)
    changed = reconcile(study, storage, blank)
    assert (changed.lost, changed.added) == (1, 1)
    (lost,) = by_state(study, TrialState.FAIL)
    (again,) = by_state(study, TrialState.WAITING)
    assert lost.user_attrs["reason"] == "lost"
    assert again.system_attrs["fixed_params"] == {"x": drawn}
    assert again.user_attrs["attempt"] == 2


def test_ticket_of_a_living_worker_stays(study: optuna.Study, storage: RDBStorage) -> None:
    reconcile(study, storage, TICKETS)
    claim(study, storage, this_owner(0))
    assert reconcile(study, storage, TICKETS) == queue.Reconciled(added=0, lost=0, removed=0)


def test_owner_with_a_reused_process_id_is_dead() -> None:
    assert not is_alive(this_owner(0) | {"started": "1"})


def test_owner_on_another_host_counts_as_alive() -> None:
    assert is_alive({"host": "elsewhere", "pid": 1, "started": "1", "worker": 0})


def test_worker_that_died_while_claiming_is_found_after_the_grace(
    study: optuna.Study, storage: RDBStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    reconcile(study, storage, TICKETS)
    storage.set_trial_state_values(study.trials[0]._trial_id, TrialState.RUNNING)
    assert reconcile(study, storage, TICKETS).lost == 0
    monkeypatch.setattr(queue, "CLAIM_GRACE", timedelta(0))
    assert reconcile(study, storage, TICKETS).lost == 1


def test_error_is_tried_once_more_and_nonfinite_never(study: optuna.Study, storage: RDBStorage) -> None:
    tickets = TICKETS[:2]
    reconcile(study, storage, tickets)
    for reason in ("error", "nonfinite"):
        trial_id = claim(study, storage, this_owner(0))
        assert trial_id is not None
        fail(storage, storage.get_trial(trial_id), reason)
    assert reconcile(study, storage, tickets).added == 1
    (again,) = by_state(study, TrialState.WAITING)
    assert again.user_attrs["ticket"] == "00000"
    trial_id = claim(study, storage, this_owner(0))
    assert trial_id is not None
    fail(storage, storage.get_trial(trial_id), "error")
    assert reconcile(study, storage, tickets).added == 0


def test_interrupted_tickets_go_back_as_often_as_it_takes(study: optuna.Study, storage: RDBStorage) -> None:
    tickets = TICKETS[:1]
    for _ in range(4):
        assert reconcile(study, storage, tickets).added == 1
        trial_id = claim(study, storage, this_owner(0))
        assert trial_id is not None
        fail(storage, storage.get_trial(trial_id), "interrupted")


def test_double_tickets_are_removed_and_say_why(study: optuna.Study, storage: RDBStorage) -> None:
    for _ in range(3):
        study.enqueue_trial({"x": 0}, user_attrs={"ticket": "00000", "attempt": 1})
    assert reconcile(study, storage, TICKETS[:1]).removed == 2
    assert [t.user_attrs["reason"] for t in by_state(study, TrialState.FAIL)] == ["duplicate"] * 2
    assert len(by_state(study, TrialState.WAITING)) == 1


def test_result_of_a_trial_declared_dead_does_not_count_twice(study: optuna.Study, storage: RDBStorage) -> None:
    tickets = TICKETS[:1]
    reconcile(study, storage, tickets)
    late_id = claim(study, storage, dead_owner())
    assert late_id is not None
    late = optuna.trial.Trial(study, late_id)
    reconcile(study, storage, tickets)
    with pytest.raises(ValueError, match="Cannot tell a FAIL trial"):
        study.tell(late, 1.0)
    trial_id = claim(study, storage, this_owner(0))
    assert trial_id is not None
    study.tell(optuna.trial.Trial(study, trial_id), 2.0)
    assert [t.value for t in by_state(study, TrialState.COMPLETE)] == [2.0]
    assert reconcile(study, storage, tickets).added == 0


def test_longer_plan_adds_the_difference_and_shorter_withdraws(study: optuna.Study, storage: RDBStorage) -> None:
    reconcile(study, storage, TICKETS[:2])
    assert reconcile(study, storage, TICKETS).added == 2
    assert reconcile(study, storage, TICKETS[:1]).removed == 3
    assert reconcile(study, storage, TICKETS).added == 3


@pytest.mark.parametrize("sampler", ["random", "qmc"])
def test_random_plans_are_the_same_each_time_and_longer_ones_begin_alike(sampler: str) -> None:
    def tickets(n: int, seed: int = 0) -> list[Ticket]:
        return plan(parse_spec(with_preset({}, {"seed": seed, "search": {"sampler": sampler, "trials": n}})))

    ten, twenty = tickets(10), tickets(20)
    assert twenty[:10] == ten == tickets(10)
    assert len({tuple(t.fixed.items()) for t in twenty}) == 20
    assert tickets(10, seed=1) != ten


def test_tpe_plan_is_blank() -> None:
    tickets = plan(parse_spec(with_preset({}, {"search": {"trials": 3}})))
    assert [ticket.fixed for ticket in tickets] == [{}, {}, {}]
