"""A trial's number follows from the specification alone: greentune and a plain Keras script find it again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FrozenTrial, TrialState

from greentune.objectives.runtime import worker_environment
from greentune.storage.datasets import load_dataset
from greentune.storage.rdb import open_storage
from greentune.tuning import queue, records
from greentune.tuning.presets import with_preset
from greentune.tuning.spec import StudySpec, parse_spec

from .wind_farm import study_tables, write_series

pytestmark = pytest.mark.slow

PLAIN_SCRIPT = """
import json, sys
import keras, numpy as np
from keras import layers, regularizers
point, folder = json.loads(sys.argv[1]), sys.argv[2]
arrays = {n: np.load(f"{folder}/{n}.npy") for n in ("X_train", "y_train", "X_val", "y_val")}
keras.utils.set_random_seed(0)
model = keras.Sequential([keras.Input(arrays["X_train"].shape[1:])])
for i, units in enumerate(point["lstm_units"]):
    last = i == len(point["lstm_units"]) - 1
    model.add(layers.LSTM(units, return_sequences=not last, kernel_regularizer=regularizers.L1L2(0.01, 0.01)))
    model.add(layers.BatchNormalization())
    model.add(layers.Dropout(point["dropout_rate"]))
model.add(layers.Dense(25, activation="relu"))
model.add(layers.Dropout(point["dropout_rate"] / 2))
model.add(layers.Dense(1))
model.compile(keras.optimizers.Adam(point["learning_rate"]), loss="mean_squared_error", metrics=["mae"])
history = model.fit(arrays["X_train"], arrays["y_train"], batch_size=point["batch_size"], epochs=2, verbose=0,
                    validation_data=(arrays["X_val"], arrays["y_val"]))
print(json.dumps({"val_loss": min(history.history["val_loss"])}))
"""

ALONE = """
import json, sys
from greentune.storage.datasets import load_source
from greentune.tuning.spec import StudySpec
from greentune.tuning.point import run_point
spec = StudySpec.from_json(sys.argv[1])
result = run_point(spec, load_source(spec.data), spec.parsed_space().decode(json.loads(sys.argv[2])))
print(json.dumps({"value": result.value}))
"""


@pytest.fixture(scope="module", params=["jax", pytest.param("tensorflow", marks=pytest.mark.long)])
def searched(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[StudySpec, FrozenTrial, Path]:
    """Two points of the documented grid on small data, searched on one backend; the best trial."""
    folder = tmp_path_factory.mktemp(request.param)
    documented: dict[str, Any] = {
        "backend": request.param,
        "parameters": {"l1": 0.01, "l2": 0.01},
        "space": {"lstm_units": [[8, 4]], "dropout_rate": [0.1], "learning_rate": [0.001, 0.01], "batch_size": [16]},
        "search": {"sampler": "grid", "metric": "val_loss"},
    }
    spec = parse_spec(with_preset({}, study_tables(write_series(folder / "wind.csv"), **documented)))
    storage = open_storage(folder / "greentune.db")
    study = records.create_study(storage, spec, fingerprint=load_dataset(spec.data).fingerprint, unit="MW")
    queue.reconcile(study, storage, queue.plan(spec), spec.run)
    worker = [sys.executable, "-m", "greentune.tuning", "work", "--study", "small", "--worker", "0"]
    settings = worker_environment(spec.backend, threads=1) | {"GREENTUNE_STORAGE": str(folder / "greentune.db")}
    subprocess.run(worker, env=os.environ | settings, check=True, capture_output=True)
    assert [t.state for t in study.trials] == [TrialState.COMPLETE] * 2
    return spec, study.best_trial, folder


def test_best_trial_retrained_alone_gives_its_number(searched: tuple[StudySpec, FrozenTrial, Path]) -> None:
    spec, trial, _ = searched
    alone = run(ALONE, spec, spec.to_json(), json.dumps(dict(trial.params)))
    assert alone["value"] == pytest.approx(trial.value, abs=1e-6)


def test_plain_keras_script_gives_the_row_of_the_grid(searched: tuple[StudySpec, FrozenTrial, Path]) -> None:
    import numpy as np

    spec, trial, folder = searched
    dataset = load_dataset(spec.data)
    for part in (dataset.train, dataset.val):
        np.save(folder / f"X_{part.name}.npy", part.windows.array())
        np.save(folder / f"y_{part.name}.npy", part.y)
    point = json.dumps(spec.parsed_space().decode(trial.params))
    script = run(PLAIN_SCRIPT, spec, point, str(folder))
    assert script["val_loss"] == pytest.approx(trial.user_attrs["values"]["val_loss"], abs=1e-5)


def run(program: str, spec: StudySpec, *arguments: str) -> dict[str, float]:
    """Run a program in a fresh process on the study's backend and read the JSON it prints."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=os.environ | worker_environment(spec.backend, threads=1),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, float] = json.loads(done.stdout)
    return answer
