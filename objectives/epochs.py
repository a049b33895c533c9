"""The Keras callback that follows a fit epoch by epoch: the live monitor (R8). Imports Keras."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np

from ..storage.dataset import Part
from .callbacks import Listener, NonFinite, metric_value
from .forecast_errors import add_missing

logger = logging.getLogger(__name__)


class FitEnded(Exception):
    """Leaves ``model.fit`` in the middle; what ended it waits in `EpochMonitor.failure`."""


class ForecastErrors(keras.callbacks.Callback):
    """Adds to every epoch the errors that the model's own metrics lack; comes before whoever looks at them.

    Args:
        part: the validation part, not empty.
        batch_size: windows forecast at a time.
    """

    def __init__(self, part: Part, batch_size: int) -> None:
        super().__init__()
        self._part, self._batch_size = part, batch_size

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Adds to the values that Keras hands from callback to callback."""
        if logs is not None:
            add_missing(logs, self.model, self._part, self._batch_size)


class Together(keras.callbacks.Callback):
    """Several callbacks as one, for a training of the user's own.

    A loop that calls the callbacks by hand makes the values of an epoch anew for each of them, so that none would see
    what one before it has added. It may leave out all calls but that at the end of an epoch.

    Args:
        callbacks: called in this order, with one dictionary an epoch.
        model: that is trained.
    """

    def __init__(self, callbacks: Sequence[keras.callbacks.Callback], model: keras.Model) -> None:
        super().__init__()
        self._callbacks = tuple(callbacks)
        self.set_model(model)

    def set_model(self, model: keras.Model) -> None:
        """Tells all of them."""
        super().set_model(model)
        for callback in self._callbacks:
            callback.set_model(model)

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Tells all of them."""
        for callback in self._callbacks:
            callback.on_train_begin()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Tells all of them."""
        for callback in self._callbacks:
            callback.on_epoch_begin(epoch)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Hands the values from one to the next."""
        values = dict(logs or {})
        for callback in self._callbacks:
            callback.on_epoch_end(epoch, values)


class EpochMonitor(keras.callbacks.Callback):
    """Keeps the history and the weights of the best epoch, announces each new best, and tells the listeners.

    Keras cuts the causes off exceptions that fly through ``fit``. So whatever ends the training early is kept in
    `failure`, and only `FitEnded` is raised.

    Args:
        monitor: the metric to watch; smaller is better.
        listeners: told each epoch, in this order.
        gradient_norm: computes the gradient norm at the end of an epoch, if wanted.
        keep_last: the last epoch counts as the best, whatever its value.
    """

    def __init__(
        self,
        monitor: str,
        listeners: Sequence[Listener] = (),
        gradient_norm: Callable[[], float] | None = None,
        *,
        keep_last: bool = False,
    ) -> None:
        super().__init__()
        self.history_of: dict[str, list[float]] = {}
        self.best_value = math.inf
        self.best_epoch = -1
        self.best_weights: list[np.ndarray] = []
        self.failure: Exception | None = None
        self._monitor = monitor
        self._listeners = tuple(listeners)
        self._gradient_norm = gradient_norm
        self._keep_last = keep_last
        self._began = time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Starts the clock."""
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Takes the values of the epoch, before any other callback changes the learning rate."""
        values = {name: float(value) for name, value in (logs or {}).items()}
        if self.model.compiled:  # a training of the user's own may keep its optimiser to itself
            values["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        now = time.perf_counter()
        values["seconds"], self._began = now - self._began, now
        try:
            # Counted here: a training of the user's own may begin anew at 0, or count from 1.
            self._follow(len(self.history_of.get("seconds", ())), values)
        except Exception as failure:
            self.failure = failure
            raise FitEnded from failure

    def _follow(self, epoch: int, values: dict[str, float]) -> None:
        value = metric_value(values, self._monitor)
        _check_finite(epoch, values)
        if self._gradient_norm is not None:
            values["gradient_norm"] = self._gradient_norm()
            _check_finite(epoch, values)
        for name, number in values.items():
            self.history_of.setdefault(name, []).append(number)
        if value < self.best_value or self._keep_last:
            self.best_value, self.best_epoch = value, epoch
            self.best_weights = self.model.get_weights()
            logger.info("epoch %d: new best %s %.6g", epoch, self._monitor, value)
        for listener in self._listeners:
            listener(epoch, dict(values))


def _check_finite(epoch: int, values: Mapping[str, float]) -> None:
    for name, number in values.items():
        if not math.isfinite(number):
            raise NonFinite(epoch, name, number)
