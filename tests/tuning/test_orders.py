"""What people say to a study from any machine: one more point, and going on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from greentune.storage import fleet, tickets
from greentune.storage.mistakes import Mistake
from greentune.storage.rdb import open_storage
from greentune.storage.resilient import ResilientStorage
from greentune.tuning import orders, queue, records
from greentune.tuning.owner import owner_of, this_worker

from ..simulation.study import new_study, spec_of

SPACE: dict[str, Any] = {
    "lstm_units": [[32], [64, 32]],
    "dropout_rate": {"low": 0.0, "high": 0.4, "step": 0.1},
    "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "batch_size": [16, 32],
    "optimizer": ["adam", "sgd"],
    "clipnorm": {"low": 0.5, "high": 5.0, "when": {"optimizer": "sgd"}},
}
GRID = {"lstm_units": [[32], [64, 32]], "dropout_rate": [0.1, 0.2], "learning_rate": [0.001]}


def made(folder: Path, **search: Any) -> tuple[optuna.Study, ResilientStorage]:
    space = GRID if search.get("sampler") == "grid" else SPACE
    trials = None if search.get("sampler") == "grid" else 2
    spec = spec_of("s", search={"sampler": "tpe", "trials": trials, **search})
    spec = spec.model_copy(update={"space": space})
    storage, study = new_study(f"sqlite:///{folder / 'a.db'}", spec, folder)
    return study, storage


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> tuple[optuna.Study, ResilientStorage]:
    """A study that no test changes."""
    return made(tmp_path_factory.mktemp("unchanged"))


def points(study: optuna.Study) -> list[dict[str, Any]]:
    """The fixed parameters of what waits, blanks left out."""
    waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    return [t.system_attrs["fixed_params"] for t in waiting if t.system_attrs["fixed_params"]]


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("lstm_units=[64,32]", {"lstm_units": "64-32"}),
        ("lstm_units=[64, 32]", {"lstm_units": "64-32"}),
        ("lstm_units=64-32", {"lstm_units": "64-32"}),
        ("lstm_units=32", {"lstm_units": "32"}),
        ("dropout_rate=0.30", {"dropout_rate": 0.3}),
        ("dropout_rate=0", {"dropout_rate": 0.0}),
        ("learning_rate=1e-3", {"learning_rate": 0.001}),
        (" learning_rate = 5E-4 ", {"learning_rate": 0.0005}),
        ("batch_size=16", {"batch_size": 16}),
        ("optimizer=sgd", {"optimizer": "sgd"}),
        ('optimizer="sgd"', {"optimizer": "sgd"}),
    ],
)
def test_part_of_a_point_is_enqueued_and_the_sampler_draws_the_rest(
    text: str, stored: dict[str, Any], tmp_path: Path
) -> None:
    study, storage = made(tmp_path)
    _, state = orders.enqueue(study, storage, [text])
    assert state == "added"
    assert points(study) == [stored]
    spec = records.read_spec(study)
    claimed = tickets.claim(storage, study._study_id, owner_of(this_worker(0, "cpu"), 0))
    assert claimed is not None, "the point comes before the two of the plan"
    drawn = spec.parsed_space().sample(optuna.trial.Trial(study, claimed.trial_id))
    assert stored.items() <= study.trials[claimed.number].params.items()
    assert {"lstm_units", "dropout_rate", "learning_rate", "batch_size", "optimizer"} <= drawn.keys()


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        ([], "Nothing to enqueue"),
        (["learning_rate"], "name=value; got `learning_rate`"),
        (["learning_rat=0.001"], "Did you mean 'learning_rate'?"),
        (["learning_rate=0.5"], "must lie in 0.0001 … 0.01; got 0.5"),
        (["learning_rate=nan"], "must lie in"),
        (["learning_rate=fast"], "must be a number from 0.0001 to 0.01; got fast"),
        (["learning_rate=true"], "must be a number"),
        (["dropout_rate=0.15"], "goes in steps of 0.1 from 0.0; got 0.15"),
        (["lstm_units=[64]"], "must be one of 32, 64-32; got [64]"),
        (["lstm_units=[64,"], "must be one of 32, 64-32"),
        (["batch_size=48"], "A new value comes with a larger space"),
        (["batch_size=16", "batch_size=32"], "given twice"),
        (["optimizer=adam", "clipnorm=1.0"], "searched only where optimizer is sgd; got optimizer=adam"),
    ],
)
def test_wrong_point_is_refused_with_rule_value_and_way_out(
    texts: list[str], sentence: str, unchanged: tuple[optuna.Study, ResilientStorage]
) -> None:
    study, storage = unchanged
    with pytest.raises(Mistake) as caught:
        orders.enqueue(study, storage, texts)
    assert sentence in str(caught.value)
    assert points(study) == []


def test_all_mistakes_of_a_point_come_at_once(unchanged: tuple[optuna.Study, ResilientStorage]) -> None:
    study, storage = unchanged
    with pytest.raises(Mistake) as caught:
        orders.enqueue(study, storage, ["learning_rat=1", "batch_size=48", "x"])
    assert len(caught.value.mistakes) == 3


@pytest.mark.parametrize("sampler", ["grid", "random", "qmc"])
def test_only_tpe_draws_what_is_left_out(sampler: str, tmp_path: Path) -> None:
    study, storage = made(tmp_path, sampler=sampler)
    with pytest.raises(Mistake, match="`dropout_rate` is missing") as caught:
        orders.enqueue(study, storage, ["lstm_units=32", "learning_rate=0.001"])
    assert "Give dropout_rate=VALUE" in str(caught.value)


def test_point_that_waits_runs_is_done_or_cannot_succeed_is_not_enqueued_again(tmp_path: Path) -> None:
    study, storage = made(tmp_path, trials=1)
    blank = tickets.claim(storage, study._study_id, owner_of(this_worker(0, "cpu"), 0))
    assert blank is not None
    tickets.finish(storage, blank.trial_id, TrialState.COMPLETE, value=1.0, facts={})
    for n, (state, reason) in enumerate([(TrialState.COMPLETE, None), (TrialState.FAIL, "nonfinite")], start=1):
        texts = [f"batch_size={16 * n}"]
        assert orders.enqueue(study, storage, texts)[1] == "added"
        assert orders.enqueue(study, storage, texts)[1] == "waiting"
        claimed = tickets.claim(storage, study._study_id, owner_of(this_worker(0, "cpu"), n))
        assert claimed is not None
        assert orders.enqueue(study, storage, texts)[1] == "running"
        facts = {} if reason is None else {"reason": reason}
        tickets.finish(storage, claimed.trial_id, state, value=1.0 if reason is None else None, facts=facts)
    assert orders.enqueue(study, storage, ["batch_size=16"])[1] == "done"
    assert orders.enqueue(study, storage, ["batch_size=32"])[1] == "failed"
    assert points(study) == []


def test_point_of_the_plan_is_known_whatever_its_key(tmp_path: Path) -> None:
    study, storage = made(tmp_path, sampler="random")
    (first, _) = points(study)
    assert orders.enqueue(study, storage, [f"{name}={value}" for name, value in first.items()])[1] == "waiting"


def test_point_of_the_grid_waits_already(tmp_path: Path) -> None:
    study, storage = made(tmp_path, sampler="grid")
    whole = ["learning_rate=1e-3", "lstm_units=64-32", "dropout_rate=0.2"]
    assert orders.enqueue(study, storage, whole)[1] == "waiting"


def test_point_that_a_trial_has_drawn_itself_is_done(tmp_path: Path) -> None:
    study, storage = made(tmp_path, trials=1)
    claimed = tickets.claim(storage, study._study_id, owner_of(this_worker(0, "cpu"), 0))
    assert claimed is not None
    records.read_spec(study).parsed_space().sample(optuna.trial.Trial(study, claimed.trial_id))
    tickets.finish(storage, claimed.trial_id, TrialState.PRUNED, value=1.0, facts={})
    drawn = [f"{name}={value}" for name, value in study.trials[0].params.items()]
    assert orders.enqueue(study, storage, drawn)[1] == "done"


def test_resume_takes_back_a_pause_and_keeps_its_time(tmp_path: Path) -> None:
    study, storage = made(tmp_path)
    records.begin_run(study, now=fleet.now(storage), timeout=100)
    until = study.user_attrs[records.UNTIL]
    records.order(study, records.PAUSE_NOW)
    orders.resume(study, storage)
    assert study.user_attrs[records.CONTROL] == records.RUN
    assert study.user_attrs[records.UNTIL] == until


@pytest.mark.parametrize("how", ["stop", "message", "time"])
def test_resume_after_an_end_gives_new_time_from_the_next_claim(how: str, tmp_path: Path) -> None:
    study, storage = made(tmp_path)
    records.begin_run(study, now=fleet.now(storage) - 200, timeout=100 if how == "time" else 500)
    if how == "message":
        records.order(study, records.PAUSE)
        records.stop(study, ["every worker has failed"])
    elif how == "stop":
        records.order(study, records.STOP)
    orders.resume(study, storage)
    assert records.stopped_by(study) == []
    assert study.user_attrs[records.CONTROL] == records.RUN
    assert study.user_attrs[records.UNTIL] is None


def test_resume_puts_back_the_tickets_of_those_who_were_stopped(tmp_path: Path) -> None:
    study, storage = made(tmp_path, sampler="grid")
    claimed = tickets.claim(storage, study._study_id, owner_of(this_worker(0, "cpu"), 0))
    assert claimed is not None
    records.order(study, records.STOP)
    tickets.finish(storage, claimed.trial_id, TrialState.FAIL, facts={"reason": "interrupted"})
    assert len(points(study)) == 3
    orders.resume(study, storage)
    assert len(points(study)) == 4


def test_study_of_another_version_says_so(tmp_path: Path) -> None:
    study, storage = made(tmp_path)
    study.set_user_attr(records.SPEC, study.user_attrs[records.SPEC].replace('"seed"', '"seeds"'))
    with pytest.raises(records.StudyError, match="made by another version of greentune"):
        orders.enqueue(study, storage, ["batch_size=16"])
    assert queue.anybody_at_work(open_storage(tmp_path / "a.db"), study)
