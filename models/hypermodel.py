"""A HyperModel of KerasTuner as a builder for one trial."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from .contract import ModelError
from .keras_tuner import build, has_own_fit
from .user import checked

if TYPE_CHECKING:
    import keras

    from .keras_tuner_values import TrialHyperParameters


class HyperModelTrial:
    """A HyperModel whose hyperparameters come from one trial.

    Args:
        hypermodel: an instance, or a function ``build(hp)``.
        hp: see :func:`.keras_tuner.hyperparameters`.
        name: of the user's code, for sentences.
    """

    def __init__(self, hypermodel: Any, hp: TrialHyperParameters, name: str) -> None:
        self._hypermodel, self._name = hypermodel, name
        self.hp = hp

    def build(self, _parameters: Mapping[str, object], input_shape: tuple[int, int], n_outputs: int) -> keras.Model:
        """Builds with the user's code and checks what it returns."""
        model = build(self._hypermodel, self.hp)
        return checked(model, self._name, input_shape, n_outputs, compiled=not isinstance(self, HyperModelFit))


class HyperModelFit(HyperModelTrial):
    """The same for a HyperModel that overrides ``fit``: it trains its models itself, and may draw there too."""

    def fit(self, model: keras.Model, **arguments: Any) -> object:
        """Calls ``HyperModel.fit(hp, model, x, y, …)`` as KerasTuner does."""
        data = [arguments.pop("x"), arguments.pop("y")] if "y" in arguments else [arguments.pop("x")]
        return self._hypermodel.fit(self.hp, model, *data, **arguments)


def for_trial(hypermodel: Any, hp: TrialHyperParameters, name: str) -> HyperModelTrial:
    """The builder of the kind that the HyperModel needs."""
    kind = HyperModelFit if has_own_fit(hypermodel) else HyperModelTrial
    return kind(hypermodel, hp, name)


def instance(value: object, name: str, input_shape: tuple[int, int], n_outputs: int) -> Any:
    """The HyperModel that a user's reference means: a class is made an instance of.

    Args:
        value: a HyperModel, its class, or a function ``build(hp)``.
        input_shape: handed to a class that takes an ``input_shape``; `n_outputs` likewise.

    Raises:
        ModelError: the class needs other arguments, or the value is nothing of the kind.
    """
    if not inspect.isclass(value):
        if not callable(value) and not callable(getattr(value, "build", None)):
            raise ModelError(
                f"{name} must be a HyperModel of KerasTuner or a function build(hp); it is of type "
                f"{type(value).__name__}. Name the class, or the function."
            )
        return value
    if not callable(getattr(value, "build", None)):
        raise ModelError(f"{name} must have a method build(self, hp), as HyperModels of KerasTuner do; it has none.")
    known = {"input_shape": input_shape, "n_outputs": n_outputs}
    takes = inspect.signature(value).parameters
    given = {key: known[key] for key in known if key in takes}
    try:
        inspect.signature(value).bind(**given)
    except TypeError as error:
        raise ModelError(
            f"{name} must be made without arguments (but for input_shape and n_outputs, which are handed on): {error}. "
            "Give its arguments defaults, or name an instance."
        ) from error
    return cast(Callable[..., object], value)(**given)
