"""KerasTuner's container of hyperparameters, with values from an Optuna trial. Imports KerasTuner, and so Keras."""

from __future__ import annotations

import copy
from typing import Any, Self

import keras_tuner

from .keras_tuner_draws import Scalar, drawing_of
from .suggests import Suggests


class TrialHyperParameters(keras_tuner.HyperParameters):
    """Names, scopes, conditions and copies are KerasTuner's; a value that is active and new is drawn from the trial.

    KerasTuner registers a hyperparameter once for each pair of name and conditions and keeps one value a name: asked
    again, it hands out the same. Where the conditions do not hold, it hands out None, and the trial is not asked.

    Copies (`copy`, `copy.deepcopy`) know the values but no trial: what is new there takes its default. So it is in
    KerasTuner, whose tuners never see the copies either; `HyperModel(tunable=False)` rests on it.

    Args:
        trial: proposes the values; None: every value is its default.
    """

    def __init__(self, trial: Suggests | None = None) -> None:
        super().__init__()
        self.stored: dict[str, Scalar] = {}
        self._trial = trial

    # Every call of Int, Float, Choice, Boolean and Fixed ends here when the hyperparameter is new, and so does `merge`.
    # With `overwrite`, a merged hyperparameter takes its default, in KerasTuner's trials too.
    def _register(self, hyperparameter: Any, overwrite: bool = False) -> Any:
        self._validate_name(hyperparameter.name)
        if not overwrite and hyperparameter.name not in self.values and self.is_active(hyperparameter):
            self.values[hyperparameter.name] = self._draw(hyperparameter)
        return super()._register(hyperparameter, overwrite)

    def _draw(self, hyperparameter: Any) -> Scalar:
        drawing = drawing_of(hyperparameter)
        if drawing is None:
            fixed: Scalar = hyperparameter.default
            return fixed
        stored = drawing.stored_for(hyperparameter.default) if self._trial is None else drawing.ask(self._trial)
        self.stored[drawing.name] = stored
        return drawing.value_of(stored)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copied = type(self)()
        memo[id(self)] = copied
        own = {name: value for name, value in vars(self).items() if name != "_trial"}
        copied.__dict__.update(copy.deepcopy(own, memo))
        return copied
