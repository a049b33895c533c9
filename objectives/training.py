"""One fit, one result: ``model.fit`` with the callbacks of R4, the best epoch's weights and the whole history."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..storage.mistakes import Mistake, nearest
from .accumulation import accumulate_gradients
from .callbacks import Listener
from .precision import PRECISIONS

if TYPE_CHECKING:
    import keras

    from ..storage.dataset import Dataset, Part
    from .checkpoint import Checkpointer

IN_MEMORY_BYTES = 512 * 2**20
"""Up to this size the windows of a part are copied into one array; above it they are gathered batch by batch."""

_GRADIENT_WINDOWS = 256


class TrainingError(Mistake):
    """Settings of a fit that break a rule."""


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """How a model is trained; what is None is left out.

    Args:
        epochs: most passes over the training part.
        batch_size: windows in a batch.
        seed: start of all random numbers; from 0 to 2**32 - 1.
        monitor: the metric that chooses the best epoch; smaller is better. ``val_loss`` holds the penalty, ``val_mse``
            does not.
        keep: whose weights the model has at the end: those of the ``best`` epoch, or of the ``last`` one. Without
            validation windows the last must be kept, and `monitor` be a metric of the training.
        shuffle: a new order of the training windows each epoch, or the order of time.
        patience: epochs without a new best until training stops (R4: 15).
        reduce_lr_patience: epochs without a new best until the learning rate is lowered (R4: 8).
        decay: share of the epochs at the end over which the learning rate falls, from 0 (none) to 1; see `LinearDecay`.
            Neither this nor `reduce_lr_patience` touches the schedule of a model that has one of its own.
        factor: by which it is lowered, in (0, 1).
        min_lr: below which it never goes.
        checkpoint: ``.keras`` file that always holds the best model so far.
        gradient_norms: whether the history has the gradient norm of each epoch (R7).
        gradient_accumulation: batches whose mean gradient makes one step of the optimiser; see `accumulate_gradients`
            for what differs from a batch that is so many times larger.
        precision: in which numbers the layers compute: ``float32``, ``mixed_bfloat16`` or ``mixed_float16``. It takes
            effect where the model is built, in `holdout`; `fit` trains a model as it is.
    """

    epochs: int
    batch_size: int
    seed: int
    monitor: str = "val_mse"
    keep: Literal["best", "last"] = "best"
    shuffle: bool = True
    patience: int | None = None
    reduce_lr_patience: int | None = None
    decay: float = 0.0
    factor: float = 0.5
    min_lr: float = 1e-7
    checkpoint: Path | None = None
    gradient_norms: bool = False
    gradient_accumulation: int = 1
    precision: str = "float32"

    def __post_init__(self) -> None:
        """Checks every value.

        Raises:
            TrainingError: with a sentence for each value that breaks its rule.
        """
        mistakes = [
            f"'{name}' must be a whole number of at least 1; got {value!r}."
            for name in ("epochs", "batch_size", "patience", "reduce_lr_patience", "gradient_accumulation")
            if not _is_count(value := getattr(self, name)) and not (value is None and name.endswith("patience"))
        ]
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed < 2**32:
            mistakes.append(f"'seed' must be a whole number from 0 to 4294967295; got {self.seed!r}.")
        if not 0.0 <= self.decay <= 1.0:
            mistakes.append(f"'decay' must be a number from 0 to 1; got {self.decay!r}. 0 leaves the rate as it is.")
        if self.decay and self.reduce_lr_patience is not None:
            mistakes.append("'decay' and 'reduce_lr_patience' both set the learning rate. Use one of them.")
        if not 0.0 < self.factor < 1.0:
            mistakes.append(f"'factor' must be a number in (0, 1); got {self.factor!r}. The default is 0.5.")
        if not (math.isfinite(self.min_lr) and self.min_lr >= 0.0):
            mistakes.append(
                f"'min_lr' must be a finite number of at least 0; got {self.min_lr!r}. The default is 1e-07."
            )
        if self.checkpoint is not None and self.checkpoint.suffix != ".keras":
            mistakes.append(f"'checkpoint' must be a file that ends in .keras; got '{self.checkpoint.name}'.")
        if self.precision not in PRECISIONS:
            mistakes.append(
                f"'precision' must be one of {len(PRECISIONS)} names; got {self.precision!r}."
                f" {nearest(self.precision, PRECISIONS)}"
            )
        if mistakes:
            raise TrainingError(mistakes)


@dataclass(frozen=True, eq=False)
class FitResult:
    """What a fit came to.

    Attributes:
        monitor: the metric that chose the best epoch.
        best_value: its smallest value; its last one where the last epoch was kept.
        best_epoch: the first epoch that had it, from 0.
        history: a value an epoch for loss, val_loss, each metric and its val_ twin, learning_rate (used in that epoch),
            seconds, and gradient_norm where asked for.
        best_weights: the model's weights after the best epoch, as ``get_weights`` gives them.
        n_parameters: number of all weights, trained or not.
        stopped: why it ended: ``epochs`` (all were trained) or ``patience``.
    """

    monitor: str
    best_value: float
    best_epoch: int
    history: dict[str, list[float]]
    best_weights: list[np.ndarray]
    n_parameters: int
    stopped: str

    @property
    def epochs(self) -> int:
        """How many were trained."""
        return len(next(iter(self.history.values()), ()))

    def at_best(self, metric: str) -> float:
        """The metric's value in the best epoch."""
        return self.history[metric][self.best_epoch]


def fit(
    model: keras.Model,
    dataset: Dataset,
    settings: FitSettings,
    listeners: Sequence[Listener] = (),
    checkpointer: Checkpointer | None = None,
    run: Callable[..., object] | None = None,
) -> FitResult:
    """Trains a compiled model; at the end it has the weights of its best epoch, whatever ended the training.

    It is one plain ``model.fit``: the numbers are those of a Keras script that seeds, builds and fits in the same way.

    Args:
        model: a compiled model from (n, lookback, n_features) to (n, n_outputs).
        dataset: trained on its part `train`, validated on its part `val` (unless that is empty) after each epoch.
        settings: how to train. The seed must have been set before the model was built (`set_seed`); it is not set here.
        listeners: called after each epoch; one that raises ends the training, and its exception comes out of here. Only
            epochs that are trained here are told, not those that a checkpointer brings.
        checkpointer: keeps the state of each epoch, and brings the one to go on from. It changes no number.
        run: trains instead of ``model.fit``: called with the model and what that would get, but for batch size and
            shuffling where these are Keras' own defaults, so that it may set them itself.

    Returns:
        the result of the whole training, the epochs before an interruption included.

    Raises:
        NonFinite: as soon as a loss or metric is NaN or infinite.
        UnknownMetric: after the first epoch, if there is no metric named `settings.monitor`.
        Mistake: if gradients cannot be accumulated.
    """
    from .decay import LinearDecay, has_rate
    from .epochs import EpochMonitor, FitEnded, ForecastErrors, Together
    from .gradients import gradient_norm_of

    accumulate_gradients(model, settings.gradient_accumulation)
    gradient_norm = None
    if settings.gradient_norms and model.compiled:  # who trains itself need not say which loss it is
        first = slice(0, _GRADIENT_WINDOWS)
        gradient_norm = gradient_norm_of(model, dataset.train.windows.take(first), dataset.train.y[first])
    monitor = EpochMonitor(settings.monitor, listeners, gradient_norm, keep_last=settings.keep == "last")
    callbacks = [monitor, *_documented_callbacks(settings, lowers=has_rate(model))]
    errors = [ForecastErrors(dataset.val, settings.batch_size)] if len(dataset.val.windows) else []
    if settings.decay and has_rate(model):
        callbacks.append(LinearDecay(model, epochs=settings.epochs, share=settings.decay))
    first_epoch = 0
    if checkpointer is not None and run is None:  # how to go on is known of model.fit only
        from .resume import StateKeeper, put_back

        first_epoch = put_back(
            checkpointer, model, monitor, x=dataset.train.windows.take(slice(0, 1)), epochs=settings.epochs
        )
        callbacks.append(StateKeeper(checkpointer, monitor, callbacks[1:], epochs=settings.epochs))
    try:
        arguments = {
            **_fit_data(dataset.train, settings),
            "validation_data": _validation_data(dataset.val, settings),
            "epochs": settings.epochs,
            "initial_epoch": first_epoch,
            "callbacks": [*errors, *callbacks],
            "verbose": 0,
        }
        if run is None:
            model.fit(**arguments)
        else:
            together = Together([*errors, *callbacks], model)
            run(model, **_unless_usual({**arguments, "callbacks": [together]}))
            if not monitor.history_of:  # it told the callbacks nothing: the end is all there is to judge
                together.on_epoch_end(0)
    except FitEnded:
        assert monitor.failure is not None
    finally:
        if monitor.best_weights:
            model.set_weights(monitor.best_weights)
    if monitor.failure is not None:
        raise monitor.failure
    n_epochs = len(monitor.history_of[settings.monitor])
    return FitResult(
        monitor=settings.monitor,
        best_value=monitor.best_value,
        best_epoch=monitor.best_epoch,
        history=monitor.history_of,
        best_weights=monitor.best_weights,
        n_parameters=model.count_params(),
        stopped="epochs" if n_epochs == settings.epochs else "patience",
    )


def _fit_data(part: Part, settings: FitSettings) -> dict[str, Any]:
    if part.windows.nbytes <= IN_MEMORY_BYTES:
        return {"x": part.windows.array(), "y": part.y, "batch_size": settings.batch_size, "shuffle": settings.shuffle}
    from .batches import WindowBatches

    batches = WindowBatches(part.windows, part.y, batch_size=settings.batch_size, shuffle=settings.shuffle)
    return {"x": batches, "shuffle": False, "batch_size": None}


def _validation_data(part: Part, settings: FitSettings) -> Any:
    if not len(part.windows):
        return None
    if part.windows.nbytes <= IN_MEMORY_BYTES:
        return part.windows.array(), part.y
    from .batches import WindowBatches

    return WindowBatches(part.windows, part.y, batch_size=settings.batch_size, shuffle=False)


def _documented_callbacks(settings: FitSettings, *, lowers: bool) -> list[keras.callbacks.Callback]:
    """R4; EarlyStopping need not restore the best weights, as every fit does.

    Args:
        lowers: whether the learning rate can be lowered.
    """
    from keras.callbacks import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau

    watch = {"monitor": settings.monitor, "mode": "min", "verbose": 0}
    callbacks: list[keras.callbacks.Callback] = []
    if settings.patience is not None:
        callbacks.append(EarlyStopping(patience=settings.patience, **watch))
    if settings.checkpoint is not None:
        callbacks.append(ModelCheckpoint(str(settings.checkpoint), save_best_only=True, **watch))
    if settings.reduce_lr_patience is not None and lowers:
        reduction = {"patience": settings.reduce_lr_patience, "factor": settings.factor, "min_lr": settings.min_lr}
        callbacks.append(ReduceLROnPlateau(**reduction, **watch))
    return callbacks


_USUAL = {"batch_size": 32, "shuffle": True, "initial_epoch": 0}


def _unless_usual(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if name not in _USUAL or value != _USUAL[name]}


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
