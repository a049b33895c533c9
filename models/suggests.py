"""What a builder of a user may ask: the part of an Optuna trial from which all parameters come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class Suggests(Protocol):
    """Proposes a value for a name; the same name gives the same value again."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...
    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int: ...
    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float: ...
