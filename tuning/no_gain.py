"""When a search has stopped to gain: no improvement larger than the noise in so many trials.

value   x
         x x                     The reference moves only when a trial is better by more than the noise, so many
ref  ────── x ─ x ─ x ─ x        small gains that add up count as one, and a lucky seed counts as none.
            |<── n trials ──>|
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from optuna.trial import FrozenTrial, TrialState

ASSUMED_NOISE = 0.01
"""Relative, where neither repeats nor folds tell: what another seed typically does to a validation error here."""


def no_gain(trials: Sequence[FrozenTrial], n: int, metric: str, *, maximize: bool = False) -> bool:
    """Whether the last `n` trials that ended brought no gain.

    Args:
        trials: of the study; pruned ones count as trials without a gain.
        n: how many.
        metric: the values of which are kept with each fold.
        maximize: whether a larger number is better.
    """
    ended = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    ended.sort(key=lambda t: (t.datetime_complete is None, t.datetime_complete, t.number))
    needed, sign = 1.0 - math.exp(-noise(ended, metric)), -1.0 if maximize else 1.0
    reference, since = math.inf, 0
    for trial in ended:
        since += 1
        value = sign * trial.values[0] if trial.state is TrialState.COMPLETE and trial.values else math.inf
        if value < reference - (abs(reference) * needed if math.isfinite(reference) else 0.0):
            reference, since = value, 0
    return math.isfinite(reference) and since >= n


def noise(trials: Sequence[FrozenTrial], metric: str) -> float:
    """The relative deviation of a trial's number: of the same parameters with another seed, as far as can be known.

    From trials with several seeds: the spread of their repeats. From trials with several folds: what the means of
    trial and fold leave of their values, an upper bound. Otherwise `ASSUMED_NOISE`.
    """
    repeats, tables = [], []
    for trial in trials:
        if trial.state is not TrialState.COMPLETE:
            continue
        scores = trial.user_attrs.get("folds", ())
        logs = np.log([max(float(score[metric]), 1e-300) for score in scores if metric in score])
        n_folds = len({score["fold"] for score in scores})
        if n_folds and len(logs) and len(logs) % n_folds == 0:
            table = logs.reshape(-1, n_folds)
            if len(table) > 1:
                repeats.append(float(np.var(table.mean(axis=1), ddof=1)) / len(table))
            tables.append(table.mean(axis=0))
    if repeats:
        return math.sqrt(float(np.mean(repeats)))
    width = max((len(table) for table in tables), default=0)
    rows = np.array([table for table in tables if len(table) == width])
    if width < 2 or len(rows) < 3:
        return ASSUMED_NOISE
    left = rows - rows.mean(axis=0) - rows.mean(axis=1, keepdims=True) + rows.mean()
    return math.sqrt(float(np.square(left).sum()) / ((len(rows) - 1) * (width - 1)) / width)
