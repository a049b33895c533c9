"""What anybody can forecast without a model of ours: the measure of every skill.

Drawn for one output, ``h`` steps ahead, ``d`` steps a day, forecast made at row ``origin``:

    row        … origin+h−7·d … origin+h−d …… origin ……… origin+h
                  a week ago     yesterday     persistence   the target

Of the windows forecast only rows up to and including ``origin`` are read. A row before the series or in a gap gives
NaN: that baseline says nothing about this window, and the evaluation compares model and baseline on the remaining
windows only. Two more learn from the rows and windows that the model may learn from, never from the part that is
forecast: `climatology` and `gradient_boosting`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .boosting import gradient_boosting
from .climatology import climatology

if TYPE_CHECKING:
    from ..storage.datasets import Dataset

SECONDS_PER_DAY = 86_400
DAYS_PER_WEEK = 7
BOOSTING = "gradient_boosting"

Forecast = NDArray[np.float64]

_LEARN_FROM = {"train": ("train",), "val": ("train",), "test": ("train", "val")}
_NO_SERIES = (
    "Baselines that need the series, and skill against persistence, are left out: arrays without their series do not "
    "say what was last known when a forecast was made. Start from the series, or make the arrays with `tune prepare`."
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


def seasonal_naive(
    target: NDArray[np.float64], origins: NDArray[np.int64], steps_ahead: Sequence[int], period_steps: int
) -> Forecast:
    """The value at target − period·⌈h / period⌉: the youngest one of the same phase that is known at the origin.

    Args:
        target, origins, steps_ahead: as for `persistence`.
        period_steps: rows of the series in a day, a week, …

    Returns:
        (n, n_outputs), NaN where that row lies before the series or in a gap.
    """
    values = np.asarray(target, dtype=np.float64)
    ahead = np.asarray(steps_ahead, dtype=np.int64)
    periods_back = -(-ahead // period_steps)
    rows = np.asarray(origins, dtype=np.int64)[:, None] + (ahead - periods_back * period_steps)[None, :]
    return np.where(rows >= 0, values[np.maximum(rows, 0)], np.nan)


def same_hour_yesterday(
    target: NDArray[np.float64], origins: NDArray[np.int64], steps_ahead: Sequence[int], steps_per_day: int
) -> Forecast:
    """The value at target − 24·⌈h / 24 h⌉ hours: `seasonal_naive` with a day."""
    return seasonal_naive(target, origins, steps_ahead, steps_per_day)


def steps_per_day(step_seconds: float | None) -> int | None:
    """Rows in 24 hours; ``None`` when the step is unknown or does not divide a day."""
    return _steps_in(SECONDS_PER_DAY, step_seconds)


def baselines_of(dataset: Dataset, part: str, *, boosting: bool = False) -> tuple[dict[str, Forecast], list[str]]:
    """The baselines that can be known for the windows of a part, and one sentence for each that cannot.

    Args:
        boosting: train gradient boosting too, which takes seconds. Not for the training part: it would know it by
            heart.

    Returns:
        (n, n_outputs) in ``dataset.unit`` by name (``persistence``, ``same_hour_yesterday``, ``seasonal_naive`` over a
        week, ``climatology``, ``gradient_boosting``), and the sentences.
    """
    forecasts, notes = _of_series(dataset, part)
    if boosting and part not in _LEARN_FROM[part]:
        boosted, more = gradient_boosting(dataset, part, _LEARN_FROM[part], steps_per_day(dataset.step_seconds))
        forecasts |= {} if boosted is None else {BOOSTING: boosted}
        notes += more
    return forecasts, notes


def _of_series(dataset: Dataset, part: str) -> tuple[dict[str, Forecast], list[str]]:
    origins, target_times = dataset.part(part).origins, dataset.target_times(dataset.part(part))
    if dataset.target is None or dataset.times is None or origins is None or target_times is None:
        return {}, [_NO_SERIES]
    notes = []
    forecasts = {"persistence": persistence(dataset.target, origins, dataset.steps_ahead)}
    for name, title, seconds, period in (
        ("same_hour_yesterday", "Same hour yesterday", SECONDS_PER_DAY, "day"),
        ("seasonal_naive", "Same hour last week", DAYS_PER_WEEK * SECONDS_PER_DAY, "week"),
    ):
        count = _steps_in(seconds, dataset.step_seconds)
        if count is None:
            notes.append(
                f"{title} is left out: the step of the series ({dataset.step_seconds} s) does not divide a {period}."
            )
        else:
            forecasts[name] = seasonal_naive(dataset.target, origins, dataset.steps_ahead, count)
    usual, n_unseen = climatology(dataset.target, dataset.times, _n_learnt(dataset, part), target_times)
    forecasts["climatology"] = usual
    if n_unseen:
        notes.append(
            f"Climatology never saw the month of {n_unseen} of {usual.size} values in the rows it learns from; there "
            "it is the mean of the hour over all their months."
        )
    return forecasts, notes


def _n_learnt(dataset: Dataset, part: str) -> int:
    """Rows up to the last target of the windows that may be learnt from."""
    origins = [dataset.part(name).origins for name in _LEARN_FROM[part]]
    last = [int(rows.max()) for rows in origins if rows is not None and rows.size]
    return max(last) + dataset.steps_ahead[-1] + 1 if last else 0


def _steps_in(seconds: int, step_seconds: float | None) -> int | None:
    if step_seconds is None or not step_seconds > 0:
        return None
    count = seconds / step_seconds
    return round(count) if round(count) >= 1 and abs(count - round(count)) < 1e-6 else None
