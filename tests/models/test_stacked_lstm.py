"""The stacked LSTM is the documented one (R2), and right with one layer too."""

from __future__ import annotations

import keras
import pytest

from greentune.models import complete, get_builder


def layers(parameters: dict[str, object]) -> list[keras.Layer]:
    return get_builder("stacked_lstm").build(parameters, (4, 3), 2).layers[1:]


def test_the_defaults_are_the_documented_ones() -> None:
    values = complete(get_builder("stacked_lstm"), {})

    expected = {"lstm_units": [50, 50], "dropout_rate": 0.2, "learning_rate": 0.001, "l1": 0.01, "l2": 0.01}
    assert {name: values[name] for name in expected} == expected
    assert (values["optimizer"], values["loss"]) == ("adam", "mse")


@pytest.mark.parametrize("units", [[5], [5, 4], [5, 4, 3]])
def test_every_layer_but_the_last_returns_sequences(units: list[int]) -> None:
    built = layers({"lstm_units": units, "dropout_rate": 0.3})

    lstm = [layer for layer in built if isinstance(layer, keras.layers.LSTM)]
    assert [layer.units for layer in lstm] == units
    assert [layer.return_sequences for layer in lstm] == [True] * (len(units) - 1) + [False]
    kinds = ["LSTM", "BatchNormalization", "Dropout"] * len(units) + ["Dense", "Dropout", "Dense"]
    assert [type(layer).__name__ for layer in built] == kinds
    assert [layer.rate for layer in built if isinstance(layer, keras.layers.Dropout)] == [0.3] * len(units) + [0.15]


def test_batch_normalisation_can_be_left_out() -> None:
    kinds = [type(layer).__name__ for layer in layers({"lstm_units": [5, 4], "batch_normalization": False})]
    assert kinds == ["LSTM", "Dropout"] * 2 + ["Dense", "Dropout", "Dense"]


def test_the_head_is_a_relu_layer_of_25_and_a_linear_one() -> None:
    hidden, _, output = layers({"lstm_units": [3]})[-3:]

    assert (hidden.units, hidden.activation.__name__) == (25, "relu")
    assert (output.units, output.activation.__name__) == (2, "linear")


def test_the_penalty_lies_on_the_input_kernels_only() -> None:
    lstm = layers({"lstm_units": [3], "l1": 0.25, "l2": 0.5})[0]

    penalty = lstm.cell.kernel_regularizer
    assert (float(penalty.l1), float(penalty.l2)) == (0.25, 0.5)
    assert lstm.cell.recurrent_regularizer is None


def test_without_weights_there_is_no_penalty() -> None:
    model = get_builder("stacked_lstm").build({"lstm_units": [3], "l1": 0, "l2": 0}, (4, 3), 1)

    assert model.losses == []
