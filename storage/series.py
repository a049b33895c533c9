"""A series: columns of numbers on a regular UTC grid, missing rows filled with NaN."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .columns import looks_numeric, read_numbers
from .dataspec import DataError, DataSpec, timezone_exists
from .grid import rows_on_grid, step_of
from .mistakes import nearest
from .timestamps import find_timestamp, utc_times

if TYPE_CHECKING:
    from .table import Table


@dataclass(frozen=True, eq=False)
class Series:
    """What a table says, checked.

    Attributes:
        times: (n_rows,) datetime64[ns] UTC, every step present.
        columns: name → (n_rows,) float64, NaN in gaps; the target first, then the features as they are named.
        step: between two rows.
        rows_missing: how many of the rows were not in the table.
        columns_left_out: columns of text that were not used, as no feature was named.
    """

    times: np.ndarray
    columns: dict[str, np.ndarray]
    step: np.timedelta64
    rows_missing: int
    columns_left_out: tuple[str, ...] = ()

    @property
    def step_seconds(self) -> float:
        """Seconds between two rows."""
        return float(self.step / np.timedelta64(1, "s"))


def read_series(
    table: Table, spec: DataSpec, *, columns: Sequence[str] | None = None, step: np.timedelta64 | None = None
) -> Series:
    """Read the columns that a specification names.

    Args:
        table: from a file or a frame.
        spec: names of the columns, time zone.
        columns: features to read in the place of those of `spec` (a forecaster knows which ones its model has seen).
        step: taken where the table has too few rows to show one (a single row).

    Raises:
        DataError: every mistake in the specification, the times and the columns, all at once.
    """
    if table.frame.empty:
        raise DataError(f"{table.source} has a header but no rows. A series needs rows with a time and a target.")
    found = spec.mistakes()
    timestamp = _timestamp(table, spec, found)
    numeric, left_out = _numeric_columns(table, spec, timestamp, columns, found)
    times = grid_step = None
    if timestamp is not None and timezone_exists(spec.timezone):
        try:
            times = utc_times(table, timestamp, spec.timezone)
            if len(times) < 2 and step is None:
                found.append(f"{table.source} must have at least two rows; got {len(times)}. Is it the right file?")
            grid_step = step_of(table, times) if len(times) > 1 else step
        except DataError as error:
            found += error.mistakes
    if found:
        raise DataError(found)
    assert times is not None
    assert grid_step is not None
    return _on_grid(times, grid_step, numeric, left_out)


def _on_grid(
    times: np.ndarray, step: np.timedelta64, numeric: dict[str, np.ndarray], left_out: tuple[str, ...]
) -> Series:
    rows = rows_on_grid(times, step)
    n_rows = int(rows[-1]) + 1
    columns = {}
    for name, values in numeric.items():
        column = np.full(n_rows, np.nan)
        column[rows] = values
        columns[name] = column
    return Series(times[0] + step * np.arange(n_rows), columns, step, n_rows - len(times), left_out)


def _timestamp(table: Table, spec: DataSpec, found: list[str]) -> str | None:
    if spec.timestamp is None:
        try:
            return find_timestamp(table)
        except DataError as error:
            found += error.mistakes
            return None
    if spec.timestamp in table.frame.columns:
        return spec.timestamp
    found.append(
        f"{table.source} has no column '{spec.timestamp}' (`timestamp`). "
        f"{nearest(spec.timestamp, list(table.frame.columns))}"
    )
    return None


def _numeric_columns(
    table: Table, spec: DataSpec, timestamp: str | None, columns: Sequence[str] | None, found: list[str]
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """The target and the features as numbers, and the columns of text that nobody asked for."""
    others = [str(name) for name in table.frame.columns if name != timestamp]
    wanted = columns if columns is not None else spec.features
    left_out: list[str] = []
    if wanted is None:
        wanted = [name for name in others if name != spec.target and looks_numeric(table.frame[name])]
        left_out = [name for name in others if name != spec.target and name not in wanted]
    names = [] if spec.target is None else [spec.target]
    if spec.target is None:
        found.append(f"A series needs a `target`, the column to forecast. {nearest('', others)}")
    features = [name for name in dict.fromkeys(wanted) if name != spec.target]
    names += features
    numeric = {}
    for name in names:
        role = "`target`" if name == spec.target else "`features`"
        if name not in others:
            way_out = "It is the column of times." if name == timestamp else nearest(name, others)
            found.append(f"{table.source} has no column '{name}' ({role}). {way_out}")
            continue
        numeric[name], mistake = read_numbers(table, name)
        found += [] if mistake is None else [mistake]
    valid = [name for name in features if name in others]
    for field, given in (("known_ahead", spec.known_ahead), ("circular", spec.circular)):
        for name in given:
            if name not in features and name != spec.target:
                way_out = "Add it to `features`." if name in others else nearest(name, valid)
                found.append(f"`{field}` names '{name}', which is not among the features. {way_out}")
    return numeric, tuple(left_out)
