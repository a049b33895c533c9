"""The live view in a terminal, and plain lines where nobody watches. Both go to standard error."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .records import FRESH
from .snapshot import Snapshot
from .wording import best_text, duration

PLAIN_INTERVAL_SECONDS = 30.0


class Progress:
    """Shows snapshots as they come: a live table on a terminal, otherwise a line when a trial ended or 30 s passed.

    Args:
        epochs: planned epochs a trial, for "epoch 3/20".
        until: Unix time after which no new trial begins; None for no such time.
        workers: how many work side by side, for the expected end.
        quiet: show nothing at all.
    """

    def __init__(self, *, epochs: int, until: float | None, workers: int, quiet: bool = False) -> None:
        # Notebooks pretend to be terminals (FORCE_COLOR), and rich would show HTML in them: they get plain lines.
        terminal = sys.stderr is not None and sys.stderr.isatty()
        self._console = Console(stderr=True, quiet=quiet, force_terminal=terminal, force_jupyter=False)
        self._epochs, self._until, self._workers = epochs, until, workers
        self._live: Live | None = None
        self._said: tuple[int, float] = (-1, 0.0)
        self._began = time.monotonic()
        self._finished_before: int | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, sentence: str) -> None:
        """Print one sentence above the live view, or as a line."""
        self._console.print(sentence, highlight=False, markup=False, soft_wrap=True)

    def show(self, snapshot: Snapshot) -> None:
        """Show the state of the study."""
        if self._finished_before is None:
            self._finished_before = snapshot.finished
        if self._live is not None:
            self._live.update(self._table(snapshot))
            return
        finished, said_at = self._said
        now = time.monotonic()
        if snapshot.finished != finished or now - said_at >= PLAIN_INTERVAL_SECONDS:
            self._said = (snapshot.finished, now)
            self.say(self.line(snapshot))

    def line(self, snapshot: Snapshot) -> str:
        """The state in one line."""
        parts = [f"{name} {getattr(snapshot, name)}" for name in ("done", "running", "pruned", "failed", "waiting")]
        if snapshot.best is not None and not snapshot.study.endswith(FRESH):  # with fresh seeds one number is luck
            parts.append(f"best {best_text(snapshot)}")
        left = self.seconds_left(snapshot)
        if left is not None:
            parts.append(f"about {duration(left)} left")
        return f"[{duration(time.monotonic() - self._began)}] " + ", ".join(parts)

    def seconds_left(self, snapshot: Snapshot) -> float | None:
        """Expected seconds to the end of the search; None before the first trial has ended and when none is to come."""
        if snapshot.trial_seconds is None or not snapshot.waiting + snapshot.running:
            return None
        if not snapshot.running and self._until is not None and time.time() >= self._until:
            return None
        tickets = snapshot.waiting + snapshot.running / 2
        at_work = max(1, min(self._workers, snapshot.waiting + snapshot.running))
        left = tickets * snapshot.trial_seconds / at_work
        if self._until is not None:
            left = min(left, max(0.0, self._until - time.time()) + snapshot.trial_seconds / 2)
        return left

    def _table(self, snapshot: Snapshot) -> RenderableType:
        head = Table.grid(padding=(0, 2))
        head.add_row(
            Text(f"{snapshot.study}", style="bold"),
            ProgressBar(total=max(1, snapshot.total), completed=snapshot.finished, width=30),
            f"{snapshot.finished}/{snapshot.total}",
        )
        workers = Table.grid(padding=(0, 2))
        for trial in sorted(snapshot.workers, key=lambda w: (w.host or "", -1 if w.worker is None else w.worker)):
            epoch = "compiling" if trial.epoch is None else f"epoch {trial.epoch + 1}/{self._epochs}"
            value = "" if trial.value is None else f"{snapshot.metric} {trial.value:.5f}"
            workers.add_row(f"  worker {trial.worker}", f"trial {trial.number}", epoch, value)
        return Group(head, Text(self.line(snapshot)), workers)
