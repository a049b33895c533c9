"""What anybody can forecast without a model: the measure of every skill.

Drawn for one output, ``h`` steps ahead, ``d`` steps a day, forecast made at row ``origin``:

    row        … origin+h−d …… origin ……… origin+h
                  yesterday     persistence   the target

Only rows up to and including ``origin`` are read. A row before the series or in a gap gives NaN: that baseline
says nothing about this window, and the evaluation compares model and baseline on the remaining windows only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ..storage.datasets import Dataset

SECONDS_PER_DAY = 86_400

Forecast = NDArray[np.float64]

_NO_SERIES = (
    "Baselines and skill are left out: arrays without their series do not say what was last known when a forecast was "
    "made. Start from the series, or make the arrays with `tune prepare`."
)


def persistence(target: NDArray[np.float64], origins: NDArray[np.int64], steps_ahead: Sequence[int]) -> Forecast:
    """The last value that is known when the forecast is made, for every step ahead.

    Args:
        target: (n_rows,) in the unit of the series, NaN in gaps.
        origins: (n,) rows at which the forecasts are made.
        steps_ahead: the n_outputs horizons, in steps, each ≥ 1.

    Returns:
        (n, n_outputs), NaN where the series has a gap at the origin.
    """
    last = np.asarray(target, dtype=np.float64)[np.asarray(origins)]
    return np.repeat(last[:, None], len(steps_ahead), axis=1)


def same_hour_yesterday(
    target: NDArray[np.float64], origins: NDArray[np.int64], steps_ahead: Sequence[int], steps_per_day: int
) -> Forecast:
    """The value at target − 24·⌈h / 24 h⌉ hours: the youngest same hour that is known when the forecast is made.

    Args:
        target, origins, steps_ahead: as for `persistence`.
        steps_per_day: rows of the series in 24 hours.

    Returns:
        (n, n_outputs), NaN where that row lies before the series or in a gap.
    """
    values = np.asarray(target, dtype=np.float64)
    ahead = np.asarray(steps_ahead, dtype=np.int64)
    days_back = -(-ahead // steps_per_day)
    rows = np.asarray(origins, dtype=np.int64)[:, None] + (ahead - days_back * steps_per_day)[None, :]
    return np.where(rows >= 0, values[np.maximum(rows, 0)], np.nan)


def steps_per_day(step_seconds: float | None) -> int | None:
    """Rows in 24 hours; ``None`` when the step is unknown or does not divide a day."""
    if step_seconds is None or not step_seconds > 0:
        return None
    count = SECONDS_PER_DAY / step_seconds
    return round(count) if round(count) >= 1 and abs(count - round(count)) < 1e-6 else None


def baselines_of(dataset: Dataset, part: str) -> tuple[dict[str, Forecast], list[str]]:
    """The baselines that can be known for the windows of a part, and one sentence for each that cannot.

    Returns:
        (n, n_outputs) in ``dataset.unit`` by name (``persistence``, ``same_hour_yesterday``), and the sentences.
    """
    origins = dataset.part(part).origins
    if dataset.target is None or origins is None or not dataset.steps_ahead:
        return {}, [_NO_SERIES]
    forecasts = {"persistence": persistence(dataset.target, origins, dataset.steps_ahead)}
    per_day = steps_per_day(dataset.step_seconds)
    if per_day is None:
        return forecasts, [
            f"Same hour yesterday is left out: the step of the series ({dataset.step_seconds} s) does not divide a day."
        ]
    forecasts["same_hour_yesterday"] = same_hour_yesterday(dataset.target, origins, dataset.steps_ahead, per_day)
    return forecasts, []
