"""A bidirectional LSTM under plain ones and dense layers, with residual paths on request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .compiling import compile_model, penalty, shared_parameters
from .contract import Parameter, complete
from .values import layer_sizes, number, rates, switch

if TYPE_CHECKING:
    import keras


class AdvancedLSTM:
    """The documented larger forecaster.

        (lookback, n_features)
          → Bidirectional LSTM 64 → BN → Dropout 0.3 → LSTM 32 → BN → Dropout 0.2 → LSTM 16 → BN → Dropout 0.2
          → Dense 32 relu → Dropout 0.1 → Dense 16 relu → Dense(n_outputs)

    Sizes and rates are parameters. Only the first LSTM is bidirectional, and every one but the last hands its whole
    sequence on. With `residual` a linear path leads around each LSTM block (He et al., 2016, arXiv:1512.03385): its
    input, projected to the block's width, is added to its output; around the last one goes the newest step only.
    """

    key = "advanced_lstm"
    parameters: Mapping[str, Parameter] = {
        parameter.name: parameter
        for parameter in (
            layer_sizes(
                "lstm_units", (64, 32, 16), "units of each LSTM layer; the first is doubled, as it reads both ways"
            ),
            rates("dropout_rates", (0.3, 0.2, 0.2), "share of values dropped after each LSTM layer"),
            layer_sizes("dense_units", (32, 16), "units of each dense layer before the output", may_be_empty=True),
            number("dense_dropout_rate", 0.1, "share of values dropped between the dense layers", low=0.0, high=1.0),
            switch("residual", False, "whether a linear path leads around each LSTM block"),
            *shared_parameters(loss="huber"),
        )
    }
    # Choices rather than ranges, as in `StackedLSTM.space`.
    space: Mapping[str, object] = {
        "lstm_units": [[32], [32, 16], [64, 32, 16]],
        "dropout_rates": [0.0, 0.1, 0.2],
        "dense_units": [[32, 16]],
        "residual": [False, True],
        "learning_rate": {"low": 1e-3, "high": 1e-2, "log": True},
        "l1": [0.0],
        "l2": [1e-6, 1e-5, 1e-4],
        "loss": ["mse", "mae"],
        "batch_size": [32, 64],
    }

    def disagreements(self, parameters: Mapping[str, object]) -> list[str]:
        """A list of rates must have one rate a layer."""
        units, dropout = parameters["lstm_units"], parameters["dropout_rates"]
        assert isinstance(units, list)
        if not isinstance(dropout, list) or len(dropout) == len(units):
            return []
        rule = "Parameter 'dropout_rates' must have one rate for each LSTM layer"
        way_out = "Give as many rates as layers, or one number for all of them."
        return [f"{rule}; got {dropout!r} for lstm_units={units!r}. {way_out}"]

    def build(self, parameters: Mapping[str, object], input_shape: tuple[int, int], n_outputs: int) -> keras.Model:
        """Builds and compiles the model; see `Builder.build`."""
        import keras

        values: dict[str, Any] = complete(self, parameters)
        units, dropout = values["lstm_units"], values["dropout_rates"]
        dropout = dropout if isinstance(dropout, list) else [dropout] * len(units)
        inputs = keras.Input(input_shape)
        x = inputs
        for position, (size, rate) in enumerate(zip(units, dropout, strict=True)):
            is_last = position == len(units) - 1
            lstm = keras.layers.LSTM(size, return_sequences=not is_last, kernel_regularizer=penalty(values))
            block_input = x
            x = (keras.layers.Bidirectional(lstm) if position == 0 else lstm)(x)
            x = keras.layers.BatchNormalization()(x)
            x = keras.layers.Dropout(rate)(x)
            if values["residual"]:
                x = keras.layers.Add()([x, _around(block_input, width=x.shape[-1], newest_only=is_last)])
        for position, size in enumerate(values["dense_units"]):
            if position > 0:
                x = keras.layers.Dropout(values["dense_dropout_rate"])(x)
            x = keras.layers.Dense(size, activation="relu")(x)
        # Forecasts are float32 under a mixed policy too.
        outputs = keras.layers.Dense(n_outputs, dtype="float32")(x)
        return compile_model(keras.Model(inputs, outputs, name=self.key), values)


def _around(block_input: keras.KerasTensor, *, width: int, newest_only: bool) -> keras.KerasTensor:
    """The path around a block: (n, lookback, k) → (n, lookback, width), or (n, width) with `newest_only`."""
    import keras

    x = block_input
    if newest_only:
        x = keras.layers.Cropping1D((x.shape[1] - 1, 0))(x)
        x = keras.layers.Flatten()(x)
    return keras.layers.Dense(width, use_bias=False)(x)
