"""From a series to the matrix that windows slide over: which numbers a model sees in a step.

Row i of the matrix holds what is known for step i of a window: the past of ordinary columns at i, and, `horizon` steps
ahead, the known-ahead columns and the calendar, so that the last row of a window knows the weather at its target.
Features that look ahead carry that in their name: ``era5_wind_speed_100m_ms@+3``.
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
    names = [name for column in columns for name in _column_features(spec, column)]
    names += [f"{field}_{part}{_ahead(spec)}" for field in spec.calendar for part in ("sin", "cos")]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(
            f"Two features would be named '{repeated[0]}'. Rename the column of this name, or leave it out."
        )
    return tuple(names)


def columns_of(spec: DataSpec, names: Sequence[str]) -> tuple[str, ...]:
    """The columns behind `feature_names`, the target first; what a forecaster must find in a new series."""
    columns = []
    for name in names[: len(names) - 2 * len(spec.calendar)]:
        plain = name.removesuffix(_ahead(spec))
        # "_sin" and "_cos" have four characters. What was built up most is tried first: any name could be a column's.
        candidates = (plain[:-4], plain, name[:-4], name)
        columns += [column for column in candidates if name in _column_features(spec, column)][:1]
    return tuple(dict.fromkeys(columns))


def unchanged_names(spec: DataSpec, columns: Sequence[str]) -> tuple[str, ...]:
    """Features that scaling leaves alone: sines and cosines, whose range is −1 … 1 whatever the training part is."""
    names = feature_names(spec, columns)
    turned = {name for column in columns if column in spec.circular for name in _column_features(spec, column)}
    calendar = names[len(names) - 2 * len(spec.calendar) :]
    return tuple(name for name in names if name in turned or name in calendar)


def raw_matrix(spec: DataSpec, series: Series) -> np.ndarray:
    """(n_rows, n_features) float64 in the columns' units, nothing shifted but the calendar.

    A scaler is fitted on the training rows of this matrix: no value of a later row, not even a known-ahead one,
    reaches it.
    """
    parts: list[np.ndarray] = []
    for name, values in series.columns.items():
        if name in spec.circular:
            angle = np.deg2rad(values)
            parts += [np.sin(angle), np.cos(angle)]
        else:
            parts.append(values)
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
        width = len(_column_features(spec, column))
        if column in spec.known_ahead:
            block = matrix[:, place : place + width]
            block[: -spec.horizon] = block[spec.horizon :].copy()
            block[-spec.horizon :] = np.nan
        place += width
    return np.ascontiguousarray(matrix)


def _column_features(spec: DataSpec, column: str) -> tuple[str, ...]:
    ahead = _ahead(spec) if column in spec.known_ahead else ""
    if column in spec.circular:
        return (f"{column}_sin{ahead}", f"{column}_cos{ahead}")
    return (f"{column}{ahead}",)


def _ahead(spec: DataSpec) -> str:
    return f"@+{spec.horizon}"


def _phase(field: str, times: np.ndarray) -> np.ndarray:
    """(n,) position in the day or in the year, 0 … 1, in UTC."""
    if field == "hour":
        return np.asarray((times - times.astype("datetime64[D]")) / np.timedelta64(_DAY_SECONDS, "s"))
    since_new_year = (times - times.astype("datetime64[Y]")) / np.timedelta64(_DAY_SECONDS, "s")
    return np.asarray(since_new_year / _YEAR_DAYS)
