"""Series of a few rows, written to files as a user would have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from greentune.storage.dataspec import DataSpec


def tiny_frame(n_rows: int = 60, *, start: str = "2015-01-01T00:00:00Z", freq: str = "h") -> pd.DataFrame:
    """`power` from −1 to 9, `wind`, `direction` in degrees: smooth and never constant."""
    step = np.arange(n_rows, dtype=np.float64)
    times = pd.date_range(start, periods=n_rows, freq=freq)
    return pd.DataFrame(
        {
            "time": times.strftime("%Y-%m-%dT%H:%M:%S") + ("Z" if times.tz is not None else ""),
            "power": 4 + 5 * np.sin(step / 3) + step / 1000,
            "wind": 6 + np.cos(step / 3) + step / 1000,
            "direction": (step * 37.5) % 360,
        }
    )


def tiny_spec(path: Path | str, **fields: Any) -> DataSpec:
    """Six steps back, two ahead; `fields` replace."""
    values: dict[str, Any] = {"path": str(path), "target": "power", "lookback": 6, "horizon": 2}
    return DataSpec(**{**values, **fields})


def write_csv(folder: Path, frame: pd.DataFrame, name: str = "series.csv") -> Path:
    path = folder / name
    frame.to_csv(path, index=False)
    return path


def tiny_csv(folder: Path, **changes: Any) -> Path:
    """A tiny series as a file; `changes` replace whole columns, None drops one."""
    frame = tiny_frame()
    for name, values in changes.items():
        frame = frame.drop(columns=name) if values is None else frame.assign(**{name: values})
    return write_csv(folder, frame)


def replaced(name: str, row: int, value: object) -> list[object]:
    """A column of the tiny series with one other value in it."""
    values: list[object] = tiny_frame()[name].tolist()
    values[row] = value
    return values
