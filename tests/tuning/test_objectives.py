"""Several objectives: what may be asked for, the Pareto front, workers, winner."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import FrozenTrial, TrialState, create_trial

from greentune.objectives import cross_validation
from greentune.objectives.callbacks import PruningListener
from greentune.storage import tallies, tickets
from greentune.storage.datasets import load_dataset
from greentune.storage.rdb import open_storage
from greentune.storage.tickets import Changes, NewTicket
from greentune.tuning import queue, records, worker
from greentune.tuning.choosing import choose, top_trials
from greentune.tuning.fresh import fresh_spec
from greentune.tuning.options import as_tables
from greentune.tuning.owner import owner_of, this_worker
from greentune.tuning.pareto import error_of, front
from greentune.tuning.presets import with_preset
from greentune.tuning.snapshot import take_snapshot
from greentune.tuning.spec import SpecError, StudySpec, differences, parse_spec

from .wind_farm import study_tables, write_series

BOTH = ["rmse", "n_params"]


def spec_of(objectives: Any = (), **search: Any) -> StudySpec:
    return parse_spec(with_preset({}, {"search": {"objectives": objectives, **search}}))


def mistakes_of(objectives: Any, **search: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        spec_of(objectives, **search)
    return caught.value.mistakes


# What may be asked for


@pytest.mark.parametrize(
    ("error", "metric"), [("rmse", "val_mse"), ("mse", "val_mse"), ("mae", "val_mae"), ("loss", "val_loss")]
)
def test_first_objective_settles_the_metric_and_several_prune_nothing(error: str, metric: str) -> None:
    several, one = spec_of([error, "latency", "n_params"]), spec_of([error])
    assert (several.search.metric, several.search.pruner) == (metric, "none")
    assert (one.search.metric, one.search.pruner) == (metric, "median")
    assert spec_of([error], metric=metric, sampler="grid").search.metric == metric
    grid = spec_of([error, "n_params"], sampler="grid")
    assert (grid.search.metric, grid.training.epochs) == (metric, 30), "the documented grid with another number"


def test_command_line_and_python_ask_for_the_same() -> None:
    by_option = [as_tables({"search.objectives": given}) for given in (["rmse", "n_params"], ["rmse, n_params"])]
    specs = [parse_spec(with_preset({}, tables)) for tables in (*by_option, {"search": {"objectives": BOTH}})]
    assert specs[0] == specs[1] == specs[2]
    assert parse_spec(specs[0].model_dump(mode="json")) == specs[0], "also as a whole specification"


def test_study_of_one_objective_keeps_its_name_and_several_are_another_study() -> None:
    assert "search.objectives" not in spec_of().identity()
    assert spec_of(BOTH).study != spec_of().study
    assert any("search.objectives" in sentence for sentence in differences(spec_of(), spec_of(BOTH)))


@pytest.mark.parametrize(
    ("objectives", "search", "sentence"),
    [
        (["rmse", "n_parms"], {}, "Did you mean 'n_params'?"),
        (["rsme", "n_params"], {}, "Did you mean 'rmse'?"),
        (["rmse", "n_params", "n_params"], {}, "got n_params 2 times"),
        (["rmse", "rmse"], {}, "got rmse 2 times"),
        (["rmse", "mae"], {}, "must hold one error; got rmse and mae"),
        (["n_params", "rmse"], {}, "got n_params. Put rmse first."),
        (["latency"], {}, "Put one of rmse, mse, mae, loss before it."),
        (BOTH, {"pruner": "median"}, "must be none with several objectives"),
        (BOTH, {"metric": "val_mae"}, "rmse is judged by val_mse; got val_mae"),
        ("rmse", {}, "`search.objectives`"),
        ([3], {}, "`search.objectives.0`"),
    ],
)
def test_wrong_objectives_are_named_once(objectives: Any, search: dict[str, Any], sentence: str) -> None:
    (mistake,) = mistakes_of(objectives, **search)
    assert sentence in mistake


def test_mistakes_come_at_once() -> None:
    found = mistakes_of(["n_params", "rmse", "mae", "n_params", "size"], pruner="asha", sampler="gird")
    assert len(found) == 6


# The front

VALUES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 2)), max_size=12)


def trial(*values: float, state: TrialState = TrialState.COMPLETE, x: float = 0.0, **attributes: Any) -> FrozenTrial:
    choices = optuna.distributions.FloatDistribution(0, 10)
    return create_trial(
        state=state, values=values or None, params={"x": x}, distributions={"x": choices}, user_attrs=attributes
    )


def study_of(*trials: FrozenTrial) -> optuna.Study:
    made = optuna.create_study(directions=["minimize"] * 2)
    made.add_trials(trials)
    return made


@given(VALUES)
def test_front_holds_those_and_only_those_that_no_other_beats(values: list[tuple[int, int, int]]) -> None:
    def beats(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
        return one != other and all(a <= b for a, b in zip(one, other, strict=True))

    found = [tuple(t.values) for t in front([trial(*v) for v in values])]
    assert found == sorted(v for v in values if not any(beats(other, v) for other in values))


def test_front_leaves_out_what_has_no_result() -> None:
    unfinished = [trial(state=state) for state in (TrialState.RUNNING, TrialState.WAITING, TrialState.FAIL)]
    assert front(unfinished) == []
    assert [error_of(t) for t in (*unfinished, trial(0.5, 3.0), trial(0.25))] == [None, None, None, 0.5, 0.25]


def test_candidates_are_on_the_front_the_smallest_error_first_and_each_point_once() -> None:
    searched = study_of(
        trial(0.9, 10.0, x=1),
        trial(0.3, 90.0, x=2),
        trial(0.35, 95.0, x=3),
        trial(0.3, 90.0, x=2),
        trial(0.5, 50.0, x=4),
    )
    assert [t.number for t in top_trials(searched.trials, 3)] == [1, 4, 0]
    assert [t.number for t in top_trials(searched.trials, 2)] == [1, 4]
    spec = spec_of(BOTH).model_copy(update={"space": {"x": {"low": 0.0, "high": 10.0}}})
    again = fresh_spec(searched, spec)
    assert {point["x"] for point in again.search.points} == {1.0, 2.0, 4.0}
    assert (again.search.objectives, again.search.metric) == ((), "val_mse"), "fresh seeds are judged by the error"


def test_one_objective_chooses_among_all_trials_as_before() -> None:
    assert [t.number for t in top_trials([trial(0.5, x=1), trial(0.4, x=2), trial(0.6, x=3)], 2)] == [-1, -1]
    made = optuna.create_study()
    made.add_trials([trial(0.5, x=1), trial(0.4, x=2), trial(0.6, x=3)])
    assert [t.number for t in top_trials(made.trials, 2)] == [1, 0]


def test_rule_prefers_the_small_one_among_equals() -> None:
    def on_folds(values: list[float], size: int, x: float) -> FrozenTrial:
        common = {"seed": 0, "best_epoch": 3, "epochs": 5}
        folds = [{"fold": fold, "val_mse": value, **common} for fold, value in enumerate(values)]
        return trial(sum(values) / 3, float(size), x=x, folds=folds, n_parameters=size)

    best, small = on_folds([1.0, 1.02, 0.98], 900, 1), on_folds([1.02, 1.0, 0.99], 50, 2)
    searched = study_of(best, small, on_folds([1.01, 1.02, 0.98], 1200, 3))
    found = choose(searched, spec_of(BOTH), None)
    assert [candidate.trial for candidate in found.candidates] == [0, 1], "the third is worse in both"
    assert found.winners == (1,)


# Database and workers


def test_best_by_error_is_found_in_either_database(database_url: str) -> None:
    storage = open_storage(database_url)
    study = optuna.create_study(storage=storage, directions=["minimize"] * 2)
    added = [NewTicket({}, {"ticket": str(n)}) for n in range(3)]
    tickets.revise(storage, study._study_id, lambda _session, _rows: Changes(add=added))
    for number, values in enumerate([(0.5, 0.1), (0.3, 900.0), (0.4, 0.01)]):
        claim = tickets.claim(storage, study._study_id, owner_of(this_worker(0, "cpu"), number))
        assert claim is not None
        tickets.finish(storage, claim.trial_id, TrialState.COMPLETE, value=values[0], others=values[1:], facts={})
    assert tallies.best_numbers(storage, study._study_id, 2) == [(1, 0.3), (2, 0.4)]
    assert [t.number for t in front(study.trials)] == [t.number for t in sorted(study.best_trials, key=error_of)]  # type: ignore[type-var, arg-type]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where workers of this process find their database."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)}
    affinity = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    monkeypatch.setenv("GREENTUNE_STORAGE", f"sqlite:///{tmp_path / 'a.db'}")
    yield tmp_path
    for number, handler in handlers.items():
        signal.signal(number, handler)
    if affinity is not None:
        os.sched_setaffinity(0, affinity)


def new_study(folder: Path, **tables: Any) -> optuna.Study:
    tables = study_tables(write_series(folder / "wind.csv"), **tables)
    spec = parse_spec(with_preset({}, tables)).model_copy(update={"backend": "jax"})
    storage = open_storage(folder / "a.db")
    fingerprint, artifacts = load_dataset(spec.data).fingerprint, str(folder / "artifacts")
    study = records.create_study(storage, spec, fingerprint=fingerprint, unit="MW", artifacts=artifacts)
    queue.reconcile(study, storage, queue.plan(spec), spec.run)
    return study


def test_study_has_a_direction_and_a_name_for_each_objective_and_one_stays_as_it_was(folder: Path) -> None:
    several = new_study(folder, study="several", search={"objectives": ["mae", "latency", "n_params"]})
    assert len(several.directions) == 3
    assert several.metric_names == ["val_mae", "latency_ms", "n_params"]
    one = new_study(folder, study="one")
    assert (one.direction.name, one.metric_names) == ("MINIMIZE", None)


def test_interrupted_trial_goes_on_and_its_epochs_are_shown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    once = {"parameters": {}, "space": {"lstm_units": [[2]]}, "training": {"epochs": 4, "batch_size": 64}}
    tables = {**once, "search": {"objectives": [*BOTH, "latency"], "sampler": "grid"}, "run": {"checkpoint_every": 1}}
    study, calls = new_study(folder, **tables), 0
    told = PruningListener.__call__

    def stopped_in_the_middle(self: Any, epoch: int, values: Any) -> None:
        nonlocal calls
        told(self, epoch, values)
        calls += 1
        if calls == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(PruningListener, "__call__", stopped_in_the_middle)
    for _ in range(2):
        assert worker.work("small", worker=0) == 0
    first, second = study.trials
    assert (first.state, first.user_attrs["reason"]) == (TrialState.FAIL, "interrupted")
    assert second.state is TrialState.COMPLETE
    assert list(second.intermediate_values) == [0, 1, 2, 3], "those of the first attempt, too"
    assert 4 <= calls <= 5, "at most the epoch of the signal was trained twice"
    assert second.values is not None
    assert second.values[0] == second.user_attrs["values"]["val_mse"] == min(second.intermediate_values.values())
    assert second.values[1] == second.user_attrs["n_parameters"]
    assert second.values[2] > 0
    assert (folder / "artifacts" / "models" / "trial-1.keras").is_file()


def test_tpe_learns_from_several_values(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.simulation import worker as simulated

    def train(*given: Any, **named: Any) -> Any:
        return simulated.train(given[0], {"learning_rate": 0.1, "dropout_rate": 0.1, **given[1]}, *given[2:], **named)

    monkeypatch.setattr(cross_validation, "holdout", train)
    monkeypatch.setenv("SIMULATED_SECONDS", "0")
    space = {"lstm_units": [[2], [4], [64]], "dropout_rate": {"low": 0.0, "high": 0.9}}
    search = {"objectives": BOTH, "sampler": "tpe", "trials": 16}
    run = {"keep_best": 0, "checkpoint_every": 0}
    study = new_study(folder, parameters={}, space=space, search=search, run=run)
    assert worker.work("small", worker=0) == 0
    assert [t.state for t in study.trials] == [TrialState.COMPLETE] * 16
    best = take_snapshot(study).best
    assert best is not None
    assert best.value == min(t.values[0] for t in study.trials)
