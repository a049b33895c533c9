"""Which rows the scalers of ready arrays were fitted on, as far as ranges and moments of the arrays say.

No scaler comes with them, and the rows that one was fitted on need not all stand in a window. So a proof takes most of
the columns: scaled on everything, they have their 0 … 1 (or their mean 0, deviation 1) over all parts and not over the
training, and none goes beyond.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .audit_rows import Evidence
from .finding import Finding, Verdict

_EXACT = 1e-5
_ROUGH = 2e-2  # of a deviation, at most
_MEMORY_BYTES = 2**29
RULE = "Scalers must be fitted on training rows only"
REFIT = "Fit them on the training rows and scale again; `tune prepare` does it."


def scaling_of_contents(evidence: Evidence) -> Finding:
    """The finding for arrays of others."""
    groups = {"y": [part.y.astype(np.float64) for part in evidence.parts.values()]}
    inputs = _inputs(evidence)
    if inputs is not None:
        groups["X"] = inputs
    lost = 6 * (evidence.dataset.lookback + 2) / max(len(groups["y"][0]), 1)
    tolerance = min(max(lost, 1e-3), _ROUGH)
    verdicts = {name: _by_range(parts) or _by_moments(parts, tolerance) for name, parts in groups.items()}
    for verdict in ("leak", "suspicion"):
        found = [name for name in verdicts if verdicts[name] == verdict]
        if found:
            return Finding(
                "scaling",
                verdict,
                f"{RULE}; columns of {' and '.join(found)} have the range or the "
                f"moments of a scaler over later parts too, not over the training part alone. {REFIT}",
            )
    if verdicts["y"] == "passed":
        who = "y and X have" if verdicts.get("X") == "passed" else "y has"
        return Finding("scaling", "passed", f"{who} the range or the moments of a scaler over the training part alone.")
    return Finding(
        "scaling",
        "unknown",
        "The arrays come without scalers, and their numbers do not say on which rows they were scaled.",
    )


def _inputs(evidence: Evidence) -> list[np.ndarray] | None:
    """Part by part (m, n_features) float64; None where the windows do not follow each other and are too many."""
    if set(evidence.chains) == set(evidence.parts):
        return [rows.values.astype(np.float64) for rows in evidence.chains.values()]
    if sum(part.windows.nbytes for part in evidence.parts.values()) > _MEMORY_BYTES:
        return None
    return [part.windows.array().reshape(-1, evidence.dataset.n_features) for part in evidence.parts.values()]


def _by_range(parts: Sequence[np.ndarray]) -> Verdict | None:
    """Whether 0 … 1 is the range of the training or a later one; None where it is neither."""
    low, high = (np.stack([extreme(part, axis=0) for part in parts]) for extreme in (np.min, np.max))
    low, high = np.minimum.accumulate(low), np.maximum.accumulate(high)
    judged = (high[-1] > low[-1]) & ~((np.abs(low[-1] + 1) < _ROUGH) & (np.abs(high[-1] - 1) < _ROUGH))
    exact = (np.abs(low) <= _EXACT) & (np.abs(high - 1) <= _EXACT) & judged
    beyond = exact[0] & ~exact[-1]
    late = ~exact[0] & exact[1:].any(axis=0)
    if late.any():
        proven = 2 * (exact[0] | late).sum() >= judged.sum() and not beyond.any()
        return "leak" if proven else "suspicion"
    return "passed" if exact[0].any() and 2 * exact[0].sum() >= judged.sum() else None


def _by_moments(parts: Sequence[np.ndarray], tolerance: float) -> Verdict | None:
    """Whether mean 0 and deviation 1 are those of the training or of later parts too; None where of neither."""
    off = []
    for stop in range(1, len(parts) + 1):
        rows = np.concatenate(parts[:stop])
        off.append(np.maximum(np.abs(rows.mean(axis=0)), np.abs(rows.std(axis=0) - 1)))
    moved = np.stack(off)
    half = moved.shape[1] / 2
    if (moved[0] <= tolerance).sum() >= half:
        return "passed"
    late = (moved[0] > 3 * tolerance) & (moved[1:] <= tolerance).any(axis=0)
    return "leak" if late.sum() >= half else None
