"""The errors that a user's model does not report are those that it would have reported."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from greentune.objectives.forecast_errors import add_missing
from greentune.objectives.runtime import set_seed
from greentune.objectives.training import FitResult, FitSettings, fit
from greentune.storage.dataset import Dataset

from ..tiny import tiny_dataset as make_dataset


def network(dataset: Dataset, metrics: list[Any], *, penalty: float = 0.0) -> keras.Model:
    set_seed(3)
    layers = [
        keras.Input((dataset.lookback, dataset.n_features)),
        keras.layers.Flatten(),
        keras.layers.Dense(dataset.n_outputs, kernel_regularizer=keras.regularizers.L2(penalty)),
    ]
    model = keras.Sequential(layers)
    model.compile(optimizer=keras.optimizers.SGD(0.05), loss="mse", metrics=metrics)
    return model


def told_by_keras(model: keras.Model, dataset: Dataset) -> dict[str, float]:
    part = dataset.val
    told = model.evaluate(part.windows.array(), part.y, batch_size=8, verbose=0, return_dict=True)
    return {f"val_{name}": float(value) for name, value in told.items()}


@pytest.mark.parametrize("n_outputs", [1, 2])
@pytest.mark.parametrize("n_val", [16, 19, 3])
def test_errors_are_those_that_a_compiled_metric_reports(n_outputs: int, n_val: int) -> None:
    dataset = make_dataset(n_val=n_val, n_outputs=n_outputs)
    model = network(dataset, ["mse", "mae"], penalty=0.1)
    values: dict[str, float] = {}
    add_missing(values, model, dataset.val, batch_size=8)
    told = told_by_keras(model, dataset)
    assert values["val_mse"] == pytest.approx(told["val_mse"], rel=1e-5)
    assert values["val_mae"] == pytest.approx(told["val_mae"], rel=1e-5)


def test_loss_that_nobody_reports_is_the_squared_error_without_the_penalty(tiny_dataset: Dataset) -> None:
    model = network(tiny_dataset, [], penalty=0.1)
    values: dict[str, float] = {}
    add_missing(values, model, tiny_dataset.val, batch_size=8)
    assert values["val_loss"] == values["val_mse"] < told_by_keras(model, tiny_dataset)["val_loss"]


def test_what_is_reported_stays() -> None:
    values = {"val_mse": 1.0, "val_mae": 2.0, "val_loss": 3.0, "loss": 4.0}
    before = dict(values)
    add_missing(values, "not asked", make_dataset().val, batch_size=8)  # type: ignore[arg-type]
    assert values == before


def test_long_names_of_keras_are_the_same_numbers() -> None:
    values = {"val_mean_squared_error": 1.0, "val_mean_absolute_error": 2.0}
    add_missing(values, "not asked", make_dataset().val, batch_size=8)  # type: ignore[arg-type]
    assert (values["val_mse"], values["val_mae"], values["val_loss"]) == (1.0, 2.0, 1.0)


def test_only_what_is_missing_is_measured(tiny_dataset: Dataset) -> None:
    values = {"val_mse": 17.0}
    add_missing(values, network(tiny_dataset, []), tiny_dataset.val, batch_size=8)
    assert values["val_mse"] == values["val_loss"] == 17.0
    assert 0.0 < values["val_mae"] < 17.0


def trained(dataset: Dataset, metrics: list[Any]) -> FitResult:
    return fit(network(dataset, metrics), dataset, FitSettings(epochs=4, batch_size=8, seed=3, patience=2))


@pytest.mark.parametrize(
    "metrics",
    [[], ["mae"], ["mean_squared_error"], [keras.losses.mean_absolute_error], ["mape"]],
    ids=["none", "one", "long name", "function", "another"],
)
def test_fit_of_a_model_without_our_metrics_comes_to_the_same(tiny_dataset: Dataset, metrics: list[Any]) -> None:
    usual, own = trained(tiny_dataset, ["mse", "mae"]), trained(tiny_dataset, metrics)
    for name in ("loss", "val_loss", "val_mse", "val_mae"):
        assert own.history[name] == pytest.approx(usual.history[name], rel=1e-5)
    assert own.best_value == pytest.approx(usual.best_value, rel=1e-5)
    assert (own.best_epoch, own.epochs, own.stopped) == (usual.best_epoch, usual.epochs, usual.stopped)
    for mine, theirs in zip(own.best_weights, usual.best_weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_early_stopping_sees_the_errors_that_were_added(tiny_dataset: Dataset) -> None:
    model = network(tiny_dataset, [])
    model.optimizer.learning_rate = 0.6  # a step far too long: every epoch is worse than the first
    result = fit(model, tiny_dataset, FitSettings(epochs=9, batch_size=8, seed=3, patience=2))
    assert (result.stopped, result.epochs) == ("patience", 3)
