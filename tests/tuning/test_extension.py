"""A study goes on in a larger space: only what is new is added, and nothing that is there changes its meaning."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from greentune.storage import fleet, tickets
from greentune.storage.rdb import open_storage
from greentune.tuning import joining, queue, records
from greentune.tuning.extension import extended_space
from greentune.tuning.machine import Machines
from greentune.tuning.opening import Opened, open_study
from greentune.tuning.owner import owner_of, this_worker
from greentune.tuning.presets import with_preset
from greentune.tuning.samplers import claim_sampler
from greentune.tuning.spec import SpecError
from greentune.tuning.supervisor import Outcome

from ..simulation.study import WORKER
from .wind_farm import study_tables, write_series

RATES = [0.0, 0.2]


@pytest.mark.parametrize(
    ("old", "new", "merged"),
    [
        ([1, 2], [1, 2, 3], [1, 2, 3]),
        ([1, 3], [1, 2, 3], [1, 3, 2]),  # the places of the old ones stay
        ([[64, 32]], [[32], [64, 32]], [[64, 32], [32]]),
        (
            {"choices": [1], "when": {"a": 1}},
            {"choices": [2, 1], "when": {"a": 1}},
            {"choices": [1, 2], "when": {"a": 1}},
        ),
        ({"low": 0, "high": 4}, {"low": 0, "high": 8}, {"low": 0, "high": 8}),
        (
            {"low": 0.2, "high": 0.4, "step": 0.1},
            {"low": 0.0, "high": 0.5, "step": 0.1},
            {"low": 0.0, "high": 0.5, "step": 0.1},
        ),
        ([1], [1], [1]),
    ],
)
def test_larger_space_keeps_the_old_values_first(old: Any, new: Any, merged: Any) -> None:
    assert extended_space({"x": old, "a": [1]}, {"x": new, "a": [1]}) == ({"x": merged, "a": [1]}, [])


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ({"x": [1, 2]}, {"x": [1]}, "`space.x` lacks the choice 2"),
        ({"x": [1]}, {"y": [1]}, "`space.x` is no longer there"),
        ({"x": [1]}, {"x": [1], "y": [1]}, "`space.y` is new"),
        ({"x": {"low": 0, "high": 4}}, {"x": {"low": 1, "high": 4}}, "is narrower than 0 to 4"),
        ({"x": {"low": 0, "high": 4}}, {"x": [0, 4]}, "was a range or a list"),
        ({"x": {"low": 1, "high": 4}}, {"x": {"low": 1, "high": 4, "log": True}}, "another step or scale"),
        (
            {"x": {"low": 0.1, "high": 0.5, "step": 0.1}},
            {"x": {"low": 0.05, "high": 0.5, "step": 0.1}},
            "steps of 0.1 miss the old values",
        ),
        (
            {"a": [1, 2], "x": {"choices": [1], "when": {"a": 1}}},
            {"a": [1, 2], "x": {"choices": [1], "when": {"a": 2}}},
            "has another condition",
        ),
    ],
)
def test_what_is_not_merely_larger_is_named(old: dict[str, Any], new: dict[str, Any], reason: str) -> None:
    (sentence,) = [s for s in extended_space(old, new)[1] if reason in s]
    assert sentence.startswith("`space.")


def opened(folder: Path, **more: Any) -> Opened:
    """The small study, created or gone on with; nothing of Keras is needed to open it."""
    series = folder / "wind.csv"
    if not series.exists():
        write_series(series)
    small = {
        "space": {"dropout_rate": RATES, "learning_rate": [0.01, 0.003]},
        "run": {"checkpoint_every": 0, "keep_best": 0},
    }
    tables = study_tables(series, **{**small, **more})
    return open_study(with_preset({}, tables), storage=folder / "a.db", out=folder)


def draw(study: Opened, *, n: int = 1) -> list[dict[str, Any]]:
    """Claim tickets, draw their points as a worker does, and tell a value."""
    points = []
    for _ in range(n):
        claimed = tickets.claim(study.storage, study.study._study_id, owner_of(this_worker(0, "cpu"), 0))
        assert claimed is not None
        study.study.sampler = claim_sampler(study.spec, claimed.ticket)
        points.append(study.spec.parsed_space().sample(optuna.trial.Trial(study.study, claimed.trial_id)))
        tickets.finish(study.storage, claimed.trial_id, TrialState.COMPLETE, value=len(points) / 7, facts={})
    return points


def test_larger_grid_adds_only_the_new_points(tmp_path: Path) -> None:
    first = opened(tmp_path)
    draw(first, n=2)
    larger = opened(tmp_path, space={"dropout_rate": [0.0, 0.1, 0.2], "learning_rate": [0.01, 0.003]})
    assert (larger.created, larger.changed.added, larger.changed.removed) == (False, 2, 0)
    draw(larger, n=4)
    done = Counter(t.user_attrs["ticket"] for t in larger.study.trials if t.state is TrialState.COMPLETE)
    assert list(done.values()) == [1] * 6
    assert opened(tmp_path, space=larger.spec.space).changed.added == 0


def test_another_rule_of_the_winner_is_taken_over(tmp_path: Path) -> None:
    opened(tmp_path, winner={"rule": "one-se"})
    again = opened(tmp_path, winner={"rule": "ensemble", "top": 2})
    assert (again.created, again.changed.added) == (False, 0)
    assert (again.spec.winner.rule, again.spec.winner.top) == ("ensemble", 2)
    assert records.read_spec(again.study).winner == again.spec.winner, "the process that delivers reads it there"


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_points_that_were_tried_first_stand_when_a_study_goes_on(sampler: str, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"sampler": sampler, "trials": 4}
    fixed = {"lstm_units": [4], "l1": 0.0, "l2": 1e-5}
    begun = asked | {"first": [{"dropout_rate": 0.2}, {"learning_rate": 0.003}]}
    first = opened(tmp_path, search=begun, parameters=fixed)
    drawn = draw(first, n=2)
    assert (drawn[0]["dropout_rate"], drawn[1]["learning_rate"]) == (0.2, 0.003)
    without = opened(tmp_path, search=asked, parameters=fixed)
    other = opened(tmp_path, search=asked | {"first": [{"dropout_rate": 0.0}], "trials": 5}, parameters=fixed)
    assert [study.spec.search.first for study in (without, other)] == [first.spec.search.first] * 2
    assert [study.changed.added for study in (without, other)] == [0, 1]
    assert without.notes == ()
    assert "keeps the points that it began with" in other.notes[0]


@pytest.mark.parametrize("sampler", ["grid", "random", "qmc"])
def test_plan_is_the_same_once_the_study_has_been_read_back(sampler: str, tmp_path: Path) -> None:
    """The parameters do not stand in alphabetical order."""
    space = {"learning_rate": [0.01, 0.003], "dropout_rate": RATES}
    asked = {"search": {"sampler": sampler, "trials": 3}, "space": space}
    first = opened(tmp_path, **asked)
    assert queue.plan(records.read_spec(first.study)) == queue.plan(first.spec)
    assert opened(tmp_path, **asked).changed.added == 0
    longer = opened(tmp_path, **(asked | {"search": {"sampler": sampler, "trials": 4}}))
    assert (longer.changed.added, longer.changed.removed) == (1, 0)


def test_more_trials_and_a_wider_range_add_the_difference(tmp_path: Path) -> None:
    space = {"dropout_rate": {"low": 0.0, "high": 0.2}, "learning_rate": [0.01, 0.003]}
    draw(opened(tmp_path, search={"sampler": "tpe", "trials": 3}, space=space), n=3)
    wider = {**space, "dropout_rate": {"low": 0.0, "high": 0.5}}
    more = opened(tmp_path, search={"sampler": "tpe", "trials": 30}, space=wider)
    assert more.changed.added == 27
    assert max(point["dropout_rate"] for point in draw(more, n=27)) > 0.2


@pytest.mark.parametrize("again", [False, True])
def test_tpe_draws_the_new_choice_beside_trials_with_the_old_ones(again: bool, tmp_path: Path) -> None:
    """Optuna refuses another list of choices under the same name, and stores the place in the list."""
    tpe = {"sampler": "tpe", "trials": 15}
    first = opened(tmp_path, search=tpe)
    before = draw(first, n=15)
    larger = {"dropout_rate": [0.0, 0.1, 0.2, 0.3], "learning_rate": [0.01, 0.003]}
    more = opened(tmp_path, search=tpe | {"trials": 40}, space=larger)
    reader = opened(tmp_path, search=tpe | {"trials": 40}, space=larger) if again else more
    after = draw(reader, n=25)
    assert {0.1, 0.3} <= {point["dropout_rate"] for point in after}
    trials = optuna.load_study(study_name="small", storage=open_storage(tmp_path / "a.db")).trials
    assert [t.params["dropout_rate"] for t in trials[:15]] == [point["dropout_rate"] for point in before]
    assert {t.distributions["dropout_rate"].choices for t in trials} == {(0.0, 0.2, 0.1, 0.3)}  # type: ignore[attr-defined]


def test_worker_that_draws_just_after_the_extension_does_no_harm(tmp_path: Path) -> None:
    """It has claimed with the old specification: its list is the beginning of the new one."""
    tpe = {"sampler": "tpe", "trials": 4}
    old = opened(tmp_path, search=tpe)
    worker = this_worker(0, "cpu")
    fleet.join(old.storage, worker)
    claimed = tickets.claim(old.storage, old.study._study_id, owner_of(worker, 0))
    assert claimed is not None
    larger = {"dropout_rate": [0.0, 0.1, 0.2], "learning_rate": [0.01, 0.003]}
    new = opened(tmp_path, search=tpe, space=larger)
    late = old.spec.parsed_space().sample(optuna.trial.Trial(old.study, claimed.trial_id))
    tickets.finish(old.storage, claimed.trial_id, TrialState.COMPLETE, value=1.0, facts={})
    draw(new, n=3)
    again = opened(tmp_path, search=tpe, space=larger)
    assert again.study.trials[0].params["dropout_rate"] == late["dropout_rate"]
    assert {t.distributions["dropout_rate"].choices for t in again.study.trials} == {(0.0, 0.2, 0.1)}  # type: ignore[attr-defined]


def test_smaller_space_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    first = opened(tmp_path)
    with pytest.raises(SpecError, match=r"lacks the choice 0\.2") as caught:
        opened(tmp_path, space={"dropout_rate": [0.0, 0.1], "learning_rate": [0.01, 0.003]})
    assert "another --study NAME" in str(caught.value)
    assert records.read_spec(first.study).space == first.spec.space
    assert len(first.study.trials) == 4


def test_running_worker_takes_the_larger_space_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "check_study_data", lambda _study, _spec: None)
    monkeypatch.setenv("SIMULATED_SECONDS", "0.8")
    first = opened(tmp_path)
    larger = {"dropout_rate": [0.0, 0.1, 0.2, 0.3], "learning_rate": [0.01, 0.003]}
    threading.Timer(2.5, lambda: opened(tmp_path, space=larger)).start()
    storage = open_storage(tmp_path / "a.db")
    outcome = joining.join_study(
        storage, first.url, "small", Machines(workers=1), out=tmp_path, quiet=True, command=WORKER
    )
    assert outcome is Outcome.FINISHED
    done = Counter(t.user_attrs["ticket"] for t in first.study.trials if t.state is TrialState.COMPLETE)
    assert list(done.values()) == [1] * 8
    assert len({t.user_attrs["owner"]["pid"] for t in first.study.trials}) == 1  # nobody was replaced for it
