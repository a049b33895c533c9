"""HyperModels of KerasTuner, unchanged, on an Optuna trial. KerasTuner and Keras are imported when asked, not before.

A hypermodel asks its `hp` for values; here `hp` asks the trial. So KerasTuner's part (what there is to search) stays
as it was written, and its tuners, oracles and folders are not needed. See `keras_tuner_draws` for what a trial stores.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .contract import ModelError
from .suggests import Suggests

if TYPE_CHECKING:
    import keras

    from .keras_tuner_values import TrialHyperParameters


def hyperparameters(trial: Suggests) -> TrialHyperParameters:
    """A `keras_tuner.HyperParameters` whose active values come from the trial.

    `values` holds what was handed out, under KerasTuner's own names; `stored` what the trial keeps, under its names.
    """
    from .keras_tuner_values import TrialHyperParameters

    return TrialHyperParameters(trial)


def defaults() -> TrialHyperParameters:
    """The same without a trial: every value is its default.

    Once a hypermodel was built with it (and trained, if it asks for values in its `fit`), `stored` is what a trial has
    to be given so that it proposes the defaults. A default that no search could propose, off the grid or out of the
    range, is moved to the nearest value that it could.
    """
    from .keras_tuner_values import TrialHyperParameters

    return TrialHyperParameters()


def build(hypermodel: object, hp: TrialHyperParameters) -> keras.Model:
    """Builds the model of a hypermodel with the values of `hp`, as a tuner of KerasTuner does.

    Args:
        hypermodel: a `keras_tuner.HyperModel` (see `hypermodel.instance` for a class), or a function ``build(hp)``.
        hp: from `hyperparameters` or `defaults`. It is asked for what `declare_hyperparameters` declares, too.

    Returns:
        the compiled model. It may be uncompiled where the hypermodel has its own `fit`, which then trains it.

    Raises:
        ModelError: if there is no `build`, if it cannot be called with `hp` alone, or returned no such model.
    """
    import keras

    called = _build_of(hypermodel)
    declare = getattr(hypermodel, "declare_hyperparameters", None)
    if callable(declare):
        declare(hp)
    model = called(hp)
    if model is None:
        raise ModelError(
            f"`build` must return a compiled Keras model; that of {_name(hypermodel)} returned None. "
            "Is `return model` missing at its end?"
        )
    if not isinstance(model, keras.Model):
        raise ModelError(
            f"`build` must return a compiled Keras model; that of {_name(hypermodel)} returned "
            f"a {type(model).__name__}: {model!r:.80}. Return the model itself."
        )
    if not model.compiled and not has_own_fit(hypermodel):
        raise ModelError(
            f"`build` must return a compiled Keras model; that of {_name(hypermodel)} is not compiled. "
            "Call `model.compile(optimizer=..., loss=...)` before returning it."
        )
    return model


def has_own_fit(hypermodel: object) -> bool:
    """Whether the hypermodel (class, instance or function) trains in a way of its own, with an overridden `fit`."""
    import keras_tuner

    fit = getattr(hypermodel, "fit", None)
    return callable(fit) and getattr(fit, "__func__", fit) is not keras_tuner.HyperModel.fit


def _build_of(hypermodel: object) -> Callable[[Any], object]:
    """What is called with `hp`, once it is known to take it."""
    import keras
    import keras_tuner

    if isinstance(hypermodel, keras.Model):
        raise ModelError(
            f"A hypermodel builds a new model for each trial; got the model '{hypermodel.name}' itself. "
            "Give the function that builds it, `build(hp)`."
        )
    if not hasattr(hypermodel, "build"):
        if callable(hypermodel):
            return _taking_hp(hypermodel, hypermodel, hypermodel)
        raise ModelError(
            f"A hypermodel is a keras_tuner.HyperModel or a function `build(hp)`; got {hypermodel!r:.80}, which has "
            "no `build`. Write one that takes `hp` and returns a compiled Keras model."
        )
    called = own = hypermodel.build
    # `HyperModel.__init__` puts a wrapper around `build`, which hides what it is and what it takes.
    if getattr(called, "__func__", None) is keras_tuner.HyperModel._build_wrapper:
        own = hypermodel._build  # type: ignore[attr-defined]  # comes with the wrapper
    if getattr(own, "__func__", None) is keras_tuner.HyperModel.build:
        raise ModelError(
            f"A HyperModel must have a `build` of its own; {_name(hypermodel)} has none. "
            "Write `def build(self, hp)` that returns a compiled Keras model."
        )
    return _taking_hp(hypermodel, called, own)


def _taking_hp(hypermodel: object, called: Callable[[Any], object], own: object) -> Callable[[Any], object]:
    """`called`, if its innermost `own` can be called with `hp` alone."""
    if not callable(own):
        raise ModelError(
            f"`build` must be a method that takes `hp`; that of {_name(hypermodel)} is {own!r:.80}. "
            "Write `def build(self, hp)`."
        )
    try:
        signature = inspect.signature(own)
    except ValueError:  # some callables of C code tell nothing
        return called
    try:
        signature.bind(None)
    except TypeError as error:
        raise ModelError(
            f"`build` is called with the hyperparameters alone, `build(hp)`; that of {_name(hypermodel)} takes "
            f"{signature}: {error}. Give every further argument a default."
        ) from error
    return called


def _name(hypermodel: object) -> str:
    return getattr(hypermodel, "__name__", type(hypermodel).__name__)
