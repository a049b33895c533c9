"""LSTM layers one above the other, each followed by batch normalisation and dropout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .compiling import compile_model, penalty, shared_parameters
from .contract import Parameter, complete
from .values import layer_sizes, number, switch

if TYPE_CHECKING:
    import keras


class StackedLSTM:
    """The documented forecaster, with any number of layers.

        (lookback, n_features)
          → LSTM → BatchNormalization → Dropout(rate)     once for each entry of `lstm_units`
          → Dense(25, relu) → Dropout(rate / 2) → Dense(n_outputs)

    Every LSTM but the last hands its whole sequence on. The defaults are the documented ones; their penalty of 0.01 is
    far too strong for scaled data, so the default search space looks at weak ones. It looks at networks without the
    batch normalisation too: on the five folds of the packaged farm they were better in two of three sizes.
    """

    key = "stacked_lstm"
    parameters: Mapping[str, Parameter] = {
        parameter.name: parameter
        for parameter in (
            layer_sizes("lstm_units", (50, 50), "units of each LSTM layer, from the input upwards"),
            number("dropout_rate", 0.2, "share of values dropped after each LSTM layer", low=0.0, high=1.0),
            switch("batch_normalization", True, "whether each LSTM layer is followed by batch normalisation"),
            *shared_parameters(loss="mse"),
        )
    }
    # Choices rather than ranges: on JAX every new rate or penalty is a new program, and compiling one takes as long as
    # a dozen epochs of a small model. The learning rate is a variable and costs nothing.
    space: Mapping[str, object] = {
        "lstm_units": [[16], [32], [64], [32, 16], [64, 32]],
        "dropout_rate": [0.0, 0.1, 0.2],
        "batch_normalization": [False, True],
        "learning_rate": {"low": 1e-3, "high": 1e-2, "log": True},
        "l1": [0.0],
        "l2": [1e-6, 1e-5, 1e-4],
        "loss": ["mse", "mae"],
        "batch_size": [32, 64],
    }

    def disagreements(self, parameters: Mapping[str, object]) -> list[str]:
        """Nothing can disagree here."""
        return []

    def build(self, parameters: Mapping[str, object], input_shape: tuple[int, int], n_outputs: int) -> keras.Model:
        """Builds and compiles the model; see `Builder.build`."""
        import keras

        values: dict[str, Any] = complete(self, parameters)
        units, rate = values["lstm_units"], values["dropout_rate"]
        inputs = keras.Input(input_shape)
        x = inputs
        for position, size in enumerate(units):
            is_last = position == len(units) - 1
            x = keras.layers.LSTM(size, return_sequences=not is_last, kernel_regularizer=penalty(values))(x)
            if values["batch_normalization"]:
                x = keras.layers.BatchNormalization()(x)
            x = keras.layers.Dropout(rate)(x)
        x = keras.layers.Dense(25, activation="relu")(x)
        x = keras.layers.Dropout(rate / 2)(x)
        # Forecasts are float32 under a mixed policy too.
        outputs = keras.layers.Dense(n_outputs, dtype="float32")(x)
        return compile_model(keras.Model(inputs, outputs, name=self.key), values)
