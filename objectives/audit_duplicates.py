"""Stretches of rows that stand twice: in training, and in validation or test once more.

Chance must not be accused. Nights, stuck sensors and calms repeat themselves, so a stretch counts only where every row
differs from the one before. Coarse numbers and tides repeat themselves as well, so a stretch must be as long as it
takes for the training rows not to repeat one another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..storage.windows import Windows
from .audit_rows import SPOKEN, Evidence, Rows, steps
from .finding import Finding

_LENGTHS = (4, 8, 16, 32)  # rows of a stretch that is looked up
_FEW = 1e-3  # share of training stretches that may stand in training twice
_DISTINCT = 0.2  # share of rows that are unlike each other; coarser rows repeat each other at any length
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Stretch:
    """Rows of a part that stand in training too.

    Attributes:
        train: position of the first among the training rows.
        other: position of the first among the other part's rows.
        n_rows: how many follow each other.
    """

    train: int
    other: int
    n_rows: int


def duplicates(evidence: Evidence) -> Finding:
    """The finding of the same name."""
    parts = part_rows(evidence)
    if set(parts) != set(evidence.parts):
        return _of_windows(evidence)
    found, n = [], 0
    for name in ("val", "test"):
        if name not in parts:
            continue
        stretches = repeated(parts["train"], parts[name])
        if stretches is None:
            return Finding(
                "duplicates",
                "unknown",
                "The training rows are too few or too coarse to tell copies from chance.",
            )
        stretches = [
            one
            for one in stretches
            if not (at_border(parts["train"], parts[name], one) or against_time(parts["train"], parts[name], one))
        ]
        n += len(parts[name])
        found += [(name, stretch) for stretch in stretches]
    if not found:
        return Finding(
            "duplicates", "passed", f"No stretch of training rows is among {n:,} rows of validation and test."
        )
    total = sum(stretch.n_rows for _, stretch in found)
    name, longest = max(found, key=lambda one: one[1].n_rows)
    return Finding(
        "duplicates",
        "leak",
        f"Rows of validation and test must not stand in training too; {total:,} of {n:,} do, {longest.n_rows} of them "
        f"in a row ({_where(evidence, parts, name, longest)}). Take the copies out of the series.",
    )


def against_time(train: Rows, other: Rows, stretch: Stretch) -> bool:
    """Whether the stretch ends a run of the other part and begins one of the training: time goes on there."""
    if train.place is not None and other.place is not None:
        return False
    stop = stretch.other + stretch.n_rows
    ends = stop == len(other) or other.run[stop] != other.run[stop - 1]
    begins = stretch.train == 0 or train.run[stretch.train] != train.run[stretch.train - 1]
    begins_too = stretch.other == 0 or other.run[stretch.other] != other.run[stretch.other - 1]
    return bool(ends and begins and not begins_too)


def _of_windows(evidence: Evidence) -> Finding:
    """Windows that do not follow each other have no rows to compare: only a whole window can be found again."""
    found, n = 0, 0
    training, _ = window_keys(evidence.dataset.train.windows)
    for name in set(evidence.parts) - {"train"}:
        keys, varying = window_keys(evidence.dataset.part(name).windows)
        found, n = found + int((np.isin(keys, training) & varying).sum()), n + len(keys)
    if found > 2:
        return Finding(
            "duplicates",
            "leak",
            f"Windows of validation and test must not stand in training too; {found:,} of {n:,} do. Take them out.",
        )
    return Finding("duplicates", "passed", f"None of {n:,} windows of validation and test is a training window too.")


def part_rows(evidence: Evidence) -> dict[str, Rows]:
    """Part → the rows of its span, without the calendar; rows with a missing value are breaks."""
    if not evidence.origins:
        return evidence.chains
    kept = {}
    measured = evidence.measured[:, ~evidence.calendar]
    whole = ~np.isnan(measured).any(axis=1)
    for name, origins in evidence.origins.items():
        start, stop = origins.min() - evidence.dataset.lookback + 1, origins.max() + evidence.horizon + 1
        place = np.flatnonzero(whole[max(start, 0) : stop]) + max(start, 0)
        kept[name] = Rows(measured[place], np.cumsum(np.diff(place, prepend=0) != 1), np.array([], np.int64), place)
    return kept


def repeated(train: Rows, other: Rows) -> list[Stretch] | None:
    """The stretches of `other` that are in `train` too; None where chance cannot be told from copies."""
    train_rows, other_rows = row_keys(train.values), row_keys(other.values)
    moving = train_rows[1:][train_rows[1:] != train_rows[:-1]]
    if len(np.unique(moving)) < _DISTINCT * len(moving):
        return None
    for length in _LENGTHS:
        keys, at = _stretch_keys(train_rows, train.run, length)
        if len(keys) < length:
            return None
        unique, first, counts = np.unique(keys, return_index=True, return_counts=True)
        twice = 1 - (counts == 1).sum() / len(keys)
        if twice <= _FEW:
            break
    else:
        return None
    sought, positions = _stretch_keys(other_rows, other.run, length)
    slot = np.minimum(np.searchsorted(unique, sought), len(unique) - 1)
    hits = unique[slot] == sought
    pairs = np.column_stack([at[first[slot[hits]]], positions[hits]])
    if train.place is not None and other.place is not None:
        pairs = pairs[train.place[pairs[:, 0]] != other.place[pairs[:, 1]]]  # the same row is no copy of itself
    if len(pairs) < 3 + 5 * twice * len(sought):
        return []
    starts = _starts(pairs)
    sizes = np.diff([*starts, len(pairs)])
    return [
        Stretch(int(pairs[start, 0]), int(pairs[start, 1]), int(size) + length - 1)
        for start, size in zip(starts, sizes, strict=True)
        if size >= 3
    ]


def at_border(train: Rows, other: Rows, stretch: Stretch) -> bool:
    """Whether the stretch ends the training rows and begins the others: windows that overlap, not copies.

    Where the places of the rows are known, the same row is never taken for a copy, so nothing has to be excused.
    """
    if train.place is not None and other.place is not None:
        return False
    return stretch.other == 0 and stretch.train + stretch.n_rows == len(train)


def window_keys(windows: Windows, first: int = 0, stop: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(n,) uint64, equal where these steps of two windows are, and (n,) bool, no step is like the one before."""
    keys, varying, before = np.zeros(len(windows), dtype=np.uint64), np.ones(len(windows), dtype=bool), None
    for step in range(windows.shape[1])[first:stop]:
        row = row_keys(steps(windows, step))
        varying &= True if before is None else row != before
        keys, before = mixed(keys ^ row), row
    return keys, varying


def _starts(pairs: np.ndarray) -> np.ndarray:
    """(k, 2) positions → where a pair does not follow the one before by one row in both."""
    follows = (np.diff(pairs, axis=0) == 1).all(axis=1)
    return np.concatenate([[0], np.flatnonzero(~follows) + 1])


def row_keys(values: np.ndarray) -> np.ndarray:
    """(m, n_features) → (m,) uint64, equal where rows are."""
    bits = np.ascontiguousarray(values + np.float32(0), dtype=np.float32).view(np.uint32)
    keys = np.zeros(len(bits), dtype=np.uint64)
    for column in bits.T:
        keys = mixed(keys ^ column)
    return keys


def _stretch_keys(rows: np.ndarray, run: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Keys of all stretches of varying rows in one run, and where they begin."""
    n = len(rows) - length + 1
    if n < 1:
        return np.empty(0, np.uint64), np.empty(0, np.int64)
    changes = np.concatenate([[0], np.cumsum(rows[1:] != rows[:-1])])
    varying = changes[length - 1 :] - changes[:n] == length - 1
    at = np.flatnonzero(varying & (run[:n] == run[length - 1 :]))
    keys = np.zeros(len(at), dtype=np.uint64)
    for step in range(length):
        keys = mixed(keys ^ rows[at + step])
    return keys, at


def mixed(keys: np.ndarray) -> np.ndarray:
    """One round of a 64-bit hash; unsigned numbers wrap around."""
    keys = keys * _FACTOR
    return np.asarray(keys ^ (keys >> np.uint64(32)))


def _where(evidence: Evidence, parts: dict[str, Rows], name: str, stretch: Stretch) -> str:
    train, other, times = parts["train"].place, parts[name].place, evidence.dataset.times
    if train is None or other is None or times is None:
        return f"{SPOKEN[name]} rows from number {stretch.other} on are training rows from number {stretch.train} on"
    there, here = (np.datetime_as_string(times[row], unit="m") for row in (train[stretch.train], other[stretch.other]))
    return f"{SPOKEN[name]}, from {here} UTC, is training from {there}"
