"""A small wind farm of our own, a model that is trained in a blink, and its bundle."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from greentune.reports.bundle import write_bundle
from greentune.reports.evaluation import Evaluation, evaluate, predict_part
from greentune.storage.dataset import Dataset
from greentune.storage.datasets import load_dataset
from greentune.storage.dataspec import DataSpec

N_ROWS = 600


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Gradient boosting on one thread, as when a winner is delivered: on busy cores several wait for each other."""
    import sklearn.ensemble  # noqa: F401 (its OpenMP must be there to be limited)
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="openmp"):
        yield


@dataclass(frozen=True)
class Trained:
    """A trained model and all that a bundle is written from."""

    model: Any
    dataset: Dataset
    history: dict[str, list[float]]
    predicted: np.ndarray
    evaluation: Evaluation

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of `write_bundle`."""
        return {
            "model": self.model,
            "dataset": self.dataset,
            "evaluation": self.evaluation,
            "predicted": self.predicted,
            "history": self.history,
            "parameters": {"units": [4], "learning_rate": 0.01},
            "builder": "flat",
            "study": {"name": "small", "sampler": "tpe", "seed": 1},
            "backend": "jax",
            "fit": {"best_epoch": 1, "monitor": "val_mse", "best_value": self.history["val_mse"][1]},
        }


def frame() -> pd.DataFrame:
    """600 hours with a daily rhythm; the target has a gap of 3 hours in its test part."""
    random = np.random.default_rng(7)
    hours = np.arange(N_ROWS)
    weather = 5 + 3 * np.sin(2 * np.pi * hours / 24) + random.normal(0, 1, N_ROWS)
    power = np.clip(0.9 * weather + random.normal(0, 0.3, N_ROWS), 0, 10)
    power[560:563] = np.nan
    return pd.DataFrame(
        {
            "time": pd.date_range("2024-01-01", periods=N_ROWS, freq="h", tz="UTC").strftime("%Y-%m-%dT%H:%M:%SZ"),
            "power": power.round(4),
            "weather": weather.round(4),
        }
    )


def small_spec(path: Path, **changes: Any) -> DataSpec:
    return DataSpec(
        path=str(path), target="power", capacity=10.0, known_ahead=("weather",), lookback=6, horizon=3
    ).model_copy(update=changes)


@pytest.fixture(scope="session")
def series_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("series") / "farm.csv"
    frame().to_csv(path, index=False)
    return path


@pytest.fixture(scope="session")
def dataset(series_file: Path) -> Dataset:
    return load_dataset(small_spec(series_file))


def train(dataset: Dataset, *, boosting: bool = False) -> Trained:
    import keras

    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((dataset.lookback, dataset.n_features)),
            keras.layers.Flatten(),
            keras.layers.Dense(4, activation="relu"),
            keras.layers.Dense(dataset.n_outputs),
        ],
        name="flat",
    )
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse", metrics=["mse", "mae"])
    history = model.fit(
        dataset.train.windows.array(),
        dataset.train.y,
        validation_data=(dataset.val.windows.array(), dataset.val.y),
        epochs=3,
        batch_size=64,
        verbose=0,
    ).history
    predicted = predict_part(model, dataset, "test")
    return Trained(model, dataset, history, predicted, evaluate(dataset, "test", predicted, boosting=boosting))


@pytest.fixture(scope="session")
def trained(dataset: Dataset) -> Trained:
    return train(dataset, boosting=True)


@pytest.fixture(scope="session")
def written_bundle(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Written once; tests that change it take `bundle`."""
    return write_bundle(tmp_path_factory.mktemp("bundles") / "winner", **trained.arguments())


@pytest.fixture
def bundle(written_bundle: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(written_bundle, tmp_path / "bundle"))
