"""Standing workers: they serve every open study of a database by fair share, and wait for more."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.trial import TrialState

from ..storage import fleet, tallies, tickets
from ..storage.mistakes import Mistake
from ..storage.resilient import ResilientStorage
from ..storage.tables import STUDIES, STUDY_ATTRIBUTES, TRIALS, USER_ATTRIBUTES
from . import gate, queue, records
from .crew import Crew, Ended, Slot, exit_reason
from .gate import Gate
from .interrupts import Interrupts
from .owner import this_machine, this_worker
from .study_data import check_study_data

LOOK_SECONDS = 1.0
CARE_SECONDS = 5.0
"""How often the queues of all studies are put right, and how often the service says that it lives."""
SLICE_SECONDS = 60.0
"""A worker stays so long with a study before it looks after one that has one worker less and got less so far."""
REFUSED_SECONDS = 300.0
"""After so long a study that could not be served from here is tried again: its data may have come."""


@dataclass(frozen=True)
class Share:
    """What a study has got so far: the tickets that wait, the workers at it now, the seconds of all of them."""

    study: str
    study_id: int
    waiting: int
    workers: int
    seconds: float


def shares(storage: ResilientStorage) -> list[Share]:
    """Every open study with waiting tickets, the one that has got least first.

    Open is a study that nobody has stopped or paused and whose budgets are not used up. Workers that have died, or are
    silent for so long that they count as dead, do not count.
    """
    return storage.transaction(lambda connection, _again: read_shares(connection))


def read_shares(connection: sa.Connection) -> list[Share]:
    """The same, within a transaction."""
    alive = [worker for worker in fleet.read_workers(connection) if worker.study is not None]
    found = []
    for study_id, name, waiting in _tickets(connection, _WAITING):
        attributes = records.decode(tickets.read_attributes(connection, study_id))
        try:
            spec = records.spec_in(name, attributes)
        except records.StudyError:
            continue  # of another version of greentune, which serves it
        if gate.look(connection, study_id, spec, attributes) is Gate.OPEN:
            spent = tallies.worker_seconds(connection, study_id)
            workers = sum(w.study == name and w.silence <= spec.run.expiry_seconds for w in alive)
            found.append(Share(name, study_id, waiting, workers, spent))
    return sorted(found, key=lambda share: (share.workers, share.seconds, share.study_id))


def leave_for_others(storage: ResilientStorage, study: str) -> Callable[[], bool]:
    """For a worker of `study`: whether another study needs it more, asked after each trial."""
    began = asked = time.monotonic()

    def needed_elsewhere() -> bool:
        nonlocal asked
        if time.monotonic() - asked < LOOK_SECONDS:
            return False  # trials may be shorter than the question
        asked = time.monotonic()
        return is_needed_elsewhere(shares(storage), study, stayed=time.monotonic() - began)

    return needed_elsewhere


def is_needed_elsewhere(known: list[Share], study: str, *, stayed: float) -> bool:
    """Whether a worker that has stayed with `study` for so many seconds does more good at another one.

    With two workers more than another study it goes at once. With one more they would only change places, so it goes
    after a while, and to a study that has got less.
    """
    mine = next((share for share in known if share.study == study), None)
    others = [share for share in known if share.study != study]
    if mine is None or not others:
        return False  # without a waiting ticket it ends anyway
    gap = mine.workers - others[0].workers
    return gap >= 2 or (gap == 1 and stayed > SLICE_SECONDS and others[0].seconds < mine.seconds)


class Service:
    """A crew that takes its work from whichever study has got least.

    Args:
        crew: the workers of this machine.
        idle_exit: seconds without any work after which it ends; None: never.
        say: where sentences on the progress go.
    """

    def __init__(
        self, storage: ResilientStorage, *, crew: Crew, idle_exit: float | None, say: Callable[[str], None]
    ) -> None:
        self._storage, self._crew, self._idle_exit, self._say = storage, crew, idle_exit, say
        self._me = this_worker(None, f"{len(crew.slots)} standing")
        self._refused: dict[str, float] = {}
        self._checked: set[str] = set()
        self._settled: set[str] = set()
        self._cared = float("-inf")
        self._worked = time.monotonic()

    def run(self) -> bool:
        """Serve until it is told to end, or was idle for too long.

        Returns:
            True when it ended by itself.
        """
        interrupts = Interrupts(self._stopping)
        with interrupts.counted():
            try:
                while not interrupts.count and not self._idle_for_too_long():
                    self._look_after()
                    self._wait(interrupts)
            finally:
                self._crew.end(at_once=lambda: interrupts.count > 1)
                self._settled.clear()
                self._reconcile()
                fleet.leave(self._storage, self._me.id)
        return interrupts.count == 0

    def _stopping(self) -> None:
        self._storage.patience.hurry()
        self._say("Stopping: running tickets go back to the queue.")

    def _look_after(self) -> None:
        for ended in self._crew.collect(self._results):
            self._take_note(ended)
        if time.monotonic() - self._cared > CARE_SECONDS:
            self._cared = time.monotonic()
            fleet.join(self._storage, self._me)
            self._reconcile()
        for slot in self._crew.free():
            if not self._give_work(slot):
                break

    def _wait(self, interrupts: Interrupts) -> None:
        """Until the next look; less when a worker has ended or Ctrl-C was pressed."""
        limit = time.monotonic() + LOOK_SECONDS
        while time.monotonic() < limit and not interrupts.count and not self._crew.any_ended():
            time.sleep(LOOK_SECONDS / 10)

    def _give_work(self, slot: Slot) -> bool:
        """Start a worker of the study that has got least; False when there is none for it."""
        running = self._storage.transaction(_running_here)
        busy, starting = Counter[str](), Counter[str]()
        for each in self._crew.busy:
            assert each.process is not None
            assert each.study is not None
            busy[each.study] += 1
            starting[each.study] += each.process.pid not in running  # it will take one of the waiting tickets
        known = [share for share in shares(self._storage) if starting[share.study] < share.waiting]
        for share in sorted(known, key=lambda share: (max(share.workers, busy[share.study]), share.seconds)):
            if self._may_serve(share.study):
                study = optuna.load_study(study_name=share.study, storage=self._storage)
                spec = records.read_spec(study)
                self._crew.start(slot, spec, results=self._results(share.study), options=("--share",))
                self._say(f"worker {slot.place.worker} works on study {share.study}")
                return True
        return False

    def _may_serve(self, name: str) -> bool:
        """Whether this host has the data of a study; looked at once."""
        if time.monotonic() < self._refused.get(name, 0.0):
            return False
        if name in self._checked:
            return True
        study = optuna.load_study(study_name=name, storage=self._storage)
        try:
            check_study_data(study, records.read_spec(study))
        except Mistake as mistake:
            self._refuse(name, str(mistake))
            return False
        self._checked.add(name)
        return True

    def _refuse(self, name: str, why: str) -> None:
        self._checked.discard(name)
        self._refused[name] = time.monotonic() + REFUSED_SECONDS
        self._say(f"study {name} is not served from here for {REFUSED_SECONDS / 60:.0f} min: {why}")

    def _take_note(self, ended: Ended) -> None:
        """Say why a worker ended, and put its ticket back with that reason."""
        worker, log = ended.slot.place.worker, self._crew.log_of(ended.slot)
        study = optuna.load_study(study_name=ended.study, storage=self._storage)
        if ended.code == 0:
            return
        if ended.code == records.EXIT_DATA:
            self._refuse(ended.study, f"the reason is in {log}")
            return
        if ended.code == records.EXIT_SETUP:
            self._say(f"study {ended.study} has stopped: {' '.join(records.stopped_by(study)) or f'see {log}'}")
            return
        why = exit_reason(ended.code, out_of_memory=ended.out_of_memory)
        self._say(f"worker {worker} of study {ended.study} ended by {why}; its ticket goes back ({log})")
        reason = "oom" if ended.out_of_memory else "lost"
        queue.give_back(study, self._storage, pid=ended.pid, reason=reason, detail=f"its worker ended by {why}")
        self._cared = float("-inf")
        self._look_for_a_crash_loop(study, ended)

    def _look_for_a_crash_loop(self, study: optuna.Study, ended: Ended) -> None:
        times = records.read_spec(study).run.crash_loop
        rows = self._storage.transaction(lambda connection, _again: tickets.read_rows(connection, study._study_id))
        stop = gate.crash_loop(rows, times=times, begun=study.user_attrs.get(records.BEGUN))
        if stop is not None:
            records.stop(study, [stop])
            self._say(f"study {ended.study} has stopped: {stop}")
        elif ended.slot.crashes >= times:  # before they took a ticket: it is this host's fault
            ended.slot.crashes = 0
            self._refuse(ended.study, f"its workers died {times} times in a row; see {self._crew.log_of(ended.slot)}")

    def _reconcile(self) -> None:
        """Put the queues right: of the studies at work, and once of the others, whose workers may all have died."""
        unfinished = self._storage.transaction(lambda connection, _again: _tickets(connection, _UNFINISHED))
        at_work = {name for _, name, _ in unfinished}
        for name in records.study_names(self._storage):
            if name in self._settled and name not in at_work:
                continue
            study = optuna.load_study(study_name=name, storage=self._storage)
            try:
                spec = records.read_spec(study)
            except Mistake as mistake:
                self._refuse(name, str(mistake))
                self._settled.add(name)
                continue
            if queue.reconcile(study, self._storage, queue.plan(spec), spec.run).added or name in at_work:
                self._settled.discard(name)
            else:
                self._settled.add(name)

    def _results(self, name: str) -> int:
        study_id = self._storage.get_study_id_from_name(name)
        return tallies.results(self._storage, study_id)

    def _idle_for_too_long(self) -> bool:
        if self._crew.busy or not self._crew.free():  # at work, or held back after a crash
            self._worked = time.monotonic()
        return self._idle_exit is not None and time.monotonic() - self._worked > self._idle_exit


def _in_states(states: tuple[TrialState, ...]) -> sa.Select[Any]:
    """Id, name and number of tickets of the studies of greentune that have tickets in one of the states."""
    ours = sa.select(STUDY_ATTRIBUTES.c.study_id).where(STUDY_ATTRIBUTES.c.key == records.SPEC)
    joined = STUDIES.join(TRIALS, TRIALS.c.study_id == STUDIES.c.study_id)
    return (
        sa.select(STUDIES.c.study_id, STUDIES.c.study_name, sa.func.count())
        .select_from(joined.join(USER_ATTRIBUTES, USER_ATTRIBUTES.c.trial_id == TRIALS.c.trial_id))
        .where(TRIALS.c.state.in_(states), USER_ATTRIBUTES.c.key == "ticket", STUDIES.c.study_id.in_(ours))
        .group_by(STUDIES.c.study_id, STUDIES.c.study_name)
        .order_by(STUDIES.c.study_id)
    )


_WAITING = _in_states((TrialState.WAITING,))
_UNFINISHED = _in_states((TrialState.WAITING, TrialState.RUNNING))


def _tickets(connection: sa.Connection, query: sa.Select[Any]) -> list[tuple[int, str, int]]:
    return [(row[0], row[1], row[2]) for row in connection.execute(query)]


def _running_here(connection: sa.Connection, _again: bool) -> set[int]:
    """Ids of the processes of this machine that have a trial in hand."""
    owners = (
        sa.select(USER_ATTRIBUTES.c.value_json)
        .join(TRIALS, TRIALS.c.trial_id == USER_ATTRIBUTES.c.trial_id)
        .where(TRIALS.c.state == TrialState.RUNNING, USER_ATTRIBUTES.c.key == "owner")
    )
    found = [json.loads(text) for text in connection.scalars(owners)]
    return {owner["pid"] for owner in found if owner.get("machine") == this_machine()}
