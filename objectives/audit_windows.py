"""Where the windows of the parts stand in the series: contents, shared rows, order, gap.

Known are the origins; what they claim is held against the target. Arrays of others: see :mod:`.audit_contents`.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ..storage.windows import target_rows
from .audit_contents import cutting_of_contents
from .audit_rows import SPOKEN, Evidence, counted
from .finding import Finding, Verdict

_SAMPLED = 2000
_CLOSE = 1e-4  # in scaled units
_FLOAT32 = 1e-6
_AGAIN = "Cut the windows again from the series; `tune prepare` does it."


def cutting(evidence: Evidence) -> list[Finding]:
    """The findings windows, rows, order and gap."""
    if not evidence.origins:
        return cutting_of_contents(evidence)
    return [_windows(evidence), _rows(evidence), _order(evidence), _gap(evidence)]


def _windows(evidence: Evidence) -> Finding:
    """Inputs and targets are those rows of the series that their origins say."""
    for name, origins in evidence.origins.items():
        wrong = _inputs_mistake(evidence, name, origins) or _targets_mistake(evidence, name, origins)
        if wrong is not None:
            return Finding("windows", *wrong)
    n = sum(map(len, evidence.origins.values()))
    if evidence.own is None or evidence.dataset.x_scaler is None:
        return Finding(
            "windows",
            "unknown",
            f"The targets of {n:,} windows are the rows of the series that they claim to be. Whether the inputs are "
            "cannot be seen: no feature is the target's past.",
        )
    return Finding(
        "windows", "passed", f"Targets and own past of {n:,} windows are the rows of the series that they claim to be."
    )


def _inputs_mistake(evidence: Evidence, name: str, origins: np.ndarray) -> tuple[Verdict, str] | None:
    """The own past in the windows, held against the series."""
    dataset, own = evidence.dataset, evidence.own
    lookback, target = dataset.lookback, dataset.target
    assert target is not None
    if origins.min() < lookback - 1 or origins.max() + evidence.horizon >= len(target):
        return "leak", f"Windows must lie inside the series; some of the {SPOKEN[name]} part reach out of it. {_AGAIN}"
    if own is None or dataset.x_scaler is None:
        return None
    picked = np.unique(np.linspace(0, len(origins) - 1, _SAMPLED).astype(np.int64))
    scaled = (target - dataset.x_scaler.offset[own]) / dataset.x_scaler.scale[own]
    held = dataset.part(name).windows.take(picked)[:, :, own]
    if _same(held, scaled[origins[picked][:, None] + np.arange(1 - lookback, 1)]).all():
        return None
    shift = _shift(held[:, -1], scaled, origins[picked], lookback + evidence.horizon)
    if shift is None:
        return "suspicion", (
            f"The own past in a window must be the target before its origin; in the {SPOKEN[name]} part it is other "
            f"numbers. Scaler and windows may be of two data sets. {_AGAIN}"
        )
    if shift > 0:
        return "leak", (
            f"A window must end at its origin; those of the {SPOKEN[name]} part hold the target up to "
            f"{counted(shift, 'step')} after it. {_AGAIN}"
        )
    return "suspicion", (
        f"A window must end at its origin; those of the {SPOKEN[name]} part end {counted(-shift, 'step')} before it. "
        f"{_AGAIN}"
    )


def _targets_mistake(evidence: Evidence, name: str, origins: np.ndarray) -> tuple[Verdict, str] | None:
    """What is to be forecast, held against the series."""
    dataset = evidence.dataset
    target, scaler, y = dataset.target, dataset.y_scaler, dataset.part(name).y
    assert target is not None
    if scaler is None:
        return None
    scaled = (target - scaler.offset[0]) / scaler.scale[0]
    if _same(y, scaled[target_rows(origins, dataset.steps_ahead)]).all():
        return None
    horizon = evidence.horizon
    shift = _shift(y[:, -1], scaled, origins + horizon, dataset.lookback + horizon)
    if shift is None:
        return "suspicion", (
            f"y must be the target {counted(horizon, 'step')} after the origin; in the {SPOKEN[name]} part it is other "
            f"numbers. {_AGAIN}"
        )
    ahead = horizon + shift
    found = (
        f"y must be the target {counted(horizon, 'step')} after the origin; in the {SPOKEN[name]} part it is the one "
    )
    if ahead <= 0:
        where = "at the origin itself" if ahead == 0 else f"{counted(-ahead, 'step')} before it"
        return "leak", f"{found}{where}, which the window already holds. {_AGAIN}"
    return "suspicion", f"{found}{counted(ahead, 'step')} after it. {_AGAIN}"


def _same(held: np.ndarray, claimed: np.ndarray) -> np.ndarray:
    """Element by element, within what float32 leaves of scaled numbers; a missing one is not the same."""
    return np.asarray(np.abs(held - claimed) <= _CLOSE + _FLOAT32 * np.abs(claimed))


def _shift(held: np.ndarray, scaled: np.ndarray, rows: np.ndarray, farthest: int) -> int | None:
    """How many rows later than claimed these values stand in the series; the nearest place of all that fit."""
    for shift in sorted(range(-farthest, farthest + 1), key=abs):
        found = rows + shift
        inside = (found >= 0) & (found < len(scaled))
        claimed = scaled[found[inside]]
        known = ~np.isnan(claimed)
        # In a gap of the series the true shift has no value to compare with.
        if known.sum() > 0.5 * len(rows) and _same(held[inside][known], claimed[known]).all():
            return shift
    return None


def _rows(evidence: Evidence) -> Finding:
    """No target of validation or test stands in a training window, as input or as target."""
    dataset, train, covered = evidence.dataset, evidence.origins["train"], evidence.covered["train"]
    inside, n = [], 0
    for name in ("val", "test"):
        if name in evidence.origins:
            rows = np.unique(target_rows(evidence.origins[name], dataset.steps_ahead))
            n += len(rows)
            count = int(covered[np.clip(rows, 0, len(covered) - 1)].sum())
            inside += [f"{count:,} of {len(rows):,} {SPOKEN[name]} targets"] if count else []
    if inside:
        return Finding(
            "rows",
            "leak",
            f"A target of validation or test must stand in no training window; {' and '.join(inside)} do. {_AGAIN}",
        )
    return Finding(
        "rows",
        "passed",
        f"None of {n:,} rows that are a target of validation or test stands in one of {len(train):,} training windows.",
    )


def _order(evidence: Evidence) -> Finding:
    """Times rise; parts follow each other."""
    times, parts = evidence.dataset.times, evidence.origins
    if times is not None and len(times) > 1 and not (np.diff(times) > np.timedelta64(0)).all():
        return Finding("order", "leak", "The rows of a series must be in order of time; these are not. Sort them.")
    for (before, first), (after, second) in pairwise(parts.items()):
        early = int((second <= first.max()).sum())
        if early:
            return Finding(
                "order",
                "leak",
                f"The {SPOKEN[after]} part must lie after the {SPOKEN[before]} part; "
                f"{early:,} of its {len(second):,} windows do not. Split by time, without shuffling.",
            )
    unsorted = [SPOKEN[name] for name, origins in parts.items() if (np.diff(origins) <= 0).any()]
    if unsorted:
        return Finding(
            "order",
            "suspicion",
            "The windows of a part must be in order of time, each once; those of the "
            f"{' and '.join(unsorted)} part are not. Curves and baselines would be wrong. {_AGAIN}",
        )
    listed = ", then ".join(f"{len(origins):,} {SPOKEN[name]} windows" for name, origins in parts.items())
    return Finding("order", "passed", f"In order of time: {listed}.")


def _gap(evidence: Evidence) -> Finding:
    """Steps between the last target of a part and the first one (of the farthest step) of the next."""
    lookback, horizon, parts = evidence.dataset.lookback, evidence.horizon, evidence.origins
    needed = lookback + horizon - 1
    rule = f"lookback {lookback} + horizon {horizon} − 1 = {needed}"
    gaps = {
        f"{SPOKEN[before]} and {SPOKEN[after]}": int(second.min() - first.max() - 1)
        for (before, first), (after, second) in pairwise(parts.items())
    }
    if any(gap < 0 for gap in gaps.values()):
        return Finding("gap", "unknown", "The gap cannot be measured: the parts are not in order.")
    short = [f"{gap} between {names}" for names, gap in gaps.items() if gap < needed]
    if short:
        return Finding(
            "gap",
            "leak",
            f"At least {rule} steps must lie between the targets of two parts, or windows "
            f"overlap at the border; got {' and '.join(short)}. {_AGAIN}",
        )
    listed = " and ".join(f"{gap} between {names}" for names, gap in gaps.items())
    return Finding(
        "gap",
        "passed",
        f"Steps between the targets of two parts: {listed or 'there is one part'}; at least {rule} are needed.",
    )
