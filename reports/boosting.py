"""Gradient boosting on the same windows: the baseline that knows all that the model knows.

It sees each window reduced to a row of numbers, because trees gain little from 24 × 15 values of which most say the
same:

* the newest three steps of each feature that is not known ahead;
* of each known-ahead feature the steps at the target and the two nearest to it that the window holds, and those beyond
  the target that the model sees;
* the target's own past a day before the target, and the steps beside that, where the window reaches so far;
* the mean of each feature over the window.

Arrays whose features are not known give the newest three steps of all, and the means.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..storage.features import leads_of

if TYPE_CHECKING:
    from ..storage.datasets import Dataset
    from ..storage.windows import Windows

Rows = NDArray[np.float32]

MAX_OUTPUTS = 24
MAX_ITERATIONS = 500
_NEAR = 3
"""Steps that are taken as they are."""
_FEWEST_WINDOWS = 20
_MOST_WORK = 2_500_000_000
"""Rows × columns × trees, in the choice of their number and again in the trainings: either some 10 s on one core."""
_BLOCK_BYTES = 16 * 2**20
_SETTINGS = {
    "learning_rate": 0.05,
    "max_leaf_nodes": 15,
    "l2_regularization": 1.0,
    "early_stopping": False,
    "random_state": 0,
}
"""No features are drawn at random: with half of them for each split, RMSE differed by 2 % from seed to seed."""


def gradient_boosting(
    dataset: Dataset, part: str, learn_from: Sequence[str], steps_per_day: int | None
) -> tuple[NDArray[np.float64] | None, list[str]]:
    """The forecast of scikit-learn's `HistGradientBoostingRegressor`, one for each output, for the windows of a part.

    How many trees are good is found on the last fifth, in time, of the windows that may be learnt from, for the
    farthest output; then all these windows are learnt with so many. The same data give the same forecast.

    Args:
        learn_from: names of the parts whose windows may be learnt from, in order of time; never `part` itself.
        steps_per_day: rows of the series in 24 hours; ``None`` where unknown.

    Returns:
        (n, n_outputs) in ``dataset.unit``, ``None`` for more than `MAX_OUTPUTS` outputs or hardly any window; and
        sentences on what was left out.
    """
    parts = [dataset.part(name) for name in learn_from]
    n_windows = sum(len(one.windows) for one in parts)
    if not len(dataset.part(part).windows):
        return None, []
    if dataset.n_outputs > MAX_OUTPUTS:
        return None, [f"Gradient boosting is left out: {dataset.n_outputs} outputs are more than {MAX_OUTPUTS}."]
    if n_windows < _FEWEST_WINDOWS:
        return None, [f"Gradient boosting is left out: {n_windows} windows to learn from are too few."]
    answers = np.empty((len(dataset.part(part).windows), dataset.n_outputs))
    n_trees, every = None, 1
    notes: list[str] = []
    for output in reversed(range(dataset.n_outputs)):
        places = _places(dataset, output, steps_per_day)
        rows = np.concatenate([_rows(one.windows, places) for one in parts])
        y = np.concatenate([one.y[:, output] for one in parts])
        if n_trees is None:
            every = _affordable(rows.size * MAX_ITERATIONS)
            n_trees = _best_n_trees(rows[::every], y[::every])
            every = _affordable(rows.size * n_trees * dataset.n_outputs)
            if every > 1:
                learnt = f"{-(-n_windows // every):,} of {n_windows:,}"
                notes.append(f"Gradient boosting learnt from {learnt} windows, evenly spread, to be done in time.")
        fitted = _regressor(n_trees).fit(rows[::every], y[::every])
        answers[:, output] = fitted.predict(_rows(dataset.part(part).windows, places))
    return np.asarray(dataset.to_units(answers), dtype=np.float64), notes


def _affordable(work: int) -> int:
    """Every how many windows are learnt from, so that the work is not more than `_MOST_WORK`."""
    return max(1, math.ceil(work / _MOST_WORK))


def _regressor(n_trees: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(max_iter=n_trees, **_SETTINGS)


def _best_n_trees(rows: Rows, y: NDArray[np.float32]) -> int:
    """The number of trees with the smallest squared error on the last fifth, after learning from the others."""
    split = len(rows) * 4 // 5
    fitted = _regressor(MAX_ITERATIONS).fit(rows[:split], y[:split])
    errors = [float(np.mean((answer - y[split:]) ** 2)) for answer in fitted.staged_predict(rows[split:])]
    return int(np.argmin(errors)) + 1


def _places(dataset: Dataset, output: int, steps_per_day: int | None) -> dict[int, list[int]]:
    """The steps of the window that are taken, by step: the features of which they are taken."""
    newest = dataset.lookback - 1
    horizon = dataset.steps_ahead[-1] if dataset.steps_ahead else 0
    leads = leads_of(dataset.spec, dataset.feature_names) if horizon else np.zeros(dataset.n_features, dtype=np.int64)
    past, ahead, beyond = (np.flatnonzero(of).tolist() for of in (leads == 0, leads == horizon, leads > horizon))
    wanted = [(step, past) for step in range(max(newest - _NEAR + 1, 0), newest + 1)]
    if dataset.steps_ahead:
        step_ahead = dataset.steps_ahead[output]
        # Row i holds known-ahead features of row i + horizon, so the target's own stand this far before the newest.
        at_target = newest - (dataset.steps_ahead[-1] - step_ahead)
        near = sorted(range(dataset.lookback), key=lambda step: (abs(step - at_target), step))[:_NEAR]
        wanted += [(step, ahead) for step in near] + [(at_target, beyond)]
        if steps_per_day is not None:
            yesterday = newest + step_ahead - steps_per_day
            wanted += [(step, [0]) for step in range(yesterday - 1, yesterday + 2)]
    places: dict[int, list[int]] = {}
    for step, features in wanted:
        if 0 <= step <= newest:
            places.setdefault(step, []).extend(i for i in features if i not in places.get(step, []))
    return places


def _rows(windows: Windows, places: Mapping[int, Sequence[int]]) -> Rows:
    """(n, n_columns): the values at the places, then the means; the windows never stand in memory at once."""
    n, lookback, n_features = windows.shape
    rows = np.empty((n, sum(map(len, places.values())) + n_features), dtype=np.float32)
    size = max(1, _BLOCK_BYTES // (4 * lookback * n_features))
    for start in range(0, n, size):
        block = windows.take(slice(start, start + size))
        taken = [block[:, step, features] for step, features in places.items()]
        rows[start : start + size] = np.concatenate([*taken, block.mean(axis=1)], axis=1)
    return rows
