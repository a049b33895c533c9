"""Code of users from the command to the bundle: real processes, real signals."""

from __future__ import annotations

import csv
import json
import os
import signal
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from greentune.storage.rdb import open_storage
from greentune.tuning.shown import DRAWN

from ..chaos.real import command, pid_after_epoch, trials_of, wait_until, write_real_study
from .user_code import BUILD, write_files
from .wind_farm import tune

pytestmark = [pytest.mark.slow, pytest.mark.long]

STUDY = """
study = "mine"
backend = "jax"
{what}
[data]
path = "wind.csv"
target = "power_mw"
lookback = 4
horizon = 1
capacity = 5.0
[search]
trials = 5
[training]
epochs = 2
[winner]
top = 2
fresh_seeds = {fresh_seeds}
[final]
epochs = 2
"""
FROM_PACKAGE = """
from models.nets.dense import build
"""


def write_study(folder: Path, what: str, *, fresh_seeds: int = 0) -> Path:
    write_files(folder)
    (folder / "study.toml").write_text(STUDY.format(what=what, fresh_seeds=fresh_seeds))
    return folder


def run(folder: Path, *options: str) -> dict[str, Any]:
    done = tune(folder, "--config", "study.toml", "--workers", "2", "--json", *options)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def rows_of(folder: Path, study: str = "mine") -> list[FrozenTrial]:
    return optuna.load_study(study_name=study, storage=open_storage(folder / "runs" / "greentune.db")).trials


def table_of(result: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Rows of the table by the number of the trial."""
    with Path(result["table"]).open() as handle:
        return {row["trial"]: row for row in csv.DictReader(handle)}


def information_of(result: dict[str, Any]) -> dict[str, Any]:
    return dict(json.loads((Path(result["bundle"]) / "model_info.json").read_text()))


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A function of a package `models` of the user's own, imported by a file beside it."""
    folder = write_study(tmp_path_factory.mktemp("function"), 'builder = "mine.py:build"', fresh_seeds=1)
    (folder / "models" / "nets").mkdir(parents=True)
    for name in ("models", "models/nets"):
        (folder / name / "__init__.py").touch()
    (folder / "models" / "nets" / "dense.py").write_text(BUILD)
    (folder / "mine.py").write_text(FROM_PACKAGE)
    return folder, run(folder)


def test_search_with_a_users_function_ends_with_a_bundle_that_gives_its_figures_back(
    tuned: tuple[Path, dict[str, Any]],
) -> None:
    folder, result = tuned
    assert result["trials"]["done"] + result["trials"]["pruned"] == len(rows_of(folder)) == 5
    assert result["verified"]["reproduced"] is True
    information = information_of(result)
    assert information["builder"] == "mine.py:build"
    winner = rows_of(folder)[result["choice"]["winners"][0]]
    assert winner.params.items() <= information["hyperparameters"].items()


def test_candidates_are_trained_with_fresh_seeds_and_what_they_drew(tuned: tuple[Path, dict[str, Any]]) -> None:
    folder, result = tuned
    again, searched = rows_of(folder, "mine.fresh"), rows_of(folder)
    assert [trial.state for trial in again] == [TrialState.COMPLETE] * 2
    candidates = [searched[candidate["trial"]].params for candidate in result["choice"]["candidates"]]
    drawn = [{name: value for name, value in trial.params.items() if name != "seed"} for trial in again]
    assert sorted(map(repr, (sorted(d.items()) for d in drawn))) == sorted(
        map(repr, (sorted(c.items()) for c in candidates))
    )


def test_table_has_the_users_own_names(tuned: tuple[Path, dict[str, Any]]) -> None:
    folder, result = tuned
    table = table_of(result)
    for trial in rows_of(folder):
        row = table[str(trial.number)]
        assert {"n_layers", "units_0", "rate"} <= row.keys()
        assert float(row["rate"]) == pytest.approx(trial.params["rate"])
        assert bool(row.get("units_1")) == (trial.params["n_layers"] == 2)


def test_same_command_again_adds_nothing(tuned: tuple[Path, dict[str, Any]]) -> None:
    folder, result = tuned
    again = tune(folder, "--config", "study.toml", "--workers", "2", "--json")
    assert again.returncode == 0, again.stderr
    assert "nothing to add: all 5 trials" in again.stderr
    assert json.loads(again.stdout)["test"] == result["test"]
    assert len(rows_of(folder)) == 5


def test_edited_file_of_the_package_is_refused_by_name_and_may_be_accepted(tuned: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = tuned
    (folder / "models" / "nets" / "dense.py").write_text(BUILD + "\n# edited\n")
    refused = tune(folder, "--config", "study.toml")
    assert refused.returncode == 2
    assert "models/nets/dense.py (edited)" in refused.stderr
    assert "mine.py" not in refused.stderr
    assert "--accept-code" in refused.stderr
    assert len(rows_of(folder)) == 5
    assert run(folder, "--accept-code")["added"] == 0


@pytest.fixture(scope="module", params=["OwnFit", "Loop"])
def hyper(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    """A HyperModel that trains itself, compiled or not."""
    folder = write_study(tmp_path_factory.mktemp("hyper"), f'hypermodel = "hyper.py:{request.param}"')
    return folder, run(folder, "--trials", "2"), request.param


def test_defaults_of_the_hypermodel_come_first(hyper: tuple[Path, dict[str, Any], str]) -> None:
    folder, _, name = hyper
    own = {"kind": "deep", "depth": 2} | ({"lr": 0.01, "batch_size": 16} if name == "OwnFit" else {})
    assert rows_of(folder)[0].user_attrs[DRAWN] == own


def test_table_and_bundle_have_what_keras_tuner_calls_the_values(hyper: tuple[Path, dict[str, Any], str]) -> None:
    folder, result, name = hyper
    table, trials = table_of(result), rows_of(folder)
    assert table["0"]["kind"] == "deep"
    assert table["0"]["depth"] == "2"
    assert not [column for column in table["0"] if "[" in column]
    drawn = trials[result["choice"]["winners"][0]].user_attrs[DRAWN]
    information = information_of(result)
    assert drawn.items() <= information["hyperparameters"].items()
    assert information["builder"] == f"hyper.py:{name}"


def test_hypermodel_that_trains_itself_is_retrained_with_its_validation(
    hyper: tuple[Path, dict[str, Any], str],
) -> None:
    _, result, name = hyper
    information = information_of(result)
    assert information["data"]["everything"] is False
    assert len(information["training"]["history"]["val_mse"]) == 2
    assert (information["training"]["optimizer"] is None) == (name == "Loop")
    assert result["verified"]["reproduced"] is True
    assert "</html>" in Path(result["report"]).read_text()


def test_ticket_of_a_killed_worker_is_done_again_with_the_same_parameters(tmp_path: Path) -> None:
    folder = write_real_study(
        tmp_path / "here",
        n_rows=1600,
        builder="build.py:build",
        search={"sampler": "tpe", "trials": 1},
        training={"epochs": 8, "batch_size": 1},
        run={"checkpoint_every": 1},
    )
    (folder / "build.py").write_text(BUILD)
    url = f"sqlite:///{folder / 'a.db'}"
    with command(folder, url, "--config", "study.toml", "--workers", "1") as running:
        os.kill(pid_after_epoch(url, 2), signal.SIGKILL)
        wait_until(lambda: any(trial.state is TrialState.COMPLETE for trial in trials_of(url)), every=0.2)
        running.send_signal(signal.SIGTERM)  # the winner's retraining is not the matter here
        running.wait(timeout=60)
    first, second = trials_of(url)
    assert (first.state, first.user_attrs["reason"]) == (TrialState.FAIL, "lost")
    assert second.params == first.params
    assert second.params.keys() >= {"n_layers", "units_0", "rate"}
    assert second.user_attrs[DRAWN] == second.params
    assert "goes on after epoch" in "".join(path.read_text() for path in folder.rglob("worker-*.log"))
