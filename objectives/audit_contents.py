"""Where the windows of arrays stand that say neither rows nor times: as much as their contents give away.

train   a b c · · ·            rows that only the border has in common: windows overlap there (a suspicion: the arrays
val           c d e f          can be used, but the first validation windows repeat inputs of the training)
val     · b c · · ·            rows in the midst of the training rows: a part that was drawn from them (a leak)
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ..storage.windows import Windows
from .audit_copies import Stretch, repeated, window_keys
from .audit_rows import SPOKEN, Evidence, Rows
from .finding import Finding

_SHARE = 0.05  # of the windows of a part; whole windows at a border are fewer
_LONGEST = 32  # rows; a longer overlap is a stretch that is found by itself
_FEWEST_NUMBERS = 4  # that agree by chance too seldom
_AGAIN = "Split the series by time first, then cut each part into windows; `tune prepare` does both."


def cutting_of_contents(evidence: Evidence) -> list[Finding]:
    """The findings windows, rows, order and gap."""
    windows = Finding(
        "windows",
        "unknown",
        "The arrays do not say which rows of a series they are: whether y is the target it should be cannot be seen.",
    )
    if set(evidence.chains) == set(evidence.parts):
        return [windows, *_chained(evidence)]
    return [windows, *_scattered(evidence)]


def _chained(evidence: Evidence) -> list[Finding]:
    """Windows follow each other inside the parts: their rows can be compared."""
    chains = evidence.chains
    drawn, disordered, overlaps = [], [], []
    for before, after in _pairs(evidence):
        stretches = repeated(chains[before], chains[after]) or []
        inner = [one for one in stretches if not _at_border(chains[before], one)]
        shared, n = sum(one.n_rows for one in inner), len(chains[after])
        if any(_against_time(chains[before], chains[after], one) for one in inner):
            disordered.append(f"the {SPOKEN[after]} part leads into the {SPOKEN[before]} part")
        elif 2 * shared > n:
            drawn.append(f"{shared:,} of {n:,} {SPOKEN[after]} rows are {SPOKEN[before]} rows")
        n_rows = _overlap(chains[before], chains[after], stretches)
        if n_rows >= evidence.dataset.lookback:
            drawn.append(f"the first {n_rows} {SPOKEN[after]} rows are the last {SPOKEN[before]} rows")
        elif n_rows:
            overlaps.append(f"{n_rows} rows between {SPOKEN[before]} and {SPOKEN[after]}")
    if drawn:
        rows = Finding("rows", "leak", f"A part must hold no window of another; {' and '.join(drawn)}. {_AGAIN}")
    else:
        n_windows = sum(len(part.windows) for part in evidence.parts.values())
        rows = Finding("rows", "passed", f"By their contents, none of {n_windows:,} windows stands in two parts.")
    if disordered:
        return [
            rows,
            Finding(
                "order",
                "leak",
                f"Training must come before validation, that before the test; {' and '.join(disordered)}. {_AGAIN}",
            ),
            _unmeasured("the parts are not in order"),
        ]
    order = Finding(
        "order",
        "passed",
        "Inside each part the windows are in order of time; which part is the earlier one, arrays do not say.",
    )
    if overlaps:
        return [
            rows,
            order,
            Finding(
                "gap",
                "suspicion",
                "Windows must not overlap across a border; the first ones of "
                f"a part repeat {' and '.join(overlaps)}: the lookback leaks. {_AGAIN}",
            ),
        ]
    return [
        rows,
        order,
        Finding(
            "gap",
            "passed",
            "No window shares a row with one of another part. Whether the gap "
            "has room for the horizon too, arrays do not say.",
        ),
    ]


def _scattered(evidence: Evidence) -> list[Finding]:
    """Windows do not follow each other in some part: were they shuffled before they were split?"""
    between = []
    for before, after in _pairs(evidence):
        count, n = _neighbours(evidence.parts[before].windows, evidence.parts[after].windows)
        if count > max(2, _SHARE * n):
            between.append(f"{count:,} of {n:,} {SPOKEN[after]} windows are one step from a {SPOKEN[before]} window")
    if between:
        sentence = f"{', '.join(between)}: the windows were shuffled before they were split. {_AGAIN}"
        return [
            Finding("rows", "leak", f"A part must share no row with the training windows; {sentence}"),
            Finding("order", "leak", f"Parts must follow each other in time; {sentence}"),
            _unmeasured("the parts are not in order"),
        ]
    reason = "the windows of a part do not follow each other by one step"
    return [
        Finding("rows", "unknown", f"Whether windows of two parts share rows cannot be seen: {reason}."),
        Finding("order", "unknown", f"The order of the windows cannot be seen: {reason}."),
        _unmeasured(reason),
    ]


def _pairs(evidence: Evidence) -> list[tuple[str, str]]:
    """Training with validation, training with test, validation with test."""
    names = list(evidence.parts)
    return [*pairwise(names), *([("train", "test")] if len(names) == 3 else [])]


def _at_border(before: Rows, stretch: Stretch) -> bool:
    """Whether the stretch ends one part and begins the other: windows that overlap, not copies."""
    return stretch.again == 0 and stretch.first + stretch.n_rows == len(before)


def _against_time(before: Rows, after: Rows, stretch: Stretch) -> bool:
    """Whether the stretch ends a run of the later part and begins one of the earlier: time goes on there."""
    stop = stretch.again + stretch.n_rows
    ends = stop == len(after) or after.run[stop] != after.run[stop - 1]
    begins = stretch.first == 0 or before.run[stretch.first] != before.run[stretch.first - 1]
    begins_too = stretch.again == 0 or after.run[stretch.again] != after.run[stretch.again - 1]
    return bool(ends and begins and not begins_too)


def _overlap(before: Rows, after: Rows, stretches: list[Stretch]) -> int:
    """Rows at the end of one part that begin the other; at least two, each unlike the one before."""
    for stretch in stretches:
        if _at_border(before, stretch):
            return stretch.n_rows
    # Overlaps that are too short to be told from chance elsewhere can be seen at the border itself.
    for n_rows in range(min(len(before), len(after), _LONGEST), 1, -1):
        head, tail = after.values[:n_rows], before.values[-n_rows:]
        if head.size < _FEWEST_NUMBERS:
            break
        if (head == tail).all() and (head[1:] != head[:-1]).any(axis=1).all():
            return n_rows
    return 0


def _neighbours(train: Windows, other: Windows) -> tuple[int, int]:
    """How many windows of the other part stand one step before or after one of the training, and how many there are.

    Windows without any change are left out: they look like their neighbours wherever they stand.
    """
    lookback = train.shape[1]
    if lookback < 3:
        return 0, len(other)
    (heads, _), (tails, _) = window_keys(train, stop=-1), window_keys(train, 1)
    (other_heads, moving), (other_tails, moving_too) = window_keys(other, stop=-1), window_keys(other, 1)
    found = np.isin(other_heads, tails) | np.isin(other_tails, heads)
    return int((found & moving & moving_too).sum()), len(other)


def _unmeasured(reason: str) -> Finding:
    return Finding("gap", "unknown", f"The gap cannot be measured: {reason}.")
