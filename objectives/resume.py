"""The state of a Keras training: taken at the end of each epoch, and put back before the first. Imports Keras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from .checkpoint import Checkpointer
from .epochs import EpochMonitor
from .state import RandomState, TrainingState

_REMEMBERED: Mapping[type[keras.callbacks.Callback], Sequence[str]] = {
    keras.callbacks.EarlyStopping: ("best", "best_epoch", "wait", "stopped_epoch"),
    keras.callbacks.ReduceLROnPlateau: ("best", "wait", "cooldown_counter"),
    keras.callbacks.ModelCheckpoint: ("best",),
}


class StateKeeper(keras.callbacks.Callback):
    """Keeps the state of each epoch, and gives memory and random numbers back to a training that goes on.

    It must be the last of the callbacks: it sees what the others made of the epoch, and puts back what their
    ``on_train_begin`` resets.

    Args:
        checkpointer: takes the states.
        monitor: of the same fit.
        others: the other callbacks of the same fit.
        epochs: most epochs of the training.
    """

    def __init__(
        self,
        checkpointer: Checkpointer,
        monitor: EpochMonitor,
        others: Sequence[keras.callbacks.Callback],
        *,
        epochs: int,
    ) -> None:
        super().__init__()
        self._checkpointer = checkpointer
        self._monitor = monitor
        self._others = others
        self._epochs = epochs

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Puts back what ``fit`` has reset or used up until here.

        The generators come last and not before ``fit``, which shuffles once to look at a batch.
        """
        state = self._checkpointer.state
        if state is None:
            return
        for callback in self._others:
            for name, value in state.callbacks.get(type(callback).__name__, {}).items():
                setattr(callback, name, value)
            if isinstance(callback, keras.callbacks.ModelCheckpoint):
                self._save_best(callback.filepath)
        state.generators.put_back()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Copies the state: no later step of the training can change it."""
        monitor = self._monitor
        state = TrainingState(
            epochs_done=epoch + 1,
            ended=bool(self.model.stop_training) or epoch + 1 == self._epochs,
            history={name: list(values) for name, values in monitor.history_of.items()},
            best_value=monitor.best_value,
            best_epoch=monitor.best_epoch,
            best_weights=monitor.best_weights,
            variables=_copies(self.model.variables),
            optimizer=_copies(self.model.optimizer.variables),
            callbacks={type(callback).__name__: _memory_of(callback) for callback in self._others},
            generators=RandomState.now(),
        )
        self._checkpointer.keep(state)

    def _save_best(self, path: str) -> None:
        # The file of the interrupted training may lie on another machine, or be of an epoch that is trained again.
        current = self.model.get_weights()
        self.model.set_weights(self._monitor.best_weights)
        self.model.save(path)
        self.model.set_weights(current)


def put_back(
    checkpointer: Checkpointer, model: keras.Model, monitor: EpochMonitor, *, x: np.ndarray, epochs: int
) -> int:
    """Puts a checkpointer's state into a model, its optimiser and a monitor, before ``fit``.

    A state that does not fit the model is discarded (with a warning), and the model stays as it is.

    Args:
        checkpointer: with a state or without.
        model: compiled.
        monitor: of the fit that follows.
        x: (1, lookback, n_features) to build a model that is not built yet.
        epochs: most epochs of the training.

    Returns:
        the epoch to begin with: 0 for a fresh training, `epochs` when nothing is left to train.
    """
    state = checkpointer.state
    if state is None:
        return 0
    if not model.built:
        model(x)
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    optimizer = model.optimizer.variables
    fits = _fit(state.variables, model.variables) and _fit(state.optimizer, optimizer)
    if not fits or not _fit(state.best_weights, model.weights) or state.epochs_done > epochs:
        checkpointer.discard("it does not fit this model and its optimiser")
        return 0
    for variable, array in zip([*model.variables, *optimizer], [*state.variables, *state.optimizer], strict=True):
        variable.assign(array)
    monitor.history_of = {name: list(values) for name, values in state.history.items()}
    monitor.best_value, monitor.best_epoch = state.best_value, state.best_epoch
    monitor.best_weights = [
        array.astype(weights.dtype) for array, weights in zip(state.best_weights, model.get_weights(), strict=True)
    ]
    return epochs if state.ended else state.epochs_done


def _copies(variables: Sequence[keras.Variable]) -> list[np.ndarray]:
    return [np.array(keras.ops.convert_to_numpy(variable.value)) for variable in variables]


def _fit(arrays: Sequence[np.ndarray], variables: Sequence[keras.Variable]) -> bool:
    return [array.shape for array in arrays] == [tuple(variable.shape) for variable in variables]


def _memory_of(callback: keras.callbacks.Callback) -> dict[str, float | None]:
    return {name: getattr(callback, name) for name in _REMEMBERED.get(type(callback), ())}
