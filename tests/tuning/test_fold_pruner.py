"""Pruning of trials with several fits: within a fold, between folds, and what is known of a trial that was ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from greentune.tuning.fold_pruner import FoldPruner
from greentune.tuning.pruners import make_pruner

EPOCHS, FOLDS = 10, 5
PRUNER = FoldPruner(EPOCHS, FOLDS)
DIFFICULTY = (1.0, 3.0, 0.5, 2.0, 4.0)


def curve(level: float, n: int = EPOCHS) -> list[float]:
    """Falls to `level` in its last epoch."""
    return [level * (1 + (n - 1 - epoch) / n) for epoch in range(n)]


def trial(
    folds: Sequence[Sequence[float]], state: TrialState = TrialState.COMPLETE, value: float | None = None
) -> FrozenTrial:
    reported = {place * EPOCHS + epoch: v for place, values in enumerate(folds) for epoch, v in enumerate(values)}
    if value is None and state is TrialState.COMPLETE:
        value = float(np.mean([min(values) for values in folds]))
    return create_trial(
        state=state,
        value=value,
        params={"x": 0.5},
        distributions={"x": FloatDistribution(0, 1)},
        intermediate_values=reported,
    )


def of_quality(factor: float, noise: Sequence[float] = (), n_folds: int = FOLDS) -> list[list[float]]:
    factors = [factor * (1 + (noise[i] if noise else 0)) for i in range(n_folds)]
    return [curve(difficulty * by) for difficulty, by in zip(DIFFICULTY, factors, strict=False)]


def study(*trials: FrozenTrial) -> optuna.Study:
    made = optuna.create_study(pruner=PRUNER)
    made.add_trials(trials)
    return made


def running(folds: Sequence[Sequence[float]]) -> FrozenTrial:
    found = trial(folds, TrialState.RUNNING)
    found.number = 99
    return found


NOISE: Mapping[int, Sequence[float]] = {
    0: (0.01, -0.02, 0.02, -0.01, 0.0),
    1: (-0.01, 0.01, 0.0, 0.02, -0.02),
    2: (0.02, 0.0, -0.02, 0.01, -0.01),
    3: (0.0, 0.02, -0.01, -0.02, 0.01),
}
KNOWN = [trial(of_quality(1 + 0.02 * i, NOISE[i])) for i in range(4)]


@pytest.mark.parametrize("fold", range(FOLDS))
def test_fold_is_compared_with_the_same_fold_of_others(fold: int) -> None:
    """The second fold is three times as hard as the first: its values are no worse for that."""
    good, bad = of_quality(0.9), of_quality(2.0)
    assert not PRUNER.prune(study(*KNOWN), running([*good[:fold], good[fold][:6]]))
    assert PRUNER.prune(study(*KNOWN), running([*good[:fold], bad[fold][:6]]))


def test_trial_near_the_best_goes_on_though_it_is_worse_than_the_median() -> None:
    assert not PRUNER.prune(study(*KNOWN), running([of_quality(1.15)[0][:6]]))
    assert PRUNER.prune(study(*KNOWN), running([of_quality(1.25)[0][:6]]))


def test_where_the_best_trial_began_slowly_others_may() -> None:
    slow = trial([[9.0] * 7 + [0.5] * 3, *of_quality(0.5)[1:]])
    assert not PRUNER.prune(study(*KNOWN, slow), running([[9.5] * 6]))
    assert PRUNER.prune(study(*KNOWN, slow), running([[11.0] * 6]))
    assert PRUNER.prune(study(*KNOWN, slow), running([[9.5] * 9])), "by now the best one was better"


def test_nothing_ends_before_half_of_the_epochs_or_while_little_is_known() -> None:
    bad = of_quality(3.0)
    assert not PRUNER.prune(study(*KNOWN), running([bad[0][:4]]))
    assert PRUNER.prune(study(*KNOWN), running([bad[0][:5]]))
    assert not PRUNER.prune(study(*KNOWN[:1]), running([bad[0][:5]]))
    assert not PRUNER.prune(study(*KNOWN), running([]))


def test_fit_that_stopped_early_counts_with_its_best() -> None:
    early = [trial([curve(1.0)[5:], *of_quality(1.0)[1:]]) for _ in range(3)]  # five epochs, then patience ended it
    assert PRUNER.prune(study(*early), running([[1.9] * 9]))
    assert not PRUNER.prune(study(*early), running([[1.9] * 8 + [0.9]]))


def test_trials_that_were_ended_in_a_fold_count_up_to_there_only() -> None:
    ended = [trial([curve(1.0)[:6]], TrialState.PRUNED, value=1.5) for _ in range(3)]
    assert PRUNER.prune(study(*ended), running([[9.0] * 6]))
    assert not PRUNER.prune(study(*ended), running([[9.0] * 7])), "nobody knows the seventh epoch"


def test_trial_that_is_surely_worse_ends_between_folds_and_one_that_may_not_be_goes_on() -> None:
    assert PRUNER.worse(study(*KNOWN), running(of_quality(1.2, n_folds=2)), planned=FOLDS)
    assert not PRUNER.worse(study(*KNOWN), running(of_quality(1.0, NOISE[2], n_folds=2)), planned=FOLDS)
    assert not PRUNER.worse(study(*KNOWN), running(of_quality(0.8, n_folds=2)), planned=FOLDS)


def test_before_the_noise_is_known_only_what_is_hopeless_ends() -> None:
    known, alone = study(*KNOWN[:2]), study()
    assert PRUNER.worse(known, running(of_quality(1.2, n_folds=1)), planned=FOLDS)
    assert PRUNER.worse(known, running(of_quality(1.12, n_folds=2)), planned=FOLDS)
    assert not PRUNER.worse(known, running(of_quality(1.1, n_folds=1)), planned=FOLDS)
    assert not PRUNER.worse(alone, running(of_quality(9.0, n_folds=2)), planned=FOLDS)


def test_trials_that_still_run_count_with_the_folds_that_they_have_done() -> None:
    other = trial([*of_quality(1.0, n_folds=1), curve(3.0)[:4]], TrialState.RUNNING)
    assert PRUNER.worse(study(other), running(of_quality(2.0, n_folds=2)), planned=FOLDS)
    unfinished = trial([curve(1.0)[:9]], TrialState.RUNNING)
    assert not PRUNER.worse(study(unfinished), running(of_quality(2.0, n_folds=1)), planned=FOLDS)
    assert PRUNER.prune(study(other, other), running([curve(2.0)[:6]]))
    assert not PRUNER.prune(study(other, unfinished), running([*of_quality(1.0, n_folds=1), curve(9.0)[:6]]))


def test_running_trial_is_not_compared_with_itself() -> None:
    made = study(trial(of_quality(1.0, n_folds=2), TrialState.RUNNING))
    (itself,) = made.trials
    assert not PRUNER.worse(made, itself, planned=FOLDS)
    assert not PRUNER.prune(made, itself)


def test_with_many_pairs_the_signed_rank_test_decides() -> None:
    repeats = [trial([*of_quality(1 + 0.02 * i, NOISE[i]), *of_quality(1 + 0.02 * i, NOISE[3 - i])]) for i in range(4)]
    worse = running([*of_quality(1.3), *of_quality(1.3, n_folds=4)])
    up_and_down = (0.5, -0.5, 0.5, -0.5, 0.4)
    mixed = running([*of_quality(1.0, up_and_down), *of_quality(1.0, (-0.4, 0.5, -0.5, 0.1), n_folds=4)])
    assert PRUNER.worse(study(*repeats), worse, planned=10)
    assert not PRUNER.worse(study(*repeats), mixed, planned=10)
    same = running([*of_quality(1.0, NOISE[0]), *of_quality(1.0, NOISE[3], n_folds=4)])
    assert not PRUNER.worse(study(*repeats), same, planned=10), "ratios of exactly one say nothing"


@pytest.mark.parametrize(("better", "most"), [(1.0, 0.45), (0.97, 0.25), (0.94, 0.1)])
def test_good_trials_are_seldom_ended(better: float, most: float) -> None:
    """Trials of one quality that differ by noise of 3 %, and one that is as good or better: how often it ends early.

    The reference is the best of six, which is lucky itself: that costs some of the error probability.
    """
    random, ended, rounds = np.random.default_rng(0), 0, 400
    for _ in range(rounds):
        noisy = np.exp(0.03 * random.standard_normal((7, FOLDS))) * np.array(DIFFICULTY)
        made = study(*(trial([curve(value) for value in row]) for row in noisy[:6]))
        row = [curve(better * value) for value in noisy[6]]
        ended += any(PRUNER.worse(made, running(row[:done]), planned=FOLDS) for done in range(1, FOLDS))
    assert ended / rounds < most, ended / rounds


def test_estimate_is_what_the_whole_trial_would_have_come_to() -> None:
    best = KNOWN[0]
    assert best.value is not None
    half = running(of_quality(1.5, n_folds=2))
    estimate = PRUNER.estimate(study(*KNOWN), half)
    assert estimate == pytest.approx(1.5 * best.value, rel=0.02)
    in_the_middle = running([of_quality(1.5)[0][:4]])
    assert PRUNER.estimate(study(*KNOWN), in_the_middle) == pytest.approx(1.5 * best.value, rel=0.02)
    assert PRUNER.estimate(study(), half) is None


def test_median_of_several_fits_is_that_of_each_fold() -> None:
    assert make_pruner("median", 20, n_folds=5) == FoldPruner(20, 5)
    assert make_pruner("median", 20, n_folds=1, n_seeds=2) == FoldPruner(20, 1)
    assert isinstance(make_pruner("median", 20), optuna.pruners.MedianPruner)
