"""Who ends hopeless trials that have several fits: within a fold against the same fold of others, and between folds.

Optuna's pruners see one curve a trial. Here a trial reports one curve for each fit, at steps place · epochs + epoch:

    step   0 … 19  fold 0     20 … 39  fold 1     40 … 59  fold 2        (20 epochs; a fit that stops early skips steps)

*Within a fold* a trial ends when, after half of the epochs and at least three, its best value so far is worse than the
median of what the others had in this fold by this epoch, and by more than `MARGIN` than what the best complete trial
had there (while there is none: the best of the others). A median alone ends good trials that are slow in one fold, and
where the best one began slowly, others may. A fit that had stopped early by then counts with its best, and a trial that
still runs counts, too.

*Between folds* a trial ends when it is worse than the best complete trial on the folds that it has done. One that is in
truth as good as the best ends with a probability of at most `ALPHA` over all looks together (Bonferroni); that costs
nothing but a second trial of the same worth, and a better one ends more seldom. Values are compared fold by fold as
logarithms of ratios, because folds differ in difficulty by factors. With seven pairs or more Wilcoxon's signed rank
test decides (``scipy.stats.wilcoxon``; with fewer, its smallest p value is too large to decide anything). Below that a
t test whose noise is known from the complete trials: what is left of their log values after the means of trial and fold
are taken out (a two-way analysis of variance).

Before `STARTUP` trials are complete, a trial is compared with each other one on the folds that both have done, and the
noise is assumed to be `_ASSUMED_NOISE`, more than what is measured later: only what is hopeless ends.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from .pareto import by_error, error_of

ALPHA = 0.2
"""Probability of ending a trial that is as good as the best one."""
MARGIN = 0.2
"""By how much more than the best a trial must err within a fold before it ends there, relative."""
WARM_UP = 3
"""Epochs of a fit that say nothing yet."""
OTHERS = 2
"""Others that got as far in a fold, before anything ends in it."""
STARTUP = 3
"""Complete trials, before their noise is known."""
_LEAST_NOISE = 0.005
_ASSUMED_NOISE = 0.05

Curves = Mapping[int, Mapping[int, float]]
"""Place of a fit → epoch → value."""


@dataclass(frozen=True)
class FoldPruner(optuna.pruners.BasePruner):
    """The pruner of trials with several fits; see the text of this module.

    Args:
        epochs: most epochs of a fit.
        n_folds: fits of one repeat.
    """

    epochs: int
    n_folds: int

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether the trial is hopeless within its current fold, as seen after its last report."""
        mine = self.curves(trial)
        if not mine:
            return False
        place = max(mine)
        epoch = max(mine[place])
        if epoch + 1 < max(WARM_UP, self.epochs // 2) or place >= self.n_folds:
            return False
        others, trials = [], _others(study, trial)
        for other in trials:
            curve = self.curves(other).get(place)
            if curve and (max(curve) >= epoch or self._ended(other, place)):
                others.append(_best(curve, epoch))
        if len(others) < OTHERS:
            return False
        return _best(mine[place], epoch) > max(
            float(np.median(others)), (1 + MARGIN) * self._best_there(trials, others, place, epoch)
        )

    def _best_there(self, trials: Sequence[FrozenTrial], others: Sequence[float], place: int, epoch: int) -> float:
        """What the best complete trial had in a fold by an epoch; while there is none, the best of the others."""
        complete = _complete(trials)
        curve = self.curves(_best_of(complete)).get(place) if complete else None
        return _best(curve, epoch) if curve else min(others)

    def worse(self, study: optuna.Study, trial: FrozenTrial, *, planned: int) -> bool:
        """Whether the trial is worse than the best one on the fits that it has done, beyond doubt.

        Args:
            planned: fits of the whole trial: there is a look after each of them but the last.
        """
        complete, level = _complete(study.get_trials(deepcopy=False)), ALPHA / max(1, planned - 1)
        if len(complete) < STARTUP:
            return self._hopeless(study, trial, level)
        mine, best = self.values(trial), self.values(_best_of(complete))
        ratios = [math.log(mine[place] / best[place]) for place in mine if place in best]
        if not ratios:
            return False
        if 2.0 ** -len(ratios) <= level:
            from scipy.stats import wilcoxon

            return any(ratios) and float(wilcoxon(ratios, alternative="greater").pvalue) <= level
        noise = self.noise(complete)
        if noise is None:
            return False
        from scipy.stats import t

        deviation, freedom = noise
        limit = float(t.ppf(1 - level, freedom)) * math.sqrt(2 / len(ratios)) * deviation
        return float(np.mean(ratios)) > limit

    def _hopeless(self, study: optuna.Study, trial: FrozenTrial, level: float) -> bool:
        """Whether the trial is far worse than another on the fits that both have done."""
        from scipy.stats import norm

        mine, deviations = self.values(trial), float(norm.ppf(1 - level)) * _ASSUMED_NOISE
        for other in _others(study, trial):
            theirs = self.values(other)
            shared = [place for place in mine if place in theirs and self._ended(other, place)]
            ratios = [math.log(mine[place] / theirs[place]) for place in shared]
            if ratios and float(np.mean(ratios)) > deviations * math.sqrt(2 / len(ratios)):
                return True
        return False

    def estimate(self, study: optuna.Study, trial: FrozenTrial) -> float | None:
        """The number that a trial would have come to: that of the best one, times how much worse it was until here.

        Never less than that of the best: what is given up has not won.

        Returns:
            None while no trial is complete: then nothing is known of the folds that are left out.
        """
        complete = [t for t in _complete(study.get_trials(deepcopy=False)) if t.number != trial.number]
        if not complete:
            return None
        best = _best_of(complete)
        theirs, ratios = self.curves(best), []
        for place, curve in self.curves(trial).items():
            if place in theirs:
                ratios.append(math.log(_best(curve, max(curve)) / _best(theirs[place], max(curve))))
        number = error_of(best)
        assert number is not None
        return number * math.exp(max(0.0, float(np.mean(ratios)))) if ratios else None

    def curves(self, trial: FrozenTrial) -> Curves:
        """The reported values of a trial, fit by fit."""
        found: dict[int, dict[int, float]] = {}
        for step, value in trial.intermediate_values.items():
            found.setdefault(step // self.epochs, {})[step % self.epochs] = value
        return found

    def values(self, trial: FrozenTrial) -> dict[int, float]:
        """Place → best value, for the fits that have been reported."""
        return {place: min(curve.values()) for place, curve in sorted(self.curves(trial).items())}

    def noise(self, complete: Sequence[FrozenTrial]) -> tuple[float, int] | None:
        """The deviation of one log value of a trial and a fold, and its degrees of freedom; of the better half.

        Only trials that are good count, because bad ones are bad in their own ways.
        """
        better = sorted(complete, key=by_error)[: max(STARTUP, len(complete) // 2)]
        table = [self.values(trial) for trial in better]
        folds = [place for place in range(self.n_folds) if all(place in row for row in table)]
        if len(folds) < 2 or len(table) < 2:
            return None
        logs = np.log([[row[place] for place in folds] for row in table])
        left = logs - logs.mean(axis=0) - logs.mean(axis=1, keepdims=True) + logs.mean()
        freedom = (len(table) - 1) * (len(folds) - 1)
        return max(float(np.sqrt(np.square(left).sum() / freedom)), _LEAST_NOISE), freedom

    def _ended(self, trial: FrozenTrial, place: int) -> bool:
        """Whether a fit of a trial went to its own end."""
        return trial.state is TrialState.COMPLETE or max(trial.intermediate_values) // self.epochs > place


def _complete(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    done = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    return [trial for trial in done if (error_of(trial) or 0) > 0 and trial.intermediate_values]


def _others(study: optuna.Study, trial: FrozenTrial) -> list[FrozenTrial]:
    states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
    return [other for other in study.get_trials(deepcopy=False, states=states) if other.number != trial.number]


def _best(curve: Mapping[int, float], epoch: int) -> float:
    """The smallest value until this epoch; of a curve that begins later, its first."""
    return min((value for at, value in curve.items() if at <= epoch), default=curve[min(curve)])


def _best_of(complete: Sequence[FrozenTrial]) -> FrozenTrial:
    return min(complete, key=by_error)
