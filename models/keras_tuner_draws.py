"""How one hyperparameter of KerasTuner is drawn from an Optuna trial: what is stored, and which value it stands for.

    hyperparameter                      stored by the trial                         value handed out
    Boolean                             False or True                               the same
    Choice                              one of the choices                          the same
    Int, Float                          a number of the range                       the same
    … sampling="log"                    a number of the range, on a log scale       the same
    … sampling="reverse_log"            y of the range, on a log scale              min + max − y
    … step=…                            a number of the grid                        KerasTuner's number at that place
    … step=…, sampling="(reverse_)log"  one of the values that KerasTuner lists     the same
    Fixed                               nothing                                     its value

Imports KerasTuner, and so Keras.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from keras_tuner.engine import hyperparameters as kinds

from .contract import ModelError
from .suggests import Suggests

Scalar = bool | int | float | str

LONGEST_NAME = 500  # characters; Optuna's tables have room for 512


class Drawing(Protocol):
    """One hyperparameter between Optuna and KerasTuner."""

    @property
    def name(self) -> str:
        """The name under which the trial stores it."""

    def ask(self, trial: Suggests) -> Scalar:
        """What the trial stores from now on."""

    def value_of(self, stored: Scalar) -> Scalar:
        """The value for what is stored: always one of those that KerasTuner can hand out."""

    def stored_for(self, value: Scalar) -> Scalar:
        """What must be stored for a value, or for the nearest that can be drawn."""


def drawing_of(hyperparameter: Any) -> Drawing | None:
    """The way to draw an Int, Float, Choice or Boolean; None for Fixed, which leaves nothing to draw.

    Raises:
        ModelError: if a step is no step forward, which KerasTuner does not notice.
    """
    hp, name = hyperparameter, stored_name(hyperparameter)
    if isinstance(hp, kinds.Fixed):
        return None
    if isinstance(hp, kinds.Boolean):
        return Listed(name, (False, True))
    if isinstance(hp, kinds.Choice):
        return Listed(name, tuple(hp.values))  # one that is there twice is twice as likely, as in KerasTuner
    number: type[int] | type[float] = int if isinstance(hp, kinds.Int) else float
    if hp.sampling != "linear" and hp.step is not None:
        return Listed(name, tuple(number(value) for value in hp.values))
    if hp.sampling != "linear" or (hp.step is None and number is float):
        log, mirrored = hp.sampling != "linear", hp.sampling == "reverse_log"
        return Span(name, number(hp.min_value), number(hp.max_value), number, log=log, mirrored=mirrored)
    step = number(1 if hp.step is None else hp.step)
    if step <= 0:
        raise ModelError(f"`step` must be above 0; hyperparameter '{hp.name}' has step={hp.step!r}. Leave it out.")
    # KerasTuner's own count, with the dust of floats: 0.6 is not among 0.0, 0.1, … of Float(0.0, 0.6, step=0.1).
    grid = Grid(name, number(hp.min_value), step, int((hp.max_value - hp.min_value) // step + 1), number)
    return grid if grid.exact else Listed(name, tuple(grid.at(place) for place in range(grid.n)))


def stored_name(hyperparameter: Any) -> str:
    """KerasTuner's full name, followed by the conditions, if there are any: ``cell_1/units [kind=mlp|cnn, depth=2]``.

    For Optuna a name has one kind and one list of choices; in KerasTuner it may have others under each condition.
    """
    name: str = hyperparameter.name
    if not hyperparameter.conditions:
        return name
    conditions = ", ".join(
        f"{condition.name}={'|'.join(str(value) for value in condition.values)}"
        for condition in hyperparameter.conditions
    )
    qualified = f"{name} [{conditions}]"
    if len(qualified) <= LONGEST_NAME:
        return qualified
    return f"{name} [{hashlib.sha256(conditions.encode()).hexdigest()[:16]}]"


@dataclass(frozen=True)
class Listed:
    """One of a few values."""

    name: str
    values: tuple[Scalar, ...]

    def ask(self, trial: Suggests) -> Scalar:
        return self.value_of(_asked(self.name, lambda: trial.suggest_categorical(self.name, self.values)))

    def value_of(self, stored: Scalar) -> Scalar:
        return self.values[self.values.index(stored)]  # 1.0 where 1 came out of a file

    def stored_for(self, value: Scalar) -> Scalar:
        if value in self.values:
            return self.value_of(value)
        return min(self.values, key=lambda listed: abs(float(listed) - float(value)))


@dataclass(frozen=True)
class Span:
    """Any number from `low` to `high`, both included, on a linear or a log scale; mirrored: dense at `high`.

    KerasTuner's reverse_log is ``max + min − min · (max / min)^(1 − p)``, so a mirrored log scale.
    """

    name: str
    low: float
    high: float
    number: type[int] | type[float]
    log: bool
    mirrored: bool

    def ask(self, trial: Suggests) -> float:
        if self.number is int:
            low, high = int(self.low), int(self.high)
            return int(_asked(self.name, lambda: trial.suggest_int(self.name, low, high, log=self.log)))
        return float(_asked(self.name, lambda: trial.suggest_float(self.name, self.low, self.high, log=self.log)))

    def value_of(self, stored: Scalar) -> float:
        number = self.number(stored)
        if self.mirrored:
            number = self.low + self.high - number
        return self.number(min(max(number, self.low), self.high))

    def stored_for(self, value: Scalar) -> float:
        return self.value_of(value)  # mirrored twice is where it was


@dataclass(frozen=True)
class Grid:
    """One of the `n` numbers ``low + place · step``."""

    name: str
    low: float
    step: float
    n: int
    number: type[int] | type[float]

    @property
    def exact(self) -> bool:
        """Whether the last place has a decimal number, as Optuna demands of grids; 1 ÷ 3 + 2 · (1 ÷ 7) has not."""
        return self.number is int or Decimal(repr(float(self._decimal(self.n - 1)))) == self._decimal(self.n - 1)

    def at(self, place: int) -> float:
        return self.low + place * self.step

    def ask(self, trial: Suggests) -> float:
        if self.number is int:
            low, high, step = int(self.low), int(self.at(self.n - 1)), int(self.step)
            return int(_asked(self.name, lambda: trial.suggest_int(self.name, low, high, step=step)))
        top = float(self._decimal(self.n - 1))
        return float(_asked(self.name, lambda: trial.suggest_float(self.name, self.low, top, step=self.step)))

    def value_of(self, stored: Scalar) -> float:
        return self.at(self._place(stored))

    def stored_for(self, value: Scalar) -> float:
        return self.number(self._decimal(self._place(value)))

    def _place(self, value: Scalar) -> int:
        place = round((self.number(value) - self.low) / self.step)
        return min(max(place, 0), self.n - 1)

    def _decimal(self, place: int) -> Decimal:
        return Decimal(repr(self.low)) + place * Decimal(repr(self.step))


def _asked(name: str, suggest: Callable[[], Any]) -> Any:
    try:
        return suggest()
    except ValueError as error:
        raise ModelError(
            f"The hyperparameter '{name}' could not be drawn: {error} Within a study a name keeps its kind, its scale "
            "and its choices. What differs from trial to trial needs names of its own or a `conditional_scope`."
        ) from error
