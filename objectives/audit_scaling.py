"""Which rows the scalers were fitted on, read from the scaled numbers.

Scaled by their own fit, rows have minimum 0 and maximum 1, or mean 0 and deviation 1. So each column tells by itself
how far its fit reached: to the row at which that comes true.

training | validation | test        minimum and maximum so far, of one column
0.2  0.8 | 0.1    0.9 | 0.0  1.0    0 … 1 only with the last row: fitted on everything
0.0  1.0 | 0.3    1.2 | 0.1  0.9    0 … 1 within training: fitted there
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..storage.scaling import LinearScaler
from .audit_rows import SPOKEN, Evidence
from .audit_scaled_arrays import REFIT, RULE, scaling_of_contents
from .finding import Finding, Verdict

_EXACT = 1e-5  # of the scale; float32 is a hundred times finer


@dataclass(frozen=True)
class _Column:
    """A scaled column and who scaled it.

    Attributes:
        name: of the feature; for the target's own scaler "the target (y)".
        z: (n_rows,) float64, NaN where missing.
        kind: minmax or standard.
        constant: its scale is 1, which is what a fit on equal numbers gives.
        hidden: no window shows some of the training rows, or what stood there.
    """

    name: str
    z: np.ndarray
    kind: str
    constant: bool
    hidden: bool


def scaling(evidence: Evidence) -> Finding:
    """The finding of the same name."""
    if not evidence.origins or evidence.dataset.y_scaler is None:
        return scaling_of_contents(evidence)
    first, last, later = _spans(evidence)
    if later <= last:
        return _unknown("the parts are not in order")
    columns = _columns(evidence)
    if not columns:
        return _unknown("no column was scaled")
    reached, proofs, odd, unseen = {}, 0, [], 0
    for column in columns:
        fits = _fits(column, first)
        beyond = np.flatnonzero(fits[later:])
        if column.hidden and column.kind == "standard":
            unseen += 1  # without all of its rows a mean is another one
        elif fits[last:later].any():
            continue
        elif len(beyond):
            reached[column.name] = later + int(beyond[0])
            # An extreme of a training row that no window shows may, by chance, stand in a later row again.
            proofs += 1 if column.hidden else 2
        elif column.hidden and _within(column.z[first : last + 1]):
            unseen += 1
        else:
            odd.append(column.name)
    if reached:
        verdict: Verdict = "leak" if proofs >= 2 else "suspicion"
        return Finding(
            "scaling",
            verdict,
            f"{RULE}; that of {_listed(list(reached))} took in rows up to "
            f"{_time(evidence, max(reached.values()))}, and the {_part_at(evidence, later)} part begins at "
            f"{_time(evidence, later)}. {REFIT}",
        )
    if odd:
        return Finding(
            "scaling",
            "suspicion",
            f"{RULE}; no stretch of rows that begins with the training gives the scaling of {_listed(odd)}. {REFIT}",
        )
    but = f"; {unseen} more have training rows that no window shows" if unseen else ""
    return Finding(
        "scaling",
        "passed",
        f"{len(columns) - unseen} scaled columns, y among them, have their {_spread(columns)} on rows of the training "
        f"part{but}.",
    )


def scaling_of_fold(evidence: Evidence, whole: Finding) -> Finding:
    """The finding for a fold.

    Arrays come scaled once, before folds are cut out of them; that cannot be helped here and is told as a suspicion.

    Args:
        evidence: of the fold.
        whole: the finding of the data set that the fold is cut from.
    """
    found = scaling(evidence)
    if evidence.dataset.kind == "series" or found.verdict == "passed":
        return found
    if whole.verdict != "passed":
        return whole
    return Finding(
        "scaling",
        "suspicion",
        f"{RULE}, of each fold its own; these arrays were scaled once, and the fold has seen the range of later rows. "
        "Give the series itself: every fold then fits its own scalers.",
    )


def _spans(evidence: Evidence) -> tuple[int, int, int]:
    """First and last row of the training windows, and the first one of any later window (or the end)."""
    lookback, origins, target = evidence.dataset.lookback, evidence.origins, evidence.dataset.target
    assert target is not None
    first, last = origins["train"].min() - lookback + 1, origins["train"].max() + evidence.horizon
    later = [found.min() - lookback + 1 for name, found in origins.items() if name != "train"]
    return int(first), int(last), int(min(later, default=len(target)))


def _columns(evidence: Evidence) -> list[_Column]:
    """Every column that a scaler has changed; one that it left as it is cannot leak."""
    dataset, own = evidence.dataset, evidence.own
    x_scaler, y_scaler, target = dataset.x_scaler, dataset.y_scaler, dataset.target
    assert y_scaler is not None
    assert target is not None
    all_shown = bool(evidence.shown[: _spans(evidence)[1] + 1].all())
    columns = [_Column("the target (y)", *_scaled(y_scaler, 0, target), hidden=False)]
    for place, name in enumerate(dataset.feature_names) if x_scaler is not None else ():
        assert x_scaler is not None
        if evidence.calendar[place] or (x_scaler.offset[place] == 0 and x_scaler.scale[place] == 1):
            continue
        if place == own:
            columns.append(_Column(f"'{name}'", *_scaled(x_scaler, place, target), hidden=False))
            continue
        z = evidence.measured[:, place].astype(np.float64)
        hidden = bool(evidence.ahead[place]) or not all_shown
        if not np.isnan(z).all():
            columns.append(_Column(f"'{name}'", z, x_scaler.kind, bool(x_scaler.scale[place] == 1), hidden))
    return columns


def _scaled(scaler: LinearScaler, place: int, values: np.ndarray) -> tuple[np.ndarray, str, bool]:
    z = (values - scaler.offset[place]) / scaler.scale[place]
    return z, scaler.kind, bool(scaler.scale[place] == 1)


def _fits(column: _Column, first: int) -> np.ndarray:
    """(n_rows,) bool: the rows from the series' or the training's first one up to this row give the scaling."""
    fits = _prefix_fits(column.z, column.kind, column.constant)
    fits[first:] |= _prefix_fits(column.z[first:], column.kind, column.constant)
    return fits


def _prefix_fits(z: np.ndarray, kind: str, constant: bool) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        low, high = np.fmin.accumulate(z), np.fmax.accumulate(z)
        alike = (np.abs(low) <= _EXACT) & (np.abs(high) <= _EXACT) if constant else np.zeros(len(z), dtype=bool)
        if kind == "minmax":
            return np.asarray(alike | ((np.abs(low) <= _EXACT) & (np.abs(high - 1) <= _EXACT)))
    count = np.maximum(np.cumsum(~np.isnan(z)), 1)
    mean = np.nancumsum(z) / count
    deviation = np.sqrt(np.maximum(np.nancumsum(z**2) / count - mean**2, 0))
    return np.asarray(alike | ((np.abs(mean) <= _EXACT) & (np.abs(deviation - 1) <= _EXACT)))


def _within(seen: np.ndarray) -> bool:
    """Whether rows that are not seen can explain a range of 0 … 1 that these do not fill."""
    seen = seen[~np.isnan(seen)]
    return not seen.size or bool(seen.min() >= -_EXACT and seen.max() <= 1 + _EXACT)


def _unknown(reason: str) -> Finding:
    return Finding("scaling", "unknown", f"On which rows the scalers were fitted cannot be seen: {reason}.")


def _spread(columns: list[_Column]) -> str:
    return "minimum and maximum" if columns[0].kind == "minmax" else "mean and deviation"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _time(evidence: Evidence, row: int) -> str:
    times = evidence.dataset.times
    return f"row {row:,}" if times is None else f"{np.datetime_as_string(times[row], unit='m')} UTC"


def _part_at(evidence: Evidence, row: int) -> str:
    lookback = evidence.dataset.lookback
    return next(SPOKEN[name] for name, found in evidence.origins.items() if found.min() - lookback + 1 == row)
