"""Which trial wins: by fresh seeds, by the rule, with what the search's best number lost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import stdev
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from greentune.tuning.choosing import choose, one, to_judge_again, top_trials
from greentune.tuning.sections import WinnerSpec
from greentune.tuning.spec import SpecError, StudySpec

SEEDS = (11, 12, 13)


def trial(
    x: float,
    values: Sequence[float],
    *,
    seed: int = 0,
    n_parameters: int = 100,
    best_epochs: Sequence[int] = (4, 9, 5),
    listed: bool = False,
) -> FrozenTrial:
    """A COMPLETE trial at `x` with one value a fold."""
    params: dict[str, Any] = {"x": x} | ({"seed": seed} if listed else {})
    folds = [
        {"fold": i, "seed": seed, "val_mse": v, "best_epoch": best_epochs[i % len(best_epochs)], "epochs": 20}
        for i, v in enumerate(values)
    ]
    distributions: dict[str, Any] = {"x": FloatDistribution(0, 1)}
    return create_trial(
        value=sum(values) / len(values),
        params=params,
        distributions=distributions | ({"seed": IntDistribution(0, 2**31 - 1)} if listed else {}),
        user_attrs={"n_parameters": n_parameters, "folds": folds},
    )


def spec(**winner: Any) -> StudySpec:
    return StudySpec(study="s", winner=WinnerSpec(**winner))


def study(*trials: FrozenTrial) -> optuna.Study:
    made = optuna.create_study()
    made.add_trials(trials)
    return made


SEARCH = study(
    trial(0.1, [1.0], n_parameters=900), trial(0.2, [1.1], n_parameters=500), trial(0.3, [1.2], n_parameters=100)
)


def again(**by_x: Sequence[float]) -> optuna.Study:
    """Fresh values by seed; the names are ``x01``, ``x02`` …"""
    rows = [
        trial(int(name[1:]) / 10, [value], seed=seed, listed=True)
        for name, values in by_x.items()
        for seed, value in zip(SEEDS, values, strict=True)
    ]
    return study(*rows)


def test_fresh_seeds_decide_and_the_optimism_is_that_of_the_best_number() -> None:
    found = choose(SEARCH, spec(rule="best"), again(x1=(1.3, 1.2, 1.25), x2=(1.1, 1.2, 1.15), x3=(1.3, 1.4, 1.5)))
    assert found.winners == (1,)
    assert [candidate.trial for candidate in found.candidates] == [1, 0, 2]
    assert found.candidate(0).fresh == (1.3, 1.2, 1.25)
    assert found.optimism == pytest.approx(25.0)
    assert "3 fresh seeds" in found.reason


def test_simplest_within_one_standard_error_wins() -> None:
    fresh = again(x1=(1.00, 1.10, 1.05), x2=(1.02, 1.09, 1.06), x3=(1.5, 1.6, 1.4))
    found = choose(SEARCH, spec(rule="one-se"), fresh)
    second = found.candidate(1)
    assert second.behind_se is not None
    assert 0 < second.behind <= second.behind_se
    assert found.winners == (1,)
    assert "500 parameters instead of 900" in found.reason
    assert choose(SEARCH, spec(rule="best"), fresh).winners == (0,)


def test_distance_to_the_best_is_that_of_the_columns_beside_it() -> None:
    """The mean of the ratios would be 25 %, and the differences cancel out."""
    fresh = again(x1=(1.0, 4.0, 2.0), x2=(2.0, 3.0, 2.7), x3=(9.0, 9.0, 9.0))
    found = choose(SEARCH, spec(rule="one-se"), fresh)
    best, second = found.candidate(0), found.candidate(1)
    assert second.behind == pytest.approx(100 * (second.value / best.value - 1)) == pytest.approx(10.0)
    assert second.behind_se == pytest.approx(100 * stdev([1.0, -1.0, 0.7]) / math.sqrt(3) / (7 / 3))
    assert found.winners == (1,)


def test_distance_to_the_best_is_on_the_seeds_that_both_have() -> None:
    trials = [*again(x1=(1.0, 2.0, 3.0)).trials[:2], *again(x2=(1.1, 2.2, 9.0)).trials]
    assert choose(SEARCH, spec(), study(*trials)).candidate(1).behind == pytest.approx(10.0)


def one_fresh(*values: float) -> optuna.Study:
    return study(*(trial(n / 10, [value], seed=11, listed=True) for n, value in enumerate(values, start=1)))


def test_reason_speaks_of_a_standard_error_only_where_there_is_one() -> None:
    assert choose(SEARCH, spec(), one_fresh(1.0, 1.1, 1.2)).reason == (
        "Trial 0 has the smallest error of 3 candidates, by 1 fresh seed; one value each gives no standard error, "
        "within which a simpler one could be as good."
    )
    assert "by the search alone; one value each gives no standard error" in choose(SEARCH, spec(), None).reason
    simplest = choose(SEARCH, spec(), again(x1=(2.0, 2.1, 2.0), x2=(1.9, 1.8, 2.3), x3=(1.0, 1.1, 1.2)))
    assert simplest.reason == "Trial 2 has the smallest error of 3 candidates, by 3 fresh seeds; none is simpler."


def test_simpler_one_that_is_surely_worse_does_not_win() -> None:
    found = choose(SEARCH, spec(rule="one-se"), again(x1=(1.0, 1.1, 1.05), x2=(1.1, 1.2, 1.15), x3=(1.2, 1.3, 1.25)))
    assert found.winners == (0,)
    assert "no simpler one" in found.reason


def test_ensemble_has_all_candidates_the_best_first() -> None:
    found = choose(SEARCH, spec(rule="ensemble", top=2), again(x1=(1.3, 1.2, 1.25), x2=(1.1, 1.2, 1.15)))
    assert found.winners == (1, 0)


def test_without_fresh_seeds_the_folds_of_the_search_are_the_pairs() -> None:
    searched = study(
        trial(0.1, [1.0, 3.0, 2.0], n_parameters=900),
        trial(0.2, [1.01, 2.97, 2.05], n_parameters=50),
        trial(0.3, [1.3, 3.9, 2.6], n_parameters=10),
    )
    found = choose(searched, spec(), None)
    assert found.optimism is None
    assert found.winners == (1,), "the third is 30 % worse on every fold, however hard the folds are"


def test_epochs_of_the_retraining_are_the_median_of_the_best_ones() -> None:
    searched = study(trial(0.1, [1.0, 2.0, 3.0], best_epochs=(4, 9, 5)))
    assert choose(searched, spec(), None).candidate(0).epochs == 6


def test_epochs_come_from_the_fits_of_the_search_and_those_with_fresh_seeds() -> None:
    searched = study(trial(0.1, [1.0], best_epochs=(1,)), trial(0.2, [1.1], best_epochs=(1,)))
    fresh = study(*(trial(x, [1.2], seed=11, listed=True, best_epochs=(0,)) for x in (0.1, 0.2)))
    assert choose(searched, spec(), fresh).candidate(0).epochs == 2, "the median of 2 and 1, rounded up"


def pruned(x: float, estimate: float) -> FrozenTrial:
    distributions: dict[str, Any] = {"x": FloatDistribution(0, 1)}
    found = create_trial(state=TrialState.PRUNED, value=estimate, params={"x": x}, distributions=distributions)
    assert found.values == [estimate]
    return found


def test_pruned_trials_fill_up_the_candidates_where_few_are_complete() -> None:
    searched = study(trial(0.1, [1.0]), pruned(0.2, 1.4), pruned(0.3, 1.0), pruned(0.4, 1.2), pruned(0.1, 1.0))
    judged = [t.number for t in to_judge_again(searched.trials, WinnerSpec(top=3))]
    assert judged == [0, 2, 3], (
        "the complete one first although an estimate equals it; another try at its point is none"
    )
    assert len(to_judge_again(searched.trials, WinnerSpec(top=1))) == 1
    assert len(to_judge_again(searched.trials, WinnerSpec(top=3, rule="ensemble"))) == 1
    assert to_judge_again(searched.trials[1:], WinnerSpec(top=3)) == [], "nothing is complete: no winner"
    assert [t.number for t in to_judge_again(SEARCH.trials, WinnerSpec(top=2))] == [0, 1]


def test_pruned_trial_that_was_better_with_fresh_seeds_wins() -> None:
    searched = study(trial(0.1, [1.0], n_parameters=900), pruned(0.2, 1.0))
    found = choose(searched, spec(rule="one-se"), again(x1=(1.2, 1.3, 1.4), x2=(1.1, 1.0, 1.2)))
    assert found.winners == (1,)
    assert found.candidate(1).pruned
    assert found.candidate(1).n_parameters == 100, "of the model that was trained again"
    assert found.optimism == pytest.approx(30.0), "that of the complete trial"
    assert found.to_json()["candidates"][0]["pruned"] is True


def test_pruned_trial_does_not_win_by_its_estimate() -> None:
    searched = study(pruned(0.2, 1.0), trial(0.1, [1.0]))
    assert [candidate.trial for candidate in choose(searched, spec(), None).candidates] == [1]


def test_candidates_are_different_points() -> None:
    twice = study(trial(0.1, [1.0]), trial(0.1, [1.0]), trial(0.2, [2.0]))
    assert [t.number for t in top_trials(twice.trials, 2)] == [0, 2]


def test_asked_for_trial_is_taken_and_a_wrong_number_refused() -> None:
    assert one(SEARCH, spec(), None, 2).winners == (2,)
    with pytest.raises(SpecError, match="7 is unknown"):
        one(SEARCH, spec(), None, 7)
    waiting = optuna.create_study()
    waiting.enqueue_trial({})
    with pytest.raises(SpecError, match="0 is WAITING"):
        one(waiting, spec(), None, 0)
    with pytest.raises(SpecError, match="no finished trial"):
        choose(waiting, spec(), None)
    assert waiting.trials[0].state is TrialState.WAITING


def test_plain_values_hold_what_the_report_needs() -> None:
    found = choose(SEARCH, spec(), None).to_json()
    assert found["winners"] == [0]
    assert {"trial", "search_value", "fresh", "value", "behind", "behind_se", "epochs"} <= found["candidates"][0].keys()
