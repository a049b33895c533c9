"""The errors by which trials are judged, where a model's own metrics do not hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras

    from ..storage.dataset import Part

_SYNONYMS = {"val_mse": "val_mean_squared_error", "val_mae": "val_mean_absolute_error"}
"""What Keras calls the same numbers where a metric was given by its class or its long name."""


def add_missing(values: dict[str, float], model: keras.Model, part: Part, batch_size: int) -> None:
    """Add ``val_mse`` and ``val_mae``, in scaled units and without a penalty, and ``val_loss`` where there is none.

    Models of users are compiled with metrics of their own choice. What is missing is measured by forecasting the part
    once more. Where a training of the user's own reports no ``val_loss``, the squared error stands in its place.

    Args:
        values: of an epoch; added to in place.
        part: the validation part, not empty.
    """
    for name, other in _SYNONYMS.items():
        if name not in values and other in values:
            values[name] = values[other]
    if not _SYNONYMS.keys() <= values.keys():
        squares, distances = _errors(model, part, batch_size)
        values.setdefault("val_mse", squares)
        values.setdefault("val_mae", distances)
    values.setdefault("val_loss", values["val_mse"])


def _errors(model: keras.Model, part: Part, batch_size: int) -> tuple[float, float]:
    """Mean squared and mean absolute error over all windows and outputs."""
    squares = distances = 0.0
    n = len(part.windows)
    for start in range(0, n, batch_size):
        # Every batch has the same size, so that the model is compiled once.
        positions = np.minimum(np.arange(start, start + batch_size), n - 1)
        answers = np.asarray(model.predict_on_batch(part.windows.take(positions)), dtype=np.float64)
        kept = min(batch_size, n - start)
        errors = answers.reshape(batch_size, -1)[:kept] - part.y[positions[:kept]]
        squares += float(np.sum(np.square(errors)))
        distances += float(np.sum(np.abs(errors)))
    return squares / part.y.size, distances / part.y.size
