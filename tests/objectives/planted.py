"""Data sets with a planted leak, and clean ones that resemble them.

A leak gets in as it would in life: as a column of the series, as arrays that were cut or scaled wrongly, or, where our
own code would never do it, by exchanging fields of a data set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from greentune.objectives import splits
from greentune.objectives.audit_rows import Evidence
from greentune.storage.dataset import Dataset, Part
from greentune.storage.datasets import load_dataset, load_source
from greentune.storage.dataspec import DataSpec, sample_spec
from greentune.storage.prepare import prepare_arrays
from greentune.storage.scaling import LinearScaler
from greentune.storage.source import Source
from greentune.storage.windows import Windows, target_rows

LOOKBACK = 12


@dataclass(frozen=True)
class Set:
    """What is audited."""

    dataset: Dataset
    folds: Sequence[Dataset] = ()


Made = Callable[[Path], Set]


# --- series ---------------------------------------------------------------------------------------------------------


def wandering(n: int, memory: float, seed: int) -> np.ndarray:
    """(n,) a first-order autoregression, deviation about 1."""
    steps = np.random.default_rng(seed).standard_normal(n) * np.sqrt(1 - memory**2)
    values = np.zeros(n)
    for row in range(1, n):
        values[row] = memory * values[row - 1] + steps[row]
    return values


def wind_frame(n: int = 3000, *, freq: str = "h", memory: float = 0.97) -> pd.DataFrame:
    """A wind farm: `power` (MW), its `nacelle` wind, a `forecast` of the wind, `temperature`, `direction`."""
    random = np.random.default_rng(1)
    wind = np.clip(8 + 3 * wandering(n, memory, 2), 0, None)
    return pd.DataFrame(
        {
            "time": _times(n, freq),
            "power": 8 / (1 + np.exp(4 - wind / 2)) + 0.1 * random.standard_normal(n),
            "nacelle": wind + 0.1 * random.standard_normal(n),
            "forecast": wind + 1.5 * wandering(n, 0.9, 3),
            "temperature": 10 + 8 * wandering(n, 0.99, 4),
            "direction": (200 + 60 * wandering(n, 0.98, 5)) % 360,
        }
    )


def country_frame(n: int = 4000) -> pd.DataFrame:
    """Solar and wind power, radiation, cloud, a `total` that holds both powers: coarse numbers, dark nights."""
    hour, day = np.arange(n) % 24, np.arange(n) / 24
    clear = np.clip(np.sin(np.pi * (hour - 6) / 12), 0, None) * (0.7 - 0.3 * np.cos(2 * np.pi * day / 365))
    cloud = 1 / (1 + np.exp(wandering(n, 0.95, 6)))
    solar = np.round(2000 * clear * (1 - 0.7 * cloud) * (1 + 0.05 * wandering(n, 0.9, 7)), 1)
    wind = np.round(2500 + 1200 * wandering(n, 0.98, 8))
    return pd.DataFrame(
        {
            "time": _times(n, "h"),
            "solar": solar,
            "wind": wind,
            "total": solar + wind + np.round(3000 + 900 * wandering(n, 0.99, 9)),
            "radiation": np.round(900 * clear * (1 - 0.7 * np.clip(cloud + 0.15 * wandering(n, 0.8, 10), 0, 1))),
            "cloud": np.round(100 * cloud),
        }
    )


def desert_frame(n: int = 1500) -> pd.DataFrame:
    """Solar power under a sky that is nearly always clear, and what a clock knows of it."""
    hour, day = np.arange(n) % 24, np.arange(n) // 24
    clear = np.clip(np.sin(np.pi * (hour - 6) / 12), 0, None) * (0.9 - 0.1 * np.cos(2 * np.pi * np.arange(n) / 8766))
    power = 50 * clear * (1 - 0.02 * np.abs(wandering(n, 0.9, 15)))
    return pd.DataFrame({"time": _times(n, "h"), "power": power, "clear": clear, "hour": hour, "weekday": day % 7})


def slow_frame(n: int = 1500) -> pd.DataFrame:
    """Twenty columns that wander slowly, and have nothing to do with the power."""
    columns = {f"slow_{seed}": wandering(n, 0.999, seed) for seed in range(20, 40)}
    return pd.DataFrame({"time": _times(n, "h"), "power": wandering(n, 0.99, 16), **columns})


def calm_frame(n: int = 3000) -> pd.DataFrame:
    """Power that stands still for forty hours, in the training and in the validation."""
    power = wandering(n, 0.97, 17)
    power[900:940] = power[2350:2390] = 0
    return pd.DataFrame({"time": _times(n, "h"), "power": power})


def price_frame(n: int = 3000) -> pd.DataFrame:
    """A price that walks at random, in cents, and a load."""
    price = np.round(60 + np.cumsum(np.random.default_rng(11).standard_normal(n)), 2)
    return pd.DataFrame({"time": _times(n, "h"), "price": price, "load": np.round(5 + wandering(n, 0.95, 12), 1)})


def in_kw(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(kw=1000 * frame["power"] + 5)


def rest_of_the_total(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(rest=frame["total"] - frame["solar"])


def warmer(frame: pd.DataFrame) -> pd.DataFrame:
    """The same with all numbers rising towards the end, so that later rows have extremes of their own."""
    drift = np.linspace(0, 1, len(frame)) ** 4
    numbers = [name for name in frame.columns if name not in ("time", "direction")]
    return frame.assign(**{name: frame[name] + drift * np.ptp(frame[name]) / 2 for name in numbers})


def with_gaps(frame: pd.DataFrame) -> pd.DataFrame:
    """The same with missing rows, missing values and a sensor that is stuck for two days."""
    random = np.random.default_rng(13)
    frame = frame.copy()
    frame.loc[1200:1248, "nacelle"] = frame.loc[1200, "nacelle"]
    frame.loc[random.choice(len(frame), 40, replace=False), "power"] = np.nan
    frame.loc[700:760, "temperature"] = np.nan
    return frame.drop(index=[*range(300, 310), *range(2500, 2570)])


def spec_of(folder: Path, frame: pd.DataFrame, **fields: Any) -> DataSpec:
    """A series as a user would have it: the frame in a file."""
    path = folder / "series.csv"
    frame.to_csv(path, index=False)
    values = {"path": str(path), "target": frame.columns[1], "calendar": ("hour",), "lookback": LOOKBACK, "horizon": 3}
    return DataSpec(**{**values, **fields})


def series(frame: pd.DataFrame, **fields: Any) -> Made:
    """A data set of the frame; `fields` replace those of the specification."""
    return lambda folder: Set(load_dataset(spec_of(folder, frame, **fields)))


def wind_series(changed: Callable[[pd.DataFrame], pd.DataFrame] = lambda frame: frame, **fields: Any) -> Made:
    """A data set of the wind farm with its wind forecast known ahead."""
    known = {"known_ahead": ("forecast",), "circular": ("direction",)}
    return series(changed(wind_frame()), **{**known, **fields})


@cache
def farm(**fields: Any) -> Dataset:
    """The packaged farm."""
    return load_dataset(sample_spec().model_copy(update=fields))


def folded(source: Source, train_size: int | None = None, *, n_splits: int = 3, gap: int | None = None) -> Set:
    """The data set with expanding folds, or sliding ones of so many samples; the gap is the one needed or a longer."""
    ahead = source.dataset.steps_ahead[-1] if source.dataset.steps_ahead else 1
    gap = splits.derived_gap(source.dataset.lookback, ahead) if gap is None else gap
    folds = splits.expanding(source.n_samples, n_splits=n_splits, gap=gap, max_train_size=train_size)
    return Set(source.dataset, [source.fold(fold.train, fold.val) for fold in folds])


def source_of(folder: Path, frame: pd.DataFrame, **fields: Any) -> Source:
    """The frame as a source to cut folds from."""
    return load_source(spec_of(folder, frame, **fields))


def prepared_source(folder: Path, frame: pd.DataFrame, **fields: Any) -> Source:
    """The same, as `tune prepare` writes it."""
    prepare_arrays(spec_of(folder, frame, **fields), folder / "arrays")
    return load_source(DataSpec(path=str(folder / "arrays")))


def _times(n: int, freq: str) -> pd.Index:
    return pd.date_range("2015-01-01", periods=n, freq=freq).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- arrays of others -----------------------------------------------------------------------------------------------


def cut(rows: np.ndarray, y: np.ndarray, parts: Sequence[np.ndarray], folder: Path) -> Set:
    """Windows with these origins, three steps ahead, in six files; nothing else.

    Args:
        rows: (n_rows, n_features), scaled.
        y: (n_rows,), scaled.
        parts: origins of the training, validation and test windows.
        folder: where to.
    """
    for name, origins in zip(("train", "val", "test"), parts, strict=True):
        np.save(folder / f"X_{name}.npy", rows[origins[:, None] + np.arange(1 - LOOKBACK, 1)].astype(np.float32))
        np.save(folder / f"y_{name}.npy", y[origins + 3].astype(np.float32))
    return Set(load_dataset(DataSpec(path=str(folder))))


def parted(n_rows: int, gap: int) -> list[np.ndarray]:
    """Origins of training, validation and test in order of time, `gap` origins apart."""
    edges = np.round(np.array([0, 0.7, 0.85, 1]) * n_rows).astype(int)
    parts = [np.arange(start, stop) for start, stop in pairwise(edges)]
    ends = [(LOOKBACK - 1, 0), (gap, 0), (gap, 3)]
    return [part[left : len(part) - right] for part, (left, right) in zip(parts, ends, strict=True)]


def scaled(values: np.ndarray, kind: str, n_rows: int) -> np.ndarray:
    """Scaled by their first `n_rows` rows."""
    fitted = values[:n_rows]
    if kind == "minmax":
        return np.asarray((values - fitted.min(axis=0)) / np.ptp(fitted, axis=0))
    return np.asarray((values - fitted.mean(axis=0)) / fitted.std(axis=0))


def wind_values() -> np.ndarray:
    """(3000, 4): power, nacelle wind, forecast, temperature."""
    return warmer(wind_frame()).iloc[:, 1:5].to_numpy()


def foreign(
    kind: str = "minmax",
    *,
    fitted: float = 0.7,
    gap: int = LOOKBACK + 2,
    changed: Callable[[np.ndarray], np.ndarray] = lambda values: values,
    arranged: Callable[[list[np.ndarray]], list[np.ndarray]] = lambda parts: parts,
) -> Made:
    """Arrays of the wind farm.

    Args:
        kind: of the scaling.
        fitted: share of the rows that the scaler has seen.
        gap: origins left out at a border.
        changed: makes other rows of the rows.
        arranged: makes other parts of the parts.
    """
    values = changed(wind_values())
    z = scaled(values, kind, round(fitted * len(values)))
    return lambda folder: cut(z, z[:, 0], arranged(parted(len(z), gap)), folder)


def shuffled(parts: list[np.ndarray]) -> list[np.ndarray]:
    """All windows in one heap, dealt to the parts at random."""
    heap = np.random.default_rng(14).permutation(np.concatenate(parts))
    return np.split(heap, np.cumsum([len(part) for part in parts])[:-1])


def prepared(made: Made) -> Made:
    """The same as `tune prepare` writes it."""
    return lambda folder: Set(prepare_arrays(made(folder).dataset.spec, folder / "arrays"))


# --- changed data sets ----------------------------------------------------------------------------------------------


def rescaled(dataset: Dataset) -> Dataset:
    """With scalers that were fitted on all rows."""
    target, x_scaler, y_scaler = dataset.target, dataset.x_scaler, dataset.y_scaler
    assert target is not None
    assert x_scaler is not None
    assert y_scaler is not None
    rows = x_scaler.inverse(Evidence(dataset).matrix)
    unscaled = [name for place, name in enumerate(x_scaler.names) if x_scaler.scale[place] == 1]
    x_scaler = LinearScaler.fit(x_scaler.kind, x_scaler.names, rows, fixed=unscaled)
    y_scaler = LinearScaler.fit(y_scaler.kind, y_scaler.names, target[:, None])
    matrix = x_scaler.transform(rows).astype(np.float32)
    view = np.lib.stride_tricks.sliding_window_view(matrix, dataset.lookback, axis=0).transpose(0, 2, 1)

    def part(old: Part) -> Part:
        assert old.origins is not None
        y = y_scaler.transform(target[target_rows(old.origins, dataset.steps_ahead)]).astype(np.float32)
        return Part(old.name, Windows(view, old.origins - dataset.lookback + 1), y, old.origins)

    parts = {name: part(dataset.part(name)) for name in ("train", "val", "test")}
    return replace(dataset, x_scaler=x_scaler, y_scaler=y_scaler, **parts)


def moved(dataset: Dataset, name: str, origins: np.ndarray) -> Dataset:
    """With other windows of the series in one part."""
    old = dataset.part(name)
    assert dataset.target is not None
    assert dataset.y_scaler is not None
    y = dataset.y_scaler.transform(dataset.target[target_rows(origins, dataset.steps_ahead)]).astype(np.float32)
    windows = Windows(old.windows.view, origins - dataset.lookback + 1)
    return replace(dataset, **{name: Part(name, windows, y, origins)})


def shifted_targets(dataset: Dataset, steps: int) -> Dataset:
    """With y so many steps earlier, in all parts."""

    def part(old: Part) -> Part:
        assert old.origins is not None
        assert dataset.target is not None
        assert dataset.y_scaler is not None
        y = dataset.target[target_rows(old.origins - steps, dataset.steps_ahead)]
        return replace(old, y=dataset.y_scaler.transform(y).astype(np.float32))

    return replace(dataset, **{name: part(dataset.part(name)) for name in ("train", "val", "test")})


def shifted_windows(dataset: Dataset, steps: int) -> Dataset:
    """With windows that end so many steps after their origin, in all parts."""

    def part(old: Part) -> Part:
        index = np.minimum(old.windows.index + steps, len(old.windows.view) - 1)
        return replace(old, windows=replace(old.windows, index=index))

    return replace(dataset, **{name: part(dataset.part(name)) for name in ("train", "val", "test")})
