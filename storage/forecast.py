"""Inputs for forecasts: the same features as in training, up to the newest row, where the target is still unknown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .dataspec import DataError, DataSpec
from .features import columns_of, raw_matrix, scaled_matrix
from .scaling import LinearScaler
from .series import read_series
from .table import frame_table, located, read_table
from .windows import Windows, target_rows, whole_windows, window_view

if TYPE_CHECKING:
    import pandas as pd


def forecast_inputs(
    spec: DataSpec,
    x_scaler: LinearScaler,
    feature_names: Sequence[str],
    series: Path | str | pd.DataFrame,
    *,
    step_seconds: float | None = None,
) -> tuple[Windows, np.ndarray, np.ndarray]:
    """Every origin of a series for which all inputs are known.

    The last origin is the last row with a known target. Rows after it may carry the weather forecast of known-ahead
    columns, the target blank; where no column is known ahead, the forecast reaches beyond the last row of the series.

    Args:
        spec: of the training data; its path is not used.
        x_scaler: of the training data.
        feature_names: of the training data.
        series: a file, or a frame whose times are a column or the index.
        step_seconds: of the training data; a series of another step is refused.

    Returns:
        windows, n of them; origin times (n,) datetime64[ns] UTC; target times (n, n_outputs) datetime64[ns] UTC.

    Raises:
        DataError: the series cannot be used, or no window in it is complete.
    """
    if isinstance(series, (str, Path)):
        with located(str(series)) as file:
            if file.is_dir():
                raise DataError(f"{file.name} is a folder; a forecast needs a series (CSV or Parquet).")
            table = read_table(file)
    else:
        table = frame_table(series, "the frame")
    columns = columns_of(spec, feature_names)
    step = None if step_seconds is None else np.timedelta64(round(step_seconds * 1e9), "ns")
    read = read_series(table, spec, columns=columns[1:], step=step)
    if step is not None and read.step != step:
        raise DataError(
            f"The model was trained on a step of {step_seconds:g} s; {table.source} has {read.step_seconds:g} s. "
            "Aggregate the series to it."
        )
    matrix = scaled_matrix(spec, columns, raw_matrix(spec, read), x_scaler)
    index = np.flatnonzero(whole_windows(matrix, spec.lookback)).astype(np.int64)
    if not index.size:
        ahead = f" and {spec.reach} more with known-ahead columns" if spec.known_ahead else ""
        gaps = [name for name, values in read.columns.items() if np.isnan(values).any()]
        listed = f" Gaps in: {', '.join(gaps)}." if gaps else ""
        raise DataError(
            f"A forecast needs {spec.lookback} rows in a row without a gap{ahead}; {table.source} has "
            f"{len(read.times)} rows and no such stretch.{listed}"
        )
    origins = index + spec.lookback - 1
    targets = read.times[origins][:, None] + (target_rows(np.zeros(1), spec.steps_ahead) * read.step)
    return Windows(window_view(matrix, spec.lookback), index), read.times[origins], targets
