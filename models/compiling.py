"""What all builders share: penalty, optimiser and loss, as parameters and as the compilation of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .contract import Parameter
from .values import choice, number, optional_number

if TYPE_CHECKING:
    import keras

OPTIMIZERS = ("adam", "adamw", "nadam", "rmsprop", "sgd")
LOSSES = ("mse", "mae", "huber")
METRICS = ("mse", "mae")


def shared_parameters(*, loss: str) -> tuple[Parameter, ...]:
    """The parameters of penalty, optimiser and loss, with the documented defaults.

    Args:
        loss: the default loss of the builder.
    """
    return (
        number("l1", 0.01, "L1 penalty on the input kernels of the LSTM layers", low=0.0),
        number("l2", 0.01, "L2 penalty on the input kernels of the LSTM layers", low=0.0),
        choice("optimizer", "adam", OPTIMIZERS, "the optimiser"),
        number("learning_rate", 0.001, "step size of the optimiser", low=0.0, low_included=False),
        optional_number("clipnorm", "longest gradient of a single weight array; longer ones are shortened", above=0.0),
        choice("loss", loss, LOSSES, "what training minimises, in scaled units, beside the penalty"),
    )


def penalty(values: Mapping[str, Any]) -> keras.regularizers.Regularizer | None:
    """The kernel penalty of one layer, or None where both weights are zero."""
    import keras

    if values["l1"] == 0.0 and values["l2"] == 0.0:
        return None
    return keras.regularizers.L1L2(l1=values["l1"], l2=values["l2"])


def compile_model(model: keras.Model, values: Mapping[str, Any]) -> keras.Model:
    """Compiles a model with the optimiser and the loss in `values`; the metrics are free of the penalty.

    Args:
        model: the model to compile, in place.
        values: complete parameters of a builder.

    Returns:
        the same model.
    """
    import keras

    optimizers = {
        "adam": keras.optimizers.Adam,
        "adamw": keras.optimizers.AdamW,
        "nadam": keras.optimizers.Nadam,
        "rmsprop": keras.optimizers.RMSprop,
        "sgd": keras.optimizers.SGD,
    }
    optimizer = optimizers[values["optimizer"]](learning_rate=values["learning_rate"], clipnorm=values["clipnorm"])
    model.compile(optimizer=optimizer, loss=values["loss"], metrics=list(METRICS))
    return model
