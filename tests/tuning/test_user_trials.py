"""Trials of users' code by a worker of this very process: how they end, and what is kept of them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from greentune.storage.dataset import Dataset
from greentune.storage.rdb import open_storage
from greentune.tuning import probe, probing, records, user_models, worker
from greentune.tuning.opening import Opened, open_study
from greentune.tuning.presets import with_preset
from greentune.tuning.result import load_result
from greentune.tuning.shown import DRAWN
from greentune.tuning.spec import StudySpec
from greentune.tuning.user_models import OtherCode

from .user_code import BUILD, function_study, imports_undone, user_study, write_files

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


def looked_at_here(spec: StudySpec, dataset: Dataset | None, *, timed: bool = False) -> probe.Looked:
    """The first look, without a process of its own, which would take seconds: test_checking has real ones."""
    shape = [1, 1, 1] if dataset is None else [dataset.lookback, dataset.n_features, dataset.n_outputs]
    request = {"spec": spec.model_dump(mode="json"), "shape": shape, "timed": timed}
    return probe.Looked(**vars(probing.probe(request)))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the command; what a worker changes in its process is put back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(probe, "look", looked_at_here)
    monkeypatch.setenv("GREENTUNE_STORAGE", f"sqlite:///{tmp_path / 'a.db'}")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)}
    affinity = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    with imports_undone():
        yield write_files(tmp_path, prunes=PRUNES, fails=FAILS, schedule=SCHEDULE)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    if affinity is not None:
        os.sched_setaffinity(0, affinity)


def opened(folder: Path, raw: dict[str, Any], **options: Any) -> Opened:
    return open_study(with_preset({}, raw), storage=folder / "a.db", out=folder / "runs", **options)


def worked(folder: Path, raw: dict[str, Any], *, code: int = 0) -> Opened:
    """The study, opened and worked off."""
    study = opened(folder, raw)
    assert worker.work(study.spec.study, worker=0) == code
    return study


def trials_of(folder: Path, study: str) -> list[FrozenTrial]:
    return optuna.load_study(study_name=study, storage=open_storage(folder / "a.db")).trials


def states(folder: Path, study: str) -> list[TrialState]:
    return [trial.state for trial in trials_of(folder, study)]


def test_function_is_called_with_the_live_trial(folder: Path) -> None:
    worked(folder, function_study(folder, "square"))
    for trial in trials_of(folder, "square"):
        assert (trial.state, trial.value) == (COMPLETE, (trial.params["x"] - 2) ** 2)


def test_trial_that_the_function_gives_up_is_pruned_with_its_last_report(folder: Path) -> None:
    worked(folder, function_study(folder, "pruned"))
    found = trials_of(folder, "pruned")
    assert [trial.state for trial in found] == [COMPLETE, PRUNED] * 2
    assert found[1].value == found[1].params["x"] + 1 == found[1].intermediate_values[1]


def test_value_that_is_no_number_fails_the_trial_once_and_the_study_goes_on(folder: Path) -> None:
    worked(folder, function_study(folder, "nan_at_first"))
    found = trials_of(folder, "nan_at_first")
    assert [trial.state for trial in found] == [FAIL, COMPLETE, COMPLETE, COMPLETE]
    assert (found[0].user_attrs["reason"], found[0].user_attrs["detail"]) == ("nonfinite", "value became nan in epoch 0")


@pytest.mark.parametrize(
    ("name", "directions", "sentence"),
    [
        ("nothing", [], "must return a number, as the study has 1 direction; it returned None"),
        ("two", [], "must return a number, as the study has 1 direction; it returned ("),
        ("square", ["minimize", "maximize"], "must return 2 numbers, as the study has 2 directions; it returned "),
    ],
)
def test_wrong_number_of_values_stops_the_study(folder: Path, name: str, directions: list[str], sentence: str) -> None:
    raw = function_study(folder, name, search={"directions": directions})
    study = worked(folder, raw, code=records.EXIT_SETUP)
    assert states(folder, name) == [FAIL, WAITING, WAITING, WAITING]
    (stopped,) = records.stopped_by(study.study)
    assert sentence in stopped
    assert "--direction" in stopped


@pytest.mark.parametrize("text", ["numpy.float32(x)", "numpy.array(x)", "int(x)", "keras.ops.convert_to_tensor(x)"])
def test_numbers_of_libraries_are_numbers(folder: Path, text: str) -> None:
    code = f"import keras, numpy\ndef number(trial):\n    x = trial.suggest_int('x', 1, 9)\n    return {text}\n"
    (folder / "objectives.py").write_text(code)
    worked(folder, function_study(folder, "number"))
    assert [trial.value for trial in trials_of(folder, "number")] == [t.params["x"] for t in trials_of(folder, "number")]


def test_error_of_the_function_keeps_its_own_frames_and_the_ticket_is_tried_again(folder: Path) -> None:
    worked(folder, function_study(folder, "broken"))
    found = trials_of(folder, "broken")
    assert [trial.state for trial in found].count(COMPLETE) == 4
    detail = found[1].user_attrs["detail"]
    assert [line.split(", in ")[1] for line in detail.splitlines() if line.startswith("  File")] == ["broken", "inner"]
    assert detail.endswith("RuntimeError: my own reason")


def test_largest_value_is_the_best_where_it_is_maximised(folder: Path) -> None:
    worked(folder, function_study(folder, "square", search={"directions": ["maximize"]}))
    result = load_result("square", storage=folder / "a.db", out=folder / "runs")
    assert result.best is not None
    assert result.best["value"] == max(trial.value or 0 for trial in trials_of(folder, "square"))


def test_two_directions_make_a_front(folder: Path) -> None:
    worked(folder, function_study(folder, "two", search={"directions": ["maximize", "minimize"]}))
    result = load_result("two", storage=folder / "a.db", out=folder / "runs").to_json()
    for row in result["pareto"]:
        better = [
            trial.number
            for trial in trials_of(folder, "two")
            if trial.values[0] > row["values"]["value_0"] and trial.values[1] < row["values"]["value_1"]
        ]
        assert better == []
    assert {"value_0", "value_1"} <= set(result["pareto"][0]["values"])


def test_budget_of_all_workers_ends_the_search(folder: Path) -> None:
    worked(folder, function_study(folder, "square", search={"worker_seconds": 1e-6}))
    assert states(folder, "square") == [COMPLETE, WAITING, WAITING, WAITING]


def test_search_without_a_gain_ends_in_either_direction(folder: Path) -> None:
    text = "def {0}(trial):\n    return {1}trial.number\n"
    (folder / "objectives.py").write_text(text.format("worse", "") + text.format("better", "0.01 ** "))
    for name, done in (("worse", 4), ("better", 9)):
        worked(folder, function_study(folder, name, search={"trials": 9, "until_no_gain": 3}))
        assert states(folder, name).count(COMPLETE) == done, name


def test_first_trial_that_cannot_be_built_stops_the_study(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = opened(folder, user_study(folder, builder="fails.py:build"))  # the probe has built one
    monkeypatch.setenv("FAILING", "0")
    assert worker.work("mine", worker=0) == records.EXIT_SETUP
    assert states(folder, "mine") == [FAIL, WAITING, WAITING]
    (stopped,) = records.stopped_by(study.study)
    assert stopped.startswith("The very first trial failed while its model was built:\n")
    assert "in inner" in stopped


def test_first_trial_whose_model_is_none_stops_the_study(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = opened(folder, user_study(folder, builder="fails.py:build"))
    monkeypatch.setenv("FAILING", "0")
    monkeypatch.setenv("NOTHING", "1")
    assert worker.work("mine", worker=0) == records.EXIT_SETUP
    assert records.stopped_by(study.study) == [
        "fails.py:build must return a Keras model; it returned nothing. End it with `return model`."
    ]


@pytest.mark.parametrize("nothing", ["", "1"])
def test_later_trial_that_cannot_be_built_fails_and_the_study_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, nothing: str
) -> None:
    study = opened(folder, user_study(folder, builder="fails.py:build"))
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


def test_space_of_the_study_goes_before_that_of_the_builder_and_of_the_function(folder: Path) -> None:
    own = {"units": [3], "batch_size": [16, 32]}
    worked(folder, user_study(folder, study="contract", builder="contract.py:Mine", space=own))
    assert {trial.params["units"] for trial in trials_of(folder, "contract")} == {3}
    function = user_study(folder, study="function", builder="build.py:build", space={"n_layers": [2], "batch_size": [32]})
    worked(folder, function)
    for trial in trials_of(folder, "function"):
        assert trial.state is COMPLETE
        assert trial.params.keys() == {"n_layers", "batch_size", "units_0", "units_1", "rate"}
        assert trial.user_attrs[DRAWN].keys() == {"n_layers", "units_0", "units_1", "rate"}


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


def test_study_of_a_function_that_is_maximised_starts_from_the_largest_values(folder: Path) -> None:
    search: dict[str, Any] = {"directions": ["maximize"]}
    worked(folder, function_study(folder, "square", search=search))
    best = max(trials_of(folder, "square"), key=lambda trial: trial.value or 0)
    again = {**search, "start_from": "square", "start_best": 1, "trials": 1}
    worked(folder, function_study(folder, "square", study="next", search=again))
    assert [trial.params for trial in trials_of(folder, "next")] == [best.params]


def test_edited_code_is_refused_by_name_and_may_be_accepted(folder: Path) -> None:
    raw = user_study(folder, builder="build.py:build")
    opened(folder, raw)
    (folder / "build.py").write_text(BUILD + "# edited\n")
    with pytest.raises(OtherCode, match=r"build.py \(edited\).*--accept-code"):
        opened(folder, raw)
    assert not opened(folder, raw, accept_code=True).created
    assert not opened(folder, raw).created, "accepted once and for all"


def test_worker_whose_host_has_other_code_leaves_the_study_to_others(folder: Path) -> None:
    study = opened(folder, user_study(folder, builder="build.py:build"))
    (folder / "build.py").write_text(BUILD + "# edited\n")
    user_models._loaded.clear()  # a worker's process begins with nothing
    assert worker.work("mine", worker=0) == records.EXIT_DATA
    assert states(folder, "mine") == [WAITING] * 3
    assert records.stopped_by(study.study) == []
