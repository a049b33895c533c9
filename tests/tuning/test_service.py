"""Standing workers: fair share over the studies of a database, and what they do when workers or studies go wrong."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from greentune.storage import fleet, tickets
from greentune.storage.rdb import open_storage
from greentune.storage.resilient import ResilientStorage
from greentune.storage.tickets import Claim
from greentune.tuning import joining, queue, records, service
from greentune.tuning.crew import Crew, Place
from greentune.tuning.machine import Machines
from greentune.tuning.owner import owner_of, this_worker
from greentune.tuning.service import Service, Share, is_needed_elsewhere, shares
from greentune.tuning.study_data import OtherData

from ..simulation.study import FINGERPRINT, WORKER, new_study, spec_of, wrong_with


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'a.db'}"


@pytest.fixture(autouse=True)
def simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    """This host has the data of every study, and their trials take a tenth of a second."""
    monkeypatch.setattr(service, "check_study_data", lambda _study, _spec: SimpleNamespace(fingerprint=FINGERPRINT))
    monkeypatch.setenv("SIMULATED_SECONDS", "0.1")


def small(url: str, folder: Path, name: str, n: int, **run: Any) -> tuple[ResilientStorage, optuna.Study]:
    """A study of `n` points that have to be run."""
    space = {"dropout_rate": [round(0.01 * i, 2) for i in range(n)], "lstm_units": [[4]], "learning_rate": [0.01]}
    spec = spec_of(name, space=space, run={"beat_seconds": 0.3, **run})
    return new_study(url, spec, folder)


def serve(
    url: str, folder: Path, *, workers: int = 2, idle: float = 2.5, command: tuple[str, ...] = WORKER
) -> tuple[bool, list[str]]:
    """Serve until there is nothing to do; how it ended, and what was said."""
    said: list[str] = []
    machines = Machines(workers=workers)
    ended = joining.serve_studies(
        open_storage(url), url, machines, out=folder, idle_exit=idle, say=said.append, command=command
    )
    return ended, said


def complete(study: optuna.Study) -> int:
    return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))


def meanwhile(seconds: float, act: Callable[[], object]) -> None:
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()


def claim(study: optuna.Study, storage: ResilientStorage) -> Claim:
    worker = replace(this_worker(0, "cpu"), pid=2**22 + 1)  # no such process
    claimed = tickets.claim(storage, study._study_id, owner_of(worker, 0))
    assert claimed is not None
    return claimed


@pytest.mark.long
@pytest.mark.slow
def test_study_submitted_later_gets_its_share_and_both_are_served(url: str, tmp_path: Path) -> None:
    _, first = small(url, tmp_path, "first", 60)
    submitted: list[optuna.Study] = []
    meanwhile(3.0, lambda: submitted.append(small(url, tmp_path, "second", 20)[1]))
    ended, _ = serve(url, tmp_path)
    (second,) = submitted
    assert ended
    assert [wrong_with(each, records.read_spec(each)) for each in (first, second)] == [[], []]
    late = [(t, "first") for t in first.trials] + [(t, "second") for t in second.trials]
    began = min(t.datetime_start for t in second.trials if t.datetime_start)
    over = max(t.datetime_complete for t in second.trials if t.datetime_complete)
    together = [(t.datetime_start, t.datetime_complete, name) for t, name in late if overlaps(t, began, over)]
    seconds: Counter[str] = Counter()
    for start, end, name in together:
        seconds[name] += (min(end, over) - max(start, began)).total_seconds()  # type: ignore[operator, type-var]
    assert seconds["first"] > 0.4 * seconds["second"]  # neither starves while both have work
    assert max(t.datetime_complete for t in first.trials if t.datetime_complete) > began


def overlaps(trial: optuna.trial.FrozenTrial, began: datetime, over: datetime) -> bool:
    start, end = trial.datetime_start, trial.datetime_complete
    return start is not None and end is not None and start < over and end > began


def test_study_with_fewest_workers_comes_first_then_the_one_with_least_time(url: str, tmp_path: Path) -> None:
    storage, _ = small(url, tmp_path, "a", 2)
    _, spent = small(url, tmp_path, "b", 2)
    small(url, tmp_path, "c", 2)
    tickets.finish(storage, claim(spent, storage).trial_id, TrialState.COMPLETE, value=1.0, facts={})
    fleet.join(storage, replace(this_worker(0, "cpu"), study="a"))
    assert [(share.study, share.workers, share.waiting) for share in shares(storage)] == [
        ("c", 0, 2),
        ("b", 0, 1),
        ("a", 1, 2),
    ]


def test_workers_that_have_died_silently_have_no_share(url: str, tmp_path: Path) -> None:
    storage, _ = small(url, tmp_path, "a", 2, beat_seconds=0.01, expiry_seconds=0.05)
    fleet.join(storage, replace(this_worker(0, "cpu"), study="a"))
    assert shares(storage)[0].workers == 1
    time.sleep(0.1)
    assert shares(storage)[0].workers == 0


def test_studies_that_are_paused_stopped_over_or_of_another_version_are_not_served(url: str, tmp_path: Path) -> None:
    storage, paused = small(url, tmp_path, "paused", 1)
    _, stopped = small(url, tmp_path, "stopped", 1)
    _, wrong = small(url, tmp_path, "wrong", 1)
    _, over = small(url, tmp_path, "over", 1)
    _, newer = small(url, tmp_path, "newer", 1)
    small(url, tmp_path, "open", 1)
    records.order(paused, records.PAUSE)
    records.order(stopped, records.STOP)
    records.stop(wrong, ["the metric does not exist"])
    records.begin_run(over, now=fleet.now(storage) - 10, timeout=5)
    newer.set_user_attr(records.SPEC, newer.user_attrs[records.SPEC].replace('"seed"', '"seeds"'))
    assert [share.study for share in shares(storage)] == ["open"]


@pytest.mark.parametrize(
    ("mine", "others", "stayed", "leaves"),
    [
        ((2, 50.0), [(0, 0.0)], 0, True),
        ((2, 50.0), [(1, 9.0)], 0, False),
        ((2, 50.0), [(1, 9.0)], 99, True),
        ((2, 9.0), [(1, 50.0)], 99, False),  # they would only change places
        ((1, 50.0), [(0, 9.0)], 10, False),
        ((1, 50.0), [(0, 9.0)], 99, True),
        ((1, 50.0), [(1, 9.0)], 99, False),
        ((5, 50.0), [], 99, False),
    ],
)
def test_worker_leaves_for_a_study_that_needs_it_more(
    mine: tuple[int, float], others: list[tuple[int, float]], stayed: float, leaves: bool
) -> None:
    known = [Share(f"other{i}", i, 3, *other) for i, other in enumerate(others)] + [Share("mine", 9, 3, *mine)]
    assert is_needed_elsewhere(known, "mine", stayed=stayed) is leaves


def test_no_more_workers_are_started_than_tickets_wait(url: str, tmp_path: Path) -> None:
    _, study = small(url, tmp_path, "one", 1)
    _, said = serve(url, tmp_path, workers=3, idle=0.5)
    assert [sentence for sentence in said if "works on" in sentence] == ["worker 0 works on study one"]
    assert complete(study) == 1


def test_last_ticket_whose_worker_died_between_two_steps_is_not_forgotten(url: str, tmp_path: Path) -> None:
    storage, study = small(url, tmp_path, "one", 1)
    tickets.finish(storage, claim(study, storage).trial_id, TrialState.FAIL, facts={"reason": "interrupted"})
    assert study.get_trials(states=(TrialState.WAITING, TrialState.RUNNING)) == []
    serve(url, tmp_path, idle=1.0)
    assert complete(study) == 1


def test_other_data_on_this_host_are_refused_once_and_the_other_study_served(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(study: optuna.Study, _spec: object) -> None:
        if study.study_name == "elsewhere":
            raise OtherData("The data at x.csv differ from those of the study 'elsewhere'.")

    monkeypatch.setattr(service, "check_study_data", load)
    _, elsewhere = small(url, tmp_path, "elsewhere", 2)
    _, here = small(url, tmp_path, "here", 2)
    _, said = serve(url, tmp_path, idle=1.0)
    refusals = [sentence for sentence in said if "not served" in sentence]
    assert len(refusals) == 1
    assert "x.csv differ" in refusals[0]
    assert (complete(here), complete(elsewhere)) == (2, 0)
    assert records.stopped_by(elsewhere) == []


def test_workers_that_die_before_their_first_ticket_are_not_started_for_ever(url: str, tmp_path: Path) -> None:
    _, study = small(url, tmp_path, "broken", 3, crash_loop=2)
    broken = (sys.executable, "-c", "import sys; sys.exit(9)")
    _, said = serve(url, tmp_path, workers=1, idle=2.0, command=broken)
    assert "its workers died 2 times in a row" in said[-1]
    assert [t.state for t in study.trials] == [TrialState.WAITING] * 3
    assert records.stopped_by(study) == []


def test_trials_that_kill_their_workers_stop_the_study(url: str, tmp_path: Path) -> None:
    _, study = small(url, tmp_path, "deadly", 5, crash_loop=2)
    deadly = tmp_path / "deadly.py"
    deadly.write_text(
        f"import os, sys; sys.path[:0] = [{str(Path(__file__).parents[2])!r}]\n"
        "from tests.simulation import worker\n"
        "worker.train = lambda *given, **named: os.kill(os.getpid(), 9)\n"
        "worker.main()\n"
    )
    _, said = serve(url, tmp_path, workers=1, idle=2.0, command=(sys.executable, "-P", str(deadly)))
    assert "failed 2 times in a row" in records.stopped_by(study)[0]
    assert any("SIGKILL" in sentence for sentence in said)
    reasons = Counter(t.user_attrs["reason"] for t in study.trials if t.state is TrialState.FAIL)
    assert reasons == Counter(lost=2)


def test_ticket_of_a_worker_that_the_kernel_killed_for_memory_fails_as_oom(url: str, tmp_path: Path) -> None:
    storage, study = small(url, tmp_path, "large", 1)
    crew = Crew([Place(0)], url, tmp_path / "logs", command=(sys.executable, "-c", "import time; time.sleep(60)"))
    standing = Service(storage, crew=crew, idle_exit=None, say=lambda _sentence: None)
    standing._look_after()
    (slot,) = crew.busy
    assert slot.process is not None
    owner = owner_of(replace(this_worker(0, "cpu"), pid=slot.process.pid), 0)
    tickets.claim(storage, study._study_id, owner)
    os.kill(slot.process.pid, 9)
    slot.process.wait()
    crew._kills = -1  # as if the kernel had counted one more since
    standing._look_after()
    crew.end(at_once=lambda: True)
    assert [t.user_attrs.get("reason") for t in study.trials] == ["oom"]


def test_standing_worker_is_seen_in_the_fleet_and_leaves_it(url: str, tmp_path: Path) -> None:
    storage, _ = small(url, tmp_path, "one", 1)
    seen: list[fleet.Worker] = []
    meanwhile(0.5, lambda: seen.extend(fleet.workers(open_storage(url))))
    serve(url, tmp_path, idle=1.0)
    assert [worker.device for worker in seen if worker.worker is None] == ["2 standing"]
    assert fleet.workers(storage) == []


def test_worker_that_left_the_table_while_its_machine_slept_joins_again(url: str, tmp_path: Path) -> None:
    storage, study = small(url, tmp_path, "one", 1)
    sleeper = replace(this_worker(0, "cpu"), study="one")
    fleet.join(storage, sleeper)
    storage.transaction(lambda connection, _again: fleet.forget(connection, -1))
    heard = fleet.beat(storage, sleeper.id, study="one", trial_id=None)
    assert heard.forgotten
    fleet.join(storage, sleeper)
    assert not fleet.beat(storage, sleeper.id, study="one", trial_id=None).forgotten
    assert queue.anybody_at_work(storage, study)


def test_time_of_a_submitted_study_begins_with_its_first_trial_and_keeps_a_pause(url: str, tmp_path: Path) -> None:
    storage, study = small(url, tmp_path, "timed", 3)
    spec = records.read_spec(study)
    search = spec.search.model_copy(update={"timeout": 600.0})
    records.write_spec(study, spec.model_copy(update={"search": search}))
    records.begin_run(study, now=fleet.now(storage), timeout=None)  # as `tune submit` does
    assert study.user_attrs[records.UNTIL] is None
    time.sleep(0.5)
    before = fleet.now(storage)
    serve(url, tmp_path, idle=1.0)
    began = min(t.datetime_start.timestamp() for t in study.trials if t.datetime_start)
    assert before + 600 < study.user_attrs[records.UNTIL] <= began + 600 + 0.1
    assert complete(study) == 3


def test_clock_that_starts_does_not_take_back_an_order(url: str, tmp_path: Path) -> None:
    storage, study = small(url, tmp_path, "timed", 1)
    records.order(study, records.PAUSE)
    records.start_clock(study, now=fleet.now(storage), timeout=5)
    assert study.user_attrs[records.CONTROL] == records.PAUSE
