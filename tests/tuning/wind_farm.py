"""A small made-up wind farm, and the command `tune` as users run it: in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from greentune.tuning.presets import merge

TUNE = [sys.executable, "-P", "-m", "greentune.tuning"]


def write_series(path: Path, n_rows: int = 400) -> Path:
    """An hourly series in MW whose power follows the wind of the hour before."""
    random = np.random.default_rng(0)
    wind = np.abs(8 + np.cumsum(random.standard_normal(n_rows)) * 0.4)
    power = np.clip(np.roll(wind, 1) / 3, 0, 5) + 0.05 * random.standard_normal(n_rows)
    times = pd.date_range("2024-01-01", periods=n_rows, freq="h", tz="UTC")
    frame = pd.DataFrame(
        {"time": times.strftime("%Y-%m-%dT%H:%M:%SZ"), "wind_ms": wind.round(3), "power_mw": power.round(4)}
    )
    frame.to_csv(path, index=False)
    return path


def study_tables(series: Path, **more: Any) -> dict[str, Any]:
    """A study that trains a model of one small layer in a blink; more tables win."""
    small: dict[str, Any] = {
        "study": "small",
        "data": {"path": str(series), "target": "power_mw", "lookback": 4, "horizon": 1, "capacity": 5.0},
        "parameters": {"lstm_units": [4]},
        "space": {"learning_rate": [0.01, 0.003], "dropout_rate": [0.0, 0.1, 0.2]},
        "search": {"sampler": "grid"},
        "training": {"epochs": 2, "batch_size": 32},
        "winner": {"fresh_seeds": 0},
        "final": {"epochs": 3},
    }
    return merge(small, more)


def write_study(folder: Path, text: str = "") -> Path:
    """The same study as a file; `text` is added at its end."""
    write_series(folder / "wind.csv")
    path = folder / "study.toml"
    path.write_text(
        f"""
study = "small"
[data]
path = "wind.csv"
target = "power_mw"
lookback = 4
horizon = 1
capacity = 5.0
[parameters]
lstm_units = [4]
[space]
learning_rate = [0.01, 0.003]
dropout_rate = [0.0, 0.1, 0.2]
[search]
sampler = "grid"
[training]
epochs = 2
[winner]
fresh_seeds = 0
[final]
epochs = 3
{text}
"""
    )
    return path


def tune(folder: Path, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run the command in `folder` and wait."""
    return subprocess.run(
        [*TUNE, *arguments], cwd=folder, capture_output=True, text=True, timeout=timeout, env=environment(), check=False
    )


def environment() -> dict[str, str]:
    """The environment of a user: nothing of what the tests set for Keras."""
    ours = ("KERAS_BACKEND", "GREENTUNE_STORAGE", "CUDA_VISIBLE_DEVICES")
    return {name: value for name, value in os.environ.items() if name not in ours}
