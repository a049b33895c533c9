"""What the report and the bundle say of a study, read off its trials."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from greentune.objectives.holdout import TrialResult
from greentune.objectives.training import FitResult
from greentune.tuning import records, table
from greentune.tuning.choosing import Choice, one
from greentune.tuning.facts import counts, fit_facts, study_facts, winner_facts
from greentune.tuning.pareto import front_rows
from greentune.tuning.presets import with_preset
from greentune.tuning.reporting import optimism_note, retraining_note, search_notes, seconds_at_work
from greentune.tuning.retraining import Retrained
from greentune.tuning.snapshot import take_snapshot
from greentune.tuning.spec import StudySpec, parse_spec

from .test_views import told

FOLDS = [
    {"fold": n, "repeat": 0, "seed": 0, "val_mse": 0.02, "best_epoch": n, "epochs": 5, "seconds": 1.5} for n in range(2)
]


def spec_of(**tables: Any) -> StudySpec:
    given = {"space": {"dropout_rate": [0.1, 0.2, 0.3]}, "search": {"trials": 3}, "validation": {"method": "expanding"}}
    return parse_spec(with_preset({}, {**given, **tables}))


def study_of(spec: StudySpec) -> optuna.Study:
    """Two complete trials that the metric and the unit put into different orders; one pruned, two that went back."""
    study = optuna.create_study(study_name="s")
    records.write_spec(study, spec)
    study.set_user_attr("greentune:unit", "MW")
    first = {"val_loss": 0.03, "val_mse": 0.02, "val_rmse": 203.0, "val_mae": 0.1}
    told(study, 0.1, TrialState.COMPLETE, 0.02, values=first, folds=FOLDS, best_epoch=1, n_parameters=100)
    told(study, 0.2, TrialState.COMPLETE, 0.03, values={**first, "val_mse": 0.03, "val_rmse": 188.24}, folds=FOLDS)
    told(study, 0.3, TrialState.PRUNED, 0.04, folds=FOLDS[:1], best_epoch=3)
    told(study, 0.3, TrialState.FAIL, None, reason="interrupted")
    told(study, 0.2, TrialState.FAIL, None, reason="lost")
    return study


def retrained(trial: int, optimizer: str = "adam", n_epochs: int = 3) -> Retrained:
    """A member whose model was compiled and never trained."""
    import keras

    model = keras.Sequential([keras.Input((2, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile(optimizer, loss="mae")
    fit = FitResult("val_mse", 0.055, n_epochs - 1, {"loss": [0.3] * n_epochs}, [], 3, "epochs")
    result = TrialResult(fit, {}, model)
    return Retrained(trial, "stacked_lstm", {"dropout_rate": 0.1}, None, result, 7, 2.0)  # type: ignore[arg-type]


def test_trials_are_counted_as_the_status_counts_them() -> None:
    study = study_of(spec_of())
    assert counts(take_snapshot(study)) == {"done": 2, "pruned": 1}
    assert "2 rows of tickets that went back to the queue" in search_notes(study, spec_of())[0]


def test_other_order_in_the_unit_is_said_with_its_reason() -> None:
    study = study_of(spec_of())
    assert search_notes(study, spec_of())[-1] == (
        "By RMSE in MW trial 1 would be the best (188.240), by val_mse, which decides, it is trial 0: each fold is "
        "scaled by its own training rows, so val_mse weighs the folds otherwise."
    )
    assert search_notes(study, spec_of(validation={}))[-1].endswith("it is trial 0.")
    assert not any("would be the best" in note for note in search_notes(study, spec_of(search={"metric": "val_loss"})))


def test_time_in_which_no_trial_ran_is_no_time_of_the_search() -> None:
    begun = datetime(2026, 11, 1, tzinfo=UTC)
    spans = [(0, 60), (30, 90), (40, 50), (86_400, 86_410)]
    trials = [optuna.trial.create_trial(value=1.0) for _ in spans]
    for trial, (start, end) in zip(trials, spans, strict=True):
        trial.datetime_start, trial.datetime_complete = (begun + timedelta(seconds=at) for at in (start, end))
    assert seconds_at_work(trials[::-1]) == 100.0
    assert seconds_at_work([]) is None


def test_number_that_fresh_seeds_improve_was_not_optimistic() -> None:
    assert optimism_note(None) == []
    assert optimism_note(2.04)[0].endswith("came out 2.0 % worse: that is its optimism.")
    assert optimism_note(-12.7)[0].endswith("came out 12.7 % better: it was not optimistic.")


def test_pruned_number_has_a_column_of_its_own_with_the_folds_behind_it() -> None:
    study = study_of(spec_of())
    rows = {row["trial"]: row for row in table.rows(study, spec_of())}
    assert rows[0]["val_mse"] == 0.02
    assert "val_mse_when_pruned" not in rows[0]
    assert "val_mse" not in rows[2]
    assert (rows[2]["val_mse_when_pruned"], rows[2]["folds_when_pruned"]) == (0.04, 1)


@pytest.mark.parametrize(
    ("tables", "says"),
    [
        ({"final": {"refit": "all"}}, "in the search; retrained on everything before the test part for 1 epoch."),
        ({"final": {"refit": "train"}}, "in the search, on its folds; retrained it has 0.055000, at epoch 1 of 1, on"),
        ({"final": {"refit": "train"}}, "so the two do not compare."),
        ({"final": {"refit": "train"}, "validation": {}}, "in the search; retrained it has 0.055000, at epoch 1 of 1."),
    ],
)
def test_retraining_is_compared_with_the_trial_only_where_both_were_judged_alike(
    tables: dict[str, Any], says: str
) -> None:
    spec = spec_of(**tables)
    assert says in retraining_note(study_of(spec), spec, retrained(0, n_epochs=1))


def test_facts_of_an_ensemble_are_those_of_its_members() -> None:
    spec = spec_of()
    study = study_of(spec)
    choice = Choice("ensemble", (0, 1), one(study, spec, None, 0).candidates, "", None)
    fit = fit_facts(spec, [retrained(0), retrained(1, "sgd")])
    assert [member["optimizer"]["type"] for member in fit["members"]] == ["Adam", "SGD"]
    assert "best_epoch" not in fit
    assert fit["n_parameters"] == 6
    assert [trial["trial"] for trial in study_facts(study, spec, choice)["winner"]["members"]] == [0, 1]
    alone = study_facts(study, spec, one(study, spec, None, 0))
    assert (alone["winner"]["value"], alone["trials"]) == (0.02, {"done": 2, "pruned": 1})


def test_front_has_whole_numbers_of_weights() -> None:
    spec = spec_of(search={"objectives": ["rmse", "n_params"]})
    study = optuna.create_study(directions=["minimize", "minimize"])
    study.add_trial(optuna.trial.create_trial(values=[0.1, 6355.0]))
    (row,) = front_rows(study.trials, spec)
    assert json.dumps(row["values"]) == '{"val_mse": 0.1, "n_params": 6355}'


def test_result_has_every_fold_of_the_winner() -> None:
    (facts,) = winner_facts(study_of(spec_of()), [retrained(0)])
    assert facts == {"trial": 0, "parameters": {"dropout_rate": 0.1}, "folds": FOLDS}
