"""Models that compile in a blink, for tests of the training rather than of a model."""

from __future__ import annotations

import keras

from greentune.storage.dataset import Dataset


def linear_model(
    dataset: Dataset, *, learning_rate: float = 0.1, penalty: float = 0.0, dropout: float = 0.0, optimizer: str = "sgd"
) -> keras.Model:
    """Flatten → Dropout → Dense: a linear regression, compiled with the metrics of every builder."""
    inputs = keras.Input((dataset.lookback, dataset.n_features))
    x = keras.layers.Flatten()(inputs)
    if dropout > 0.0:
        x = keras.layers.Dropout(dropout)(x)
    outputs = keras.layers.Dense(dataset.n_outputs, kernel_regularizer=keras.regularizers.L2(penalty))(x)
    model = keras.Model(inputs, outputs)
    chosen = {"sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam}[optimizer]
    model.compile(optimizer=chosen(learning_rate), loss="mse", metrics=["mse", "mae"])
    return model
