"""A data set from a series: read, fit the scalers on the training rows, cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .dataset import Dataset, Part
from .dataspec import DataError, DataSpec
from .digest import digest, fields_that_matter
from .features import feature_names, raw_matrix, scaled_matrix, unchanged_names
from .parts import PART_NAMES, borders, require_windows, select
from .scaling import LinearScaler
from .series import Series, read_series
from .table import read_table
from .windows import Windows, target_rows, whole_windows, window_view


def load_series(spec: DataSpec, file: Path) -> Dataset:
    """Read a file and make the data set that `spec` describes.

    Raises:
        DataError: every mistake that can be seen, all at once.
    """
    series = read_series(read_table(file), spec)
    columns = tuple(series.columns)
    names = feature_names(spec, columns)
    target = series.columns[columns[0]]
    val_start, test_start = borders(series.times, spec)
    _check_target(columns[0], target[:val_start])
    raw = raw_matrix(spec, series)
    x_scaler = LinearScaler.fit(spec.scaling, names, raw[:val_start], fixed=unchanged_names(spec, columns))
    y_scaler = LinearScaler.fit(spec.scaling, columns[:1], target[:val_start, None])
    matrix = scaled_matrix(spec, columns, raw, x_scaler)
    view = window_view(matrix, spec.lookback)
    whole = whole_windows(matrix, spec.lookback)
    parts, counts = {}, _counts(series, target)
    found: list[str] = []
    edges = (0, val_start, test_start, len(target))
    for name, start, stop in zip(PART_NAMES, edges, edges[1:], strict=False):
        selection = select(whole, target, (start, stop), spec)
        gaps = {column: int(np.isnan(values[start:stop]).sum()) for column, values in series.columns.items()}
        found += require_windows(name, selection, gaps)
        y = y_scaler.transform(target[target_rows(selection.origins, spec.steps_ahead)]).astype(np.float32)
        windows = Windows(view, selection.origins - spec.lookback + 1)
        parts[name] = Part(name, windows, y, selection.origins)
        counts[f"windows_left_out_{name}"] = selection.left_out
    if found:
        raise DataError(found)
    counts["windows_left_out"] = sum(counts[f"windows_left_out_{name}"] for name in PART_NAMES)
    return Dataset(
        spec=spec,
        kind="series",
        **parts,
        x_scaler=x_scaler,
        y_scaler=y_scaler,
        unit=spec.unit,
        capacity=spec.capacity,
        feature_names=names,
        lookback=spec.lookback,
        n_features=len(names),
        n_outputs=len(spec.steps_ahead),
        steps_ahead=spec.steps_ahead,
        target=target,
        times=series.times,
        step_seconds=series.step_seconds,
        fingerprint=digest([file], fields_that_matter(spec)),
        counts=counts,
        notes=_notes(series),
    )


def _check_target(name: str, training: np.ndarray) -> None:
    known = training[~np.isnan(training)]
    if known.size == 0:
        raise DataError(
            f"The target '{name}' has no value in the training part. Choose another split or a longer series."
        )
    if known.min() == known.max():
        raise DataError(
            f"The target '{name}' must vary; in the training part it is always {known[0]:g}. There is nothing to "
            "learn: is it the right column?"
        )


def _counts(series: Series, target: np.ndarray) -> dict[str, int]:
    return {
        "rows": len(target),
        "rows_missing": series.rows_missing,
        "target_missing": int(np.isnan(target).sum()),
    }


def _notes(series: Series) -> tuple[str, ...]:
    if not series.columns_left_out:
        return ()
    return (f"Columns that are not numbers were left out: {', '.join(series.columns_left_out)}.",)
