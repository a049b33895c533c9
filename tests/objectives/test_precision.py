"""Mixed precision for one trial: it trains, it ends in float32, and the next trial knows nothing of it."""

from __future__ import annotations

import dataclasses
import functools
import math

import keras
import numpy as np
import pytest

from greentune.models import ModelError, builder_keys
from greentune.objectives.holdout import TrialResult, holdout
from greentune.objectives.precision import PRECISIONS
from greentune.objectives.training import FitSettings, TrainingError
from greentune.storage.dataset import Dataset
from greentune.storage.scaling import LinearScaler

from ..tiny import tiny_dataset as make_dataset

SMALL: dict[str, object] = {"lstm_units": [3, 2], "learning_rate": 0.01}


@functools.cache
def trained(precision: str, builder: str) -> TrialResult:
    return run(make_dataset(), precision, builder)


def run(dataset: Dataset, precision: str, builder: str = "stacked_lstm") -> TrialResult:
    parameters = SMALL if builder == "stacked_lstm" else {**SMALL, "dropout_rates": 0.1, "residual": True}
    settings = FitSettings(epochs=2, batch_size=16, seed=1, precision=precision)
    return holdout(builder, parameters, dataset, settings)


@pytest.mark.parametrize("builder", builder_keys())
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_it_trains_in_mixed_precision(precision: str, builder: str) -> None:
    result = trained(precision, builder)

    lstm = next(
        layer for layer in result.model.layers if isinstance(layer, (keras.layers.LSTM, keras.layers.Bidirectional))
    )
    assert lstm.dtype_policy.name == precision
    assert all(math.isfinite(value) for value in result.values.values())
    assert all(type(value) is float for values in result.fit.history.values() for value in values)
    assert result.fit.history["loss"][1] != result.fit.history["loss"][0]
    assert {array.dtype for array in result.fit.best_weights} == {np.dtype("float32")}


@pytest.mark.parametrize("builder", builder_keys())
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_forecast_is_float32_in_every_precision(precision: str, builder: str) -> None:
    model = trained(precision, builder).model

    assert model.layers[-1].compute_dtype == "float32"
    assert model.predict_on_batch(make_dataset().val.windows.array()).dtype == np.float32


def test_the_loss_is_scaled_where_the_range_is_narrow() -> None:
    kinds = [type(trained(precision, "stacked_lstm").model.optimizer).__name__ for precision in PRECISIONS]

    assert kinds == ["Adam", "Adam", "LossScaleOptimizer"]


def test_the_numbers_are_near_those_of_float32() -> None:
    exact, mixed = trained("float32", "stacked_lstm"), trained("mixed_bfloat16", "stacked_lstm")

    assert mixed.fit.best_value != exact.fit.best_value
    assert mixed.fit.best_value == pytest.approx(exact.fit.best_value, rel=0.05)


@pytest.mark.parametrize("before", ["float32", "mixed_bfloat16"])
def test_the_policy_is_afterwards_what_it_was(tiny_dataset: Dataset, before: str) -> None:
    keras.config.set_dtype_policy(before)
    try:
        run(tiny_dataset, "mixed_float16")
        assert keras.config.dtype_policy().name == before
        with pytest.raises(ModelError):
            holdout("stacked_lstm", {"lstm_units": []}, tiny_dataset, FitSettings(epochs=1, batch_size=16, seed=1))
        assert keras.config.dtype_policy().name == before
    finally:
        keras.config.set_dtype_policy("float32")


def test_a_mixed_trial_leaves_no_trace_in_the_next(tiny_dataset: Dataset) -> None:
    first = run(tiny_dataset, "float32")
    run(tiny_dataset, "mixed_float16")

    again = run(tiny_dataset, "float32")

    assert again.fit.best_value == first.fit.best_value
    assert again.values == first.values


def test_an_error_in_units_that_differ_from_output_to_output_is_finite(tiny_dataset: Dataset) -> None:
    scaler = LinearScaler("minmax", ("first", "second"), np.array([0.0, 0.0]), np.array([2.0, 8.0]))
    two = dataclasses.replace(make_dataset(n_outputs=2), y_scaler=scaler)

    result = run(two, "mixed_bfloat16")

    assert math.isfinite(result.values["val_rmse"])
    rmse = math.sqrt(result.values["val_mse"])
    assert math.sqrt(2.0) * rmse < result.values["val_rmse"] < 8.0 * rmse


def test_an_unknown_precision_is_told_with_the_nearest() -> None:
    with pytest.raises(
        TrainingError, match=r"got 'mixed_bfloat'\. Did you mean 'mixed_bfloat16'\? Valid: float32, mix"
    ):
        FitSettings(epochs=1, batch_size=16, seed=1, precision="mixed_bfloat")
