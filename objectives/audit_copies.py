"""Stretches of rows that stand twice: copies, and no chance.

Chance must not be accused. Nights, stuck sensors and calms repeat themselves, so only rows that tell something count,
those in which the target moves; what lies between them is skipped, and only its length is compared:

target        5 7 0 0 0 0 3 4        rows that tell        5 7 0 · · · 3 4

Coarse numbers and tides repeat themselves as well. But what chance repeats is short, and the longer the stretch that is
looked up, the rarer it is; a copy is long, and however many rows it has, it is one. So the length that is looked up is
the first at which hardly anything repeats itself but long stretches, and these, three times as long, are the copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..storage.windows import Windows
from .audit_rows import Rows, steps

_LENGTHS = (4, 8, 16, 32)  # rows of a stretch that is looked up
_LONG = 3  # times this length is a copy
_FEW = 1e-3  # repetitions that are no copies, to a row
_HABIT = 4  # what stands more often may be a habit of the plant
_DISTINCT = 0.2  # share of rows that are unlike each other; coarser rows repeat each other at any length
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Stretch:
    """Rows that stand twice.

    Attributes:
        first: position of the first row where they stand first.
        again: the same where they stand again.
        n_rows: how many follow each other.
        often: most of it stands more than four times: a copy, or a habit of the plant.
        goes_on: in rows that are read from windows: one of the two ends a run of rows where the other begins one, so
            windows overlap there, and nothing is a copy.
    """

    first: int
    again: int
    n_rows: int
    often: bool
    goes_on: bool


@dataclass(frozen=True)
class Copies:
    """What stands twice.

    Attributes:
        stretches: each beside the place before it where it stands.
        least: telling rows in the shortest that would have been found.
    """

    stretches: tuple[Stretch, ...]
    least: int


def copies(rows: Rows, telling: np.ndarray) -> Copies | None:
    """The stretches that stand once more.

    Args:
        rows: m of them.
        telling: (m,) bool, the target moves in this row, or else anything.

    Returns:
        None where the rows are too few, or too like each other, to tell copies from chance.
    """
    kept = np.flatnonzero(telling)
    keys, run = row_keys(rows.values[kept]), rows.run[kept]
    if len(np.unique(keys)) < _DISTINCT * len(keys):
        return None
    for length in _LENGTHS:
        sought, at = _stretch_keys(keys, kept, run, length)
        if len(at) < length:
            return None
        pairs, standing = _twice(sought)
        starts = _starts(at[pairs])
        counts = np.diff([*starts, len(pairs)])
        sizes = counts + length - 1
        first, again = at[pairs[starts]].T
        last = first + sizes - 1
        goes_on = _meets(run, last, again) | _meets(run, again + sizes - 1, first)
        habits = np.concatenate([[0], np.cumsum(standing > _HABIT)])
        often = 2 * np.diff(habits[[*starts, len(pairs)]]) > counts
        long = sizes >= _LONG * length
        if ((~long | often) & ~goes_on).sum() <= _FEW * len(at):
            told = long | goes_on  # where windows overlap, chance is no matter of length
            columns = (kept[first], kept[again], kept[last] - kept[first] + 1, often, goes_on)
            found = zip(*(column[told].tolist() for column in columns), strict=True)
            return Copies(tuple(Stretch(*values) for values in found), _LONG * length)
    return None


def repeated(before: Rows, after: Rows) -> list[Stretch] | None:
    """The copies that stand first in one part and again in the other, there counted from its own first row."""
    n = len(before)
    rows = joined([before, after])
    found = copies(rows, changes(rows.values, rows.run))
    if found is None:
        return None
    return [replace(one, again=one.again - n) for one in found.stretches if one.first < n <= one.again]


def joined(parts: Sequence[Rows]) -> Rows:
    """The rows of all parts, one behind the other, with a break between them; which rows windows end in is left out."""
    run: list[np.ndarray] = []
    for part in parts:
        run.append(part.run - part.run[0] + (run[-1][-1] + 1 if run else 0))
    return Rows(np.concatenate([part.values for part in parts]), np.concatenate(run), np.array([], dtype=np.int64))


def changes(values: np.ndarray, run: np.ndarray) -> np.ndarray:
    """(m,) bool: the row is unlike the one before, or begins a run. A value missing again is no change."""
    same = (values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))
    return np.concatenate([[True], ~same.all(axis=1) | (run[1:] != run[:-1])])


def window_keys(windows: Windows, first: int = 0, stop: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(n,) uint64, equal where these steps of two windows are, and (n,) bool, no step is like the one before."""
    keys, varying, before = np.zeros(len(windows), dtype=np.uint64), np.ones(len(windows), dtype=bool), None
    for step in range(windows.shape[1])[first:stop]:
        row = row_keys(steps(windows, step))
        varying &= True if before is None else row != before
        keys, before = _mixed(keys ^ row), row
    return keys, varying


def row_keys(values: np.ndarray) -> np.ndarray:
    """(m, n_features) → (m,) uint64, equal where rows are; a missing value is like another."""
    bits = np.where(np.isnan(values), np.float32(np.nan), values + np.float32(0)).astype(np.float32).view(np.uint32)
    keys = np.zeros(len(bits), dtype=np.uint64)
    for column in bits.T:
        keys = _mixed(keys ^ column)
    return keys


def _stretch_keys(keys: np.ndarray, kept: np.ndarray, run: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Keys of all stretches of so many telling rows in one run, and where among these rows they begin."""
    n = max(len(keys) - length + 1, 0)
    at = np.flatnonzero(run[:n] == run[len(run) - n :])
    far = _mixed(keys ^ np.diff(kept, prepend=0).astype(np.uint64))
    found = _mixed(keys[at])
    for step in range(1, length):
        found = _mixed(found ^ far[at + step])
    return found, at


def _twice(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(k, 2) positions of a key and of the same one before it, by the later one; (k,) how often it stands in all."""
    order = np.argsort(keys, kind="stable")
    same = keys[order[1:]] == keys[order[:-1]]
    group = np.concatenate([[0], np.cumsum(~same)])
    standing = np.bincount(group)[group[1:][same]]
    pairs = np.column_stack([order[:-1][same], order[1:][same]])
    by_later = np.argsort(pairs[:, 1])
    return pairs[by_later], standing[by_later]


def _starts(pairs: np.ndarray) -> np.ndarray:
    """(k, 2) positions → where a pair does not follow the one before by one row in both."""
    follows = (np.diff(pairs, axis=0) == 1).all(axis=1)
    return np.flatnonzero(np.concatenate([[True], ~follows])[: len(pairs)])


def _meets(run: np.ndarray, last: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Whether these rows end a run, and those begin one."""
    edges = np.concatenate([[True], run[1:] != run[:-1], [True]])
    return np.asarray(edges[last + 1] & edges[first])


def _mixed(keys: np.ndarray) -> np.ndarray:
    """One round of a 64-bit hash; unsigned numbers wrap around."""
    keys = keys * _FACTOR
    return np.asarray(keys ^ (keys >> np.uint64(32)))
