"""The command as users run it: real processes, real database, real signals."""

from __future__ import annotations

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from greentune.storage.rdb import open_storage

from .wind_farm import TUNE, environment, tune, write_study

pytestmark = pytest.mark.slow


STATUS_WITHOUT_KERAS = """
import sys
from greentune.tuning.cli import main
sys.argv = ["tune", "status", "--out", sys.argv[1]]
try:
    main()
finally:
    assert "keras" not in sys.modules
"""


def trials_of(folder: Path) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="small", storage=open_storage(folder / "runs" / "greentune.db")).trials


def complete_points(folder: Path) -> Counter[str]:
    return Counter(t.user_attrs["ticket"] for t in trials_of(folder) if t.state is TrialState.COMPLETE)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A grid of six points, run to its end."""
    folder = tmp_path_factory.mktemp("finished")
    write_study(folder)
    (folder / "queue.py").write_text("raise ImportError('modules of the working folder are not ours to import')")
    (folder / "models").mkdir()
    done = tune(folder, "--config", "study.toml", "--workers", "2", "--json")
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


def test_grid_has_one_complete_trial_a_point_and_no_other_row(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, result = finished
    assert complete_points(folder) == Counter(dict.fromkeys(complete_points(folder), 1))
    assert len(trials_of(folder)) == 6
    assert result["trials"] | {"done": 6} == dict.fromkeys(result["trials"], 0) | {"done": 6}


def test_table_has_one_row_a_point_with_all_columns(finished: tuple[Path, dict[str, Any]]) -> None:
    _, result = finished
    with Path(result["table"]).open() as handle:
        rows = list(csv.DictReader(handle))
    assert Path(result["table"]).name == "grid_results.csv"
    assert len({(row["learning_rate"], row["dropout_rate"]) for row in rows}) == len(rows) == 6
    needed = {"trial", "val_loss", "val_mse", "val_rmse_mw", "best_epoch", "seconds"}
    assert all(row[name] for row in rows for name in needed)
    assert "agree" in result["agreement"]


def test_bundle_report_and_metrics_are_there(finished: tuple[Path, dict[str, Any]]) -> None:
    _, result = finished
    bundle = Path(result["bundle"])
    needed = ("model.keras", "saved_model", "architecture.json", "scalers.json", "model_info.json", "metrics.json")
    assert all((bundle / name).exists() for name in needed)
    metrics = json.loads((bundle / "metrics.json").read_text())
    assert metrics["units"] == "MW"
    assert metrics["test"]["rmse"] == result["test"]["rmse"] > 0
    assert {"persistence", "same_hour_yesterday", "gradient_boosting"} <= set(metrics["baselines"])
    assert "</html>" in Path(result["report"]).read_text()


def test_same_command_again_adds_nothing_and_says_so(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, result = finished
    again = tune(folder, "--config", "study.toml", "--json")
    assert again.returncode == 0, again.stderr
    assert "nothing to add" in again.stderr
    assert json.loads(again.stdout)["added"] == 0
    assert json.loads(again.stdout)["test"] == result["test"]
    assert len(trials_of(folder)) == 6


def test_other_specification_under_the_same_name_is_refused(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = finished
    refused = tune(folder, "--config", "study.toml", "--epochs", "5")
    assert refused.returncode == 2
    assert "training.epochs: the study has 2, the command asks for 5" in refused.stderr


def test_changed_data_are_refused(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = finished
    series = folder / "wind.csv"
    before = series.read_text()
    try:
        series.write_text(before.replace("2024-01-02T00:00:00Z,", "2024-01-02T00:00:00Z,1"))
        refused = tune(folder, "--config", "study.toml")
    finally:
        series.write_text(before)
    assert refused.returncode == 2
    assert "other data" in refused.stderr


def test_status_shows_counts_and_best(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, result = finished
    shown = tune(folder, "status")
    assert shown.returncode == 0
    assert "small: done 6, running 0" in shown.stdout
    (snapshot,) = json.loads(tune(folder, "status", "--json").stdout)["studies"]
    assert snapshot["best"]["number"] == result["best"]["number"]


def test_status_is_quick_and_does_without_keras(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = finished
    seconds = []
    for _ in range(5):  # the best one counts: the machine may be busy
        began = time.perf_counter()
        assert tune(folder, "status").returncode == 0
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 1.5
    program = [sys.executable, "-c", STATUS_WITHOUT_KERAS, str(folder / "runs")]
    assert subprocess.run(program, cwd=folder.parent, env=environment(), check=False).returncode == 0


@pytest.mark.long
def test_export_of_another_trial_goes_where_it_is_told(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, result = finished
    other = (result["best"]["number"] + 1) % 6
    report = Path(result["report"]).read_bytes()
    exported = tune(folder, "export", "--trial", str(other), "--bundle", "other", "--json")
    assert exported.returncode == 0, exported.stderr
    assert json.loads(exported.stdout)["trial"] == other
    assert json.loads(exported.stdout)["report"] == str(folder / "other.html")
    assert (folder / "other.html").stat().st_size > 0
    assert Path(result["report"]).read_bytes() == report, "the report of the first winner stays with it"
    assert json.loads((folder / "other" / "model_info.json").read_text())["study"]["winner"]["trial"] == other


def test_predict_writes_forecasts(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, result = finished
    done = tune(folder, "predict", result["bundle"], "wind.csv", "--out", "forecasts.csv")
    assert done.returncode == 0, done.stderr
    with (folder / "forecasts.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert {"origin_time", "target_time", "step_ahead", "forecast_mw"} <= set(rows[0])
    assert len(rows) > 300
    assert f"the last for {rows[-1]['target_time'][:16]} UTC" in done.stdout
    refused = tune(folder, "predict", result["bundle"], "wind.csv", "--out", "none/forecasts.csv")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "must lie in a folder that exists; there is none at none" in refused.stderr
    told = tune(folder, "predict", result["bundle"], "wind.csv", "--json")
    assert json.loads(told.stdout)["unit"] == "MW"
    assert len(json.loads(told.stdout)["forecasts"]) == len(rows)


@pytest.mark.long
def test_arrays_without_a_scaler_are_judged_in_their_own_units(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for part, n in (("train", 80), ("val", 30), ("test", 30)):
        x = random.random((n, 4, 2))
        np.save(tmp_path / f"X_{part}.npy", x)
        np.save(tmp_path / f"y_{part}.npy", 0.8 * x[:, -1, 0] + 0.2 * random.random(n))
    done = tune(tmp_path, "--data", ".", "--trials", "1", "--epochs", "1", "--final-epochs", "2", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["units"] == "scaled units"
    assert " MW" not in done.stderr
    assert "val_rmse_scaled_units" in Path(result["table"]).read_text()


@pytest.mark.long
def test_prepared_arrays_run_through_the_same_command(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = finished
    done = tune(folder, "prepare", "wind.csv", "--config", "study.toml", "--out", "arrays")
    assert done.returncode == 0, done.stderr
    small = ["--trials", "1", "--epochs", "1", "--final-epochs", "2", "--workers", "1", "--json"]
    tuned = tune(folder, "--data", "arrays", *small)
    assert tuned.returncode == 0, tuned.stderr
    result = json.loads(tuned.stdout)
    assert result["units"] == "MW"
    assert "persistence" in result["baselines"]


def test_dashboard_serves_the_study_on_this_machine_only(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = finished
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*TUNE, "dashboard", "--port", str(port)]
    with subprocess.Popen(command, cwd=folder, env=environment(), stderr=subprocess.DEVNULL) as server:
        try:
            studies = json.loads(fetch(f"http://127.0.0.1:{port}/api/studies"))
            assert "small" in [study["study_name"] for study in studies["study_summaries"]]
            assert b"<html" in fetch(f"http://127.0.0.1:{port}/dashboard").lower()
            with pytest.raises(OSError, match="refused"):
                socket.create_connection(("127.0.0.2", port), timeout=5).close()  # another address of this machine
        finally:
            server.terminate()


def fetch(url: str) -> bytes:
    """The page, as soon as the server is up."""
    limit = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                page: bytes = answer.read()
                return page
        except OSError:
            if time.monotonic() > limit:
                raise
            time.sleep(0.2)


def start(folder: Path) -> subprocess.Popen[str]:
    """The command in a process group of its own."""
    command = [*TUNE, "--config", "study.toml", "--workers", "2"]
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_results(folder: Path, n: int) -> None:
    limit = time.monotonic() + 120
    while time.monotonic() < limit:
        if (folder / "runs" / "small").exists() and sum(complete_points(folder).values()) >= n:
            return
        time.sleep(0.2)
    raise AssertionError("no results in two minutes")


def test_interrupted_then_killed_then_the_same_command(tmp_path: Path) -> None:
    write_study(tmp_path)
    running = start(tmp_path)
    wait_for_results(tmp_path, 1)
    os.killpg(running.pid, signal.SIGINT)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 130, errors
    assert "go back to the queue" in errors
    states = Counter(t.state for t in trials_of(tmp_path))
    assert states[TrialState.RUNNING] == 0
    assert states[TrialState.COMPLETE] + states[TrialState.WAITING] == 6

    running = start(tmp_path)
    wait_for_results(tmp_path, states[TrialState.COMPLETE] + 1)
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    assert sum(complete_points(tmp_path).values()) < 6

    again = tune(tmp_path, "--config", "study.toml", "--workers", "2")
    assert again.returncode == 0, again.stderr
    assert list(complete_points(tmp_path).values()) == [1] * 6
    stray = [t for t in trials_of(tmp_path) if t.state is not TrialState.COMPLETE]
    assert all(t.state is TrialState.FAIL and t.user_attrs["reason"] in ("lost", "interrupted") for t in stray)
    page = (tmp_path / "runs" / "small" / "report.html").read_text()
    assert "Trials: 6 done in" in page, "as the status counts them"
    assert f"{len(stray)} row" in page


@pytest.mark.long
def test_killed_worker_is_replaced_and_its_ticket_done(tmp_path: Path) -> None:
    write_study(tmp_path)
    running = start(tmp_path)
    wait_for_results(tmp_path, 1)
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        owners = [t.user_attrs["owner"] for t in trials_of(tmp_path) if t.state is TrialState.RUNNING and t.user_attrs]
        if owners:
            os.kill(owners[0]["pid"], signal.SIGKILL)
            break
    _, errors = running.communicate(timeout=200)
    assert running.returncode == 0, errors
    assert "SIGKILL" in errors
    assert list(complete_points(tmp_path).values()) == [1] * 6


@pytest.mark.long
def test_pruned_search_delivers(tmp_path: Path) -> None:
    write_study(tmp_path)
    options = ["--sampler", "tpe", "--pruner", "median", "--trials", "8", "--epochs", "3", "--study", "small"]
    done = tune(tmp_path, "--config", "study.toml", *options, "--workers", "2", "--json")
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)["trials"]
    assert counts["done"] + counts["pruned"] == 8
    more = tune(tmp_path, "--config", "study.toml", *options, "--trials", "10", "--timeout", "0.1s", "--json")
    assert more.returncode == 0, more.stderr
    assert json.loads(more.stdout)["added"] == 2
    assert json.loads(more.stdout)["test"] == json.loads(done.stdout)["test"]


def test_time_that_is_over_before_the_first_trial_leaves_the_queue_and_no_winner(tmp_path: Path) -> None:
    write_study(tmp_path)
    done = tune(tmp_path, "--config", "study.toml", "--timeout", "0.1s", "--workers", "1", "--json")
    assert done.returncode == 1, done.stderr
    result = json.loads(done.stdout)
    assert result["trials"] == dict.fromkeys(result["trials"], 0) | {"waiting": 6}
    assert "bundle" not in result
