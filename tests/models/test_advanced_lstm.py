"""The advanced LSTM is the documented one (R3); its residual paths are there when asked for."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from greentune.models import ModelError, complete, get_builder


def model_of(**parameters: object) -> keras.Model:
    return get_builder("advanced_lstm").build(parameters, (4, 3), 1)


def test_the_defaults_are_the_documented_ones() -> None:
    values = complete(get_builder("advanced_lstm"), {})

    assert (values["lstm_units"], values["dropout_rates"]) == ([64, 32, 16], [0.3, 0.2, 0.2])
    assert (values["dense_units"], values["dense_dropout_rate"]) == ([32, 16], 0.1)
    assert (values["loss"], values["optimizer"], values["learning_rate"]) == ("huber", "adam", 0.001)
    assert (values["l1"], values["l2"], values["residual"]) == (0.01, 0.01, False)


def test_the_layers_are_the_documented_ones() -> None:
    built = model_of(lstm_units=[4, 3, 2], dense_units=[5, 6]).layers[1:]

    kinds = ["Bidirectional", "BatchNormalization", "Dropout"]
    kinds += ["LSTM", "BatchNormalization", "Dropout"] * 2 + ["Dense", "Dropout", "Dense", "Dense"]
    assert [type(layer).__name__ for layer in built] == kinds
    assert [layer.rate for layer in built if isinstance(layer, keras.layers.Dropout)] == [0.3, 0.2, 0.2, 0.1]
    assert [layer.units for layer in built if isinstance(layer, keras.layers.Dense)] == [5, 6, 1]
    lstm = [built[0].forward_layer, *(layer for layer in built if isinstance(layer, keras.layers.LSTM))]
    assert [(layer.units, layer.return_sequences) for layer in lstm] == [(4, True), (3, True), (2, False)]


def test_one_layer_is_bidirectional_and_returns_one_step() -> None:
    model = model_of(lstm_units=[3], dropout_rates=0.1, dense_units=[])

    assert isinstance(model.layers[1], keras.layers.Bidirectional)
    assert model.output_shape == (None, 1)


@pytest.mark.parametrize("lookback", [1, 4])
@pytest.mark.parametrize("units", [[3], [3, 2]])
def test_residual_paths_lead_around_every_block(lookback: int, units: list[int]) -> None:
    parameters = {"lstm_units": units, "dropout_rates": 0.1, "dense_units": [], "residual": True}
    model = get_builder("advanced_lstm").build(parameters, (lookback, 3), 1)

    assert sum(isinstance(layer, keras.layers.Add) for layer in model.layers) == len(units)
    assert np.asarray(model(np.zeros((2, lookback, 3), np.float32))).shape == (2, 1)


def test_around_the_last_block_goes_the_newest_step() -> None:
    model = model_of(lstm_units=[3], dropout_rates=0.0, dense_units=[], residual=True)
    # Silence the LSTM, so that only the path around it is left.
    for layer in model.layers:
        if isinstance(layer, keras.layers.Bidirectional):
            layer.set_weights([np.zeros_like(weights) for weights in layer.get_weights()])
    windows = np.random.default_rng(0).random((1, 4, 3), dtype=np.float32)
    older, newest = windows.copy(), windows.copy()
    older[0, 0] += 1.0
    newest[0, -1] += 1.0

    base = float(np.asarray(model(windows))[0, 0])
    assert float(np.asarray(model(older))[0, 0]) == pytest.approx(base, abs=1e-7)
    assert float(np.asarray(model(newest))[0, 0]) != pytest.approx(base, abs=1e-4)


def test_rates_and_layers_must_agree() -> None:
    with pytest.raises(ModelError, match="one rate for each LSTM layer"):
        complete(get_builder("advanced_lstm"), {"lstm_units": [3, 2], "dropout_rates": [0.1, 0.2, 0.3]})


@pytest.mark.parametrize("rates", [[], [1.0], [-0.1], 1, "0.1", [None]])
def test_rates_lie_below_one(rates: object) -> None:
    with pytest.raises(ModelError, match="'dropout_rates' must be a number in"):
        complete(get_builder("advanced_lstm"), {"dropout_rates": rates})
