"""An ensemble as one Keras model: the mean of the forecasts of its members, each of which sees its part of a window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, eq=False)
class Member:
    """A trained model and what it sees of a window.

    Attributes:
        model: (n, lookback, n_features) → (n, n_outputs).
        lookback: steps; it sees the newest ones.
        columns: positions of its features among those of the ensemble, in its order; None: all.
    """

    model: keras.Model
    lookback: int
    columns: Sequence[int] | None = None


def ensemble(members: Sequence[Member], window_shape: tuple[int, int]) -> keras.Model:
    """One model that answers with the mean of its members' answers.

    Args:
        members: trained; they become part of the new model, under new names.
        window_shape: (lookback, n_features) of the ensemble: at least those of each member.

    Returns:
        a compiled model; mean squared error and mean absolute error are only for evaluating it.
    """
    import keras

    window = keras.Input(window_shape)
    answers = []
    for number, member in enumerate(members, start=1):
        seen = window
        if member.lookback < window_shape[0]:
            seen = seen[:, window_shape[0] - member.lookback :, :]
        if member.columns is not None:
            seen = keras.ops.take(seen, list(member.columns), axis=-1)
        answers.append(_copy(member.model, f"member_{number}")(seen))
    mean = answers[0] if len(answers) == 1 else keras.layers.Average()(answers)
    model = keras.Model(window, mean, name="ensemble")
    model.compile(keras.optimizers.SGD(), loss="mse", metrics=["mae"])  # one without state to be saved
    return model


def _copy(model: keras.Model, name: str) -> keras.Model:
    """The same model under another name (an ensemble needs different ones), without its optimiser."""
    import keras

    copy = keras.models.clone_model(model)
    copy.name = name
    copy.set_weights(model.get_weights())
    return copy
