"""What a look at the user's code finds: filled in by the process that looks, read by the one that asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Looked:
    """What a look at the user's code has found.

    Attributes:
        mistakes: a sentence each, with the user's own traceback where the code raised.
        notes: what may be a mistake.
        files: the user's source files, each with a digest.
        first: of a HyperModel the point of its defaults, as trials store it; None: there is no such point.
        space: the default space of a builder that declares its own, where the study names none.
        trains_itself: whether a HyperModel overrides ``fit``.
        n_parameters: of the model that was built.
        timing: seconds of an epoch and of the start of a trial, where a training was timed.
    """

    mistakes: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    first: dict[str, Any] | None = None
    space: dict[str, Any] | None = None
    trains_itself: bool = False
    n_parameters: int | None = None
    timing: dict[str, float] | None = None
