"""The trial that a user's code draws from while it runs: Optuna's own, but never interrupted while it writes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import optuna

from .stopping import StopSignal

_log = logging.getLogger("greentune.worker")


class LiveTrial(optuna.trial.Trial):
    """An Optuna trial whose talks with the database are not torn by an order to stop; for use while training.

    Args:
        stop: of the worker.
    """

    def __init__(self, study: optuna.Study, trial_id: int, stop: StopSignal) -> None:
        super().__init__(study, trial_id)
        self._stop = stop

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self._drop_unless(name, lambda value: value in choices)
        with self._stop.held_back():
            return super().suggest_categorical(name, choices)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        self._drop_unless(name, lambda value: low <= value <= high and (value - low) % step == 0)
        with self._stop.held_back():
            return super().suggest_int(name, low, high, step=step, log=log)

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        self._drop_unless(name, lambda value: low <= value <= high)
        with self._stop.held_back():
            return super().suggest_float(name, low, high, step=step, log=log)

    def report(self, value: float, step: int) -> None:
        with self._stop.held_back():
            super().report(value, step)

    def should_prune(self) -> bool:
        with self._stop.held_back():
            return super().should_prune()

    def set_user_attr(self, key: str, value: Any) -> None:
        with self._stop.held_back():
            super().set_user_attr(key, value)

    def _drop_unless(self, name: str, fits: Callable[[Any], bool]) -> None:
        """Let the sampler fill in what a point that is tried first says otherwise than the code now allows."""
        if name not in self._fixed_params:
            return
        try:
            fitting = fits(self._fixed_params[name])
        except TypeError:  # a text for a number
            fitting = False
        if not fitting:
            value = self._fixed_params.pop(name)
            _log.warning(
                "trial %d: %s = %r is not offered by the code; the sampler fills it in", self.number, name, value
            )
