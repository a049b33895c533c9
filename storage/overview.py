"""What a series looks like before anybody has said what its columns mean: times, step, gaps, columns of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .columns import looks_numeric, read_numbers
from .dataspec import DataError, timezone_exists
from .grid import rows_on_grid, step_of
from .mistakes import nearest
from .timestamps import find_timestamp, utc_times

if TYPE_CHECKING:
    import pandas as pd

    from .table import Table

_MOSTLY = 0.5


@dataclass(frozen=True, eq=False)
class Column:
    """A column of numbers.

    Attributes:
        values: (n_rows,) float64 by row of the table, NaN where there is none; empty where it cannot be used.
        unusable: why it cannot be used, as a sentence; None where it can.
    """

    name: str
    values: np.ndarray
    unusable: str | None = None

    @property
    def low(self) -> float:
        """The smallest value."""
        return float(np.nanmin(self.values))

    @property
    def high(self) -> float:
        """The largest value."""
        return float(np.nanmax(self.values))

    @property
    def share_missing(self) -> float:
        """Of the rows that the table has."""
        return float(np.isnan(self.values).mean())


@dataclass(frozen=True, eq=False)
class Overview:
    """A series as it lies there.

    Attributes:
        timestamp: the column of times.
        times: (n_rows,) datetime64[ns] UTC, rising.
        step_seconds: between two rows.
        rows_missing: how many the regular grid has beside those of the table.
        longest_gap: most missing rows that follow each other.
        columns: all columns of numbers in the order of the table.
        decimal_commas: columns whose numbers are written with a comma; they read as text.
        texts: other columns.
    """

    source: str
    timestamp: str
    times: np.ndarray
    step_seconds: float
    rows_missing: int
    longest_gap: int
    columns: tuple[Column, ...]
    decimal_commas: tuple[str, ...]
    texts: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of numbers that can be used."""
        return tuple(column.name for column in self.columns if column.unusable is None)

    @property
    def span_days(self) -> float:
        """From the first row to the end of the last one."""
        seconds = float((self.times[-1] - self.times[0]) / np.timedelta64(1, "s")) + self.step_seconds
        return seconds / 86400

    def column(self, name: str) -> Column:
        """The column of this name."""
        return next(column for column in self.columns if column.name == name)

    def is_counter(self, column: Column) -> bool:
        """Whether it only numbers the rows, those of the table or those of the grid."""
        rises = np.diff(column.values)
        a_row = rises / (np.diff(self.times) / np.timedelta64(1, "s") / self.step_seconds)
        return any(len(each) > 1 and each[0] != 0 and bool((each == each[0]).all()) for each in (rises, a_row))


def overview(table: Table, *, timestamp: str | None = None, timezone: str = "UTC") -> Overview:
    """Look at a table.

    Args:
        timestamp: column of the times; None: the first one that reads as times.
        timezone: clock of times without an offset.

    Raises:
        DataError: there are no times that can be used, or no numbers.
    """
    if table.frame.empty:
        raise DataError(f"{table.source} has a header but no rows. A series needs rows with a time and a target.")
    if not timezone_exists(timezone):
        raise DataError(f"`timezone` must be an IANA name; got '{timezone}'. For example Europe/Paris.")
    names = [str(name) for name in table.frame.columns]
    if timestamp is None:
        timestamp = find_timestamp(table)
    elif timestamp not in names:
        raise DataError(f"{table.source} has no column '{timestamp}' (`timestamp`). {nearest(timestamp, names)}")
    times = utc_times(table, timestamp, timezone)
    if len(times) < 2:
        raise DataError(f"{table.source} must have at least two rows; got {len(times)}. Is it the right file?")
    step = step_of(table, times)
    rows = rows_on_grid(times, step)
    others = [name for name in names if name != timestamp]
    numeric = [name for name in others if looks_numeric(table.frame[name])]
    columns = tuple(Column(name, *read_numbers(table, name)) for name in numeric)
    commas = [name for name in others if name not in numeric and _has_decimal_commas(table.frame[name])]
    found = Overview(
        source=table.source,
        timestamp=timestamp,
        times=times,
        step_seconds=float(step / np.timedelta64(1, "s")),
        rows_missing=int(rows[-1]) + 1 - len(times),
        longest_gap=int(np.diff(rows).max()) - 1,
        columns=columns,
        decimal_commas=tuple(commas),
        texts=tuple(name for name in others if name not in numeric and name not in commas),
    )
    if not found.names:
        raise DataError([column.unusable for column in columns if column.unusable] or _no_numbers(found))
    return found


def _no_numbers(found: Overview) -> str:
    rule = f"A series needs a column of numbers to forecast; beside the times {found.source} has "
    if found.decimal_commas:
        listed = ", ".join(f"'{name}'" for name in found.decimal_commas)
        return f"{rule}only numbers with a decimal comma ({listed}). Write decimals with a point."
    return f"{rule}only text: {', '.join(found.texts) or 'no column at all'}. Is it the right file?"


def _has_decimal_commas(column: pd.Series[Any]) -> bool:
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(column):
        return False
    given = column.dropna().astype("string").str.strip()
    return bool(len(given) and given.str.fullmatch(r"[+-]?\d*,\d+").fillna(False).astype(bool).mean() >= _MOSTLY)
