"""Works off one study on this machine: starts workers, replaces those that end, and leaves a consistent queue."""

from __future__ import annotations

import time
from enum import Enum

import optuna

from ..storage.resilient import ResilientStorage
from . import gate, queue, records
from .crew import Crew, Ended, exit_reason
from .gate import Gate
from .interrupts import Interrupts
from .progress import Progress
from .snapshot import Snapshot, take_snapshot
from .spec import SpecError, StudySpec

POLL_SECONDS = 0.1
POLLS_BETWEEN_LOOKS = 10
"""The supervisor shares the cores with its workers: it reads the trial table once a second."""
RECONCILE_SECONDS = 5.0


class Outcome(Enum):
    """How the work on a study ended."""

    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    STOPPED = "stopped"


class Supervisor:
    """Runs a crew until no ticket waits, a budget is used up or somebody says stop, here or from another machine.

    Args:
        crew: the workers of this machine.
    """

    def __init__(
        self, study: optuna.Study, storage: ResilientStorage, spec: StudySpec, *, crew: Crew, progress: Progress
    ) -> None:
        self._study, self._storage, self._spec = study, storage, spec
        self._crew, self._progress = crew, progress
        self._tickets = queue.plan(spec)
        self._spec_text: str | None = None
        self._reconciled = 0.0
        self._results = 0
        self._told = Gate.OPEN
        self._stopped = False

    def run(self) -> Outcome:
        """Work off the queue.

        Returns:
            how it ended; the queue is consistent in any case.

        Raises:
            SpecError: workers found the set-up wrong, or died again and again.
        """
        interrupts = Interrupts(self._stopping)
        with interrupts.counted():
            try:
                while self._look_after() and not interrupts.count:
                    self._wait(interrupts)
            finally:
                self._crew.end(at_once=lambda: interrupts.count > 1)
                self._reconcile()
        self._progress.show(take_snapshot(self._study))
        if interrupts.count:
            return Outcome.INTERRUPTED
        return Outcome.STOPPED if self._stopped else Outcome.FINISHED

    def _stopping(self) -> None:
        self._storage.patience.hurry()
        self._progress.say("Stopping: running tickets go back to the queue. Once more to stop at once.")

    def _look_after(self) -> bool:
        """Replace ended workers, start missing ones, show the state; False when there is nothing left to do."""
        ended = self._crew.collect(lambda _study: self._results)
        for each in ended:
            self._take_note(each)
        busy = self._crew.busy
        if ended or not busy or time.monotonic() - self._reconciled > RECONCILE_SECONDS:
            self._reconcile()
        snapshot = take_snapshot(self._study)
        self._results = snapshot.finished
        self._progress.show(snapshot)
        opening = self._opening()
        if opening is Gate.CLOSED:
            return bool(busy)
        if snapshot.waiting == 0:
            return snapshot.open > 0 or self._anything_back()
        if opening is Gate.OPEN:
            self._start_missing(snapshot)
        return True

    def _anything_back(self) -> bool:
        """Whether a ticket waits once more: the last trials may have failed a moment ago, and be tried again."""
        self._reconcile()
        return take_snapshot(self._study).open > 0

    def _start_missing(self, snapshot: Snapshot) -> None:
        here = {slot.process.pid for slot in self._crew.busy if slot.process is not None}
        working = sum(running.pid in here for running in snapshot.workers)
        starting = len(here) - working  # up, but without a trial yet: each will take a ticket
        for slot in self._crew.free()[: max(0, snapshot.waiting - starting)]:
            self._crew.start(slot, self._spec, results=snapshot.finished)

    def _opening(self) -> Gate:
        """What the study's orders and budgets say, told when they change."""
        attributes = self._study.user_attrs
        self._take_over(attributes[records.SPEC])
        messages = attributes.get(records.STOPPED)
        if messages:
            raise SpecError(messages)
        self._stopped = attributes.get(records.CONTROL) == records.STOP
        opening = gate.opening(self._storage, self._study._study_id, self._spec, attributes)
        if opening is not self._told:
            self._told = opening
            why = gate.used_up(self._storage, self._study._study_id, self._spec, attributes)
            self._progress.say(_OPENINGS[records.STOP if self._stopped else opening.value].format(why=why))
        return opening

    def _take_over(self, text: str) -> None:
        """Somebody has extended the study from another machine."""
        if self._spec_text not in (None, text):
            self._spec = StudySpec.from_json(text)
            self._tickets = queue.plan(self._spec)
        self._spec_text = text

    def _take_note(self, ended: Ended) -> None:
        """Say why a worker ended, and put its ticket back with that reason."""
        if ended.code == records.EXIT_SETUP:
            raise SpecError(records.stopped_by(self._study) or [self._log_sentence(ended)])
        if ended.code == records.EXIT_DATA:
            raise SpecError(self._log_sentence(ended))
        if ended.code == 0:
            return
        why = exit_reason(ended.code, out_of_memory=ended.out_of_memory)
        reason = "oom" if ended.out_of_memory else "lost"
        queue.give_back(self._study, self._storage, pid=ended.pid, reason=reason, detail=f"its worker ended by {why}")
        log, limit = self._crew.log_of(ended.slot), self._spec.run.crash_loop
        if all(slot.crashes >= limit for slot in self._crew.slots):
            raise SpecError(
                f"Every worker has died {limit} times in a row, last by {why}. The last words are in {log}."
            )
        again = "its trial has failed" if reason == "oom" and self._spec.run.oom == "fail" else "its ticket goes back"
        self._progress.say(f"worker {ended.slot.place.worker} ended by {why}; {again} ({log})")

    def _log_sentence(self, ended: Ended) -> str:
        return f"Worker {ended.slot.place.worker} refused to work; the reason is in {self._crew.log_of(ended.slot)}."

    def _reconcile(self) -> None:
        queue.reconcile(self._study, self._storage, self._tickets, self._spec.run)
        self._reconciled = time.monotonic()

    def _wait(self, interrupts: Interrupts) -> None:
        """Until the next look at the database: a second, less when a worker has ended or Ctrl-C was pressed."""
        for _ in range(POLLS_BETWEEN_LOOKS):
            time.sleep(POLL_SECONDS)
            if self._crew.any_ended() or interrupts.count:
                return


_OPENINGS = {
    Gate.OPEN.value: "Going on.",
    Gate.PAUSED.value: "Paused: no new trial begins until `tune resume`.",
    Gate.CLOSED.value: "{why}: running trials are finished, no new one begins.",
    records.STOP: "Stopped by `tune stop`: running tickets go back to the queue.",
}
