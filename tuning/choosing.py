"""Which trial wins: candidates of the search, judged again with fresh seeds, and compared pair by pair.

The smallest of many noisy numbers is too small: the winner's curse. So the best few are trained again with seeds that
the search did not know, and what they come to then decides. What the best number of the search loses by that is its
optimism.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from ..objectives.cross_validation import median_epoch
from .pareto import by_error, error_of, front
from .point import SEED
from .spec import SpecError

if TYPE_CHECKING:
    from .spec import StudySpec, WinnerSpec

Pair = tuple[int, int]
"""Seed and fold: two models that were trained with the same seed and judged on the same fold are a pair."""


@dataclass(frozen=True)
class Candidate:
    """A trial that may win.

    Attributes:
        trial: its number.
        search_value: its number in the search.
        fresh: its number with each fresh seed; empty where there was none.
        n_parameters: of the model; None for trials of earlier versions.
        best_epochs: of all fits that speak for it, from 0.
        pairs: seed and fold → value.
        behind: mean over the pairs of what its error is above that of the best candidate, in percent.
        behind_se: the standard error of that.
    """

    trial: int
    search_value: float
    fresh: tuple[float, ...]
    n_parameters: int | None
    best_epochs: tuple[int, ...]
    pairs: Mapping[Pair, float] = field(repr=False)
    behind: float = 0.0
    behind_se: float | None = None

    @property
    def value(self) -> float:
        """What counts: the mean over the fresh seeds, or else the number of the search."""
        return fmean(self.fresh) if self.fresh else self.search_value

    @property
    def epochs(self) -> int:
        """Epochs for a training without validation: the median of the best ones."""
        return median_epoch(self.best_epochs) + 1

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        found = {name: value for name, value in asdict(self).items() if name not in ("pairs", "best_epochs")}
        return {**found, "fresh": list(self.fresh), "value": self.value, "epochs": self.epochs}


@dataclass(frozen=True)
class Choice:
    """The outcome.

    Attributes:
        rule: by which it was chosen.
        winners: trial numbers: one, or the members of an ensemble, the best first.
        candidates: the smallest `value` first.
        reason: a sentence.
        optimism: of the trial with the best number in the search: its fresh value above its number, in percent; None
            without fresh seeds.
    """

    rule: str
    winners: tuple[int, ...]
    candidates: tuple[Candidate, ...]
    reason: str
    optimism: float | None

    def candidate(self, trial: int) -> Candidate:
        """The candidate of that number."""
        return next(candidate for candidate in self.candidates if candidate.trial == trial)

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``result.json``, the bundle and the report."""
        return {
            "rule": self.rule,
            "winners": list(self.winners),
            "reason": self.reason,
            "optimism_percent": self.optimism,
            "candidates": [candidate.to_json() for candidate in self.candidates],
        }


def top_trials(trials: Sequence[FrozenTrial], n: int) -> list[FrozenTrial]:
    """The `n` COMPLETE trials with the smallest numbers; of several with one point only the first.

    With several objectives only trials on the Pareto front count.
    """
    found: dict[str, FrozenTrial] = {}
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE and trial.values]
    several = any(len(trial.values) > 1 for trial in complete)
    for trial in front(complete) if several else sorted(complete, key=by_error):
        found.setdefault(repr(sorted(trial.params.items())), trial)
    return list(found.values())[:n]


def choose(study: optuna.Study, spec: StudySpec, fresh: optuna.Study | None) -> Choice:
    """Choose by the rule of the specification.

    Args:
        fresh: the study of the same points with fresh seeds, if there is one.

    Raises:
        SpecError: the search has no COMPLETE trial.
    """
    again = [] if fresh is None else fresh.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    top = top_trials(study.get_trials(deepcopy=False), spec.winner.top)
    if not top:
        raise SpecError(f"The study '{study.study_name}' has no finished trial yet. Run `tune` to go on with it.")
    found = [_candidate(trial, again, spec.search.metric) for trial in top]
    if any(candidate.fresh for candidate in found):
        found = [candidate for candidate in found if candidate.fresh]
    best = min(found, key=lambda candidate: (candidate.value, candidate.trial))
    ranked = sorted((_compared(c, best) for c in found), key=lambda c: (c.value, c.trial))
    winners, reason = _by_rule(spec.winner, ranked)
    first = min(ranked, key=lambda candidate: (candidate.search_value, candidate.trial))
    optimism = 100 * (first.value / first.search_value - 1) if first.fresh and first.search_value > 0 else None
    return Choice(spec.winner.rule, winners, tuple(ranked), reason, optimism)


def one(study: optuna.Study, spec: StudySpec, fresh: optuna.Study | None, number: int) -> Choice:
    """The choice that a user has made.

    Raises:
        SpecError: that trial is not COMPLETE.
    """
    trials = study.get_trials(deepcopy=False)
    if not 0 <= number < len(trials) or trials[number].state is not TrialState.COMPLETE:
        state = trials[number].state.name if 0 <= number < len(trials) else "unknown"
        raise SpecError(
            f"`trial` must be the number of a COMPLETE trial; {number} is {state}. "
            "The study's trials.csv (grid_results.csv) lists them."
        )
    again = [] if fresh is None else fresh.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    candidate = _candidate(trials[number], again, spec.search.metric)
    return Choice("asked", (number,), (candidate,), f"Trial {number} was asked for.", None)


def _candidate(trial: FrozenTrial, again: Sequence[FrozenTrial], metric: str) -> Candidate:
    mine = [t for t in again if {name: value for name, value in t.params.items() if name != SEED} == trial.params]
    mine.sort(key=lambda t: t.params[SEED])
    speaking = mine or [trial]
    scores = [score for t in speaking for score in t.user_attrs.get("folds", ())]
    best_epochs = tuple(int(score["best_epoch"]) for score in scores if score["epochs"])
    number = error_of(trial)
    assert number is not None
    return Candidate(
        trial=trial.number,
        search_value=number,
        fresh=tuple(t.value for t in mine if t.value is not None),
        n_parameters=trial.user_attrs.get("n_parameters"),
        best_epochs=best_epochs or (int(trial.user_attrs.get("best_epoch", 0)),),
        pairs={(int(score["seed"]), int(score["fold"])): float(score[metric]) for score in scores},
    )


def _compared(candidate: Candidate, best: Candidate) -> Candidate:
    """With its distance to the best one, pair by pair: what makes a fold or a seed hard for both cancels out."""
    common = [pair for pair in candidate.pairs if pair in best.pairs and best.pairs[pair] > 0]
    ratios = [100 * (candidate.pairs[pair] / best.pairs[pair] - 1) for pair in common]
    if candidate.trial == best.trial or not ratios:
        return candidate
    error = stdev(ratios) / math.sqrt(len(ratios)) if len(ratios) > 1 else None
    values = asdict(candidate) | {"behind": fmean(ratios), "behind_se": error, "pairs": candidate.pairs}
    return Candidate(**values)


def _by_rule(winner: WinnerSpec, ranked: Sequence[Candidate]) -> tuple[tuple[int, ...], str]:
    best = ranked[0]
    judged = f"{len(best.fresh)} fresh seeds" if best.fresh else "the search alone"
    if winner.rule == "ensemble" and len(ranked) > 1:
        members = tuple(candidate.trial for candidate in ranked)
        return members, f"The mean of the forecasts of the best {len(members)} trials, ranked by {judged}."
    smallest = f"Trial {best.trial} has the smallest error of {len(ranked)} candidates, by {judged}"
    if winner.rule != "one-se" or len(ranked) == 1:
        return (best.trial,), f"{smallest}."
    near = [c for c in ranked[1:] if c.behind_se is not None and c.behind <= c.behind_se and c.n_parameters is not None]
    simpler = [c for c in near if best.n_parameters is not None and (c.n_parameters or 0) < best.n_parameters]
    if not simpler:
        return (best.trial,), f"{smallest}; no simpler one is within one standard error of it."
    chosen = min(simpler, key=lambda c: (c.n_parameters or 0, c.value))
    return (chosen.trial,), (
        f"Trial {chosen.trial} is the simplest within one standard error of trial {best.trial}, which has the "
        f"smallest error by {judged}: {chosen.n_parameters:,} parameters instead of {best.n_parameters:,}, "
        f"{chosen.behind:.2f} % more error (standard error {chosen.behind_se:.2f} %)."
    )
