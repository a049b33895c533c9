"""Code as users write it, in files of their own, and studies of it on the small made-up farm."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from greentune.tuning import user_models
from greentune.tuning.presets import merge

from .wind_farm import write_series

BUILD = """
import keras

def build(trial, input_shape, n_outputs):
    layers = [keras.Input(input_shape), keras.layers.Flatten()]
    for place in range(trial.suggest_int("n_layers", 1, 2)):
        layers.append(keras.layers.Dense(trial.suggest_int(f"units_{place}", 2, 3), activation="relu"))
    model = keras.Sequential([*layers, keras.layers.Dense(n_outputs)])
    rate = trial.suggest_float("rate", 1e-3, 1e-1, log=True)
    model.compile(optimizer=keras.optimizers.Adam(rate), loss="mse")
    return model
"""

CONTRACT = """
import keras
from greentune.models import Parameter

def whole(value):
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError
    return value

class Mine:
    parameters = {name: Parameter(name, 3, "a whole number of at least 1", whole, name) for name in ("units", "depth")}
    space = {"units": [2, 4], "depth": {"low": 1, "high": 2}}

    def build(self, parameters, input_shape, n_outputs):
        dense = [keras.layers.Dense(parameters.get("units", 3)) for _ in range(parameters.get("depth", 3))]
        layers = [keras.Input(input_shape), keras.layers.Flatten(), *dense, keras.layers.Dense(n_outputs)]
        model = keras.Sequential(layers)
        model.compile(optimizer="adam", loss="mse")
        return model
"""

HYPER = '''
import keras
import keras_tuner

def network(hp, compiled=True):
    kind = hp.Choice("kind", ["wide", "deep"], default="deep")
    layers = [keras.layers.Flatten()]
    with hp.conditional_scope("kind", ["wide"]):
        if kind == "wide":
            layers.append(keras.layers.Dense(hp.Int("width", 2, 4, step=2)))
    with hp.conditional_scope("kind", ["deep"]):
        if kind == "deep":
            layers += [keras.layers.Dense(3, activation="relu") for _ in range(hp.Int("depth", 1, 3, default=2))]
    model = keras.Sequential([*layers, keras.layers.Dense(1)])
    if compiled:
        model.compile(keras.optimizers.Adam(hp.Float("lr", 1e-4, 1e-1, sampling="log", default=0.01)), loss="mse")
    return model

class Mine(keras_tuner.HyperModel):
    def build(self, hp):
        return network(hp)

class OwnFit(Mine):
    def fit(self, hp, model, *args, validation_data, **kwargs):
        assert len(validation_data[0]) > 0
        return model.fit(*args, validation_data=validation_data, batch_size=hp.Choice("batch_size", [16, 32]), **kwargs)

class Loop(keras_tuner.HyperModel):
    """The custom training loop of KerasTuner's guide, on any backend."""

    def build(self, hp):
        return network(hp, compiled=False)

    def fit(self, hp, model, x, y, validation_data, callbacks=None, **kwargs):
        for callback in callbacks:
            callback.set_model(model)
        last = model.layers[-1]
        for epoch in range(kwargs["epochs"]):
            error = (keras.ops.convert_to_numpy(model(x)) - y).mean(axis=0)
            last.bias.assign(keras.ops.convert_to_numpy(last.bias) - 0.3 * error)
            value = float(((keras.ops.convert_to_numpy(model(validation_data[0])) - validation_data[1]) ** 2).mean())
            for callback in callbacks:
                callback.on_epoch_end(epoch, logs={"val_loss": value})
'''

OBJECTIVES = """
import optuna

def square(trial):
    x = trial.suggest_float("x", -5, 5)
    return (x - 2) ** 2

def pruned(trial):
    x = trial.suggest_float("x", -5, 5)
    trial.report(x, 0)
    trial.report(x + 1, 1)
    if trial.number % 2:
        raise optuna.TrialPruned
    return x

def nan_at_first(trial):
    return float("nan") if trial.number == 0 else trial.suggest_float("x", 0, 1)

def nothing(trial):
    trial.suggest_float("x", 0, 1)

def two(trial):
    x = trial.suggest_float("x", 0, 5)
    return x, (x - 2) ** 2

def broken(trial):
    return trial.suggest_float("x", 0, 1) + inner(trial)

def inner(trial):
    if trial.number == 1:
        raise RuntimeError("my own reason")
    return 0
"""

FILES = {"build.py": BUILD, "contract.py": CONTRACT, "hyper.py": HYPER, "objectives.py": OBJECTIVES}


def write_files(folder: Path, **more: str) -> Path:
    """The files above and further ones, by their names without ``.py``; and the farm."""
    for name, text in {**FILES, **{f"{name}.py": text for name, text in more.items()}}.items():
        (folder / name).write_text(text)
    if not (folder / "wind.csv").exists():
        write_series(folder / "wind.csv")
    return folder


def user_study(folder: Path, **more: Any) -> dict[str, Any]:
    """A study of something in the folder, trained in a blink; no space, so that the code says what is searched."""
    small: dict[str, Any] = {
        "study": "mine",
        "backend": "jax",
        "data": {"path": str(folder / "wind.csv"), "target": "power_mw", "lookback": 4, "horizon": 1, "capacity": 5.0},
        "search": {"trials": 3},
        "training": {"epochs": 2, "batch_size": 32},
        "winner": {"fresh_seeds": 0},
        "final": {"epochs": 2, "gradient_norms": False},
        "run": {"keep_best": 0},
    }
    return merge(small, more)


def function_study(folder: Path, name: str, **more: Any) -> dict[str, Any]:
    """A study of one of the objective functions."""
    function = f"{folder / 'objectives.py'}:{name}"
    return merge({"study": name, "backend": "jax", "objective_function": function, "search": {"trials": 4}}, more)


@contextmanager
def imports_undone() -> Iterator[None]:
    """What is imported of a user within is forgotten at the end, as in a process of its own."""
    path, modules, loaded = list(sys.path), set(sys.modules), dict(user_models._loaded)
    user_models._loaded.clear()
    try:
        yield
    finally:
        user_models._loaded.clear()
        user_models._loaded.update(loaded)
        folders = [folder for folder in sys.path if folder not in path]
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            if (getattr(sys.modules[name], "__file__", None) or "").startswith(tuple(folders) or "\0"):
                del sys.modules[name]
