"""Training windows gathered batch by batch, for data that must not be in memory as a whole. Imports Keras."""

from __future__ import annotations

import math

import keras
import numpy as np

from ..storage.windows import Windows


class WindowBatches(keras.utils.PyDataset):
    """Batches of windows and targets, in time order or newly shuffled each epoch.

    The permutation is drawn from NumPy's global generator when an epoch begins, exactly as Keras does for an array on
    JAX: there a training from here gives the same bits as one from memory. (On TensorFlow Keras shuffles arrays with
    TensorFlow's generator; the batches differ.) Hand it to ``fit`` with ``shuffle=False``.

    Args:
        windows: (n, lookback, n_features) the inputs.
        y: (n, n_outputs) the targets, scaled.
        batch_size: windows in a batch; the last batch may be smaller.
        shuffle: whether each epoch has an order of its own.
    """

    def __init__(self, windows: Windows, y: np.ndarray, *, batch_size: int, shuffle: bool) -> None:
        super().__init__()
        self._windows = windows
        self._y = y
        self._batch_size = batch_size
        self._shuffle = shuffle
        self._order = np.arange(len(windows))

    def __len__(self) -> int:
        return math.ceil(len(self._windows) / self._batch_size)

    def on_epoch_begin(self) -> None:
        """Draws the order of the epoch."""
        if self._shuffle:
            self._order = np.random.permutation(len(self._windows))

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Batch `index`: (k, lookback, n_features) and (k, n_outputs), float32."""
        positions = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        return self._windows.take(positions), self._y[positions]
