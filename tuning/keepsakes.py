"""What is kept of the best trials: the trained model and its forecast of the validation part; of the newest fold."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from ..objectives.cross_validation import CrossResult
from ..objectives.without_tensorflow import without_tensorflow
from ..reports.evaluation import predict_windows
from ..reports.forecast_file import write_forecast
from ..storage import tallies
from ..storage.dataset import Dataset
from ..storage.windows import Windows
from .bench import Bench

FORECASTS_KEPT = 500

_log = logging.getLogger("greentune.worker")


@contextmanager
def keep_best(bench: Bench, number: int, result: CrossResult) -> Iterator[None]:
    """Keep model and forecast of a trial that is among the best; afterwards drop those of trials that no longer are.

    Inside, the result is told: whoever finds a trial among the best finds its model as well.
    """
    n = bench.spec.run.keep_best
    if bench.artifacts is None or n == 0:
        yield
        return
    best = tallies.best_numbers(bench.storage, bench.study._study_id, n)
    if len(best) < n or result.value < best[-1][1]:
        _keep(bench, number, result)
    yield
    best = tallies.best_numbers(bench.storage, bench.study._study_id, n)
    if len(best) < n:
        return  # all are among the best; and a model that another worker has kept, but not told yet, must stay
    try:
        bench.artifacts.retain([kept for kept, _ in best])
    except OSError as error:
        bench.artifacts.complain(error)


def _keep(bench: Bench, number: int, result: CrossResult) -> None:
    assert bench.artifacts is not None
    path = bench.artifacts.model(number)
    draft = path.with_name(f".{path.name}")  # a full disk leaves no half of a model
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with without_tensorflow():
            result.last.model.save(draft)
        draft.replace(path)
        write_forecast(bench.artifacts.forecast(number), **_forecast(result.dataset, result))
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        bench.artifacts.complain(error)
    except (RuntimeError, TypeError, ValueError) as error:  # a user's class that Keras cannot describe
        _log.warning("the model of trial %d cannot be kept: %s", number, str(error).strip().splitlines()[0])


def _forecast(dataset: Dataset, result: CrossResult) -> dict[str, Any]:
    """The newest forecasts of the validation part beside what happened, in the unit of the data."""
    part, newest = dataset.val, slice(-FORECASTS_KEPT, None)
    positions = np.arange(len(part.windows))[newest]
    predicted = predict_windows(result.last.model, _Taken(part.windows, positions), dataset.n_outputs)
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
