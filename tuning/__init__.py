"""What to search, who searches, until when: study, queue, workers, winner, command line."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .comparing import ComparisonResult, compare
    from .machine import Machines
    from .result import TuneResult, load_result
    from .spec import SpecError, StudySpec, parse_spec
    from .study import tune

_HOMES = {
    "ComparisonResult": "comparing",
    "Machines": "machine",
    "SpecError": "spec",
    "StudySpec": "spec",
    "TuneResult": "result",
    "compare": "comparing",
    "load_result": "result",
    "parse_spec": "spec",
    "tune": "study",
}

__all__ = [
    "ComparisonResult",
    "Machines",
    "SpecError",
    "StudySpec",
    "TuneResult",
    "compare",
    "load_result",
    "parse_spec",
    "tune",
]


def __getattr__(name: str) -> object:
    """Import a public name at its first use: the command line starts without the heavy libraries."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
