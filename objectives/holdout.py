"""The holdout objective: train on the training part, judge on the validation part after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..models.contract import Builds, FitsItself
from ..models.registry import get_builder
from .callbacks import Listener
from .precision import policy_restored
from .runtime import set_seed
from .training import FitResult, FitSettings, fit
from .without_tensorflow import without_tensorflow

if TYPE_CHECKING:
    import keras

    from ..storage.dataset import Dataset
    from .checkpoint import Checkpointer

VALIDATION_METRICS = ("val_loss", "val_mse", "val_mae")


@dataclass(frozen=True, eq=False)
class TrialResult:
    """What a trial came to.

    Attributes:
        fit: the fit itself.
        values: val_loss, val_mse and val_mae in scaled units, val_rmse in the unit of the data set; of the best epoch;
            none where there are no validation windows.
        model: the trained model with the weights of the best epoch.
    """

    fit: FitResult
    values: dict[str, float]
    model: keras.Model


def holdout(
    builder: str | Builds,
    parameters: Mapping[str, object],
    dataset: Dataset,
    settings: FitSettings,
    listeners: Sequence[Listener] = (),
    checkpointer: Checkpointer | None = None,
) -> TrialResult:
    """A whole trial: seeds, builds, fits. The same arguments give the same bits, in this process or in another.

    Args:
        builder: the model's key, for instance ``stacked_lstm``, or what builds it; one that trains itself does so.
        parameters: the builder's parameters; the others take their defaults.
        dataset: the data.
        settings: how to train; `settings.seed` is set and `settings.precision` holds before the model is built.
        listeners: called after each epoch; see `fit`.
        checkpointer: keeps the state of each epoch, and brings the one to go on from; see `fit`.

    Returns:
        the result. Memory of the model is freed when the result is dropped and the next trial begins.

    Raises:
        ModelError: for an unknown builder or wrong parameters.
        NonFinite, UnknownMetric: see `fit`.
    """
    import keras

    builds = get_builder(builder) if isinstance(builder, str) else builder
    with policy_restored():
        keras.backend.clear_session()
        set_seed(settings.seed)
        # Only now: clearing the session forgets the policy.
        keras.config.set_dtype_policy(settings.precision)
        with without_tensorflow():
            model = builds.build(parameters, (dataset.lookback, dataset.n_features), dataset.n_outputs)
        run = builds.fit if isinstance(builds, FitsItself) else None
        result = fit(model, dataset, settings, listeners, checkpointer, run)
        values: dict[str, float] = {}
        if len(dataset.val.windows):
            at_best = {name: result.at_best(name) for name in VALIDATION_METRICS}
            values = validation_values(at_best, model, dataset, settings.batch_size)
    return TrialResult(fit=result, values=values, model=model)


def validation_values(
    at_best: Mapping[str, float], model: keras.Model, dataset: Dataset, batch_size: int
) -> dict[str, float]:
    """The values of a trial, the error in the data set's unit among them."""
    values = {name: at_best[name] for name in VALIDATION_METRICS}
    return values | {"val_rmse": _rmse_in_unit(model, dataset, values["val_mse"], batch_size)}


def _rmse_in_unit(model: keras.Model, dataset: Dataset, mse: float, batch_size: int) -> float:
    """Root mean squared error over the validation part and all outputs, in the data set's unit."""
    if dataset.y_scaler is None:
        return float(np.sqrt(mse))
    scale = np.asarray(dataset.y_scaler.scale, dtype=np.float64)
    if np.all(scale == scale[0]):
        return float(np.sqrt(mse) * scale[0])
    # Each output has a unit step of its own, so the errors must be weighed one by one.
    windows, squares = dataset.val.windows, 0.0
    for start in range(0, len(windows), batch_size):
        positions = slice(start, start + batch_size)
        predicted = np.asarray(model.predict_on_batch(windows.take(positions)), dtype=np.float32)
        squares += float(np.sum(np.square((predicted - dataset.val.y[positions]) * scale, dtype=np.float64)))
    return float(np.sqrt(squares / dataset.val.y.size))
