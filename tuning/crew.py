"""The worker processes of this machine: started with the right environment, collected when they end, asked to stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..objectives.compile_cache import default_cache
from ..objectives.runtime import worker_environment
from . import records
from .spec import StudySpec

PATIENCE_SECONDS = 20.0
"""How long asked workers may take to put their tickets back before they are killed."""
LONGEST_BACK_OFF_SECONDS = 30.0

WORK = (sys.executable, "-P", "-m", "greentune.tuning", "work")
"""-P: the working folder is the user's; a queue.py in it must not take the place of Python's own."""


@dataclass(frozen=True)
class Place:
    """Where a worker computes.

    Attributes:
        worker: its number, which is also that of its core.
        device: its GPU; None: the CPU.
        memory_fraction, memory_mb: its share of the GPU's memory, for JAX and TensorFlow; None: all.
    """

    worker: int
    device: str | None = None
    memory_fraction: float | None = None
    memory_mb: int | None = None


@dataclass
class Slot:
    """A place, and the process that works there now.

    Attributes:
        crashes: workers of this place that died one after the other without a result in the whole study between.
        results: how many results the study had when the process was started.
    """

    place: Place
    process: subprocess.Popen[bytes] | None = None
    study: str | None = None
    crashes: int = 0
    results: int = 0
    not_before: float = 0.0


@dataclass(frozen=True)
class Ended:
    """A worker that has ended."""

    slot: Slot
    pid: int
    code: int
    study: str
    out_of_memory: bool


@dataclass
class Crew:
    """The workers of this machine.

    Args:
        places: one a worker.
        url: the database; workers receive it in their environment, never as an argument.
        logs: folder for what workers print.
        command: what is started; tests start something smaller.
    """

    places: Sequence[Place]
    url: str
    logs: Path
    command: Sequence[str] = WORK
    slots: list[Slot] = field(init=False)

    def __post_init__(self) -> None:
        self.slots = [Slot(place) for place in self.places]
        self._kills = kernel_kills()

    @property
    def busy(self) -> list[Slot]:
        """Slots with a running process."""
        return [slot for slot in self.slots if slot.process is not None]

    def free(self) -> list[Slot]:
        """Slots in which a worker may be started now."""
        now = time.monotonic()
        return [slot for slot in self.slots if slot.process is None and slot.not_before <= now]

    def start(self, slot: Slot, spec: StudySpec, *, results: int, options: Sequence[str] = ()) -> None:
        """Start a worker of a study.

        Args:
            results: how many results the study has now.
        """
        place = slot.place
        settings = worker_environment(
            spec.backend,
            device=place.device,
            threads=1,
            cache=default_cache(),
            memory_fraction=place.memory_fraction,
            memory_mb=place.memory_mb,
        )
        self.logs.mkdir(parents=True, exist_ok=True)
        command = [*self.command, "--study", spec.study, "--worker", str(place.worker), "--parent", str(os.getpid())]
        environment = os.environ | settings | {"GREENTUNE_STORAGE": self.url}
        with self.log_of(slot).open("ab") as log:
            slot.process = subprocess.Popen(
                [*command, *options], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        slot.study, slot.results = spec.study, results

    def collect(self, results: Callable[[str], int]) -> list[Ended]:
        """Take note of the workers that have ended.

        Args:
            results: how many results a study has now.
        """
        gone = [slot for slot in self.busy if slot.process is not None and slot.process.poll() is not None]
        kernel_kills_left = self._new_kernel_kills()
        ended = []
        for slot in gone:
            assert slot.process is not None
            assert slot.study is not None
            code, pid, slot.process = slot.process.returncode, slot.process.pid, None
            killed = code == -signal.SIGKILL and kernel_kills_left > 0
            kernel_kills_left -= killed
            ended.append(Ended(slot, pid, code, slot.study, killed or code == records.EXIT_OOM))
            if code in (0, records.EXIT_OOM, records.EXIT_TIMEOUT):
                slot.crashes = 0
                continue
            slot.crashes = slot.crashes + 1 if results(slot.study) == slot.results else 1
            slot.not_before = time.monotonic() + min(LONGEST_BACK_OFF_SECONDS, 0.25 * 2**slot.crashes)
        return ended

    def _new_kernel_kills(self) -> int:
        before, self._kills = self._kills, kernel_kills()
        return self._kills - before

    def any_ended(self) -> bool:
        """Whether :meth:`collect` would find somebody."""
        return any(slot.process is not None and slot.process.poll() is not None for slot in self.slots)

    def end(self, *, at_once: Callable[[], bool]) -> None:
        """Ask every worker to put its ticket back, wait, and kill what does not listen.

        Args:
            at_once: asked while waiting; True: wait no longer.
        """
        alive = [slot.process for slot in self.busy if slot.process is not None]
        for process in alive:
            if process.poll() is None:
                process.terminate()
        limit = time.monotonic() + PATIENCE_SECONDS
        for process in alive:
            while process.poll() is None and time.monotonic() < limit and not at_once():
                time.sleep(0.05)
            if process.poll() is None:
                process.kill()
            process.wait()

    def log_of(self, slot: Slot) -> Path:
        """The file with what the workers of a slot print."""
        return self.logs / f"worker-{slot.place.worker}.log"


def places(workers: int, gpus: Sequence[str], per_gpu: int, memory_mb: Sequence[int]) -> list[Place]:
    """Where `workers` processes compute: on the GPUs in turn, or one a core.

    Args:
        per_gpu: workers that share a GPU; each gets an equal part of nine tenths of its memory.
        memory_mb: of every GPU of the machine by its number; empty where it is not known.
    """
    if not gpus:
        return [Place(worker) for worker in range(workers)]
    share = None if per_gpu == 1 else 0.9 / per_gpu
    found = []
    for worker in range(workers):
        gpu = worker % len(gpus)
        number = int(gpus[gpu]) if gpus[gpu].isdigit() else gpu
        limit = int(memory_mb[number] * share) if share is not None and number < len(memory_mb) else None
        found.append(Place(worker, gpus[gpu], share, limit))
    return found


def exit_reason(code: int, *, out_of_memory: bool = False) -> str:
    """An exit code in words: ``signal SIGSEGV``, ``exit code 1``."""
    known = {
        records.EXIT_STORAGE: "the database stayed away",
        records.EXIT_OOM: "out of memory",
        records.EXIT_TIMEOUT: "a trial that did not react to its time limit",
    }
    if code >= 0:
        return known.get(code, f"exit code {code}")
    name = signal.Signals(-code).name
    if name != "SIGKILL":
        return f"signal {name}"
    return f"signal {name} ({'killed by the system for want of memory' if out_of_memory else 'killed by somebody'})"


def kernel_kills() -> int:
    """How many processes the kernel has killed for want of memory; 0 where it does not tell.

    In a container those of its control group, on a machine of one's own all.
    """
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control", "/proc/vmstat"):
        try:
            lines = Path(path).read_text().splitlines()
        except OSError:
            continue
        return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
    return 0
