"""What is usual at this hour of the day in this month: the mean of many rows, no forecast of any one day."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

_MONTHS, _HOURS = 12, 24


def climatology(
    target: Values,
    times: NDArray[np.datetime64],
    n_learnt: int,
    target_times: NDArray[np.datetime64],
) -> tuple[Values, int]:
    """The mean of the target by month and hour of the day, both in UTC, over the first rows of a series.

    A month that these rows never saw at this hour takes the mean of the hour over all their months, an hour that they
    never saw their mean.

    Args:
        target: (n_rows,) in the unit, NaN in gaps, which do not count.
        times: (n_rows,) in UTC.
        n_learnt: rows 0 … n_learnt − 1 are learnt from.
        target_times: (n, n_outputs) in UTC, for which the mean is wanted.

    Returns:
        (n, n_outputs), NaN where nothing at all is known; and for how many of these the month was never seen.
    """
    known = np.isfinite(target[:n_learnt])
    values, cells = target[:n_learnt][known], _cells(times[:n_learnt][known])
    sums, counts = np.zeros((_MONTHS, _HOURS)), np.zeros((_MONTHS, _HOURS))
    np.add.at(sums, cells, values)
    np.add.at(counts, cells, 1.0)
    overall = float(values.mean()) if values.size else np.nan
    of_hour = _means(sums.sum(axis=0), counts.sum(axis=0), overall)
    table = _means(sums, counts, of_hour)
    wanted = _cells(target_times)
    return table[wanted], int((counts[wanted] == 0).sum())


def _cells(times: NDArray[np.datetime64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Month 0 … 11 and hour 0 … 23, each of the shape of `times`."""
    month = times.astype("datetime64[M]").astype(np.int64) % _MONTHS
    hour = (times.astype("datetime64[h]") - times.astype("datetime64[D]")).astype(np.int64)
    return month, hour


def _means(sums: Values, counts: Values, otherwise: Values | float) -> Values:
    return np.where(counts > 0, sums / np.maximum(counts, 1.0), otherwise)
