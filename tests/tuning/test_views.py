"""What people see: counts, the best so far, the expected end, the table, the words for exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from greentune.tuning import delivery, records, table
from greentune.tuning.crew import exit_reason
from greentune.tuning.presets import with_preset
from greentune.tuning.progress import Progress
from greentune.tuning.snapshot import Best, Snapshot, best_trial, take_snapshot
from greentune.tuning.spec import StudySpec, parse_spec, with_end
from greentune.tuning.summary import status_lines
from greentune.tuning.wording import duration


@pytest.fixture
def spec() -> StudySpec:
    return parse_spec(with_preset({}, {"search": {"sampler": "grid"}, "space": {"dropout_rate": [0.1, 0.2, 0.3]}}))


def told(study: optuna.Study, rate: float, state: TrialState, value: float | None, **attributes: Any) -> None:
    study.add_trial(
        optuna.trial.create_trial(
            state=state,
            value=value,
            params={"dropout_rate": rate},
            distributions={"dropout_rate": optuna.distributions.CategoricalDistribution((0.1, 0.2, 0.3))},
            user_attrs=attributes,
        )
    )


def values(loss: float, error: float) -> dict[str, float]:
    return {"val_loss": loss, "val_mse": error, "val_rmse": error * 8, "val_mae": error}


@pytest.fixture
def study(spec: StudySpec) -> optuna.Study:
    """Three finished points, a retry, a lost and a running trial."""
    study = optuna.create_study(study_name="s")
    records.write_spec(study, spec)
    study.set_user_attr("greentune:unit", "MW")
    told(study, 0.1, TrialState.COMPLETE, 0.5, values=values(0.5, 0.02), best_epoch=3, seconds=2.0)
    told(study, 0.2, TrialState.COMPLETE, 0.4, values=values(0.4, 0.03), best_epoch=0, seconds=2.0)
    told(study, 0.3, TrialState.FAIL, None, reason="nonfinite")
    told(study, 0.1, TrialState.FAIL, None, reason="lost")
    told(study, 0.3, TrialState.RUNNING, None, owner={"worker": 1, "host": "h", "pid": 7, "started": "1"})
    study.enqueue_trial({"dropout_rate": 0.2})
    return study


def test_snapshot_counts_rows_that_went_back_apart(study: optuna.Study) -> None:
    snapshot = take_snapshot(study)
    counts = (snapshot.done, snapshot.failed, snapshot.requeued, snapshot.running, snapshot.waiting)
    assert counts == (2, 1, 1, 1, 1)
    assert (snapshot.finished, snapshot.total) == (3, 5)
    assert snapshot.best is not None
    assert (snapshot.best.number, snapshot.best.rmse) == (1, 0.24)
    assert json.loads(json.dumps(snapshot.to_json()))["workers"][0]["pid"] == 7


def test_first_of_equal_trials_is_the_best() -> None:
    study = optuna.create_study()
    for _ in range(2):
        told(study, 0.1, TrialState.COMPLETE, 0.5)
    best = best_trial(study.trials)
    assert best is not None
    assert best.number == 0


def test_grid_table_has_complete_points_only_best_first(study: optuna.Study, spec: StudySpec, tmp_path: Path) -> None:
    rows = table.rows(study, spec)
    assert [(row["trial"], row["best_epoch"], row["val_rmse_mw"]) for row in rows] == [(1, 1, 0.24), (0, 4, 0.16)]
    written = table.write_csv(tmp_path / "grid_results.csv", rows)
    header = "trial,dropout_rate,val_loss,val_mse,val_rmse_mw,val_mae,best_epoch,seconds"
    assert written.read_text().splitlines()[0] == header
    assert list(tmp_path.iterdir()) == [written]


def test_disagreement_of_penalty_and_error_is_said(study: optuna.Study) -> None:
    sentence = table.agreement(study)
    assert sentence is not None
    assert "disagree" in sentence
    assert "prefers trial 1 (val_loss 0.400000" in sentence
    told(study, 0.3, TrialState.COMPLETE, 0.1, values=values(0.1, 0.01))
    sentence = table.agreement(study)
    assert sentence is not None
    assert " agree on the best point: trial 6" in sentence
    assert table.agreement(optuna.create_study()) is None


def snapshot_of(**changes: Any) -> Snapshot:
    empty: dict[str, Any] = dict.fromkeys(("done", "pruned", "running", "waiting", "failed", "requeued"), 0)
    empty |= {"study": "s", "metric": "val_mse", "unit": "MW", "failures": {}, "best": None, "workers": ()}
    return Snapshot(**(empty | {"trial_seconds": None} | changes))


def test_expected_end_counts_waiting_and_half_of_running() -> None:
    progress = Progress(epochs=5, until=None, workers=2)
    assert progress.seconds_left(snapshot_of(waiting=3)) is None
    assert progress.seconds_left(snapshot_of(waiting=3, running=2, trial_seconds=10.0)) == 20.0
    assert progress.seconds_left(snapshot_of(running=1, trial_seconds=10.0)) == 5.0, "the other worker has nothing"


def test_expected_end_is_not_after_the_time_limit() -> None:
    progress = Progress(epochs=5, until=time.time() + 30, workers=1)
    left = progress.seconds_left(snapshot_of(waiting=1000, trial_seconds=10.0))
    assert left == pytest.approx(35, abs=1)
    over = Progress(epochs=5, until=time.time() - 1, workers=1)
    assert over.seconds_left(snapshot_of(waiting=3, trial_seconds=10.0)) is None
    assert over.seconds_left(snapshot_of(waiting=3, running=1, trial_seconds=10.0)) == 5.0


def test_plain_lines_come_when_a_trial_has_ended(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(epochs=5, until=None, workers=1) as progress:
        for done in (0, 0, 1, 1, 2):
            progress.show(snapshot_of(done=done))
    said = capsys.readouterr()
    assert [line.split("] ")[1].split(",")[0] for line in said.err.splitlines()] == ["done 0", "done 1", "done 2"]
    assert said.out == ""


NOTEBOOK = """
import builtins, sys, types
class ZMQInteractiveShell: pass
builtins.get_ipython = ZMQInteractiveShell
display = types.ModuleType("IPython.display")
display.display = lambda *_: None
sys.modules["IPython"] = types.ModuleType("IPython")
sys.modules["IPython.display"] = display
from greentune.tuning.progress import Progress
with Progress(epochs=5, until=None, workers=1) as progress:
    progress.say("searching")
"""


def test_single_number_with_a_fresh_seed_is_not_called_the_best() -> None:
    shown = Progress(epochs=5, until=None, workers=2)
    for name, said in (("farm", True), ("farm.fresh", False)):
        snapshot = snapshot_of(study=name, best=Best(0, 0.5, 0.7, {"l1": 0.0}))
        assert ("best" in shown.line(snapshot)) is said
        assert any("best" in line for line in status_lines(snapshot)) is said


def test_notebook_gets_plain_lines_on_standard_error() -> None:
    """Its kernel sets FORCE_COLOR and its standard error is no terminal; rich would show HTML, or nothing, in it."""
    colored = os.environ | {"FORCE_COLOR": "1", "CLICOLOR": "1"}
    ended = subprocess.run([sys.executable, "-c", NOTEBOOK], capture_output=True, text=True, env=colored, check=True)
    assert (ended.stdout, ended.stderr) == ("", "searching\n")


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(epochs=5, until=None, workers=1, quiet=True) as progress:
        progress.show(snapshot_of(done=1))
        progress.say("x")
    assert capsys.readouterr().err == ""


def test_status_names_who_works_on_what(study: optuna.Study) -> None:
    lines = "\n".join(status_lines(take_snapshot(study)))
    assert "done 2, running 1, pruned 0, failed 1, waiting 1" in lines
    assert "trial 4: starting, worker 1 on h, pid 7" in lines


def test_durations_read_well() -> None:
    assert [duration(s) for s in (0.4, 59, 61, 3599.7, 7800)] == [
        "0 s",
        "59 s",
        "1 min 01 s",
        "1 h 00 min",
        "2 h 10 min",
    ]


def test_exit_codes_are_words() -> None:
    assert exit_reason(-9) == "signal SIGKILL (killed by somebody)"
    assert exit_reason(-9, out_of_memory=True) == "signal SIGKILL (killed by the system for want of memory)"
    assert exit_reason(5) == "out of memory"
    assert exit_reason(-15) == "signal SIGTERM"
    assert exit_reason(1) == "exit code 1"


def test_earlier_delivery_counts_only_while_nothing_has_changed_on_which_it_rests(
    study: optuna.Study, tmp_path: Path
) -> None:
    snapshot, spec = take_snapshot(study), StudySpec(study="s")
    assert delivery.earlier(spec, tmp_path, snapshot) is None
    (tmp_path / "bundle").mkdir()
    (tmp_path / "report.html").touch()
    delivered = {"basis": delivery.basis(spec, snapshot), "bundle": str(tmp_path / "bundle")}
    delivered["report"] = str(tmp_path / "report.html")
    (tmp_path / "result.json").write_text(json.dumps(delivered))
    assert delivery.earlier(spec, tmp_path, snapshot) == delivered
    assert delivery.earlier(with_end(spec, {"rule": "best"}, {}), tmp_path, snapshot) is None
    (tmp_path / "report.html").unlink()
    assert delivery.earlier(spec, tmp_path, snapshot) is None
