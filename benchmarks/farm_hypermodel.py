"""A HyperModel with a hyperparameter of each usual kind, small enough for a CPU: what `against_keras_tuner` searches.

It stands in a file of its own, because greentune and KerasTuner import it in processes of theirs.
"""

from __future__ import annotations

from typing import Any

import keras
import keras_tuner


class FarmModel(keras_tuner.HyperModel):
    """LSTM or GRU, dropout, and a dense layer or none, compiled with Adam; 3 to 15 thousand parameters.

    Args:
        input_shape: lookback and features of a window.
        n_outputs: of a forecast.
    """

    def __init__(self, input_shape: tuple[int, int], n_outputs: int) -> None:
        super().__init__()
        self.input_shape = tuple(input_shape)
        self.n_outputs = n_outputs

    def build(self, hp: Any) -> keras.Model:
        """The model of one trial."""
        inputs = keras.Input(self.input_shape)
        layer = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}[hp.Choice("cell", ["lstm", "gru"])]
        x = layer(hp.Int("units", 24, 48, step=8))(inputs)
        x = keras.layers.Dropout(hp.Float("dropout", 0.0, 0.4, step=0.1))(x)
        if hp.Boolean("dense"):
            with hp.conditional_scope("dense", [True]), hp.name_scope("head"):
                units = hp.Int("units", 8, 32, step=8)
                x = keras.layers.Dense(units, activation=hp.Choice("activation", ["relu", "tanh"]))(x)
        model = keras.Model(inputs, keras.layers.Dense(self.n_outputs)(x))
        rate = hp.Float("learning_rate", 3e-4, 1e-2, sampling="log")
        model.compile(optimizer=keras.optimizers.Adam(rate), loss="mse", metrics=["mse"])
        return model
