"""The rows behind the windows, read from the windows themselves.

Where the origins are known, every window says which rows of the series it holds, and the matrix is put together again.
Arrays of others do not say; but a window that repeats all but the first step of the one before it follows it by one
step, so windows in order are a chain, and a chain has rows:

window 0   a b c          rows of the chain   a b c d e
window 1     b c d
window 2       c d e
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..storage.dataset import Dataset, Part
from ..storage.features import leads_of
from ..storage.parts import PART_NAMES
from ..storage.windows import Windows

SPOKEN = {"train": "training", "val": "validation", "test": "test"}
_BLOCK_WINDOWS = 4096


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows in order of time, with breaks.

    Attributes:
        values: (m, n_features) float32, scaled.
        run: (m,) int64, rising; neighbours with the same number follow each other by one step.
        last: (n,) int64, the row in which the last step of each window stands.
    """

    values: np.ndarray
    run: np.ndarray
    last: np.ndarray

    def __len__(self) -> int:
        return len(self.run)


class Evidence:
    """A data set and what can be read from its windows; computed when it is first asked for.

    Args:
        dataset: the one under audit.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    @property
    def parts(self) -> dict[str, Part]:
        """Those that hold windows, by name."""
        return {name: self.dataset.part(name) for name in PART_NAMES if len(self.dataset.part(name).windows)}

    @cached_property
    def origins(self) -> dict[str, np.ndarray]:
        """Part → (n,) origins; empty for arrays that do not say them."""
        found = {name: part.origins for name, part in self.parts.items()}
        known = {name: origins for name, origins in found.items() if origins is not None}
        return known if len(known) == len(found) and self.dataset.target is not None else {}

    @property
    def horizon(self) -> int:
        """Steps to the last target; for arrays of others 1, the least that it can be."""
        return self.dataset.steps_ahead[-1] if self.dataset.steps_ahead else 1

    @property
    def calendar(self) -> np.ndarray:
        """(n_features,) bool: computed from the time of the target."""
        names, n_fields = self.dataset.feature_names, len(self.dataset.spec.calendar) if self.origins else 0
        return np.arange(len(names)) >= len(names) - 2 * n_fields

    @property
    def leads(self) -> np.ndarray:
        """(n_features,) int64: steps ahead of the origin at which the last step of a window holds a feature."""
        names = self.dataset.feature_names
        return leads_of(self.dataset.spec, names) if self.origins else np.zeros(len(names), dtype=np.int64)

    @property
    def reach(self) -> int:
        """Steps to the farthest value that a window knows: the horizon, or more."""
        return max(self.horizon, int(self.leads.max(initial=0)))

    @property
    def ahead(self) -> np.ndarray:
        """(n_features,) bool: enters the window with its value at the target time, or after it."""
        return self.leads > 0

    @property
    def own(self) -> int | None:
        """Position of the target's own past among the features."""
        names, target = self.dataset.feature_names, self.dataset.spec.target
        return names.index(target) if self.origins and target in names else None

    @property
    def matrix(self) -> np.ndarray:
        """(n_rows, n_features) float32, scaled: what a window holds in the step of each row; NaN where none shows it.

        Only where origins are known.
        """
        return self._filled[0]

    @property
    def shown(self) -> np.ndarray:
        """(n_rows,) bool: the windows, or the matrix that they slide over, show the row; its values may be missing."""
        return self._filled[1]

    @cached_property
    def _filled(self) -> tuple[np.ndarray, np.ndarray]:
        assert self.dataset.target is not None
        matrix = np.full((len(self.dataset.target), self.dataset.n_features), np.nan, dtype=np.float32)
        shown = np.zeros(len(matrix), dtype=bool)
        for name, part in self.parts.items():
            _fill(matrix, shown, part.windows, self.origins[name])
        return matrix, shown

    @cached_property
    def measured(self) -> np.ndarray:
        """(n_rows, n_features) float32, as `matrix`, with the columns known ahead back in the row of their own time."""
        measured, leads = self.matrix.copy(), np.where(self.calendar, 0, self.leads)
        for lead in np.unique(leads[leads > 0]):
            measured[:lead, leads == lead] = np.nan
            measured[lead:, leads == lead] = self.matrix[:-lead, leads == lead]
        return measured

    @cached_property
    def covered(self) -> dict[str, np.ndarray]:
        """Part → (n_rows,) bool: the row is an input of its windows, or lies between there and the last target.

        Only where origins are known.
        """
        assert self.dataset.target is not None
        n, found = len(self.dataset.target), {}
        for name, origins in self.origins.items():
            edges = np.zeros(n + 1, dtype=np.int64)
            np.add.at(edges, np.clip(origins - self.dataset.lookback + 1, 0, n), 1)
            np.add.at(edges, np.clip(origins + self.horizon + 1, 0, n), -1)
            found[name] = np.cumsum(edges[:n]) > 0
        return found

    @cached_property
    def chains(self) -> dict[str, Rows]:
        """Part → its rows, for parts whose windows follow each other; nothing of the calendar can be told apart."""
        found = {name: chain(part.windows) for name, part in self.parts.items()}
        return {name: rows for name, rows in found.items() if rows is not None}


def counted(number: int, noun: str) -> str:
    """``1 step``, ``2,000 steps``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def steps(windows: Windows, step: int) -> np.ndarray:
    """(n, n_features): one step of every window."""
    values = np.asarray(windows.view[:, step, :][windows.index])
    return values if windows.columns is None else values[:, windows.columns]


def chain(windows: Windows) -> Rows | None:
    """The rows of windows in order; None where less than half of them follow the one before by one step."""
    n, lookback, n_features = windows.shape
    if n == 0 or (lookback == 1 and n > 1):
        return None
    newest = steps(windows, -1)
    follows = np.zeros(n, dtype=bool)
    if n > 1:
        follows[1:] = (newest[:-1] == steps(windows, -2)[1:]).all(axis=1)
        follows[1:] &= (steps(windows, 1)[:-1] == steps(windows, 0)[1:]).all(axis=1)
        if follows[1:].mean() < 0.5:
            return None
    starts = np.flatnonzero(~follows)
    number = np.cumsum(~follows) - 1
    last = np.arange(n) + (lookback - 1) * (number + 1)
    values = np.empty((n + (lookback - 1) * len(starts), n_features), dtype=np.float32)
    values[last] = newest
    values[last[starts][:, None] + np.arange(1 - lookback, 1)] = windows.take(starts)
    run = np.repeat(np.arange(len(starts)), np.diff([*starts, n]) + lookback - 1)
    return Rows(values, run, last)


def _fill(matrix: np.ndarray, shown: np.ndarray, windows: Windows, origins: np.ndarray) -> None:
    """Write the rows that windows with these origins hold, and which ones they are."""
    lookback, view = windows.shape[1], windows.view
    columns = slice(None) if windows.columns is None else windows.columns
    offset = origins - lookback + 1 - windows.index
    if view.strides[0] == view.strides[1] and (offset == offset[0]).all():
        # Windows that slide over a matrix in memory: it shows rows as well that no window of a part holds.
        rows = np.concatenate([view[:, 0, :], view[-1, 1:, :]])[:, columns]
        start, stop = max(offset[0], 0), min(offset[0] + len(rows), len(matrix))
        matrix[start:stop] = rows[start - offset[0] : stop - offset[0]]
        shown[start:stop] = True
        return
    inside = (origins >= lookback - 1) & (origins < len(matrix))
    matrix[origins[inside]] = steps(windows, -1)[inside]
    shown[origins[inside]] = True
    fresh = np.flatnonzero(inside & (np.diff(origins, prepend=origins[0] - 2) != 1))
    for start in range(0, len(fresh), _BLOCK_WINDOWS):
        chosen = fresh[start : start + _BLOCK_WINDOWS]
        rows = origins[chosen][:, None] + np.arange(1 - lookback, 1)
        matrix[rows], shown[rows] = windows.take(chosen), True
