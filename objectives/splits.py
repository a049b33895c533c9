"""Folds: which samples a model is trained on, and which later ones it is judged on. Index arithmetic only.

Samples are windows in order of time, numbered 0 … n − 1. Those that touch a gap in the series are left out before,
so two samples are at least as far apart in rows as in numbers, and what a gap of samples keeps apart stays apart.

row        0 1 2 3 4 5 6 7        lookback 3, horizon 1
sample 0   ▇ ▇ ▇ ▲                the last one trained on: inputs ▇, target ▲
sample 1     · · · ·              left out, as are 2 and 3: lookback + horizon − 1 = 3 samples that share rows with it
sample 4           ▇ ▇ ▇ ▲        the first one judged on
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from ..storage.mistakes import Mistake

Period = Literal["month", "week", "day"]


class SplitError(Mistake):
    """Folds that cannot be made of these samples."""


@dataclass(frozen=True)
class Fold:
    """One training and its judgement.

    With `refit_every` 2 every other fold is judged by the model of the fold before it, whose `train` it bears:

        fold 0  ▇▇▇▇··▲▲            fitted 0
        fold 1  ▇▇▇▇····▲▲          fitted 0
        fold 2  ▇▇▇▇▇▇▇▇··▲▲        fitted 2

    Attributes:
        number: from 0, in order of time.
        train: samples to train on, at least one.
        val: samples to judge on, at least one, all later than those of `train`.
        fitted: number of the fold whose model judges this one: `number`, or an earlier one.
    """

    number: int
    train: range
    val: range
    fitted: int

    @property
    def gap(self) -> int:
        """Samples between training and validation; more than asked for where an earlier model judges."""
        return self.val.start - self.train.stop


def derived_gap(lookback: int, horizon: int) -> int:
    """Samples to leave out so that no row of a validation window, input or target, lies in a training window.

    >>> derived_gap(lookback=3, horizon=1)
    3

    Args:
        lookback: steps in a window.
        horizon: steps from the last input to the (last) target.

    Raises:
        SplitError: for a number below 1.
    """
    _require(lookback=lookback, horizon=horizon)
    return lookback + horizon - 1


def holdout(n: int, *, validation_size: int, gap: int) -> list[Fold]:
    """One fold: the last samples judge what those before the gap have taught.

        fold 0  ▇▇▇▇▇▇▇··▲▲▲

    >>> [(fold.train, fold.val) for fold in holdout(12, validation_size=3, gap=2)]
    [(range(0, 7), range(9, 12))]

    Args:
        n: samples.
        validation_size: samples to judge on.
        gap: samples to leave out before them (`derived_gap`).

    Raises:
        SplitError: `validation_size` below 1, `gap` below 0, or no sample left to train on.
    """
    return expanding(n, n_splits=1, validation_size=validation_size, gap=gap)


def expanding(
    n: int,
    *,
    n_splits: int = 5,
    validation_size: int | None = None,
    step: int | None = None,
    max_train_size: int | None = None,
    gap: int = 0,
    refit_every: int = 1,
    borders: Sequence[int] | None = None,
) -> list[Fold]:
    """Each fold trains on everything before its gap (up to `max_train_size`); the last validation ends the samples.

        fold 0  ▇▇▇▇··▲▲
        fold 1  ▇▇▇▇▇▇··▲▲
        fold 2  ▇▇▇▇▇▇▇▇··▲▲

    >>> [(fold.train, fold.val) for fold in expanding(12, n_splits=3, validation_size=2, gap=2)]
    [(range(0, 4), range(6, 8)), (range(0, 6), range(8, 10)), (range(0, 8), range(10, 12))]

    With the default `step` and without `borders` these are scikit-learn's folds, ``TimeSeriesSplit(n_splits,
    max_train_size=…, test_size=validation_size, gap=…)``; a single fold is allowed here.

    With `borders`, validations are whole periods of the calendar; below, the first period has samples 2, 3 and 4. What
    follows the last border is an incomplete period and not used; where the samples end with a period, it is `n`.

                  |  |  |   |         borders 2, 5, 8, 12
        fold 0  ▇▇▇▇·▲▲▲
        fold 1  ▇▇▇▇▇▇▇·▲▲▲▲

    >>> [(fold.train, fold.val) for fold in expanding(14, n_splits=2, gap=1, borders=[2, 5, 8, 12])]
    [(range(0, 4), range(5, 8)), (range(0, 7), range(8, 12))]

    Args:
        n: samples.
        n_splits: folds.
        validation_size: samples of a validation, with `borders` periods; None: n // (n_splits + 1) samples, 1 period.
        step: samples (periods) from the start of a validation to that of the next; None: `validation_size`, so that
            they tile. A smaller one makes them overlap, a larger one leaves samples between them, only trained on.
        max_train_size: samples to train on at most, the newest; None: all.
        gap: samples to leave out before a validation (`derived_gap`).
        refit_every: validations that one model judges; see `Fold`.
        borders: first sample of each period, rising in 0 … n (`period_starts`).

    Raises:
        SplitError: numbers below 1 (`gap`: 0), borders that do not rise, or no sample for fold 0 to train on.
    """
    sizes = {"validation_size": validation_size, "step": step, "max_train_size": max_train_size}
    _require(*_disorder(borders, n), n_splits=n_splits, **sizes, gap=gap, refit_every=refit_every)
    blocks = _blocks(n, n_splits, validation_size, step, borders, gap, 1)
    return _folds(blocks, gap, max_train_size, refit_every)


def sliding(
    n: int,
    *,
    n_splits: int = 5,
    validation_size: int | None = None,
    step: int | None = None,
    train_size: int | None = None,
    gap: int = 0,
    refit_every: int = 1,
    borders: Sequence[int] | None = None,
) -> list[Fold]:
    """Each fold trains on as many samples as any other, the newest before its gap; all else is as in `expanding`.

        fold 0  ▇▇▇▇··▲▲
        fold 1    ▇▇▇▇··▲▲
        fold 2      ▇▇▇▇··▲▲

    >>> [(fold.train, fold.val) for fold in sliding(12, n_splits=3, validation_size=2, gap=2)]
    [(range(0, 4), range(6, 8)), (range(2, 6), range(8, 10)), (range(4, 8), range(10, 12))]

    Args:
        n: samples.
        train_size: samples to train on; None: as many as fold 0 of `expanding` has.
        n_splits, validation_size, step, gap, refit_every, borders: see `expanding`.

    Raises:
        SplitError: as `expanding`, or fewer than `train_size` samples for fold 0 to train on.
    """
    sizes = {"validation_size": validation_size, "step": step, "train_size": train_size}
    _require(*_disorder(borders, n), n_splits=n_splits, **sizes, gap=gap, refit_every=refit_every)
    blocks = _blocks(n, n_splits, validation_size, step, borders, gap, 1 if train_size is None else train_size)
    return _folds(blocks, gap, blocks[0].start - gap if train_size is None else train_size, refit_every)


def documented(n: int, *, gap: int = 0, n_splits: int = 5) -> list[Fold]:
    """The documented folds: the first (i + 1) · s samples train fold i, the next s // 2 judge it; s = n // n_splits.

        fold 0  ▇▇▇·▲▲
        fold 1  ▇▇▇▇▇▇▇·▲▲
        fold 2  ▇▇▇▇▇▇▇▇▇▇▇·▲▲
        fold 3  ▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇·▲▲

    >>> [(fold.train.stop, fold.val) for fold in documented(20, gap=1)]
    [(3, range(4, 6)), (7, range(8, 10)), (11, range(12, 14)), (15, range(16, 18))]

    The documented last fold trains on all n_splits · s samples and has nothing left to be judged on (n % n_splits stray
    samples at most), so it does not exist here. The gap is taken from the end of the training samples.

    Args:
        n: samples.
        gap: samples to leave out before a validation. 0 is what is documented: there the lookback leaks.
        n_splits: parts, at least 2; there is a fold less.

    Raises:
        SplitError: a number too small, or parts too short for the gap.
    """
    few = [f"`n_splits` must be at least 2; got {n_splits}."] if n_splits < 2 else []
    _require(*few, gap=gap)
    size, least = n // n_splits, max(2, gap + 1)
    if size < least:
        raise SplitError(
            f"A documented part must have at least {least} samples: more than the gap of {gap}, and 2, half of which "
            f"judge; got n_splits={n_splits} parts of {size}, of {n} samples. Use fewer splits, a longer series, or a "
            "smaller gap, which follows from lookback and horizon where it is not given."
        )
    blocks = [range(part * size, part * size + size // 2) for part in range(1, n_splits)]
    return _folds(blocks, gap, None, 1)


def period_starts(times: np.ndarray, period: Period) -> list[int]:
    """The calendar's `borders`: the first sample of each period, and `n` where the samples end with a period.

    >>> hours = np.arange("2024-01-30T12", "2024-02-02", dtype="datetime64[h]")
    >>> period_starts(hours, "day"), period_starts(hours, "month")
    ([12, 36, 60], [36])

    The first sample counts only where it stands at a start (one step before it lies in another period), `n` only where
    one step after the last sample begins a period, as 60 above; the step is the smallest between two samples. Periods
    that begin or end in a gap of the series are whole ones, those without any sample do not exist.

    Args:
        times: (n,) datetime64 of the samples' targets, rising, by the clock whose calendar is meant.
        period: ``month``, ``week`` (from Monday) or ``day``.

    Returns:
        positions in 0 … n, rising; maybe none.

    Raises:
        SplitError: times that do not rise.
    """
    steps = np.diff(times)
    if np.isnat(times).any() or (steps <= np.timedelta64(0)).any():
        raise SplitError(
            "Samples must be in order of time; got times that do not rise or are missing. Sort them, drop the others."
        )
    if not len(times):
        return []
    step = steps.min() if len(steps) else np.timedelta64(1)
    begins = _begins(np.concatenate([times[:1] - step, times, times[-1:] + step]), period)
    return [int(position) for position in np.flatnonzero(begins[1:] != begins[:-1])]


def _begins(times: np.ndarray, period: Period) -> np.ndarray:
    """(n,) datetime64: when the period of each time begins."""
    if period == "month":
        return times.astype("datetime64[M]")
    days = times.astype("datetime64[D]")
    # Day 0, 1 January 1970, was a Thursday.
    return np.asarray(days - (days.astype(np.int64) + 3) % 7 if period == "week" else days)


def _require(*found: str, gap: int = 0, **sizes: int | None) -> None:
    """Raises all mistakes at once: those found, sizes below 1 (None: not given), a gap below 0."""
    small = [(name, 1, size) for name, size in sizes.items() if size is not None and size < 1]
    small += [("gap", 0, gap)] if gap < 0 else []
    mistakes = [*found, *(f"`{name}` must be at least {least}; got {number}." for name, least, number in small)]
    if mistakes:
        raise SplitError(mistakes)


def _disorder(borders: Sequence[int] | None, n: int) -> list[str]:
    if borders is None:
        return []
    wrong = [f"{right} after {left}" for left, right in pairwise(borders) if left >= right]
    wrong += [str(border) for border in borders if not 0 <= border <= n]
    if not wrong:
        return []
    return [f"`borders` must rise and lie in 0 … {n}; got {', '.join(wrong[:3])}. Take those of `period_starts`."]


def _blocks(
    n: int, n_splits: int, size: int | None, step: int | None, borders: Sequence[int] | None, gap: int, train: int
) -> list[range]:
    """The validations. Their ends are borders (of samples where there are none of periods), counted from the last one.

    Raises:
        SplitError: before the first one there is no room for the gap and `train` samples.
    """
    edges = range(n + 1) if borders is None else borders

    def layout(splits: int) -> tuple[int, int, int]:
        """Length and distance of the validations, in edges, and samples before the first one."""
        default = n // (splits + 1) if borders is None else 1
        length = default if size is None else size
        apart = length if step is None else step
        first = len(edges) - 1 - length - (splits - 1) * apart
        return length, apart, int(edges[first]) if first >= 0 else 0

    length, apart, before = layout(n_splits)
    if length < 1:
        raise SplitError(
            f"There must be more samples than splits; got {n} samples and n_splits={n_splits}. Use fewer splits, or a "
            "longer series."
        )
    if before < gap + train:
        fitting = next((splits for splits in range(n_splits - 1, 0, -1) if layout(splits)[2] >= gap + train), None)
        units = "samples" if borders is None else f"of {max(len(edges) - 1, 0)} whole periods"
        raise SplitError(
            f"Before the first validation there must be at least {gap + train} samples, {gap} for the gap and {train} "
            f"to train on; the validations ({n_splits} × {length} {units}, {apart} apart) leave {before} of {n}. Use "
            f"{'a longer series' if fitting is None else f'n_splits={fitting}'}, smaller validations"
            f"{', a smaller `train_size`' if train > 1 else ''}, or a smaller gap, which follows from "
            "lookback and horizon where it is not given."
        )
    lasts = range(len(edges) - 1 - (n_splits - 1) * apart, len(edges), apart)
    return [range(int(edges[last - length]), int(edges[last])) for last in lasts]


def _folds(blocks: Sequence[range], gap: int, longest: int | None, refit_every: int) -> list[Fold]:
    """A fold a validation; its model is trained on the newest samples before the gap, `longest` of them or all."""
    folds = []
    for number, block in enumerate(blocks):
        fitted = number - number % refit_every
        stop = blocks[fitted].start - gap
        start = 0 if longest is None else max(0, stop - longest)
        folds.append(Fold(number, range(start, stop), block, fitted))
    return folds
