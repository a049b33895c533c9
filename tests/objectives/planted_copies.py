"""Series in which rows stand twice, series that only look so, and the packaged farm with other rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from greentune.storage.datasets import load_source
from greentune.storage.dataspec import DataSpec, sample_spec
from greentune.storage.sample import sample_file
from greentune.storage.source import Source

from .planted import Made, Set, folded, wandering

Changed = Callable[[pd.DataFrame], pd.DataFrame]


def copied_rows(*blocks: tuple[int, int]) -> Callable[[np.ndarray], np.ndarray]:
    """Forty rows, where they stand again and where they are from."""

    def changed(values: np.ndarray) -> np.ndarray:
        copy = values.copy()
        for to, start in blocks:
            copy[to : to + 40] = values[start : start + 40]
        return copy

    return changed


def copied(*blocks: tuple[int, int, int]) -> Changed:
    """The same with blocks that stand twice; each is the row where it stands again, where it is from, its rows."""

    def changed(frame: pd.DataFrame) -> pd.DataFrame:
        values, copy = frame.iloc[:, 1:].to_numpy(), frame.copy()
        for to, start, rows in blocks:
            copy.iloc[to : to + rows, 1:] = values[start : start + rows]
        return copy

    return changed


def knowing_from(row: int, lead: int) -> Changed:
    """The same with a column of chance that from a row on is the target so many rows later (or earlier: −lead)."""

    def changed(frame: pd.DataFrame) -> pd.DataFrame:
        chance = np.random.default_rng(19).standard_normal(len(frame))
        return frame.assign(meter=np.where(np.arange(len(frame)) < row, chance, frame.iloc[:, 1].shift(-lead)))

    return changed


def polar_frame(n: int = 8000) -> pd.DataFrame:
    """Solar power that is nothing for weeks, year after year, and what a clock knows of these nights."""
    hour, day = np.arange(n) % 24, np.arange(n) // 24 % 150
    height = 0.4 * np.sin(np.pi * (hour - 6) / 12) - 0.3 - 0.5 * np.cos(2 * np.pi * day / 150)
    power = np.round(90 * np.clip(height, 0, None) * (1 - 0.5 * np.abs(wandering(n, 0.9, 18))), 2)
    return pd.DataFrame({"time": _times(n), "power": power, "hour": hour, "day": day})


def weekly_frame(n: int = 12000) -> pd.DataFrame:
    """A load that nearly is that of the same hour a week before, which stands beside it as a forecast."""
    load = np.tile(np.random.default_rng(20).random(168), n // 168 + 1)[:n] + 1e-3 * wandering(n, 0.9, 21)
    return pd.DataFrame({"time": _times(n), "load": load, "week_before": np.roll(load, 168 - 3)})


def smooth_frame(n: int = 12000) -> pd.DataFrame:
    """Power that hardly moves from one hour to the next, and a wind that has nothing to do with it."""
    power = pd.Series(wandering(n + 99, 0.99, 22)).rolling(100).mean().to_numpy()[99:]
    return pd.DataFrame({"time": _times(n), "power": power, "wind": wandering(n, 0.97, 23)})


def farm_series(changed: Changed = lambda frame: frame, **fields: Any) -> Made:
    """The packaged farm with other rows."""
    return lambda folder: Set(farm_source(changed, folder, **fields).dataset)


def farm_folds(changed: Changed = lambda frame: frame, gap: int | None = None) -> Made:
    """The same with three expanding folds."""
    return lambda folder: folded(farm_source(changed, folder), gap=gap)


def farm_source(changed: Changed, folder: Path, **fields: Any) -> Source:
    changed(_farm_frame()).to_csv(folder / "farm.csv", index=False)
    return load_source(sample_spec().model_copy(update={"path": str(folder / "farm.csv"), **fields}))


def folds_of_arrays(made: Made) -> Made:
    """Arrays of others with three expanding folds."""

    def make(folder: Path) -> Set:
        made(folder)
        return folded(load_source(DataSpec(path=str(folder))))

    return make


@cache
def _farm_frame() -> pd.DataFrame:
    with sample_file("la_haute_borne") as path:
        return pd.read_csv(path)


def _times(n: int) -> pd.Index:
    return pd.date_range("2015-01-01", periods=n, freq="h").strftime("%Y-%m-%dT%H:%M:%SZ")
