"""Builders of users: a function that draws its own parameters from a trial, or an object made like our own builders."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .contract import ModelError
from .suggests import Suggests

if TYPE_CHECKING:
    import keras

Function = Callable[[Suggests, tuple[int, int], int], "keras.Model"]
"""``(trial, (lookback, n_features), n_outputs) → compiled model``, in the style of Optuna's examples."""

_CONTRACT = ("parameters", "space", "build")


class DefineByRun:
    """A user's function as a builder for one trial: the function says which parameters there are while it runs.

    Args:
        function: see `Function`.
        trial: what it draws from; the same name gives the same value in every fold.
        name: of the function, for sentences.
    """

    def __init__(self, function: Function, trial: Suggests, name: str) -> None:
        self._function, self._trial, self._name = function, trial, name

    def build(self, _parameters: Mapping[str, object], input_shape: tuple[int, int], n_outputs: int) -> keras.Model:
        """Calls the function and checks what it returns; see `Builder.build`."""
        return checked(self._function(self._trial, input_shape, n_outputs), self._name, input_shape, n_outputs)


class Contract:
    """A user's object with the three parts of our own builders, ready to be used as one.

    Args:
        made: has ``parameters``, ``space`` and ``build(parameters, input_shape, n_outputs)``; ``disagreements`` if it
            likes.
        key: under which studies know it.
    """

    def __init__(self, made: Any, key: str) -> None:
        self.key = key
        self.parameters = made.parameters
        self.space = made.space
        self._made = made

    def disagreements(self, parameters: Mapping[str, object]) -> list[str]:
        """What the user's own builder says; nothing where it does not say."""
        say = getattr(self._made, "disagreements", None)
        return [] if say is None else list(say(parameters))

    def build(self, parameters: Mapping[str, object], input_shape: tuple[int, int], n_outputs: int) -> keras.Model:
        """Builds with the user's own method and checks what it returns."""
        return checked(self._made.build(parameters, input_shape, n_outputs), self.key, input_shape, n_outputs)


def as_builder(value: object, name: str) -> Contract | Function:
    """What a user's reference leads to, as one of the two kinds of builder.

    Args:
        value: what stands under the name.
        name: for the sentences.

    Raises:
        ModelError: it is neither, with a way out.
    """
    made = _made(value, name) if inspect.isclass(value) and hasattr(value, "build") else value
    if all(hasattr(made, part) for part in _CONTRACT):
        mistakes = _contract_mistakes(made, name)
        if mistakes:
            raise ModelError(mistakes)
        return Contract(made, name)
    if hasattr(value, "build"):
        raise ModelError(
            f"{name} must be a function (trial, input_shape, n_outputs) or have {', '.join(_CONTRACT)}; it has only "
            "build. If it is a HyperModel of KerasTuner, give it as --hypermodel."
        )
    if not callable(value):
        raise ModelError(
            f"{name} must be a function (trial, input_shape, n_outputs) that returns a compiled Keras model, or have "
            f"{', '.join(_CONTRACT)}; it is of type {type(value).__name__}. Name the function."
        )
    if not takes(value, 3):
        raise ModelError(
            f"{name} must take three arguments (trial, input_shape, n_outputs); it takes {_parameters(value)}."
            f"{' For build(hp) of KerasTuner use --hypermodel.' if takes(value, 1) else ' Change its signature.'}"
        )
    return cast(Function, value)


def takes(value: object, n: int) -> bool:
    """Whether it can be called with so many positional arguments; assumed where its signature is not known."""
    try:
        inspect.signature(cast(Callable[..., object], value)).bind(*range(n))
    except TypeError:
        return False
    except ValueError:
        return True
    return True


def checked(
    model: object, name: str, input_shape: tuple[int, int], n_outputs: int, *, compiled: bool = True
) -> keras.Model:
    """The model that a user's code has returned, with its weights made; Keras is imported.

    Args:
        name: of the code, for the sentences.
        compiled: whether it must be.

    Raises:
        ModelError: it is no such model.
    """
    mistakes = _model_mistakes(model, name, input_shape, n_outputs, compiled=compiled)
    if mistakes:
        raise ModelError(mistakes)
    made = cast("keras.Model", model)
    if not made.built:
        made(np.zeros((1, *input_shape), np.float32))
    return made


def _made(kind: type, name: str) -> object:
    """The instance that a class makes without arguments; the class itself, where it is no builder and needs some."""
    if takes(kind, 0):
        return kind()
    if not all(hasattr(kind, part) for part in _CONTRACT):
        return kind
    raise ModelError(
        f"{name} must be made without arguments; it takes {_parameters(kind)}. Give them defaults, or name an instance."
    )


def _model_mistakes(
    model: object, name: str, input_shape: tuple[int, int], n_outputs: int, *, compiled: bool
) -> list[str]:
    import keras

    if model is None:
        return [f"{name} must return a Keras model; it returned nothing. End it with `return model`."]
    if not isinstance(model, keras.Model):
        kind = f"{type(model).__module__}.{type(model).__name__}"
        return [f"{name} must return a Keras 3 model; it returned a {kind}. Return the model itself."]
    if compiled and not model.compiled:
        return [
            f"{name} must return a compiled model; this one is not. Call model.compile(optimizer=…, loss=…) before."
        ]
    if compiled and _trains_nothing(model):
        return [f"{name} must compile its model with a loss; this one has none. Call model.compile(…, loss='mse')."]
    try:
        found = _output_shape(model, input_shape)
    except (ValueError, TypeError, RuntimeError) as error:
        return [f"{name} must take windows of shape (None, {input_shape[0]}, {input_shape[1]}): {error}"]
    if _shape(found) != (None, n_outputs):
        way_out = f"End it with Dense({n_outputs}), after the sequence is gone (return_sequences=False)."
        return [f"{name} must return a model with outputs of shape (None, {n_outputs}); it has {found}. {way_out}"]
    return []


def _trains_nothing(model: keras.Model) -> bool:
    """Whether a compiled model has no loss: none given, none added by a layer, no way of its own to compute it."""
    import keras

    if model.loss is not None or model.losses:
        return False
    kind = type(model)
    own = kind.compute_loss is not keras.Model.compute_loss or kind.train_step is not keras.Model.train_step
    return not own


def _output_shape(model: keras.Model, input_shape: tuple[int, int]) -> Any:
    """(None, …), or a list or table of such; the weights of a model of the user's own class are made by it."""
    import keras

    if type(model).compute_output_shape is not keras.Layer.compute_output_shape:
        return model.compute_output_shape((None, *input_shape))
    forecast = model(np.zeros((1, *input_shape), np.float32))  # a class of the user's own need not say it
    return keras.tree.map_structure(lambda tensor: (None, *tensor.shape[1:]), forecast)


def _shape(found: Any) -> Any:
    return tuple(found) if isinstance(found, Sequence) and not isinstance(found, str) else found


def _contract_mistakes(made: Any, name: str) -> list[str]:
    found = [
        f"`{part}` of {name} must be a table by name; it is of type {type(getattr(made, part)).__name__}."
        for part in ("parameters", "space")
        if not isinstance(getattr(made, part), Mapping)
    ]
    if not found and any(not hasattr(rule, "read") for rule in made.parameters.values()):
        found.append(f"`parameters` of {name} must hold greentune.models.Parameter objects, one for each name.")
    if not callable(made.build) or not takes(made.build, 3):
        found.append(f"`build` of {name} must take (parameters, input_shape, n_outputs).")
    return found


def _parameters(value: object) -> str:
    return str(inspect.signature(cast(Callable[..., object], value)))
