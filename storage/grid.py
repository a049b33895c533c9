"""The regular grid of a series: order, step, and gaps that are whole multiples of the step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .dataspec import DataError

if TYPE_CHECKING:
    from .table import Table

_NOTHING = np.timedelta64(0, "ns")
_MOST_GRID_ROWS_A_ROW = 50


def check_order(
    table: Table, times: np.ndarray, clock: str | None = None, *, positions: np.ndarray | None = None
) -> None:
    """Times must rise and be distinct.

    Args:
        table: for messages.
        times: (n,) datetime64.
        clock: time zone by which times without an offset were read; None where they had one.
        positions: (n,) rows of the table; None when `times` are those of all rows.

    Raises:
        DataError: naming the first row that does not.
    """
    falls = np.flatnonzero(np.diff(times) <= _NOTHING)
    if not falls.size:
        return
    place = int(falls[0]) + 1
    where = table.where(place if positions is None else int(positions[place]))
    hint = ""
    if clock is not None:
        hint = (
            f" These times were read by the clock of {clock}. If they are local time, which repeats an hour in autumn, "
            "name it with `timezone`, for example Europe/Paris."
        )
    if times[place] in times[:place]:
        raise DataError(
            f"The times of {table.source} must be distinct; {where} repeats {_text(times[place])}. "
            f"Remove the duplicates or aggregate them.{hint}"
        )
    raise DataError(
        f"The times of {table.source} must rise; {where} ({_text(times[place])}) comes after "
        f"{_text(times[place - 1])}. Sort the rows by time.{hint}"
    )


def step_of(table: Table, times: np.ndarray) -> np.timedelta64:
    """The most common difference between neighbours; every other one must be a multiple of it.

    Args:
        table: for messages.
        times: (n,) datetime64[ns], strictly rising, at least two.

    Raises:
        DataError: irregular times, or so few rows for their span that the step is not believable.
    """
    differences = np.diff(times)
    found, counts = np.unique(differences, return_counts=True)
    step = np.timedelta64(found[np.argmax(counts)], "ns")
    irregular = np.flatnonzero(differences % step != _NOTHING)
    if irregular.size:
        position = int(irregular[0]) + 1
        raise DataError(
            f"The times of {table.source} must be regular; most rows are {_seconds(step)} apart, but "
            f"{table.where(position)} ({_text(times[position])}) comes {_seconds(differences[position - 1])} after the "
            f"row before it ({irregular.size} in all). Aggregate to a regular step, or leave missing rows out."
        )
    n_grid = int((times[-1] - times[0]) // step) + 1
    if n_grid > _MOST_GRID_ROWS_A_ROW * len(times):
        position = int(np.argmax(differences)) + 1
        raise DataError(
            f"Nearly all rows of {table.source} are missing: {len(times)} rows at a step of {_seconds(step)} would "
            "span "
            f"{n_grid} rows. The longest gap ends at {table.where(position)} ({_text(times[position])}). Is this time "
            "right?"
        )
    return step


def rows_on_grid(times: np.ndarray, step: np.timedelta64) -> np.ndarray:
    """(n,) int64: the row of the full grid in which each time lies; the first is 0."""
    return np.asarray((times - times[0]) // step, dtype=np.int64)


def _text(time: np.datetime64) -> str:
    return str(np.datetime_as_string(time, unit="s"))


def _seconds(difference: np.timedelta64) -> str:
    return f"{difference / np.timedelta64(1, 's'):g} s"
