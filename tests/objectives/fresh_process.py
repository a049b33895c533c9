"""Run as a program on one backend: trainings whose numbers must be the same elsewhere; prints them as JSON.

`plain_script` is what a user of Keras would write; nothing of greentune's training stands in it.
"""

from __future__ import annotations

import json
import sys

import keras
import numpy as np

from greentune.models import get_builder
from greentune.objectives.holdout import holdout
from greentune.objectives.training import FitSettings
from tests.tiny import tiny_dataset

# 48 training and 16 validation windows in batches of 20: both end with a smaller batch.
DATASET = {"n_train": 48, "n_val": 16}
BATCH_SIZE, EPOCHS, SEED = 20, 3, 7
PARAMETERS: dict[str, object] = {
    "lstm_units": [3, 2],
    "dropout_rate": 0.2,
    "learning_rate": 0.01,
    "l1": 0.01,
    "l2": 0.01,
}


def trial() -> dict[str, list[float]]:
    """One trial of greentune: its history without the clock."""
    settings = FitSettings(epochs=EPOCHS, batch_size=BATCH_SIZE, seed=SEED, monitor="val_loss")
    history = holdout("stacked_lstm", PARAMETERS, tiny_dataset(**DATASET), settings).fit.history
    return {name: values for name, values in history.items() if name != "seconds"}


def plain_script() -> list[float]:
    """val_loss of each epoch."""
    data = tiny_dataset(**DATASET)
    x_train, x_val = data.train.windows.array(), data.val.windows.array()

    keras.utils.set_random_seed(SEED)
    model = keras.Sequential()
    model.add(keras.Input((4, 3)))
    model.add(keras.layers.LSTM(3, return_sequences=True, kernel_regularizer=keras.regularizers.L1L2(0.01, 0.01)))
    model.add(keras.layers.BatchNormalization())
    model.add(keras.layers.Dropout(0.2))
    model.add(keras.layers.LSTM(2, kernel_regularizer=keras.regularizers.L1L2(0.01, 0.01)))
    model.add(keras.layers.BatchNormalization())
    model.add(keras.layers.Dropout(0.2))
    model.add(keras.layers.Dense(25, activation="relu"))
    model.add(keras.layers.Dropout(0.1))
    model.add(keras.layers.Dense(1))
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse", metrics=["mae"])
    history = model.fit(
        x_train,
        data.train.y,
        batch_size=BATCH_SIZE,
        epochs=EPOCHS,
        validation_data=(x_val, data.val.y),
        verbose=0,
    )
    return [float(value) for value in history.history["val_loss"]]


def first_steps() -> list[float]:
    """Loss of 5 steps from given weights, without dropout."""
    data = tiny_dataset(**DATASET)
    model = get_builder("stacked_lstm").build({**PARAMETERS, "dropout_rate": 0.0}, (4, 3), 1)
    random = np.random.default_rng(3)
    model.set_weights([random.uniform(0.1, 0.5, weights.shape).astype(np.float32) for weights in model.get_weights()])
    losses = []
    for step in range(5):
        positions = np.arange(8 * step, 8 * step + 8)
        model.reset_metrics()
        logs = model.train_on_batch(data.train.windows.take(positions), data.train.y[positions], return_dict=True)
        losses.append(float(logs["loss"]))
    return losses


def main() -> None:
    """The numbers of this process, on standard output."""
    numbers = {
        "backend": keras.backend.backend(),
        "trial": trial(),
        "again": trial(),
        "steps": first_steps(),
    }
    # Last, as it loads TensorFlow on every backend.
    numbers["plain"] = plain_script()
    json.dump(numbers, sys.stdout)


if __name__ == "__main__":
    main()
