"""Starts the workers of one study on this machine, replaces those that die, and ends with a consistent queue."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import optuna
from optuna.storages import RDBStorage

from ..objectives.compile_cache import default_cache
from ..objectives.runtime import worker_environment
from . import queue, records
from .progress import Progress
from .snapshot import take_snapshot
from .spec import SpecError, StudySpec

POLL_SECONDS = 0.1
POLLS_BETWEEN_LOOKS = 10
"""The supervisor shares the cores with its workers: it reads the trial table once a second."""
CRASHES_IN_A_ROW = 4
"""So many workers dying one after the other, no result between, end the run: something is wrong with the study."""
PATIENCE_SECONDS = 20.0
"""How long asked workers may take to put their tickets back before they are killed."""


@dataclass
class _Slot:
    """A place for one worker: its number, which is also that of its core, its GPU and its process."""

    worker: int
    device: str | None
    process: subprocess.Popen[bytes] | None = None


class Supervisor:
    """Runs ``workers`` processes until no ticket waits, the time is over or somebody presses Ctrl-C.

    Args:
        url: the database; workers receive it in their environment, never as an argument.
        gpus: devices that the workers share, in turn; none: they compute on the CPU.
        logs: folder for what workers print.
        until: Unix time after which no new trial begins; running ones are finished.
    """

    def __init__(
        self,
        study: optuna.Study,
        storage: RDBStorage,
        spec: StudySpec,
        *,
        url: str,
        workers: int,
        gpus: Sequence[str] = (),
        logs: Path,
        until: float | None,
        progress: Progress,
    ) -> None:
        self._study, self._storage, self._spec = study, storage, spec
        self._url, self._logs, self._until, self._progress = url, logs, until, progress
        self._tickets = queue.plan(spec)
        self._slots = [_Slot(worker, gpus[worker % len(gpus)] if gpus else None) for worker in range(workers)]
        self._interrupts = 0
        self._crashes = 0

    def run(self) -> bool:
        """Work off the queue.

        Returns:
            True when it ended by itself, False when it was interrupted; the queue is consistent either way.

        Raises:
            SpecError: workers found the set-up wrong, or died again and again.
        """
        self._logs.mkdir(parents=True, exist_ok=True)
        with self._counting_interrupts():
            try:
                while self._look_after() and not self._interrupts:
                    self._wait()
            finally:
                self._end_workers()
                queue.reconcile(self._study, self._storage, self._tickets)
        self._progress.show(take_snapshot(self._study))
        return self._interrupts == 0

    def _look_after(self) -> bool:
        """Replace ended workers, start missing ones, show the state; False when there is nothing left to do."""
        ended = [self._collect(slot) for slot in self._slots]
        busy = [slot for slot in self._slots if slot.process is not None]
        if any(ended) or not busy:
            queue.reconcile(self._study, self._storage, self._tickets)
        snapshot = take_snapshot(self._study)
        self._progress.show(snapshot)
        if self._until is not None and time.time() >= self._until:
            return bool(busy)
        if snapshot.waiting == 0:
            return snapshot.running > 0  # ours, or those of others: their tickets may still come back
        starting = max(0, len(busy) - snapshot.running)  # up, but without a trial yet: each will take a ticket
        free = [slot for slot in self._slots if slot.process is None]
        for slot in free[: max(0, snapshot.waiting - starting)]:
            self._start(slot)
        return True

    def _wait(self) -> None:
        """Until the next look at the database: a second, less when a worker has ended or Ctrl-C was pressed."""
        for _ in range(POLLS_BETWEEN_LOOKS):
            time.sleep(POLL_SECONDS)
            ended = any(slot.process is not None and slot.process.poll() is not None for slot in self._slots)
            if ended or self._interrupts:
                return

    def _start(self, slot: _Slot) -> None:
        settings = worker_environment(self._spec.backend, device=slot.device, threads=1, cache=default_cache())
        environment = os.environ | settings | {"GREENTUNE_STORAGE": self._url}
        # -P: the working folder is the user's; a queue.py in it must not take the place of Python's own.
        command = [sys.executable, "-P", "-m", "greentune.tuning", "worker", "--study", self._study.study_name]
        command += ["--worker", str(slot.worker), "--parent", str(os.getpid())]
        if self._until is not None:
            command += ["--until", str(self._until)]
        with (self._logs / f"worker-{slot.worker}.log").open("ab") as log:
            slot.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _collect(self, slot: _Slot) -> bool:
        """Whether the slot's worker has ended; a death is said and counted."""
        if slot.process is None or slot.process.poll() is None:
            return False
        code, slot.process = slot.process.returncode, None
        if code == records.EXIT_SETUP:
            raise SpecError(records.stopped_by(self._study))
        if code == 0:
            self._crashes = 0
            return True
        self._crashes += 1
        log = self._logs / f"worker-{slot.worker}.log"
        if self._crashes >= CRASHES_IN_A_ROW:
            raise SpecError(
                f"{self._crashes} workers in a row ended by {exit_reason(code)}. The last words are in {log}."
            )
        self._progress.say(f"worker {slot.worker} ended by {exit_reason(code)}; its ticket goes back ({log})")
        return True

    def _end_workers(self) -> None:
        """Ask every worker to put its ticket back, wait, and kill what does not listen."""
        alive = [slot.process for slot in self._slots if slot.process is not None]
        for process in alive:
            if process.poll() is None:
                process.terminate()
        limit = time.monotonic() + PATIENCE_SECONDS
        for process in alive:
            while process.poll() is None and time.monotonic() < limit and self._interrupts < 2:
                time.sleep(0.05)
            if process.poll() is None:
                process.kill()
            process.wait()

    @contextmanager
    def _counting_interrupts(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM end the loop; a second one does not wait for the workers."""

        def count(_signal: int, _frame: FrameType | None) -> None:
            self._interrupts += 1
            if self._interrupts == 1:
                self._progress.say("Stopping: running tickets go back to the queue. Once more to stop at once.")

        before = {number: signal.signal(number, count) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def available_cores() -> int:
    """How many processors this process may use: the default number of workers."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def exit_reason(code: int) -> str:
    """An exit code in words: ``signal SIGKILL (killed, often for want of memory)``, ``exit code 1``."""
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    return f"signal {name}" + (" (killed, often for want of memory)" if name == "SIGKILL" else "")
