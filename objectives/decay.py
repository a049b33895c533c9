"""A learning rate that falls at the end of a training: what the last epoch knows is then no worse than the best one.

rate  ──────────────╲            With a constant rate the error jumps from epoch to epoch, so the best epoch is lucky
                     ╲           and the last one is not good. A training without validation keeps the last one.
      |<-- epochs -->|
"""

from __future__ import annotations

from collections.abc import Mapping

import keras

from ..storage.mistakes import Mistake

FLOOR = 0.05
"""The rate of the last epoch is at least this part of the first one's."""


class LinearDecay(keras.callbacks.Callback):
    """Lets the learning rate fall linearly over the last part of the epochs.

    Args:
        model: compiled, its optimiser as its builder made it.
        epochs: of the whole training.
        share: of the epochs over which it falls, in (0, 1].

    Raises:
        Mistake: the optimiser has a schedule of its own.
    """

    def __init__(self, model: keras.Model, *, epochs: int, share: float) -> None:
        super().__init__()
        if not has_rate(model):
            raise Mistake(
                "`training.decay` needs an optimiser with a number for its learning rate; this model's has a schedule "
                "of its own. Set training.decay = 0."
            )
        self._rate = float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
        self._epochs, self._share = epochs, share

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Sets the rate of the epoch."""
        self.model.optimizer.learning_rate = self._rate * factor(epoch, self._epochs, self._share)


def has_rate(model: keras.Model) -> bool:
    """Whether there is a learning rate that may be set: a schedule may not, and who is not compiled has none."""
    return bool(model.compiled) and isinstance(model.optimizer.learning_rate, keras.Variable)


def factor(epoch: int, epochs: int, share: float) -> float:
    """What the rate of an epoch (from 0) is of the first one's."""
    return min(1.0, max(FLOOR, (epochs - epoch) / (epochs * share)))
