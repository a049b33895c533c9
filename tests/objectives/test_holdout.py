"""A whole trial: the same numbers everywhere, in scaled units and in the data set's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import pytest

from greentune.models import ModelError, Parameter
from greentune.objectives import holdout as module
from greentune.objectives.holdout import holdout
from greentune.objectives.training import FitSettings
from greentune.storage.dataset import Dataset
from greentune.storage.scaling import LinearScaler

from ..tiny import SCALE_MW
from ..tiny import tiny_dataset as make_dataset

SETTINGS = FitSettings(epochs=2, batch_size=16, seed=3)


class OneDense:
    """The smallest builder there is: it says which shape it was asked for."""

    key = "one_dense"
    parameters: Mapping[str, Parameter] = {}
    space: Mapping[str, object] = {}

    def disagreements(self, parameters: Mapping[str, object]) -> list[str]:
        return []

    def build(self, parameters: Mapping[str, object], input_shape: tuple[int, int], n_outputs: int) -> keras.Model:
        inputs = keras.Input(input_shape)
        outputs = keras.layers.Dense(n_outputs)(keras.layers.Dropout(0.2)(keras.layers.Flatten()(inputs)))
        model = keras.Model(inputs, outputs)
        model.compile("sgd", "mse", metrics=["mse", "mae"])
        return model


@pytest.fixture
def one_dense(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(module, "get_builder", {"one_dense": OneDense()}.__getitem__)
    return "one_dense"


def validation_errors(dataset: Dataset, model: keras.Model) -> np.ndarray:
    return np.asarray(model.predict(dataset.val.windows.array(), verbose=0)) - dataset.val.y


def test_the_values_are_those_of_the_best_epoch(one_dense: str, tiny_dataset: Dataset) -> None:
    result = holdout(one_dense, {}, tiny_dataset, SETTINGS)

    for name in ("val_loss", "val_mse", "val_mae"):
        assert result.values[name] == result.fit.history[name][result.fit.best_epoch]
    errors = validation_errors(tiny_dataset, result.model)
    assert result.values["val_mse"] == pytest.approx(np.mean(errors**2), rel=1e-5)


def test_the_rmse_is_in_the_unit_of_the_data(one_dense: str, tiny_dataset: Dataset) -> None:
    result = holdout(one_dense, {}, tiny_dataset, SETTINGS)

    assert result.values["val_rmse"] == pytest.approx(SCALE_MW * result.values["val_mse"] ** 0.5)


def test_without_a_scaler_the_rmse_stays_scaled(one_dense: str, tiny_dataset: Dataset) -> None:
    dataset = dataclasses.replace(tiny_dataset, y_scaler=None, unit="scaled units")

    result = holdout(one_dense, {}, dataset, SETTINGS)

    assert result.values["val_rmse"] == pytest.approx(result.values["val_mse"] ** 0.5)


def test_outputs_with_scales_of_their_own_are_weighed_one_by_one(one_dense: str) -> None:
    scaler = LinearScaler("minmax", ("near", "far"), np.array([0.0, 0.0]), np.array([2.0, 10.0]))
    dataset = dataclasses.replace(make_dataset(n_outputs=2, n_val=20), y_scaler=scaler)

    result = holdout(one_dense, {}, dataset, SETTINGS)

    in_unit = validation_errors(dataset, result.model) * [2.0, 10.0]
    assert result.values["val_rmse"] == pytest.approx(np.sqrt(np.mean(in_unit**2)), rel=1e-5)


def test_the_seed_decides(one_dense: str, tiny_dataset: Dataset) -> None:
    first, again, other = (
        holdout(one_dense, {}, tiny_dataset, dataclasses.replace(SETTINGS, seed=seed)).values for seed in (3, 3, 4)
    )

    assert again == first
    assert other != first


def test_wrong_parameters_are_told_before_anything_is_trained(tiny_dataset: Dataset) -> None:
    with pytest.raises(ModelError, match="dropout_rate"):
        holdout("stacked_lstm", {"dropout_rate": 1.0}, tiny_dataset, SETTINGS)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", pytest.param("tensorflow", marks=pytest.mark.long)])
def test_a_later_trial_gives_the_bits_of_a_first_one(
    backend: str, fresh_process: Callable[[str], dict[str, Any]]
) -> None:
    numbers = fresh_process(backend)

    assert numbers["backend"] == backend
    assert numbers["again"] == numbers["trial"]


@pytest.mark.slow
def test_another_process_gives_the_same_bits(fresh_process: Callable[[str], dict[str, Any]]) -> None:
    from .fresh_process import trial

    assert trial() == fresh_process("jax")["trial"]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", pytest.param("tensorflow", marks=pytest.mark.long)])
def test_a_plain_keras_script_gives_the_same_numbers(
    backend: str, fresh_process: Callable[[str], dict[str, Any]]
) -> None:
    numbers = fresh_process(backend)

    assert numbers["trial"]["val_loss"] == pytest.approx(numbers["plain"], abs=1e-5)


@pytest.mark.slow
def test_both_backends_take_the_same_first_steps(fresh_process: Callable[[str], dict[str, Any]]) -> None:
    jax, tensorflow = fresh_process("jax")["steps"], fresh_process("tensorflow")["steps"]

    assert len(set(jax)) == 5
    assert tensorflow == pytest.approx(jax, abs=1e-5)
