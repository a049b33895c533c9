"""A new study that begins with what an earlier one found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from greentune.storage import tickets
from greentune.tuning.opening import Opened, open_study
from greentune.tuning.owner import owner_of, this_worker
from greentune.tuning.presets import with_preset
from greentune.tuning.samplers import claim_sampler
from greentune.tuning.spec import SpecError

from .wind_farm import study_tables, write_series

RATES = {"low": 0.0, "high": 0.4}


def opened(folder: Path, study: str, **more: Any) -> Opened:
    """A study of a database in the folder, created or gone on with."""
    series = folder / "wind.csv"
    if not series.exists():
        write_series(series)
    small = {
        "study": study,
        "search": {"sampler": "tpe", "trials": 8},
        "space": {"dropout_rate": RATES, "learning_rate": [0.01, 0.003]},
        "parameters": {"lstm_units": [4], "l1": 0.0, "l2": 1e-5},
    }
    tables = study_tables(series, **(small | more))
    return open_study(with_preset({}, tables), storage=folder / "a.db", out=folder)


def draw(study: Opened, n: int) -> list[dict[str, Any]]:
    """Claim tickets and draw their points as a worker does; a smaller dropout rate is better."""
    points = []
    for _ in range(n):
        claimed = tickets.claim(study.storage, study.study._study_id, owner_of(this_worker(0, "cpu"), 0))
        assert claimed is not None
        study.study.sampler = claim_sampler(study.spec, claimed.ticket)
        point = study.spec.parsed_space().sample(optuna.trial.Trial(study.study, claimed.trial_id))
        value, others = point["dropout_rate"], [1.0] * (len(study.study.directions) - 1)
        tickets.finish(study.storage, claimed.trial_id, TrialState.COMPLETE, value=value, others=others, facts={})
        points.append(point)
    return points


def search(**more: Any) -> dict[str, Any]:
    return {"sampler": "tpe", "trials": 8, "start_from": "old", **more}


def mistakes(folder: Path, study: str = "new", **more: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        opened(folder, study, **more)
    return caught.value.mistakes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With the study `old`, of which eight trials are complete."""
    draw(opened(tmp_path, "old"), n=8)
    return tmp_path


def test_best_points_of_the_other_study_are_drawn_first_the_best_one_before_the_others(folder: Path) -> None:
    found = optuna.load_study(study_name="old", storage=opened(folder, "old").storage)
    best = sorted(found.trials, key=lambda trial: trial.values)[:3]
    new = opened(folder, "new", search=search(start_best=3))
    assert draw(new, n=3) == [trial.params for trial in best]
    assert len(new.study.trials) == 8
    assert new.notes[0].startswith("starting from old: 3 points of its best trials (")
    assert len(new.notes) == 1, "everything could be taken as it is"


def test_points_of_the_file_come_before_those_of_the_other_study(folder: Path) -> None:
    new = opened(folder, "new", search=search(first=[{"dropout_rate": 0.33}], sampler="random"))
    first = draw(new, n=2)
    assert first[0]["dropout_rate"] == 0.33
    assert len(new.spec.search.first) == 6
    assert first[1] == new.spec.search.first[1]


def test_what_does_not_fit_is_told(folder: Path) -> None:
    space = {"dropout_rate": {"low": 0.35, "high": 0.5}, "lstm_units": [[4], [8]]}
    data = {"path": str(folder / "wind.csv"), "target": "wind_ms", "unit": "m/s", "lookback": 4}
    new = opened(folder, "new", search=search(start_best=2), space=space, parameters={}, data=data)
    assert new.spec.search.first == ({"dropout_rate": 0.35, "lstm_units": [4]},)
    said = "\n".join(new.notes)
    assert "old forecasts power_mw in MW, this study wind_ms in m/s" in said
    assert "and becomes 0.35" in said
    assert "learning_rate: " in said


def test_what_makes_no_sense_is_refused_with_all_other_mistakes(folder: Path) -> None:
    found = mistakes(folder, search=search(start_from="odl"), training={"epochs": 0})
    assert any("there is no 'odl'. Did you mean 'old'?" in sentence for sentence in found)
    assert any("`training.epochs`" in sentence for sentence in found)
    assert "another study; got 'old' itself" in mistakes(folder, "old", search=search())[0]
    assert "with the same metric; 'old' minimises val_mse" in mistakes(folder, search=search(metric="val_mae"))[0]
    (several,) = mistakes(folder, search=search(objectives=["mse", "n_params"]))
    assert "with the same objectives; 'old' minimises val_mse, this one val_mse and n_params" in several
    opened(folder, "begun")
    assert "'begun' has none yet" in mistakes(folder, search=search(start_from="begun"))[0]
    assert "`search.start_from` goes before" in mistakes(folder, search=search(sampler="grid"), space=GRID)[0]
    nothing = mistakes(folder, search=search(), space={"feature_groups": [[]]})
    assert "'old' knows none of feature_groups" in nothing[0]
    assert "new" not in optuna.get_all_study_names(opened(folder, "old").storage), "nothing was made"


GRID = {"dropout_rate": [0.0, 0.1]}


def test_database_that_is_not_there_is_a_mistake_and_is_not_made(tmp_path: Path) -> None:
    assert any("a.db" in sentence for sentence in mistakes(tmp_path, search=search()))
    assert not (tmp_path / "a.db").exists()


def test_study_that_has_begun_goes_on_with_its_own_start(folder: Path) -> None:
    first = opened(folder, "new", search=search(start_best=2))
    draw(opened(folder, "old", search={"sampler": "tpe", "trials": 12}), n=4)  # others may be the best by now
    for again in (search(start_best=2), {"sampler": "tpe", "trials": 8}):
        more = opened(folder, "new", search=again)
        assert (more.created, more.changed.added, more.notes) == (False, 0, ())
        assert more.spec.search.first == first.spec.search.first
        assert more.spec.search.start_from == "old"
    opened(folder, "third")
    assert "search.start_from: the study has 'old', the command asks for 'third'" in str(
        mistakes(folder, search=search(start_from="third"))
    )
    assert "search.start_best: the study has 2, the command asks for 5" in str(mistakes(folder, search=search()))
    assert "the study has None, the command asks for 'old'" in str(mistakes(folder, "third", search=search()))


def test_name_of_a_study_does_not_say_what_it_starts_from(folder: Path) -> None:
    started, plain = (opened(folder, "", search=given) for given in (search(), {"sampler": "tpe", "trials": 8}))
    assert started.spec.study == plain.spec.study
    assert (started.created, plain.created) == (True, False)
