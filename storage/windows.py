"""Windows over a matrix as a view: a window costs an index, not a copy.

matrix   row 0 1 2 3 4 5 6 7 …          lookback 3, steps_ahead (2,)
window 0     ▇ ▇ ▇ · ▲                  ▇ input, ▲ target; its origin is row 2
window 1       ▇ ▇ ▇ · ▲                its origin is row 3
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


@dataclass(frozen=True, eq=False)
class Windows:
    """The windows of one part, in order of time.

    Attributes:
        view: (m, lookback, n_features), a strided view of a matrix or a memory-mapped array; never copied as a whole.
        index: (n,) int64, which of the m windows belong to this part.
        columns: (k,) int64, which features a model sees, in this order; None: all.
    """

    view: np.ndarray
    index: np.ndarray
    columns: np.ndarray | None = None

    def __len__(self) -> int:
        return int(self.index.size)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, lookback, n_features)."""
        n_features = self.view.shape[2] if self.columns is None else self.columns.size
        return (len(self), int(self.view.shape[1]), int(n_features))

    @property
    def nbytes(self) -> int:
        """Bytes that `array` would take."""
        n, lookback, n_features = self.shape
        return n * lookback * n_features * np.dtype(np.float32).itemsize

    def take(self, positions: np.ndarray | Sequence[int] | slice) -> np.ndarray:
        """The windows at these positions of the part: (k, lookback, n_features) float32, a contiguous copy."""
        taken = self.view[self.index[positions]]
        return np.ascontiguousarray(taken if self.columns is None else taken[..., self.columns], dtype=np.float32)

    def narrowed(self, lookback: int, columns: np.ndarray | None) -> Windows:
        """The same windows, only their last `lookback` steps and some features; nothing is copied.

        Args:
            lookback: at most that of the windows.
            columns: (k,) positions among the features; None: all.
        """
        return Windows(self.view[:, self.view.shape[1] - lookback :, :], self.index, columns)

    def array(self) -> np.ndarray:
        """All windows: (n, lookback, n_features) float32, a copy of `nbytes` bytes."""
        return self.take(slice(None))


def window_view(matrix: np.ndarray, lookback: int) -> np.ndarray:
    """(n_rows, n_features) → (n_rows − lookback + 1, lookback, n_features), not a copy; none where rows are too few."""
    if len(matrix) < lookback:
        return np.empty((0, lookback, matrix.shape[1]), dtype=matrix.dtype)
    return sliding_window_view(matrix, lookback, axis=0).transpose(0, 2, 1)


def whole_windows(matrix: np.ndarray, lookback: int) -> np.ndarray:
    """(n_rows − lookback + 1,) bool: the window that starts at this row touches no NaN."""
    touched = np.concatenate([[0], np.cumsum(np.isnan(matrix).any(axis=1))])
    return np.asarray(touched[lookback:] == touched[:-lookback])


def target_rows(origins: np.ndarray, steps_ahead: Sequence[int]) -> np.ndarray:
    """(n,) rows of origins → (n, n_outputs) rows of their targets."""
    return np.asarray(origins, dtype=np.int64)[:, None] + np.asarray(steps_ahead, dtype=np.int64)[None, :]


def part_origins(start: int, stop: int, lookback: int, horizon: int) -> np.ndarray:
    """Origins whose inputs and targets lie wholly inside rows start … stop − 1: (k,) int64, maybe none.

    Between the last target of one part and the first (last-step) target of the next lie lookback + horizon − 1 steps.
    """
    return np.arange(start + lookback - 1, max(stop - horizon, start + lookback - 1), dtype=np.int64)
