"""Several batches to one step: the step of the batch that they make together."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from greentune.objectives.accumulation import accumulate_gradients
from greentune.objectives.holdout import holdout
from greentune.objectives.runtime import set_seed
from greentune.objectives.training import FitSettings, TrainingError, fit
from greentune.storage.dataset import Dataset
from greentune.storage.mistakes import Mistake

from ..tiny import tiny_dataset as make_dataset
from .doubles import linear_model


def weights_after(dataset: Dataset, optimizer: Any = None, *, epochs: int = 1, **changes: Any) -> list[np.ndarray]:
    set_seed(1)
    model = linear_model(dataset, learning_rate=0.1, penalty=0.1)
    if optimizer is not None:
        model.compile(optimizer=optimizer, loss="mse", metrics=["mse"])
    settings = FitSettings(epochs=epochs, seed=1, shuffle=False, **changes)
    after: list[np.ndarray] = []
    fit(model, dataset, settings, [lambda _epoch, _values: after.__setitem__(slice(None), model.get_weights())])
    return after


def differ(left: list[np.ndarray], right: list[np.ndarray]) -> float:
    return max(float(np.max(np.abs(a - b))) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize(("batch_size", "steps"), [(16, 2), (8, 4)])
def test_small_batches_make_the_steps_of_a_large_one(batch_size: int, steps: int) -> None:
    dataset = make_dataset(n_train=64)
    large = weights_after(dataset, batch_size=32)

    accumulated = weights_after(dataset, batch_size=batch_size, gradient_accumulation=steps)

    assert differ(accumulated, large) < 1e-6
    assert differ(accumulated, weights_after(dataset, batch_size=batch_size)) > 1e-3


def test_so_does_an_optimizer_of_ones_own() -> None:
    dataset = make_dataset(n_train=64)

    def optimizer() -> keras.optimizers.Optimizer:
        return keras.optimizers.Adam(0.05, clipnorm=0.1)

    large = weights_after(dataset, optimizer(), epochs=3, batch_size=32)

    assert differ(weights_after(dataset, optimizer(), epochs=3, batch_size=16, gradient_accumulation=2), large) < 1e-6


def test_what_is_left_of_an_epoch_waits_for_the_next() -> None:
    dataset = make_dataset(n_train=48)
    once = weights_after(dataset, batch_size=16, gradient_accumulation=2)

    assert differ(once, weights_after(make_dataset(n_train=48), batch_size=32, epochs=1)) > 1e-4
    assert differ(once, weights_after(dataset, batch_size=16, gradient_accumulation=2, epochs=2)) > 1e-4


def test_the_compiled_loss_and_metrics_stay(tiny_dataset: Dataset) -> None:
    set_seed(1)
    model = linear_model(tiny_dataset)
    model.compile(optimizer="sgd", loss="huber", metrics=["mse", keras.metrics.MeanAbsoluteError(name="own")])
    optimizer = model.optimizer

    result = fit(model, tiny_dataset, FitSettings(epochs=1, batch_size=16, seed=1, gradient_accumulation=3))

    assert {"val_mse", "val_own"} <= set(result.history)
    assert model.optimizer is optimizer
    assert optimizer.get_config()["gradient_accumulation_steps"] == 3


def test_one_is_the_training_without(tiny_dataset: Dataset) -> None:
    assert (
        differ(
            weights_after(tiny_dataset, batch_size=16, gradient_accumulation=1),
            weights_after(tiny_dataset, batch_size=16),
        )
        == 0
    )


def test_under_mixed_float16_the_inner_optimizer_accumulates(tiny_dataset: Dataset) -> None:
    settings = FitSettings(epochs=2, batch_size=16, seed=1, precision="mixed_float16", gradient_accumulation=2)

    result = holdout("stacked_lstm", {"lstm_units": [3]}, tiny_dataset, settings)

    assert result.model.optimizer.inner_optimizer.gradient_accumulation_steps == 2
    assert np.isfinite(result.fit.best_value)


def test_a_model_that_is_in_use_is_refused(tiny_dataset: Dataset) -> None:
    model = linear_model(tiny_dataset)
    fit(model, tiny_dataset, FitSettings(epochs=1, batch_size=16, seed=1))

    with pytest.raises(Mistake, match=r"before a model is trained; got 2 .* Compile the model anew\."):
        accumulate_gradients(model, 2)


def test_two_numbers_that_disagree_are_refused(tiny_dataset: Dataset) -> None:
    model = linear_model(tiny_dataset)
    model.compile(optimizer=keras.optimizers.SGD(gradient_accumulation_steps=4), loss="mse", metrics=["mse"])

    accumulate_gradients(model, 4)
    with pytest.raises(Mistake, match=r"got 2, and the optimiser was made with 4\. Leave one of the two out\."):
        accumulate_gradients(model, 2)


@pytest.mark.parametrize("steps", [0, 1.5, True])
def test_it_is_a_count(steps: Any) -> None:
    with pytest.raises(TrainingError, match="'gradient_accumulation' must be a whole number of at least 1; got"):
        FitSettings(epochs=1, batch_size=16, seed=1, gradient_accumulation=steps)
