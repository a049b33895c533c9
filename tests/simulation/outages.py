"""A database that crashes just when a worker wants something of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from greentune.storage import fleet, tickets
from greentune.storage.resilient import ResilientStorage

from ..databases import Postgres

MOMENTS = ("claim", "suggest", "report", "tell", "beat")
_PLACES: dict[str, tuple[Any, str, int]] = {
    "claim": (tickets, "claim", 3),
    "suggest": (ResilientStorage, "set_trial_param", 14),
    "report": (ResilientStorage, "set_trial_intermediate_value", 9),
    "tell": (tickets, "finish", 6),
    "beat": (fleet, "beat", 2),
}
"""Where each moment is, and before which of its calls the database crashes."""


def prepare(folder: Path) -> None:
    """In the worker: at each moment ask for a crash, and go on when the database is down."""
    for moment, (place, name, nth) in _PLACES.items():
        setattr(place, name, _crashing(getattr(place, name), folder, moment, nth))


def _crashing(call: Callable[..., Any], folder: Path, moment: str, nth: int) -> Callable[..., Any]:
    calls = 0

    def crashing(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth and not (folder / f"{moment}.down").exists():
            (folder / f"{moment}.wanted").touch()
            while not (folder / f"{moment}.down").exists():
                time.sleep(0.01)
        return call(*arguments, **named)

    return crashing


def crash_when_asked(server: Postgres, folder: Path, *, seconds: float, limit: float) -> list[str]:
    """In the test: at each moment that a worker asks for, crash the server and start it again after some seconds.

    Returns:
        the moments, in the order in which they came.
    """
    came: list[str] = []
    until = time.monotonic() + limit
    while len(came) < len(MOMENTS) and time.monotonic() < until:
        for moment in MOMENTS:
            if moment not in came and (folder / f"{moment}.wanted").exists():
                server.stop()
                (folder / f"{moment}.down").touch()
                time.sleep(seconds)
                server.start()
                came.append(moment)
        time.sleep(0.02)
    return came
