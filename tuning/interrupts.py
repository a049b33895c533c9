"""Ctrl-C and SIGTERM of a command that supervises others."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SAME_SECONDS = 1.0
"""Signals that come so close are one: a scheduler sends them to the group and to each process."""


def in_main_thread() -> bool:
    """Whether handlers may be set: Python has signals in the main thread only."""
    return threading.current_thread() is threading.main_thread()


class Interrupts:
    """Counts requests to end: the first ends the loop, the second does not wait for the workers.

    Args:
        say: called at the first one.
    """

    def __init__(self, say: Callable[[], None]) -> None:
        self.count = 0
        self._say = say
        self._last = float("-inf")

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Inside, the signals are counted instead of ending the process; outside the main thread none arrive."""
        if not in_main_thread():
            yield
            return
        before = {number: signal.signal(number, self._receive) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _receive(self, _signal: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if now - self._last < SAME_SECONDS:
            return
        self._last = now
        self.count += 1
        if self.count == 1:
            self._say()
