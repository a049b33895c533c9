"""Standing workers: they serve every open study of a database by fair share, and wait for more."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import optuna
import sqlalchemy as sa
from optuna.storages._rdb.models import StudyModel, StudyUserAttributeModel, TrialModel, TrialUserAttributeModel
from optuna.trial import TrialState
from sqlalchemy.orm import Session

from ..storage import fleet, tickets
from ..storage.mistakes import Mistake
from ..storage.resilient import ResilientStorage
from . import gate, queue, records
from .crew import Crew, Slot, exit_reason
from .gate import Gate
from .interrupts import Interrupts
from .spec import StudySpec
from .study_data import load_study_data

LOOK_SECONDS = 1.0
RECONCILE_SECONDS = 5.0
SLICE_SECONDS = 60.0
"""A worker stays so long with a study before it looks after one that has as many workers less one."""

_log = logging.getLogger("greentune.service")


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

    Open is a study that nobody has stopped or paused and whose budgets are not used up.
    """
    now = fleet.now(storage)
    at_work = [worker.study for worker in fleet.workers(storage)]
    found = []
    for study_id, name, waiting in storage.transaction(_waiting):
        study = optuna.load_study(study_name=name, storage=storage)
        spec = records.read_spec(study)
        if gate.look(storage, study_id, spec, study.user_attrs, now=now) is Gate.OPEN:
            spent = tickets.worker_seconds(storage, study_id)
            found.append(Share(name, study_id, waiting, at_work.count(name), spent))
    return sorted(found, key=lambda share: (share.workers, share.seconds, share.study_id))


def leave_for_others(storage: ResilientStorage, study: str) -> Callable[[], bool]:
    """For a worker of `study`: whether another study needs it more, asked after each trial."""
    began = time.monotonic()

    def needed_elsewhere() -> bool:
        known = shares(storage)
        mine = next((share.workers for share in known if share.study == study), 1)
        others = [share.workers for share in known if share.study != study]
        if not others:
            return False
        gap = mine - min(others)
        return gap >= 2 or (gap == 1 and time.monotonic() - began > SLICE_SECONDS)

    return needed_elsewhere


class Service:
    """A crew that takes its work from whichever study has got least.

    Args:
        crews: the workers of this machine for the studies of a backend.
        idle_exit: seconds without any work after which it ends; None: never.
        say: where sentences on the progress go.
    """

    def __init__(
        self, storage: ResilientStorage, *, crew: Crew, idle_exit: float | None, say: Callable[[str], None]
    ) -> None:
        self._storage, self._crew, self._idle_exit, self._say = storage, crew, idle_exit, say
        self._refused: set[str] = set()
        self._checked: set[str] = set()
        self._reconciled = 0.0
        self._worked = time.monotonic()

    def run(self) -> bool:
        """Serve until it is told to end, or was idle for too long.

        Returns:
            True when it ended by itself.
        """
        interrupts = Interrupts(lambda: self._say("Stopping: running tickets go back to the queue."))
        with interrupts.counted():
            try:
                while not interrupts.count and not self._idle_for_too_long():
                    self._look_after()
                    time.sleep(LOOK_SECONDS)
            finally:
                if interrupts.count:
                    self._storage.patience.hurry()
                self._crew.end(at_once=lambda: interrupts.count > 1)
        return interrupts.count == 0

    def _look_after(self) -> None:
        for ended in self._crew.collect(self._results):
            if ended.code == records.EXIT_DATA:
                self._refuse(ended.study, f"the reason is in {self._crew.log_of(ended.slot)}")
            elif ended.code != 0:
                why = exit_reason(ended.code, out_of_memory=ended.out_of_memory)
                self._say(f"worker {ended.slot.place.worker} of study {ended.study} ended by {why}")
        if time.monotonic() - self._reconciled > RECONCILE_SECONDS:
            self._reconciled = time.monotonic()
            self._reconcile()
        for slot in self._crew.free():
            if not self._give_work(slot):
                break
        if self._crew.busy:
            self._worked = time.monotonic()

    def _give_work(self, slot: Slot) -> bool:
        starting: dict[str, int] = {}
        for busy in self._crew.busy:
            starting[busy.study or ""] = starting.get(busy.study or "", 0) + 1
        for share in sorted(shares(self._storage), key=lambda s: (max(s.workers, starting.get(s.study, 0)), s.seconds)):
            here = starting.get(share.study, 0)
            if share.study in self._refused or here > share.waiting or not self._may_serve(share.study):
                continue
            study = optuna.load_study(study_name=share.study, storage=self._storage)
            self._crew.start(slot, records.read_spec(study), results=self._results(share.study), options=("--share",))
            self._say(f"worker {slot.place.worker} works on study {share.study}")
            return True
        return False

    def _may_serve(self, name: str) -> bool:
        """Whether this host has the data of a study; looked at once, and begun with its time limit."""
        if name in self._checked:
            return True
        study = optuna.load_study(study_name=name, storage=self._storage)
        spec = records.read_spec(study)
        try:
            load_study_data(study, spec)
        except Mistake as mistake:
            self._refuse(name, str(mistake))
            return False
        self._checked.add(name)
        return True

    def _refuse(self, name: str, why: str) -> None:
        self._refused.add(name)
        self._say(f"study {name} is not served from here: {why}")

    def _reconcile(self) -> None:
        for _, name, _ in self._storage.transaction(_unfinished):
            study = optuna.load_study(study_name=name, storage=self._storage)
            spec: StudySpec = records.read_spec(study)
            queue.reconcile(study, self._storage, queue.plan(spec), spec.run)

    def _results(self, name: str) -> int:
        study_id = self._storage.get_study_id_from_name(name)
        return tickets.results(self._storage, study_id)

    def _idle_for_too_long(self) -> bool:
        return self._idle_exit is not None and time.monotonic() - self._worked > self._idle_exit


def _waiting(session: Session, _again: bool) -> list[tuple[int, str, int]]:
    return _ours(session, (TrialState.WAITING,))


def _unfinished(session: Session, _again: bool) -> list[tuple[int, str, int]]:
    return _ours(session, (TrialState.WAITING, TrialState.RUNNING))


def _ours(session: Session, states: tuple[TrialState, ...]) -> list[tuple[int, str, int]]:
    """Id, name and number of tickets of the studies of greentune that have tickets in one of the states."""
    model = TrialUserAttributeModel
    ours = sa.select(StudyUserAttributeModel.study_id).where(StudyUserAttributeModel.key == records.SPEC)
    query = (
        sa.select(StudyModel.study_id, StudyModel.study_name, sa.func.count())
        .join(TrialModel, TrialModel.study_id == StudyModel.study_id)
        .join(model, model.trial_id == TrialModel.trial_id)
        .where(TrialModel.state.in_(states), model.key == "ticket", StudyModel.study_id.in_(ours))
        .group_by(StudyModel.study_id, StudyModel.study_name)
        .order_by(StudyModel.study_id)
    )
    return [(study_id, name, n) for study_id, name, n in session.execute(query)]
