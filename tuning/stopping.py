"""How a worker is interrupted: by a signal, by an order, or because its trial is no longer its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(BaseException):
    """The running trial ends here. Not an Exception: no handler of the training may swallow it.

    Args:
        reason: ``interrupted`` (a signal or an order), ``fenced`` (the trial was declared dead meanwhile), ``timeout``
            or ``memory`` (a limit was passed), ``paused``.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class StopSignal:
    """Turns SIGTERM and requests of other threads into :class:`Interrupted` while training.

    While the worker talks to the database they only set a flag, so that no transaction is torn.

    Args:
        foreground: whether nobody supervises this process. Then Ctrl-C is meant for it, and a second signal ends it at
            once. Under a supervisor a signal may come twice (from the group and from the supervisor, which decides and
            kills what does not end), and Ctrl-C is not for us.
        on_signal: called at the first signal, from the signal handler.
    """

    def __init__(self, *, foreground: bool = False, on_signal: Callable[[], None] = lambda: None) -> None:
        self.asked = False
        self._reason: str | None = None
        self._armed = False
        self._foreground = foreground
        self.on_signal = on_signal
        signal.signal(signal.SIGTERM, self._receive)
        signal.signal(signal.SIGINT, self._receive if foreground else signal.SIG_IGN)
        signal.signal(signal.SIGUSR2, self._wake)

    def request(self, reason: str) -> None:
        """Interrupt the running trial from another thread."""
        self._reason = self._reason or reason
        os.kill(os.getpid(), signal.SIGUSR2)

    def forget_requests(self) -> None:
        """Requests concern one trial; the next begins without."""
        self._reason = "interrupted" if self.asked else None

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Inside, the interruption raises at once."""
        self._arm()
        try:
            yield
        finally:
            self._armed = False

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Inside, within :meth:`interruptible`, the interruption waits for the end."""
        self._armed = False
        yield
        self._arm()

    def _arm(self) -> None:
        self._armed = True
        if self._reason is not None:
            self._armed = False
            raise Interrupted(self._reason)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            if self._foreground:
                os._exit(128 + number)
            return
        self.asked = True
        self._reason = "interrupted"
        self.on_signal()
        self._wake(number, frame)

    def _wake(self, _signal: int, _frame: FrameType | None) -> None:
        if self._armed and self._reason is not None:
            self._armed = False
            raise Interrupted(self._reason)
