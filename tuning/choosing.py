"""Which trial wins: candidates of the search, judged again with fresh seeds, and compared pair by pair.

The smallest of many noisy numbers is too small: the winner's curse. So the best few are trained again with seeds that
the search did not know, and what they come to then decides. What the best number of the search loses by that is its
optimism.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import fmean, median, stdev
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from .pareto import by_error, by_value, error_of, front
from .point import SEED
from .spec import SpecError
from .wording import counted

if TYPE_CHECKING:
    from .sections import WinnerSpec
    from .spec import StudySpec

Pair = tuple[int, int]
"""Seed and fold: two models that were trained with the same seed and judged on the same fold are a pair."""


@dataclass(frozen=True)
class Candidate:
    """A trial that may win.

    Attributes:
        trial: its number.
        search_value: its number in the search.
        fresh: its number with each fresh seed; empty where there was none. seeds: these.
        n_parameters: of the model; None for trials of earlier versions.
        best_epochs: of all its fits, those of the search and those with fresh seeds; from 0.
        pairs: seed and fold → value; of the fits with fresh seeds, or else of those of the search.
        behind: what its `value` is above that of the best candidate, on the seeds that both have; in percent of the
            best one's.
        behind_se: the standard error of the differences pair by pair, in percent of the same; None for fewer than two.
        pruned: whether the search gave it up; its `search_value` is then an estimate.
    """

    trial: int
    search_value: float
    fresh: tuple[float, ...]
    n_parameters: int | None
    best_epochs: tuple[int, ...]
    pairs: Mapping[Pair, float] = field(repr=False)
    seeds: tuple[int, ...] = ()
    behind: float = 0.0
    behind_se: float | None = None
    pruned: bool = False

    @property
    def value(self) -> float:
        """What counts: the mean over the fresh seeds, or else the number of the search."""
        return fmean(self.fresh) if self.fresh else self.search_value

    @property
    def epochs(self) -> int:
        """Epochs for a training without validation, which has more windows than any fit: the median, rounded up."""
        return math.ceil(median(self.best_epochs)) + 1

    def over(self, seeds: Collection[int]) -> float:
        """The mean over these fresh seeds; `value` where it has none of them."""
        found = [value for seed, value in zip(self.seeds, self.fresh, strict=True) if seed in seeds]
        return fmean(found) if found else self.value

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        found = {name: value for name, value in asdict(self).items() if name not in ("pairs", "best_epochs", "seeds")}
        return {**found, "fresh": list(self.fresh), "value": self.value, "epochs": self.epochs}


@dataclass(frozen=True)
class Choice:
    """The outcome.

    Attributes:
        rule: by which it was chosen.
        winners: trial numbers: one, or the members of an ensemble, the best first.
        candidates: the smallest `value` first.
        reason: a sentence.
        optimism: of the complete trial with the best number in the search: its fresh value above its number, in
            percent; None without fresh seeds.
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


def top_trials(trials: Sequence[FrozenTrial], n: int, directions: Sequence[str] = ()) -> list[FrozenTrial]:
    """The `n` best COMPLETE trials; of several with one point only the first.

    With several objectives only trials on the Pareto front count.

    Args:
        directions: ``minimize`` or ``maximize`` for each value; none: all are to be small.
    """
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE and trial.values]
    several = any(len(trial.values) > 1 for trial in complete)
    return _different(front(complete, directions) if several else sorted(complete, key=by_value(directions)))[:n]


def to_judge_again(trials: Sequence[FrozenTrial], winner: WinnerSpec) -> list[FrozenTrial]:
    """The trials that fresh seeds judge: the best COMPLETE ones, `top` of them if there are so many.

    Where pruning left fewer, the pruned ones with the best estimates come behind them: beside a lucky first trial
    everything else may have been given up, and one candidate alone has nothing to win against. Not for an ensemble,
    of which every candidate is a member, and not where several objectives make a front.
    """
    top = top_trials(trials, winner.top)
    if not top or winner.rule == "ensemble" or any(len(trial.values) > 1 for trial in top):
        return top
    pruned = [trial for trial in trials if trial.state is TrialState.PRUNED and trial.values]
    return _different([*top, *sorted(pruned, key=by_error)])[: winner.top]


def _different(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Of several trials with one point only the first."""
    found: dict[str, FrozenTrial] = {}
    for trial in trials:
        found.setdefault(repr(sorted(trial.params.items())), trial)
    return list(found.values())


def choose(study: optuna.Study, spec: StudySpec, fresh: optuna.Study | None) -> Choice:
    """Choose by the rule of the specification.

    Args:
        fresh: the study of the same points with fresh seeds, if there is one.

    Raises:
        SpecError: the search has no COMPLETE trial.
    """
    again = [] if fresh is None else fresh.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    top = to_judge_again(study.get_trials(deepcopy=False), spec.winner)
    if not top:
        raise SpecError(f"The study '{study.study_name}' has no finished trial yet. Run `tune` to go on with it.")
    found = [_candidate(trial, again, spec.search.metric) for trial in top]
    judged = [candidate for candidate in found if candidate.fresh]
    found = judged or [candidate for candidate in found if not candidate.pruned]
    best = min(found, key=lambda candidate: (candidate.value, candidate.trial))
    ranked = sorted((_compared(c, best) for c in found), key=lambda c: (c.value, c.trial))
    winners, reason = _by_rule(spec.winner, ranked)
    complete = [candidate for candidate in ranked if not candidate.pruned]
    first = min(complete, key=lambda candidate: (candidate.search_value, candidate.trial), default=None)
    optimism = (
        100 * (first.value / first.search_value - 1) if first and first.fresh and first.search_value > 0 else None
    )
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
    searched, judged = _scores([trial]), _scores(mine)
    best_epochs = tuple(int(score["best_epoch"]) for score in (*searched, *judged) if score["epochs"])
    number = error_of(trial)
    assert number is not None
    return Candidate(
        trial=trial.number,
        search_value=number,
        fresh=tuple(t.value for t in mine if t.value is not None),
        n_parameters=next(
            (t.user_attrs["n_parameters"] for t in (trial, *mine) if "n_parameters" in t.user_attrs), None
        ),
        best_epochs=best_epochs or (int(trial.user_attrs.get("best_epoch", 0)),),
        pairs={(int(score["seed"]), int(score["fold"])): float(score[metric]) for score in judged or searched},
        seeds=tuple(int(t.params[SEED]) for t in mine if t.value is not None),
        pruned=trial.state is TrialState.PRUNED,
    )


def _scores(trials: Sequence[FrozenTrial]) -> list[dict[str, Any]]:
    return [score for trial in trials for score in trial.user_attrs.get("folds", ())]


def _compared(candidate: Candidate, best: Candidate) -> Candidate:
    """With its distance to the best one, whose error is taken pair by pair: what is hard for both cancels out."""
    if candidate.trial == best.trial:
        return candidate
    both = set(candidate.seeds) & set(best.seeds)
    error = best.over(both)
    if error <= 0:
        return candidate
    differences = [candidate.pairs[pair] - best.pairs[pair] for pair in candidate.pairs if pair in best.pairs]
    several = len(differences) > 1
    return replace(
        candidate,
        behind=100 * (candidate.over(both) / error - 1),
        behind_se=100 * stdev(differences) / math.sqrt(len(differences)) / error if several else None,
    )


def _by_rule(winner: WinnerSpec, ranked: Sequence[Candidate]) -> tuple[tuple[int, ...], str]:
    best = ranked[0]
    judged = counted(len(best.fresh), "fresh seed") if best.fresh else "the search alone"
    if winner.rule == "ensemble" and len(ranked) > 1:
        members = tuple(candidate.trial for candidate in ranked)
        return members, f"The mean of the forecasts of the best {len(members)} trials, ranked by {judged}."
    smallest = f"Trial {best.trial} has the smallest error of {counted(len(ranked), 'candidate')}, by {judged}"
    if winner.rule != "one-se" or len(ranked) == 1:
        return (best.trial,), f"{smallest}."
    near = [c for c in ranked[1:] if c.behind_se is not None and c.behind <= c.behind_se and c.n_parameters is not None]
    simpler = [c for c in near if best.n_parameters is not None and (c.n_parameters or 0) < best.n_parameters]
    if not simpler:
        return (best.trial,), f"{smallest}{_why_no_simpler(best, ranked[1:])}."
    chosen = min(simpler, key=lambda c: (c.n_parameters or 0, c.value))
    return (chosen.trial,), (
        f"Trial {chosen.trial} is the simplest within one standard error of trial {best.trial}, which has the "
        f"smallest error by {judged}: {chosen.n_parameters:,} parameters instead of {best.n_parameters:,}, "
        f"{chosen.behind:.2f} % more error (standard error {chosen.behind_se:.2f} %)."
    )


def _why_no_simpler(best: Candidate, others: Sequence[Candidate]) -> str:
    """Why the rule of one standard error leaves it at the best one."""
    if best.n_parameters is not None and all((c.n_parameters or 0) >= best.n_parameters for c in others):
        return "; none is simpler"
    if all(c.behind_se is None for c in others):
        return "; one value each gives no standard error, within which a simpler one could be as good"
    return "; no simpler one is within one standard error of it"
