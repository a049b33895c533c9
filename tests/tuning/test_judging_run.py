"""Folds, fresh seeds, ensembles, searched windows: the command as users run it, on a small farm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.trial import FrozenTrial, TrialState

from greentune.reports.forecaster import Forecaster
from greentune.storage.rdb import open_storage

from .wind_farm import tune, write_series

pytestmark = [pytest.mark.slow, pytest.mark.long]

STUDY = """
study = "judged"
[data]
path = "wind.csv"
target = "power_mw"
lookback = 3
horizon = 2
known_ahead = ["wind_ms"]
[data.feature_groups]
weather = ["wind_ms"]
clock = ["hour", "day_of_year"]
[parameters]
lstm_units = [3]
[space]
lookback = [3, 6]
feature_groups = [["weather"], ["weather", "clock"]]
[search]
sampler = "grid"
pruner = "median"
[validation]
method = "expanding"
n_splits = 3
[training]
epochs = 2
[winner]
rule = "ensemble"
top = 2
fresh_seeds = 2
"""


def trials_of(folder: Path, study: str) -> list[FrozenTrial]:
    return optuna.load_study(study_name=study, storage=open_storage(folder / "runs" / "greentune.db")).trials


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("judged")
    write_series(folder / "wind.csv")
    (folder / "study.toml").write_text(STUDY)
    done = tune(folder, "--config", "study.toml", "--json")
    assert done.returncode == 0, done.stderr
    assert "Leak audit" in done.stderr
    assert "the best 2 again with 2 fresh seeds: 4 trainings" in done.stderr
    return folder, json.loads(done.stdout)


def test_every_trial_keeps_its_folds(judged: tuple[Path, dict[str, Any]]) -> None:
    trials = trials_of(judged[0], "judged")
    assert len(trials) == 4
    for trial in trials:
        folds = trial.user_attrs["folds"]
        assert {"fold", "seed", "val_mse", "val_rmse", "best_epoch", "epochs", "seconds"} <= folds[0].keys()
        if trial.state is TrialState.COMPLETE:
            assert [fold["fold"] for fold in folds] == [0, 1, 2]
            assert trial.value == pytest.approx(np.mean([fold["val_mse"] for fold in folds]))
            assert trial.user_attrs["epochs"] == len(trial.intermediate_values) == 6


def test_candidates_were_trained_again_with_the_same_fresh_seeds(judged: tuple[Path, dict[str, Any]]) -> None:
    folder, result = judged
    again = trials_of(folder, "judged.fresh")
    assert [trial.state for trial in again] == [TrialState.COMPLETE] * 4
    seeds = {trial.params["seed"] for trial in again}
    assert len(seeds) == 2
    assert 0 not in seeds, "that is the seed of the search"
    candidates = result["choice"]["candidates"]
    assert len(candidates) == 2
    values = sorted(trial.value for trial in again)
    assert sorted(value for candidate in candidates for value in candidate["fresh"]) == values
    assert result["choice"]["optimism_percent"] is not None


def test_ensemble_is_one_model_that_loads_back_and_forecasts(judged: tuple[Path, dict[str, Any]]) -> None:
    folder, result = judged
    assert len(result["choice"]["winners"]) == 2
    assert result["verified"]["reproduced"] is True
    information = json.loads((Path(result["bundle"]) / "model_info.json").read_text())
    assert information["builder"] == "ensemble"
    members = information["training"]["fit"]["members"]
    assert len({member["seed"] for member in members}) == 2, "equal starts make equal mistakes"
    assert information["training"]["optimizer"] is None, "what averages them was never trained"
    assert {member["optimizer"]["type"] for member in members} == {"Adam"}
    assert [winner["trial"] for winner in result["winners"]] == result["choice"]["winners"]
    assert all([fold["fold"] for fold in winner["folds"]] == [0, 1, 2] for winner in result["winners"])
    assert information["data"]["everything"] is True
    frame = Forecaster.load(result["bundle"]).predict(folder / "wind.csv")
    known = pd.read_csv(Path(result["bundle"]) / "test_predictions.csv")
    assert len(frame) > len(known) > 30
    page = Path(result["report"]).read_text()
    assert "fold 2" in page
    assert "What the winner came to on each fold" in page
    assert "The mean of the forecasts of 2 models" in page
    assert "The test part was used once" in page


def test_same_command_again_trains_nothing(judged: tuple[Path, dict[str, Any]]) -> None:
    folder, result = judged
    again = tune(folder, "--config", "study.toml", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["choice"] == result["choice"]
    assert "retraining" not in again.stderr
    assert len(trials_of(folder, "judged.fresh")) == 4


def test_another_look_at_the_test_part_is_remembered(judged: tuple[Path, dict[str, Any]]) -> None:
    folder, result = judged
    best = result["choice"]["winners"][0]
    done = tune(folder, "export", "--winner", "best", "--final-epochs", "1", "--bundle", "other", "--json")
    assert done.returncode == 0, done.stderr
    one = json.loads(done.stdout)
    assert one["choice"]["winners"] == [best]
    assert [look["trials"] for look in one["test_looks"]] == [result["choice"]["winners"], [best]]
    assert one["verified"]["reproduced"] is True
    parameters, information = one["parameters"], json.loads((folder / "other" / "model_info.json").read_text())
    assert information["data"]["lookback"] == parameters["lookback"]
    assert information["training"]["epochs_trained"] == 1
    assert any(name.startswith("hour") for name in information["data"]["feature_names"]) == (
        "clock" in parameters["feature_groups"]
    )
    assert information["data"]["whole_spec"] is None or information["data"]["whole_spec"]["lookback"] == 6
    assert "The test part was used 2 times" in (folder / "other.html").read_text()


def test_folds_are_drawn_and_the_data_checked_without_a_training(judged: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = judged
    drawn = tune(folder, "folds", "--config", "study.toml")
    assert drawn.returncode == 0, drawn.stderr
    assert drawn.stdout.count("▲") > 3
    assert "fold 2" in drawn.stdout
    assert "Leak audit" in drawn.stdout
    content = json.loads(tune(folder, "folds", "--config", "study.toml", "--json").stdout)
    assert [fold["fold"] for fold in content["folds"]] == [0, 1, 2]
    for fold in content["folds"]:
        assert fold["val"][0] - fold["train"][1] == 6 + 2 - 1


def test_proven_leak_stops_the_study_before_anything_is_written(tmp_path: Path) -> None:
    frame = pd.read_csv(write_series(tmp_path / "wind.csv"))
    frame["copied"] = frame["power_mw"].shift(-2)
    frame.dropna().to_csv(tmp_path / "wind.csv", index=False)
    refused = tune(tmp_path, "--data", "wind.csv", "--target", "power_mw", "--horizon", "2", "--trials", "1")
    assert refused.returncode == 2
    assert "Leak in the data" in refused.stderr
    assert "'copied'" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "runs" / "greentune.db").exists()


def test_mistakes_of_the_validation_come_at_once(tmp_path: Path) -> None:
    write_series(tmp_path / "wind.csv")
    (tmp_path / "study.toml").write_text(
        STUDY.replace('method = "expanding"\nn_splits = 3', 'method = "expandng"\nn_splits = 0').replace(
            '[["weather"], ["weather", "clock"]]', '[["wether"], ["clock"]]'
        )
    )
    refused = tune(tmp_path, "--config", "study.toml")
    assert refused.returncode == 2
    for part in ("Did you mean 'expanding'", "validation.n_splits", "Did you mean 'weather'"):
        assert part in refused.stderr
    (tmp_path / "study.toml").write_text(STUDY.replace("n_splits = 3", "n_splits = 3\ngap = 2"))
    small = tune(tmp_path, "--config", "study.toml")
    assert small.returncode == 2
    assert "`validation.gap` must be at least lookback 6 + horizon 2 - 1 = 7" in small.stderr
