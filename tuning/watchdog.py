"""What a worker watches over while it trains: its time, its memory and its supervisor."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from .stopping import StopSignal

LOOK_SECONDS = 0.5
GRACE_SECONDS = 30.0
"""How long a trial whose time is over may take to notice: one that hangs in compiled code never does."""

_log = logging.getLogger("greentune.worker")


class Watchdog(threading.Thread):
    """Interrupts a trial that takes too long or too much memory, or whose supervisor has gone.

    Args:
        parent: process id of the supervisor; None: there is none.
        stop: is asked to interrupt the trial.
        give_up: ends the trial and the process, when the interruption is not heard.
    """

    def __init__(self, *, parent: int | None, stop: StopSignal, give_up: Callable[[], None]) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._parent, self._stop_signal, self._give_up = parent, stop, give_up
        self._lock = threading.Lock()
        self._until: float | None = None
        self._memory_mb: int | None = None
        self._asked = False

    def watch(self, *, seconds: float | None, memory_mb: int | None) -> None:
        """A trial begins; None: no limit."""
        with self._lock:
            self._until = None if seconds is None else time.monotonic() + seconds
            self._memory_mb, self._asked = memory_mb, False

    def rest(self) -> None:
        """The trial is over."""
        self.watch(seconds=None, memory_mb=None)

    def run(self) -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            if self._parent is not None and os.getppid() != self._parent:
                os.kill(os.getpid(), signal.SIGTERM)
                self._parent = None
            with self._lock:
                self._look()

    def _look(self) -> None:
        now = time.monotonic()
        if self._until is not None and now > self._until + GRACE_SECONDS:
            _log.warning("the trial does not end although its time is over")
            self._give_up()
        if self._asked:
            return
        if self._until is not None and now > self._until:
            self._asked = True
            self._stop_signal.request("timeout")
        elif self._memory_mb is not None and resident_mb() > self._memory_mb:
            self._asked = True
            self._stop_signal.request("memory")


def resident_mb() -> float:
    """Resident memory of this process in MiB; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
