"""Training, validation and test: borders in time, and the windows that lie wholly inside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .dataspec import DataError, DataSpec, instant
from .windows import part_origins, target_rows

PART_NAMES = ("train", "val", "test")
_SPOKEN = {"train": "training", "val": "validation", "test": "test"}


@dataclass(frozen=True, eq=False)
class Selection:
    """The windows of one part.

    Attributes:
        origins: (n,) int64, rows of the last lookback steps, rising.
        left_out: windows of the part that touch a gap in an input or in a target.
    """

    origins: np.ndarray
    left_out: int


def borders(times: np.ndarray, spec: DataSpec) -> tuple[int, int]:
    """First rows of the validation and of the test part.

    Args:
        times: (n_rows,) datetime64[ns] UTC.
        spec: fractions or dates.

    Raises:
        DataError: dates outside of the series, or a part too short for a single window.
    """
    n_rows = len(times)
    if spec.val_start is None or spec.test_start is None:
        rows = round(n_rows * spec.split[0]), round(n_rows * (spec.split[0] + spec.split[1]))
    else:
        rows = _dated_rows(times, spec, spec.val_start, spec.test_start)
    sizes = (rows[0], rows[1] - rows[0], n_rows - rows[1])
    needed = spec.lookback + spec.reach
    if min(sizes) >= needed:
        return rows
    beyond = f" + known_ahead_beyond {spec.known_ahead_beyond}" if spec.known_ahead_beyond else ""
    wanted = f"lookback {spec.lookback} + horizon {spec.horizon}{beyond} = {needed} rows in each part"
    if spec.val_start is None:
        raise DataError(
            f"The series is too short: {wanted} and split {list(spec.split)} need at least {_rows_needed(spec)} rows; "
            f"got {n_rows}. Use a longer series, a shorter `lookback`, or a nearer `horizon`."
        )
    short = [f"{_SPOKEN[name]} has {size}" for name, size in zip(PART_NAMES, sizes, strict=True) if size < needed]
    raise DataError(
        f"A part is too short: {wanted} are needed; {' and '.join(short)}. Move `val_start` or `test_start`, or use a "
        "shorter `lookback`."
    )


def select(whole: np.ndarray, target: np.ndarray, rows: tuple[int, int], spec: DataSpec) -> Selection:
    """The windows of one part that touch no gap.

    Args:
        whole: (n_rows − lookback + 1,) bool, windows whose inputs are complete (`whole_windows`).
        target: (n_rows,) with NaN in gaps.
        rows: first row of the part, and the first one after it.
        spec: lookback, horizon, outputs.
    """
    # After the last targets of the series no weather is known; that is its end, and no gap.
    start, stop = rows[0], min(rows[1], len(target) - spec.known_ahead_beyond)
    origins = part_origins(start, stop, spec.lookback, spec.horizon)
    complete = whole[origins - spec.lookback + 1]
    complete &= ~np.isnan(target[target_rows(origins, spec.steps_ahead)]).any(axis=1)
    kept = origins[complete]
    return Selection(kept, len(origins) - len(kept))


def require_windows(name: str, selection: Selection, gaps: dict[str, int]) -> list[str]:
    """A mistake where no window is left.

    Args:
        name: of the part.
        selection: its windows.
        gaps: column → missing values in the part.
    """
    if len(selection.origins):
        return []
    worst = sorted((column for column in gaps if gaps[column]), key=lambda column: -gaps[column])[:3]
    listed = ", ".join(f"'{column}' lacks {gaps[column]}" for column in worst) or "missing rows"
    mistake = (
        f"The {_SPOKEN[name]} part must keep at least one window without a gap; all {selection.left_out} touch one "
        f"({listed}). Fill the gaps, leave these columns out, or use a shorter `lookback`."
    )
    return [mistake]


def _dated_rows(times: np.ndarray, spec: DataSpec, val_start: str, test_start: str) -> tuple[int, int]:
    found, rows = [], []
    for name, text in (("val_start", val_start), ("test_start", test_start)):
        moment = np.datetime64(instant(text, spec.timezone).replace(tzinfo=None), "ns")
        if not times[0] < moment <= times[-1]:
            found.append(
                f"`{name}` must lie inside the series, {np.datetime_as_string(times[0], unit='s')} to "
                f"{np.datetime_as_string(times[-1], unit='s')} UTC; got {text}."
            )
        rows.append(int(np.searchsorted(times, moment)))
    if found:
        raise DataError(found)
    return rows[0], rows[1]


def _rows_needed(spec: DataSpec) -> int:
    needed = spec.lookback + spec.reach
    n_rows = math.floor(needed / max(spec.split))
    while min(_sizes(n_rows, spec.split)) < needed:
        n_rows += 1
    return n_rows


def _sizes(n_rows: int, split: Sequence[float]) -> tuple[int, int, int]:
    val, test = round(n_rows * split[0]), round(n_rows * (split[0] + split[1]))
    return val, test - val, n_rows - test
