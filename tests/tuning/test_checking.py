"""What is said of a study before it is started."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from greentune.tuning.checking import Report, check, lines
from greentune.tuning.presets import with_preset
from greentune.tuning.spec import SpecError, read_toml

from .user_code import function_study, user_study, write_files
from .wind_farm import study_tables, write_series

TEN_MISTAKES = """
seed = -1
builder = "biuld.py:build"
backend = "torch"
hypermodel = "hyper.py:Mine"
[data]
path = "wnid.csv"
target = "power_mw"
lookback = 0
[search]
sampler = "tpee"
trials = 0
[training]
epochs = 0
decay = 0.5
reduce_lr_patience = 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_files(tmp_path)


def mistakes(raw: dict[str, Any]) -> list[str]:
    with pytest.raises(SpecError) as caught:
        check(with_preset(raw, {}), timed=False)
    return caught.value.mistakes


def test_every_mistake_of_a_file_comes_at_once(folder: Path) -> None:
    (folder / "study.toml").write_text(TEN_MISTAKES)
    found = mistakes(read_toml(folder / "study.toml"))
    for rule in (
        "`seed` must be",
        "`backend` must be",
        "`builder` must name a file that exists",
        "got `builder` and `hypermodel`",
        "wnid.csv. Did you mean 'wind.csv'",
        "`lookback` must be",
        "`search.sampler` must be a known name; got 'tpee'. Did you mean 'tpe'",
        "`search.trials` must be",
        "`training.epochs` must be",
        "`training.decay` and `training.reduce_lr_patience`",
    ):
        assert sum(rule in sentence for sentence in found) == 1, rule
    assert len(found) == 10


def test_types_values_and_columns_that_are_wrong_come_together(folder: Path) -> None:
    data = {
        "path": str(folder / "wind.csv"),
        "target": "wind_powr_mw",
        "circular": "wind",
        "split": [0.7, 0.2],
        "horizon": 0,
        "timezone": "Pariss",
        "scaling": "robust",
    }
    found = mistakes({"data": data, "validation": {"borders": "month"}, "search": {"trials": "many"}})
    for rule in (
        "`data.circular` must be a list; got 'wind'",
        "`data.split` must have 3 values; got [0.7, 0.2]",
        "`data.scaling` must be a known name",
        "`search.trials` must be a whole number; got 'many'",
        "`validation.borders` is of expanding and sliding windows; got month with holdout",
        "`horizon` must be at least 1; got 0",
        "`timezone` must be an IANA name; got 'Pariss'",
        "no column 'wind_powr_mw'",
    ):
        assert sum(rule in sentence for sentence in found) == 1, (rule, found)


def test_refused_target_is_not_said_to_be_missing(folder: Path) -> None:
    found = mistakes({"data": {"path": str(folder / "wind.csv"), "target": 3, "horizon": 0}})
    assert [sentence[:22] for sentence in found if "target" in sentence] == ["`data.target` must be "]
    assert sum("`horizon` must be at least 1" in sentence for sentence in found) == 1


def test_nothing_is_written_by_a_check(folder: Path) -> None:
    before = sorted(folder.rglob("*.*"))
    report = check(with_preset({}, study_tables(folder / "wind.csv")), timed=False)
    assert (report.tickets, report.fits, report.cost, report.n_parameters) == (6, 1, None, None)
    assert [path for path in sorted(folder.rglob("*.*")) if path.suffix != ".pyc"] == before


def test_leak_is_a_mistake(folder: Path) -> None:
    import pandas as pd

    frame = pd.read_csv(folder / "wind.csv")
    frame["copied"] = frame["power_mw"].shift(-1)
    frame.dropna().to_csv(folder / "wind.csv", index=False)
    (leak,) = mistakes(study_tables(folder / "wind.csv"))
    assert "Leak in the data" in leak
    assert "'copied'" in leak


def test_mistake_of_the_users_code_is_found_by_a_process_of_its_own(folder: Path) -> None:
    (folder / "build.py").write_text("def build(trial, shape): ...\n")
    (mistake,) = mistakes(user_study(folder, builder="build.py:build"))
    assert "it takes (trial, shape). Change its signature." in mistake


def test_process_that_dies_is_told_with_its_last_words(folder: Path) -> None:
    (folder / "build.py").write_text(
        "import os, sys\nsys.stderr.write('my last words')\nsys.stderr.flush()\nos._exit(7)\n"
    )
    (mistake,) = mistakes(user_study(folder, builder="build.py:build"))
    assert "The user's code could not be looked at" in mistake
    assert mistake.endswith("my last words")


def test_note_on_the_users_code_stands_in_the_report(folder: Path) -> None:
    report = check(
        with_preset({}, user_study(folder, builder="build.py:build", parameters={"n_layer": 1})), timed=False
    )
    assert any("Did you mean 'n_layers'?" in line for line in lines(report))
    assert (report.model, report.tickets) == ("build.py:build", 3)
    assert report.n_parameters is not None


def test_objective_function_has_no_cost_and_no_data(folder: Path) -> None:
    report = check(with_preset({}, function_study(folder, "square", search={"directions": ["maximize"]})))
    assert (report.windows, report.cost, report.n_parameters, report.tickets) == (None, None, None, 4)
    assert lines(report) == [
        "study    square",
        "model    objectives.py:square; on jax",
        "search   4 tickets by tpe; pruner median, judged by value",
    ]


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Report]:
    """The same study with one worker and with two; folds, fresh seeds and a retraining on everything."""
    folder = tmp_path_factory.mktemp("timed")
    tables = study_tables(
        write_series(folder / "wind.csv"),
        backend="jax",
        search={"sampler": "tpe", "trials": 7, "pruner": "median", "timeout": 3},
        validation={"method": "expanding", "n_splits": 2},
        winner={"fresh_seeds": 2, "top": 3},
        training={"epochs": 5},
        final={"epochs": 4},
    )
    one = check(with_preset({}, tables), workers=1)
    return one, check(with_preset({}, tables), workers=2)


@pytest.mark.long
@pytest.mark.slow
def test_cost_adds_up(timed: tuple[Report, Report]) -> None:
    for report, workers in zip(timed, (1, 2), strict=True):
        cost = report.cost
        assert cost is not None
        assert cost.workers == workers
        assert report.fits == 2
        # The older of the two folds is the smaller one.
        epochs = (cost.trial_seconds - cost.start_seconds) / cost.epoch_seconds
        assert 5 < epochs < 2 * 5
        assert cost.search_seconds == pytest.approx(7 * cost.trial_seconds / workers)
        assert cost.fresh_seconds == pytest.approx(3 * 2 * cost.trial_seconds / workers)
        # On everything, which is more than the newest fold.
        final_epochs = (cost.retraining_seconds - cost.start_seconds) / cost.epoch_seconds
        assert 4 < final_epochs < 2 * 4


@pytest.mark.long
@pytest.mark.slow
def test_cost_is_told_in_sentences_and_as_json(timed: tuple[Report, Report]) -> None:
    report = timed[1]
    told = "\n".join(lines(report))
    assert "search   7 tickets by tpe, 2 folds each, up to 5 epochs; pruner median, judged by val_mse" in told
    assert "for all on 2 workers, if none is pruned and none larger" in told
    assert "no new trial after 3 s" in told
    assert "then     fresh seeds " in told
    assert json.loads(json.dumps(report.to_json()))["cost"]["workers"] == 2
