"""Rows of validation or test that stand before their part once more; and rows that stand in one part twice.

rows     a b c d e f | g c d e h | i j g h k       c d e of the validation are training rows: a leak;
         training      validation  test            g h of the test are validation rows: a leak as well,
                                                   since the winner is trained on both parts

The folds have borders of their own: what stands twice in the training part may lie on both sides of one.
What a copy is: see :mod:`.audit_copies`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np

from .audit_copies import Copies, Stretch, changes, copies, joined, window_keys
from .audit_rows import SPOKEN, Evidence, Rows
from .finding import Finding, Verdict

_WAY_OUT = "Take the copies out of the series."
_HABIT = "They stand more than four times: take them out where they are copies, and no habit of the plant."


@dataclass(frozen=True)
class _Copied:
    """What a stretch has in two parts, or twice in one.

    Attributes:
        before: the earlier part.
        after: the later one, or the same.
        there: position of the first row in the earlier part.
        here: position of the same row in the later part.
        n_rows: how many.
        often: they stand more often than twice, and may be a habit of the plant.
    """

    before: str
    after: str
    there: int
    here: int
    n_rows: int
    often: bool


def duplicates(evidence: Evidence, folds: Sequence[Evidence] = ()) -> tuple[Finding, list[Finding]]:
    """The findings of the same name: of the data set, and of the training and validation of each fold.

    A series is searched once, and its copies are held against all borders. The folds of arrays are searched one by one;
    where a fold has too few rows to tell, it has the finding of the whole.
    """
    if not evidence.origins:
        whole = _of_arrays(evidence, tuple(evidence.parts))
        of_folds = [_of_arrays(fold, ("train", "val")) for fold in folds]
        return whole, [whole if found.verdict == "unknown" else found for found in of_folds]
    found, times = _of_series(evidence), evidence.dataset.times
    trained = [{name: fold.covered[name] for name in ("train", "val")} for fold in folds]
    return _finding(found, evidence.covered, times), [_finding(found, parts, times) for parts in trained]


def _of_series(evidence: Evidence) -> Copies | None:
    """The copies among all rows, without the calendar. Positions are rows of the series."""
    assert evidence.dataset.target is not None
    target = evidence.dataset.target[:, None].astype(np.float32)
    values = np.hstack([evidence.measured[:, ~evidence.calendar], target])
    run = np.zeros(len(values), dtype=np.int64)
    return copies(Rows(values, run, run[:0]), changes(target, run))


def _of_arrays(evidence: Evidence, names: Sequence[str]) -> Finding:
    """The finding for parts that do not say their rows."""
    if not set(names) <= set(evidence.chains):
        return _of_windows(evidence, names)
    rows = joined([evidence.chains[name] for name in names])
    stops = np.cumsum([len(evidence.chains[name]) for name in names])
    place = np.searchsorted(stops, np.arange(len(rows)), side="right")
    return _finding(
        copies(rows, changes(rows.values, rows.run)), {name: place == number for number, name in enumerate(names)}, None
    )


def _of_windows(evidence: Evidence, names: Sequence[str]) -> Finding:
    """Windows that do not follow each other have no rows to compare: only a whole window can be found again."""
    found, n = 0, 0
    training, _ = window_keys(evidence.dataset.train.windows)
    for name in names[1:]:
        keys, varying = window_keys(evidence.dataset.part(name).windows)
        found, n = found + int((np.isin(keys, training) & varying).sum()), n + len(keys)
    later = _listed(names[1:])
    if found > 2:
        return _found(
            "leak", f"Windows of {later} must not stand in training too; {found:,} of {n:,} do. Take them out."
        )
    return _found("passed", f"None of {n:,} windows of {later} is a training window too.")


def _finding(copied: Copies | None, parts: Mapping[str, np.ndarray], times: np.ndarray | None) -> Finding:
    """The finding for these parts.

    Args:
        copied: what stands twice among m rows; None where it cannot be told from chance.
        parts: name → (m,) bool, in order of time.
        times: (m,) datetime64 UTC; None where they are not known.
    """
    if copied is None:
        return _found(
            "unknown", "The rows are too few, or too coarse and too like each other, to tell copies from chance."
        )
    found = [one for stretch in copied.stretches if not stretch.goes_on for one in _copied(stretch, parts)]
    across, within = ([one for one in found if (one.before != one.after) == over] for over in (True, False))
    later = list(parts)[1:]
    n = sum(int(parts[name].sum()) for name in later)
    if across:
        proven = any(not one.often for one in across)
        also = f"; {_total(within):,} more stand twice in one part" if within else ""
        return _found(
            "leak" if proven else "suspicion",
            f"Rows of {_listed(later)} must not stand in an earlier part too; {_total(across):,} of {n:,} do, "
            f"{_longest(across, parts, times)}{also}. {_WAY_OUT if proven else _HABIT}",
        )
    if within:
        where = [name for name in parts if any(one.after == name for one in within)]
        return _found(
            "suspicion",
            f"Rows should stand in a series once; {_total(within):,} stand twice in {_listed(where)}, "
            f"{_longest(within, parts, times)}. No border lies between, so nothing leaks, but they count double. "
            f"{_HABIT if all(one.often for one in within) else _WAY_OUT}",
        )
    return _found(
        "passed",
        f"No stretch of {copied.least} moving rows among {n:,} rows of {_listed(later)} stands in an earlier part too.",
    )


def _found(verdict: Verdict, sentence: str) -> Finding:
    return Finding("duplicates", verdict, sentence)


def _copied(stretch: Stretch, parts: Mapping[str, np.ndarray]) -> list[_Copied]:
    """What the stretch has in each part, and across each border."""
    found = []
    first, again = (slice(start, start + stretch.n_rows) for start in (stretch.first, stretch.again))
    for before, after in combinations_with_replacement(parts, 2):
        # The second direction is for parts that are not in order.
        for there, here in [(first, again), (again, first)][: 1 if before == after else 2]:
            inside = parts[before][there] & parts[after][here]
            if inside.any():
                start, n_rows = int(inside.argmax()), int(inside.sum())
                found.append(_Copied(before, after, there.start + start, here.start + start, n_rows, stretch.often))
    return found


def _total(found: Sequence[_Copied]) -> int:
    return sum(one.n_rows for one in found)


def _longest(found: Sequence[_Copied], parts: Mapping[str, np.ndarray], times: np.ndarray | None) -> str:
    """How many follow each other, and where."""
    one = max(found, key=lambda copied: copied.n_rows)
    if times is None:
        here, there = (
            f"row {place - int(parts[name].argmax()):,} on"
            for name, place in ((one.after, one.here), (one.before, one.there))
        )
    else:
        here, there = (f"{np.datetime_as_string(times[place], unit='m')} UTC" for place in (one.here, one.there))
    return f"{one.n_rows:,} of them in a row ({SPOKEN[one.after]} from {here} is {SPOKEN[one.before]} from {there})"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(SPOKEN[name] for name in names)
