"""Trials of users' code by a worker of this very process: how they end, and what is kept of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.trial import TrialState

from greentune.tuning import records, user_models, worker
from greentune.tuning.result import load_result
from greentune.tuning.shown import DRAWN, searched_space
from greentune.tuning.user_models import OtherCode

from .here import in_this_process, opened, states, trials_of, worked
from .user_code import BUILD, user_study, write_files

pytestmark = pytest.mark.slow

COMPLETE, PRUNED, FAIL, WAITING = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.WAITING

PRUNES = """
import optuna
from build import build as whole

def build(trial, input_shape, n_outputs):
    if trial.number == 1:
        raise optuna.TrialPruned
    return whole(trial, input_shape, n_outputs)
"""
FAILS = """
import os
from build import build as whole

def build(trial, input_shape, n_outputs):
    trial.suggest_int("asked_before", 1, 9)
    if str(trial.number) == os.environ.get("FAILING"):
        return inner(trial)
    return whole(trial, input_shape, n_outputs)

def inner(trial):
    if os.environ.get("NOTHING"):
        return None
    return whole(trial, "no shape", 1)
"""
SCHEDULE = """
import keras

def build(trial, input_shape, n_outputs):
    rate = trial.suggest_float("rate", 0.01, 0.1)
    model = keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(n_outputs)])
    schedule = keras.optimizers.schedules.ExponentialDecay(rate, 10, 0.9)
    model.compile(optimizer=keras.optimizers.Adam(schedule), loss="mse")
    return model
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the command, with a user's code."""
    with in_this_process(tmp_path, monkeypatch):
        yield write_files(tmp_path, prunes=PRUNES, fails=FAILS, schedule=SCHEDULE)


@pytest.mark.parametrize("nothing", ["", "1"])
def test_trial_that_cannot_be_built_fails_and_the_study_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, nothing: str
) -> None:
    study = opened(folder, user_study(folder, builder="fails.py:build"))  # where none could be built, it is refused
    monkeypatch.setenv("FAILING", "1")
    monkeypatch.setenv("NOTHING", nothing)
    assert worker.work("mine", worker=0) == 0
    found = trials_of(folder, "mine")
    assert [trial.state for trial in found].count(COMPLETE) == 3
    assert records.stopped_by(study.study) == []
    assert (found[1].state, found[1].user_attrs["reason"]) == (FAIL, "error")
    assert found[1].user_attrs[DRAWN] == {"asked_before": found[1].params["asked_before"]}
    detail = found[1].user_attrs["detail"]
    files = {line.split('"')[1] for line in detail.splitlines() if line.startswith("  File")}
    assert files == (set() if nothing else {str(folder / "fails.py"), str(folder / "build.py")})


def test_retried_ticket_has_what_was_drawn_before(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(folder, user_study(folder, builder="fails.py:build"))
    monkeypatch.setenv("FAILING", "1")
    assert worker.work("mine", worker=0) == 0
    found = trials_of(folder, "mine")
    (again,) = [trial for trial in found[2:] if trial.user_attrs["ticket"] == found[1].user_attrs["ticket"]]
    assert again.params["asked_before"] == found[1].params["asked_before"]
    assert len({trial.params["asked_before"] for trial in found}) > 1, "others draw others"


def test_builder_may_give_a_trial_up(folder: Path) -> None:
    worked(folder, user_study(folder, builder="prunes.py:build"))
    assert states(folder, "mine") == [COMPLETE, PRUNED, COMPLETE]


def test_model_with_a_schedule_of_its_own_keeps_it(folder: Path) -> None:
    study = worked(folder, user_study(folder, builder="schedule.py:build", search={"trials": 1}))
    assert study.spec.training.decay > 0
    assert states(folder, "mine") == [COMPLETE]


def test_builder_with_the_contract_is_searched_in_its_own_space(folder: Path) -> None:
    study = worked(folder, user_study(folder, builder="contract.py:Mine", parameters={"depth": 1}))
    assert study.spec.space == {"units": [2, 4]}
    found = trials_of(folder, "mine")
    assert [trial.state for trial in found] == [COMPLETE] * 3
    assert all(trial.params.keys() == {"units"} and DRAWN not in trial.user_attrs for trial in found)


@pytest.mark.long
def test_space_of_the_study_goes_before_that_of_the_builder_and_of_the_function(folder: Path) -> None:
    own = {"units": [3], "batch_size": [16, 32]}
    worked(folder, user_study(folder, study="contract", builder="contract.py:Mine", space=own))
    assert {trial.params["units"] for trial in trials_of(folder, "contract")} == {3}
    function = user_study(
        folder, study="function", builder="build.py:build", space={"n_layers": [2], "batch_size": [32]}
    )
    worked(folder, function)
    for trial in trials_of(folder, "function"):
        assert trial.state is COMPLETE
        assert trial.params.keys() == {"n_layers", "batch_size", "units_0", "units_1", "rate"}
        assert trial.user_attrs[DRAWN].keys() == {"n_layers", "units_0", "units_1", "rate"}


@pytest.mark.long
def test_builder_itself_is_searched_with_conditions(folder: Path) -> None:
    mine, contract = f"{folder}/build.py:build", f"{folder}/contract.py:Mine"
    space = {
        "builder": ["stacked_lstm", "build.py:build", "contract.py:Mine"],
        "lstm_units": {"choices": [[2], [3]], "when": {"builder": "stacked_lstm"}},
        "units": {"choices": [2, 3], "when": {"builder": "contract.py:Mine"}},
    }
    first = [{"builder": key} for key in ("stacked_lstm", mine, contract)]
    worked(folder, user_study(folder, space=space, search={"first": first}))
    found = {trial.params["builder"]: trial for trial in trials_of(folder, "mine")}
    assert all(trial.state is COMPLETE for trial in found.values())
    assert found["stacked_lstm"].params.keys() == {"builder", "lstm_units"}
    assert found[contract].params.keys() == {"builder", "units"}
    assert {"builder", "n_layers", "units_0", "rate"} <= found[mine].params.keys()
    shown = load_result("mine", storage=folder / "a.db", out=folder / "runs").trials
    assert set(shown["builder"]) == {"stacked_lstm", "build.py:build", "contract.py:Mine"}


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_defaults_of_a_hypermodel_are_tried_first(folder: Path, sampler: str) -> None:
    worked(folder, user_study(folder, hypermodel="hyper.py:Mine", search={"sampler": sampler, "trials": 2}))
    first, second = trials_of(folder, "mine")
    assert first.user_attrs[DRAWN] == {"kind": "deep", "depth": 2, "lr": 0.01}
    assert first.params == {"kind": "deep", "depth [kind=deep]": 2, "lr": 0.01}
    assert second.user_attrs[DRAWN]["lr"] != 0.01


def test_hypermodel_with_a_loop_of_its_own_is_reported_epoch_by_epoch(folder: Path) -> None:
    worked(folder, user_study(folder, hypermodel="hyper.py:Loop", search={"trials": 2}))
    for trial in trials_of(folder, "mine"):
        assert (trial.state, len(trial.intermediate_values)) == (COMPLETE, 2)
        assert trial.value == min(trial.intermediate_values.values())


def test_listed_points_may_name_what_the_code_draws(folder: Path) -> None:
    points = [{"n_layers": 1, "units_0": 3, "rate": 0.05}, {"n_layers": 1, "units_0": 2, "rate": 0.02}]
    raw = user_study(folder, builder="build.py:build", search={"sampler": "points", "points": points, "trials": None})
    raw["search"].pop("trials")
    worked(folder, raw)
    assert [trial.params for trial in trials_of(folder, "mine")] == points


def test_study_starts_from_what_another_ones_code_has_drawn(folder: Path) -> None:
    worked(folder, user_study(folder, builder="build.py:build"))
    best = sorted(trials_of(folder, "mine"), key=lambda trial: trial.value or 0)[:2]
    raw = user_study(folder, study="next", builder="build.py:build", search={"start_from": "mine", "start_best": 2})
    worked(folder, raw)
    assert [trial.params for trial in trials_of(folder, "next")[:2]] == [trial.params for trial in best]


def test_edited_code_is_refused_by_name_and_may_be_accepted(folder: Path) -> None:
    raw = user_study(folder, builder="build.py:build")
    opened(folder, raw)
    (folder / "build.py").write_text(BUILD + "# edited\n")
    with pytest.raises(OtherCode, match=r"build.py \(edited\).*--accept-code"):
        opened(folder, raw)
    accepted = opened(folder, raw, accept_code=True)
    again = opened(folder, raw)
    assert (accepted.created, again.created) == (False, False), "accepted once and for all"
    for each in (accepted, again):
        assert any("The code was changed while the study was on its way (build.py (edited))" in n for n in each.notes)


def test_worker_whose_host_has_other_code_leaves_the_study_to_others(folder: Path) -> None:
    study = opened(folder, user_study(folder, builder="build.py:build"))
    (folder / "build.py").write_text(BUILD + "# edited\n")
    user_models._loaded.clear()  # a worker's process begins with nothing
    assert worker.work("mine", worker=0) == records.EXIT_DATA
    assert states(folder, "mine") == [WAITING] * 3
    assert records.stopped_by(study.study) == []


def test_value_that_the_code_no_longer_offers_is_left_to_the_sampler(folder: Path) -> None:
    first = [{"n_layers": 99, "units_0": "many", "rate": 5.0}]
    worked(folder, user_study(folder, builder="build.py:build", search={"first": first, "trials": 1}))
    (trial,) = trials_of(folder, "mine")
    assert trial.state is COMPLETE
    assert trial.params["n_layers"] in (1, 2)
    assert 0 < trial.params["rate"] < 1


def test_what_code_has_searched_is_told_as_a_space(folder: Path) -> None:
    study = worked(folder, user_study(folder, builder="build.py:build"))
    found = searched_space(study.study, study.spec)
    assert set(found) >= {"n_layers", "units_0", "rate"}
    assert found["n_layers"] == {"low": 1, "high": 2}
    assert found["rate"]["low"] < found["rate"]["high"]
