"""A whole run with several objectives, as users start it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import optuna
import optuna_dashboard
import pytest

from greentune.storage.rdb import open_storage
from greentune.tuning import records, table
from greentune.tuning.dashboard import refresh_notes
from greentune.tuning.snapshot import take_snapshot
from greentune.tuning.summary import status_lines

from .wind_farm import tune, write_study

pytestmark = [pytest.mark.long, pytest.mark.slow]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Four trials of models of two sizes."""
    folder = tmp_path_factory.mktemp("several")
    text = write_study(folder).read_text()
    text = text.replace("lstm_units = [4]", "").replace("dropout_rate = [0.0, 0.1, 0.2]", "lstm_units = [[1], [6]]")
    (folder / "study.toml").write_text(text)
    done = tune(folder, "--config", "study.toml", "--objective", "rmse", "--objective", "n_params,latency", "--json")
    assert done.returncode == 0, done.stderr
    assert "pruner none, val_mse and n_params and latency_ms" in done.stderr
    return folder, json.loads(done.stdout)


def study_in(folder: Path) -> optuna.Study:
    return optuna.load_study(study_name="small", storage=open_storage(folder / "runs" / "greentune.db"))


def test_result_has_the_front_and_the_winner_is_on_it(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, result = finished
    study = study_in(folder)
    by_number = {row["trial"]: row for row in json.loads((folder / "runs/small/result.json").read_text())["pareto"]}
    assert set(by_number) == {t.number for t in study.best_trials}
    assert result["trial"] in by_number
    for number, row in by_number.items():
        assert list(row["values"]) == ["val_mse", "n_params", "latency_ms"]
        assert list(row["values"].values()) == study.trials[number].values
        assert row["rmse"] == study.trials[number].user_attrs["values"]["val_rmse"]
        assert row["parameters"]["lstm_units"] in ([1], [6])
    smallest = min(study.trials, key=lambda t: t.values[0])
    assert result["best"]["number"] == smallest.number == result["pareto"][0]["trial"]
    information = json.loads((Path(result["bundle"]) / "model_info.json").read_text())["study"]["winner"]
    assert information["objectives"] == by_number[result["trial"]]["values"]


def test_table_report_and_status_know_all_objectives(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, result = finished
    with Path(result["table"]).open() as handle:
        rows = list(csv.DictReader(handle))
    assert all(float(row["val_mse"]) and float(row["latency_ms"]) and float(row["n_params"]) for row in rows)
    assert {int(row["trial"]) for row in rows if row["pareto"] == "yes"} == {row["trial"] for row in result["pareto"]}
    page = Path(result["report"]).read_text()
    assert "on the Pareto front" in page
    assert "<th>weights</th><th>latency (ms)</th>" in page
    study = study_in(folder)
    assert any(f"(trial {result['best']['number']})" in line for line in status_lines(take_snapshot(study)))
    assert len(table.rows(study, records.read_spec(study))) == len(rows) == 4


def test_dashboard_has_note_and_pictures(
    finished: tuple[Path, dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    from optuna_dashboard._custom_plot_data import get_plotly_graph_objects

    folder, _ = finished
    study = study_in(folder)
    refresh_notes(study._storage)
    assert caplog.text == ""
    note = optuna_dashboard.get_note(study)
    assert "Best so far: trial" in note
    assert "rmse, n_params, latency" in note
    assert get_plotly_graph_objects(study._storage.get_study_system_attrs(study._study_id))


def test_same_command_again_trains_nothing_and_one_objective_is_another_study(
    finished: tuple[Path, dict[str, Any]],
) -> None:
    folder, result = finished
    again = tune(folder, "--config", "study.toml", "--objective", "rmse,n_params,latency")
    assert again.returncode == 0, again.stderr
    assert "nothing to add" in again.stderr
    assert f"pareto   {len(result['pareto'])} trial" in again.stdout
    refused = tune(folder, "--config", "study.toml")
    assert refused.returncode == 2
    assert "search.objectives: the study has ['rmse', 'n_params', 'latency']" in refused.stderr
