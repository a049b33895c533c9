"""What is kept of the best trials: the trained model and its forecast of the validation part."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ..objectives.holdout import TrialResult
from ..reports.evaluation import predict_windows
from ..reports.forecast_file import write_forecast
from ..storage import tickets
from ..storage.dataset import Dataset
from ..storage.windows import Windows

if TYPE_CHECKING:
    from .attempt import Bench

FORECASTS_KEPT = 500


@contextmanager
def keep_best(bench: Bench, number: int, result: TrialResult) -> Iterator[None]:
    """Keep model and forecast of a trial that is among the best; afterwards drop those of trials that no longer are.

    Inside, the result is told: whoever finds a trial among the best finds its model as well.
    """
    n = bench.spec.run.keep_best
    if bench.artifacts is None or n == 0:
        yield
        return
    best = tickets.best_numbers(bench.storage, bench.study._study_id, n)
    if len(best) < n or result.fit.best_value < best[-1][1]:
        _keep(bench, number, result)
    yield
    try:
        bench.artifacts.retain([kept for kept, _ in tickets.best_numbers(bench.storage, bench.study._study_id, n)])
    except OSError as error:
        bench.artifacts.complain(error)


def _keep(bench: Bench, number: int, result: TrialResult) -> None:
    assert bench.artifacts is not None
    try:
        path = bench.artifacts.model(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        result.model.save(path)
        write_forecast(bench.artifacts.forecast(number), **_forecast(bench.dataset, result))
    except OSError as error:
        bench.artifacts.complain(error)


def _forecast(dataset: Dataset, result: TrialResult) -> dict[str, Any]:
    """The newest forecasts of the validation part beside what happened, in the unit of the data."""
    part, newest = dataset.val, slice(-FORECASTS_KEPT, None)
    positions = np.arange(len(part.windows))[newest]
    predicted = predict_windows(result.model, _Taken(part.windows, positions), dataset.n_outputs)
    times = dataset.target_times(part)
    return {
        "times": None if times is None else times[newest, -1],
        "observed": dataset.observed(part)[newest],
        "predicted": dataset.to_units(predicted),
        "unit": dataset.unit,
    }


class _Taken:
    """Some of the windows, as the prediction asks for them."""

    def __init__(self, windows: Windows, positions: np.ndarray) -> None:
        self._windows, self._positions = windows, positions
        self.shape = (len(positions), *windows.shape[1:])

    def take(self, positions: np.ndarray) -> np.ndarray:
        return self._windows.take(self._positions[positions])
