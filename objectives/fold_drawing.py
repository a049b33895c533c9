"""Folds as text, for a terminal and for the report: one line a fold, to scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .splits import Fold

TRAINING, LEFT_OUT, VALIDATION = "▇", "·", "▲"
NARROWEST = 16  # columns of a bar


def draw(folds: Sequence[Fold], n: int, *, times: np.ndarray | None = None, width: int = 100) -> list[str]:
    """A head, a line for each fold, a legend.

    >>> from .splits import expanding
    >>> for line in draw(expanding(40, n_splits=3, gap=4, refit_every=2), 40):
    ...     print(line)
            train  gap  val  model of
    fold 0      6    4   10  fold 0    ▇▇▇▇▇▇····▲▲▲▲▲▲▲▲▲▲
    fold 1      6   14   10  fold 0    ▇▇▇▇▇▇··············▲▲▲▲▲▲▲▲▲▲
    fold 2     26    4   10  fold 2    ▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇····▲▲▲▲▲▲▲▲▲▲
    ▇ training   · left out   ▲ validation   one column is 1 of 40 samples

    Args:
        folds: of any splitter.
        n: samples.
        times: (n,) datetime64 of the samples' targets; with them the first and last time of each validation is said.
        width: columns of the longest line. A bar takes those that the numbers leave, at least 16, at most `n`.

    Returns:
        lines without an end of line; none without folds. Which model judges is said only where it is an earlier one.
    """
    if not folds:
        return []
    table = _table(folds, times)
    bar_width = min(max(width - len(table[0]) - 2, NARROWEST), n)
    bars = ["", *(bar(fold, n, bar_width) for fold in folds)]
    lines = [f"{row}  {drawn}".rstrip() for row, drawn in zip(table, bars, strict=True)]
    return [*lines, _legend(folds, n, bar_width)]


def bar(fold: Fold, n: int, width: int) -> str:
    """The samples 0 … n − 1 in `width` columns: training, what is left out up to the validation, validation.

    Whatever has a sample has a column, so borders may be off by a column or two. Blank before, nothing after.

    Args:
        fold: what to draw.
        n: samples.
        width: columns, at least 3.
    """
    left_out = 1 if fold.gap else 0
    validation = min(max(_column(fold.val.start, n, width), 1 + left_out), width - 1)
    end = max(_column(fold.val.stop, n, width), validation + 1)
    gap = max(min(_column(fold.train.stop, n, width), validation - left_out), 1)
    start = min(_column(fold.train.start, n, width), gap - 1)
    return " " * start + TRAINING * (gap - start) + LEFT_OUT * (validation - gap) + VALIDATION * (end - validation)


def _column(sample: int, n: int, width: int) -> int:
    return round(sample * width / n)


def _table(folds: Sequence[Fold], times: np.ndarray | None) -> list[str]:
    """The numbers beside the bars: a head and a row for each fold, all of the same length."""
    columns = [
        ["", *(f"fold {fold.number}" for fold in folds)],
        _right("train", [len(fold.train) for fold in folds]),
        _right("gap", [fold.gap for fold in folds]),
        _right("val", [len(fold.val) for fold in folds]),
    ]
    if times is not None:
        columns.append(["validation", *_spans(folds, times)])
    if any(fold.fitted != fold.number for fold in folds):
        columns.append(["model of", *(f"fold {fold.fitted}" for fold in folds)])
    widths = [max(map(len, column)) for column in columns]
    rows = zip(*columns, strict=True)
    return ["  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)) for row in rows]


def _right(name: str, numbers: Sequence[int]) -> list[str]:
    cells = [name, *map(str, numbers)]
    return [cell.rjust(max(map(len, cells))) for cell in cells]


def _spans(folds: Sequence[Fold], times: np.ndarray) -> list[str]:
    """First and last time of each validation: days, or minutes where one of them is within a day."""
    ends = [(times[fold.val[0]], times[fold.val[-1]]) for fold in folds]
    within = any(a != b and a.astype("datetime64[D]") == b.astype("datetime64[D]") for a, b in ends)
    written = [np.datetime_as_string(np.array(pair), unit="m" if within else "D", casting="unsafe") for pair in ends]
    return [" – ".join(str(time).replace("T", " ") for time in pair) for pair in written]


def _legend(folds: Sequence[Fold], n: int, width: int) -> str:
    signs = [f"{TRAINING} training", f"{LEFT_OUT} left out", f"{VALIDATION} validation"]
    if all(fold.gap == 0 for fold in folds):
        del signs[1]
    scale = "1" if width == n else f"about {n / width:.3g}"
    return "   ".join([*signs, f"one column is {scale} of {n} samples"])
