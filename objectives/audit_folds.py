"""What the folds of a study add to a finding: the worst is told; where all is well, the numbers of the folds are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import get_args

import numpy as np

from ..storage.windows import target_rows
from .audit_rows import Evidence
from .finding import Finding, Verdict

_GRAVITY = {verdict: place for place, verdict in enumerate(get_args(Verdict))}


def summary(whole: Finding, found: Sequence[Finding], folds: Sequence[Evidence]) -> Finding:
    """One finding of a check: the worst of data set and folds, which says where it is so.

    Args:
        whole: of the data set.
        found: of each fold.
        folds: the same.
    """
    worst = max([whole, *found], key=lambda one: _GRAVITY[one.verdict])
    if not found:
        return whole
    if worst is whole:
        alike = all(one.verdict == whole.verdict for one in found)
        return Finding(whole.check, whole.verdict, whole.sentence + (f" {_added(whole, folds)}" if alike else ""))
    first, *others = [str(number) for number, one in enumerate(found) if one.verdict == worst.verdict]
    also = f" So it is in fold{'s' if len(others) > 1 else ''} {' and '.join(others)}." if others else ""
    return Finding(worst.check, worst.verdict, f"Fold {first}: {worst.sentence}{also}")


def _added(whole: Finding, folds: Sequence[Evidence]) -> str:
    """What holds for the folds, with their own numbers where the sentence has some."""
    those = "the only fold" if len(folds) == 1 else f"all {len(folds)} folds"
    if whole.verdict != "passed" or not all(fold.origins for fold in folds):
        return f"So it is in {those}."
    train, val = ([fold.origins[name] for fold in folds] for name in ("train", "val"))
    trained = f"{_span(map(len, train))} training windows"
    match whole.check:
        case "rows":
            targets = [np.unique(target_rows(fold.origins["val"], fold.dataset.steps_ahead)) for fold in folds]
            return f"In {those}: none of {_span(map(len, targets))} validation targets in {trained}."
        case "order":
            return f"In {those}: {trained}, then {_span(map(len, val))} validation windows."
        case "gap":
            gaps = (int(after.min() - before.max() - 1) for before, after in zip(train, val, strict=True))
            return f"In {those}: {_span(gaps)} between training and validation."
        case "scaling":
            return f"In {those}: on rows of the fold's own training."
        case "duplicates":
            return f"In {those}: no stretch of the validation in the training."
    return f"So it is in {those}."


def _span(numbers: Iterable[int]) -> str:
    """``500``, or ``4,154 to 12,504``."""
    found = sorted(numbers)
    return f"{found[0]:,}" if found[0] == found[-1] else f"{found[0]:,} to {found[-1]:,}"
