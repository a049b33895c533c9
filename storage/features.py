"""From a series to the matrix that windows slide over: which numbers a model sees in a step.

Row i of the matrix holds what is known for step i of a window: the past of ordinary columns at i, and, `horizon` steps
ahead, the known-ahead columns and the calendar, so that the last row of a window knows the weather at its target.
Features that look ahead carry that in their name: ``era5_wind_speed_100m_ms@+3``. With `known_ahead_beyond` a column
that is known ahead is a feature for each further step, too: ``…@+4``, ``…@+5``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .dataspec import DataError, DataSpec
from .scaling import LinearScaler
from .series import Series

_DAY_SECONDS = 86400
_YEAR_DAYS = 365.2425


def feature_names(spec: DataSpec, columns: Sequence[str]) -> tuple[str, ...]:
    """Names of the features, in the order of the matrix: the target, the columns, the calendar.

    Args:
        spec: the specification.
        columns: of the series, the target first.

    Raises:
        DataError: two features would have one name.
    """
    names = [name for column in columns for name in column_features(spec, column)]
    names += [f"{field}_{part}@+{spec.horizon}" for field in spec.calendar for part in ("sin", "cos")]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(
            f"Two features would be named '{repeated[0]}'. Rename the column of this name, or leave it out."
        )
    return tuple(names)


def column_features(spec: DataSpec, column: str) -> tuple[str, ...]:
    """Names of the features that one column of the series becomes."""
    parts = ("_sin", "_cos") if column in spec.circular else ("",)
    return tuple(f"{column}{part}{f'@+{lead}' if lead else ''}" for lead in _leads(spec, column) for part in parts)


def leads_of(spec: DataSpec, names: Sequence[str]) -> np.ndarray:
    """(n_features,) int64: steps ahead of the origin at which a feature of the last row stands; 0: of the past."""
    tails = [name.rpartition("@+")[2] for name in names]
    leads = np.array([int(tail) if tail.isdecimal() else 0 for tail in tails], dtype=np.int64)
    return np.where((leads >= spec.horizon) & (leads <= spec.reach), leads, 0)


def columns_of(spec: DataSpec, names: Sequence[str]) -> tuple[str, ...]:
    """The columns behind `feature_names`, the target first; what a forecaster must find in a new series."""
    columns = []
    for name in names[: len(names) - 2 * len(spec.calendar)]:
        plain = name.rpartition("@+")[0] or name
        # "_sin" and "_cos" have four characters. What was built up most is tried first: any name could be a column's.
        candidates = (plain[:-4], plain, name[:-4], name)
        columns += [column for column in candidates if name in column_features(spec, column)][:1]
    return tuple(dict.fromkeys(columns))


def unchanged_names(spec: DataSpec, columns: Sequence[str]) -> tuple[str, ...]:
    """Features that scaling leaves alone: sines and cosines, whose range is −1 … 1 whatever the training part is."""
    names = feature_names(spec, columns)
    turned = {name for column in columns if column in spec.circular for name in column_features(spec, column)}
    calendar = names[len(names) - 2 * len(spec.calendar) :]
    return tuple(name for name in names if name in turned or name in calendar)


def raw_matrix(spec: DataSpec, series: Series) -> np.ndarray:
    """(n_rows, n_features) float64 in the columns' units, nothing shifted but the calendar.

    A scaler is fitted on the training rows of this matrix: no value of a later row, not even a known-ahead one,
    reaches it.
    """
    parts: list[np.ndarray] = []
    for name, values in series.columns.items():
        angle = np.deg2rad(values) if name in spec.circular else None
        parts += ([values] if angle is None else [np.sin(angle), np.cos(angle)]) * len(_leads(spec, name))
    # Computed at the target time: it is known beyond the last row of the series too.
    ahead = series.times + spec.horizon * series.step
    for field in spec.calendar:
        angle = 2 * np.pi * _phase(field, ahead)
        parts += [np.sin(angle), np.cos(angle)]
    return np.column_stack(parts)


def scaled_matrix(spec: DataSpec, columns: Sequence[str], raw: np.ndarray, scaler: LinearScaler) -> np.ndarray:
    """(n_rows, n_features) float32, scaled, known-ahead columns shifted; NaN where a value is missing or not known."""
    matrix = scaler.transform(raw).astype(np.float32)
    place = 0
    for column in columns:
        width = 2 if column in spec.circular else 1
        for lead in _leads(spec, column):
            if lead:
                block = matrix[:, place : place + width]
                block[:-lead] = block[lead:].copy()
                block[-lead:] = np.nan
            place += width
    return np.ascontiguousarray(matrix)


def _leads(spec: DataSpec, column: str) -> Sequence[int]:
    """Steps ahead at which a column is a feature."""
    return range(spec.horizon, spec.reach + 1) if column in spec.known_ahead else (0,)


def _phase(field: str, times: np.ndarray) -> np.ndarray:
    """(n,) position in the day or in the year, 0 … 1, in UTC."""
    if field == "hour":
        return np.asarray((times - times.astype("datetime64[D]")) / np.timedelta64(_DAY_SECONDS, "s"))
    since_new_year = (times - times.astype("datetime64[Y]")) / np.timedelta64(_DAY_SECONDS, "s")
    return np.asarray(since_new_year / _YEAR_DAYS)
