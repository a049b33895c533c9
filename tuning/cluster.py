"""Places the workers of one study on the machines of a Ray cluster, through tasks of Ray Core.

Ray decides where a worker runs, gives it its GPU and places it anew when its machine is gone. It knows nothing of
trials: the tickets, their results and the liveness of workers stand in the database. Each task starts the ordinary
worker as a process of its own and waits for it (:mod:`.cluster_machine`).

How the database's URL, which may hold a password, reaches a machine:

1. The machine's own environment comes first: ``GREENTUNE_STORAGE``, or the file in ``GREENTUNE_STORAGE_FILE``, as they
   were set when Ray was started there. The machine may know the database by another address than the launcher, and
   nothing secret travels. (The environment of a ``local`` Ray is the launcher's own: there the URL decides.)
2. Otherwise the task fetches the URL from Ray's object store. It is given a reference inside a list, since Ray replaces
   a bare reference by its value. Ray shows and logs the ``runtime_env`` of tasks, but no objects. On its way between
   machines the object is encrypted only if the cluster uses TLS (``RAY_USE_TLS``), and a full object store may write
   objects to the disk: use the first way where that matters.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from ..storage.mistakes import Mistake
from . import records
from .cluster_access import LOCAL, connected, last_line, usable_machines
from .cluster_machine import PATIENCE_SECONDS, run_worker
from .crew import LONGEST_BACK_OFF_SECONDS, WORK, exit_reason
from .gate import Gate
from .interrupts import Interrupts
from .progress import Progress
from .snapshot import Snapshot
from .spec import SpecError

LOOK_SECONDS = 1.0
RECONCILE_SECONDS = 5.0
"""Ray places the task of a dead machine anew without a word: the queue is reconciled also when no task has ended."""

_WRONG_SETUP = (records.EXIT_SETUP, records.EXIT_DATA)
_ENDS_OF_ONE_TRIAL = (0, records.EXIT_OOM, records.EXIT_TIMEOUT)


@dataclass
class _Slot:
    """A place for one worker: its number, and the task that runs it.

    Attributes:
        crashes: workers of this place that died one after the other without a result in the whole study between.
        results: how many results the study had when the task was submitted.
    """

    worker: int
    task: Any = None
    crashes: int = 0
    results: int = 0
    not_before: float = 0.0


class RayLauncher:
    """Runs ``workers`` processes on a Ray cluster until no ticket waits, the time is over or somebody presses Ctrl-C.

    Args:
        address: ``auto`` (``RAY_ADDRESS``, or the cluster of which this machine is a part), ``host:port``, or
            ``local`` to start Ray on this machine.
        url: the database, for machines that do not know it themselves.
        backend: of the study, ``jax`` or ``tensorflow``.
        gpus_per_worker: a whole number, or a fraction for workers that share a GPU; 0: they compute on the CPU.
        logs: folder for the last words of workers, and for Ray's own messages.
        until: Unix time after which no worker is placed any more; None: no such time.
        look: reads the state of the study.
        reconcile: puts the tickets of dead workers back.
        opening: whether workers may be placed now; asked with each look at the study.
        stopping: called at Ctrl-C, from the signal handler.
        crash_loop: the run ends when every place has lost so many workers in a row, without a result between.
        command: arguments to a machine's Python that start a worker; ``--study``, ``--worker`` and ``--parent`` follow.

    Raises:
        Mistake: ``gpus_per_worker`` is neither a fraction of one GPU nor a whole number.
    """

    def __init__(
        self,
        study: optuna.Study,
        *,
        address: str,
        url: str,
        backend: str,
        workers: int,
        gpus_per_worker: float = 0.0,
        logs: Path,
        until: float | None,
        progress: Progress,
        look: Callable[[], Snapshot],
        reconcile: Callable[[], object],
        opening: Callable[[], Gate] = lambda: Gate.OPEN,
        stopping: Callable[[], None] = lambda: None,
        crash_loop: int = 4,
        command: Sequence[str] = WORK[1:],
    ) -> None:
        if gpus_per_worker < 0 or (gpus_per_worker > 1 and gpus_per_worker != int(gpus_per_worker)):
            raise Mistake(
                f"`--gpus-per-worker` must be between 0 and 1, or a whole number; got {gpus_per_worker:g}. "
                "Use 0.5 for two workers on each GPU."
            )
        self._study, self._address, self._url, self._gpus = study, address, url, gpus_per_worker
        self._logs, self._until, self._progress = logs, until, progress
        self._look, self._reconcile, self._opening = look, reconcile, opening
        self._stopping = stopping
        self._crash_loop = crash_loop
        self._order = {
            "command": list(command),
            "study": study.study_name,
            "backend": backend,
            "gpus": gpus_per_worker,
            "own_storage": address != LOCAL,
        }
        self._slots = [_Slot(worker) for worker in range(workers)]
        self._ray: Any = None
        self._task: Any = None
        self._box: list[Any] = []
        self._finished = 0
        self._reconciled_at = 0.0

    def run(self) -> bool:
        """Work off the queue.

        Returns:
            True when it ended by itself, False when it was interrupted; the queue is consistent either way.

        Raises:
            Mistake: the cluster cannot be reached, is open to everybody, or has no room for a worker.
            SpecError: workers found the set-up wrong, or died again and again.
        """
        self._logs.mkdir(parents=True, exist_ok=True)
        interrupts = Interrupts(self._say_stopping)
        # Ray says what happens to its machines on standard output, which is for `--json`.
        with (self._logs / "ray.log").open("a") as log, redirect_stdout(log), connected(self._address) as ray:
            self._prepare(ray)
            with interrupts.counted():
                try:
                    while self._look_after() and not interrupts.count:
                        self._wait()
                finally:
                    self._end_tasks(interrupts)
                    self._reconcile()
        self._progress.show(self._look())
        return interrupts.count == 0

    def _say_stopping(self) -> None:
        self._stopping()
        self._progress.say("Stopping: running tickets go back to the queue. Once more to stop at once.")

    def _prepare(self, ray: Any) -> None:
        """Check the cluster, then put the URL where its machines can fetch it."""
        workers = len(self._slots)
        places = usable_machines(ray, url=self._url, workers=workers, gpus_per_worker=self._gpus)
        if places < workers:
            self._progress.say(
                f"The cluster has room for {places} of {workers} workers; the others wait until there is more."
            )
        self._ray, self._box = ray, [ray.put(self._url)]
        placed = ray.remote(num_cpus=1, num_gpus=self._gpus, max_retries=-1, max_calls=1, scheduling_strategy="SPREAD")
        self._task = placed(run_worker)

    def _look_after(self) -> bool:
        """Take in ended tasks, submit missing ones, show the state; False when there is nothing left to do."""
        ended = self._collect()
        busy = [slot for slot in self._slots if slot.task is not None]
        now = time.monotonic()
        if ended or not busy or now - self._reconciled_at >= RECONCILE_SECONDS:
            self._reconciled_at = now
            self._reconcile()
        snapshot = self._look()
        self._finished = snapshot.finished
        self._progress.show(snapshot)
        over = self._until is not None and time.time() >= self._until
        opening = Gate.CLOSED if over else self._opening()
        if opening is Gate.CLOSED:
            return bool(busy) and snapshot.running > 0  # what Ray has not placed yet would claim nothing any more
        if snapshot.waiting == 0:
            return snapshot.open > 0 or self._anything_back()
        if opening is Gate.OPEN:
            starting = max(0, len(busy) - snapshot.running)  # placed or not, without a trial: each will take a ticket
            free = [slot for slot in self._slots if slot.task is None and slot.not_before <= now]
            for slot in free[: max(0, snapshot.waiting - starting)]:
                slot.task = self._task.remote({**self._order, "worker": slot.worker}, self._box)
                slot.results = self._finished
        return True

    def _anything_back(self) -> bool:
        """Whether a ticket waits once more: the last trials may have failed a moment ago, and be tried again."""
        self._reconcile()
        return self._look().open > 0

    def _wait(self) -> None:
        """Until the next look at the database: a second, less when a task has ended."""
        tasks = [slot.task for slot in self._slots if slot.task is not None]
        if tasks:
            self._ray.wait(tasks, timeout=LOOK_SECONDS)
        else:
            time.sleep(LOOK_SECONDS)

    def _collect(self) -> bool:
        """Take in the tasks that have ended; whether there were any."""
        busy = {slot.task: slot for slot in self._slots if slot.task is not None}
        if not busy:
            return False
        ended, _ = self._ray.wait(list(busy), num_returns=len(busy), timeout=0)
        for task in ended:
            busy[task].task = None
            self._judge(busy[task], task)
        return bool(ended)

    def _judge(self, slot: _Slot, task: Any) -> None:
        """How a worker ended: a death is said and counted, and its place stays free for a while."""
        try:
            answer = self._ray.get(task)
        except self._ray.exceptions.RayError as error:
            answer = {"code": 1, "node": "the cluster", "said": str(error)}
        code, node, log = int(answer["code"]), answer["node"], self._logs / f"worker-{slot.worker}.log"
        with log.open("a", encoding="utf-8") as file:
            file.write(f"--- on {node}\n{answer['said']}\n")
        last_words = f"Its last words: {last_line(answer['said'])}. More stands in {log}."
        if code in _WRONG_SETUP:
            written = records.stopped_by(self._study)
            raise SpecError(written or f"Worker {slot.worker} on {node} refused to work. {last_words}")
        if code in _ENDS_OF_ONE_TRIAL:
            slot.crashes = 0
            return
        slot.crashes = slot.crashes + 1 if self._finished == slot.results else 1
        slot.not_before = time.monotonic() + min(LONGEST_BACK_OFF_SECONDS, 0.25 * 2**slot.crashes)
        why = exit_reason(code)
        if all(each.crashes >= self._crash_loop for each in self._slots):
            raise SpecError(f"Every worker has died {self._crash_loop} times in a row, last by {why}. {last_words}")
        self._progress.say(f"worker {slot.worker} on {node} ended by {why}; its ticket goes back ({log})")

    def _end_tasks(self, interrupts: Interrupts) -> None:
        """Ask every worker to put its ticket back, wait, and kill what does not listen."""
        tasks = [slot.task for slot in self._slots if slot.task is not None]
        for task in tasks:
            self._ray.cancel(task)
        limit = time.monotonic() + PATIENCE_SECONDS + 5.0  # its machine kills a worker after PATIENCE_SECONDS
        while tasks and time.monotonic() < limit and interrupts.count < 2:
            _, tasks = self._ray.wait(tasks, num_returns=len(tasks), timeout=0.2)
        for task in tasks:
            self._ray.cancel(task, force=True)
