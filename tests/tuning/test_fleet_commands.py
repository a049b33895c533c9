"""The commands that act on running studies from any machine, as users give them; the trials are simulated."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from greentune.storage.rdb import open_storage
from greentune.tuning import cli, joining, records
from greentune.tuning.supervisor import Outcome

from ..databases import Postgres
from ..simulation.processes import nothing_left, start_supervisor, wait_for_end, workers_of
from ..simulation.study import WORKER, new_study, spec_of, wrong_with
from .test_bad_input import complaint
from .wind_farm import TUNE, environment, write_series, write_study

Said = Callable[..., str]


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """Give a command on the database of this test and return what it prints; it must end well."""

    def command(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["tune", *arguments, "--storage", str(tmp_path / "a.db")])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        assert ended.value.code == 0, said.err
        return said.out + said.err

    return command


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """Give a command that must be refused, and return the complaint."""

    def command(*arguments: str) -> str:
        return complaint([*arguments, "--storage", str(tmp_path / "a.db")], monkeypatch, capsys)

    return command


class Running:
    """A supervisor with two simulated workers at 12 points of so many seconds."""

    def __init__(self, folder: Path, seconds: str) -> None:
        self.url, self.folder = f"sqlite:///{folder / 'a.db'}", folder
        self.name = f"running{os.getpid()}"
        space = {"dropout_rate": [i / 100 for i in range(12)], "lstm_units": [[4]], "learning_rate": [0.01]}
        run = {"beat_seconds": 0.2, "checkpoint_every": 0, "keep_best": 0}
        self.spec = spec_of(self.name, space=space, run=run)
        _, self.study = new_study(self.url, self.spec, folder)
        self.process = self.start(seconds)

    def start(self, seconds: str) -> subprocess.Popen[bytes]:
        return start_supervisor(self.url, self.name, workers=2, folder=self.folder, SIMULATED_SECONDS=seconds)

    def count(self, state: TrialState) -> int:
        return len(self.study.get_trials(deepcopy=False, states=(state,)))

    def until(self, reached: Callable[[], bool], seconds: float = 60) -> None:
        limit = time.monotonic() + seconds
        while not reached():
            assert time.monotonic() < limit, self.log
            time.sleep(0.05)

    def until_working(self, done: int = 1) -> None:
        self.until(lambda: self.count(TrialState.RUNNING) == 2 and self.count(TrialState.COMPLETE) >= done)

    def end(self) -> str:
        wait_for_end(self.process, self.name, self.folder, seconds=60)
        return self.log

    @property
    def log(self) -> str:
        return (self.folder / "supervisor.log").read_text()

    @property
    def reasons(self) -> Counter[str]:
        failed = self.study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
        return Counter(t.user_attrs["reason"] for t in failed)


@pytest.fixture
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    study = Running(tmp_path, getattr(request, "param", "0.4"))
    with nothing_left(study.name):
        yield study
        study.process.send_signal(signal.SIGTERM)
        study.process.wait(timeout=60)


def seconds_of_a_trial(seconds: str) -> pytest.MarkDecorator:
    """Long ones for what must happen within a trial, however busy the machine is."""
    return pytest.mark.parametrize("running", [seconds], indirect=True, ids=[f"{seconds} s"])


@pytest.mark.slow
def test_pause_finishes_running_trials_and_resume_goes_on(running: Running, say: Said) -> None:
    running.until_working()
    assert "is paused: running trials" in say("pause")
    running.until(lambda: running.count(TrialState.RUNNING) == 0)
    done = running.count(TrialState.COMPLETE)
    time.sleep(1.5)
    assert running.count(TrialState.COMPLETE) == done < 12
    assert running.reasons == Counter()
    assert len(workers_of(running.name)) == 2  # they wait
    assert "(paused)" in say("status")
    assert "goes on" in say("resume")
    assert "Paused: no new trial begins until `tune resume`." in running.end()
    assert "Going on." in running.log
    assert wrong_with(running.study, running.spec) == []


@pytest.mark.slow
@seconds_of_a_trial("30")
def test_pause_now_puts_running_trials_back(running: Running, say: Said) -> None:
    running.until_working(done=0)
    assert "running trials go back to the queue" in say("pause", "--now")
    running.until(lambda: running.count(TrialState.RUNNING) == 0, seconds=20)
    assert running.reasons == Counter(paused=2)
    say("stop")
    running.end()
    say("resume")
    running.process = running.start("0.01")
    running.end()
    assert wrong_with(running.study, running.spec) == []


@pytest.mark.slow
def test_stop_ends_all_workers_and_the_study_goes_on_after_resume(running: Running, say: Said) -> None:
    running.until_working()
    assert "is stopped" in say("stop", "--study", running.name)
    assert "Stopped by `tune stop`" in running.end()
    assert running.process.returncode == 0
    assert running.log.rstrip().endswith(Outcome.STOPPED.value)
    assert running.count(TrialState.RUNNING) == 0
    assert running.count(TrialState.COMPLETE) + running.count(TrialState.WAITING) == 12
    assert set(running.reasons) <= {"interrupted"}
    assert "(stopped)" in say("status")
    assert "Nobody works on it now: `tune worker --study" in say("resume")
    running.process = running.start("0.01")
    running.end()
    assert wrong_with(running.study, running.spec) == []


@pytest.mark.slow
@seconds_of_a_trial("1.5")
def test_second_machine_joins_and_every_ticket_is_done_once(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(joining, "check_study_data", lambda _study, _spec: None)
    monkeypatch.setattr(joining.join_study, "__kwdefaults__", {"command": WORKER})
    monkeypatch.setenv("SIMULATED_SECONDS", "0.1")
    running.until_working(done=0)
    arguments = ["worker", "--study", running.name, "--workers", "1", "--storage", running.url]
    monkeypatch.setattr(sys, "argv", ["tune", *arguments, "--out", str(tmp_path / "other")])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert "1 worker of this machine join" in capsys.readouterr().err
    running.end()
    assert wrong_with(running.study, running.spec) == []
    assert len(list((tmp_path / "other" / "logs").rglob("worker-0.log"))) == 1
    assert len({t.user_attrs["owner"]["pid"] for t in running.study.trials}) == 3


@pytest.mark.slow
def test_enqueue_says_what_becomes_of_a_point(running: Running, say: Said, refused: Said) -> None:
    running.until_working()
    say("pause")
    (first, *_) = running.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    whole = ["learning_rate=0.01", "lstm_units=4"]
    assert "has a result already" in say("enqueue", f"dropout_rate={first.params['dropout_rate']}", *whole)
    assert "waits in the queue already" in say("enqueue", "dropout_rate=0.11", *whole)
    assert "must be one of" in refused("enqueue", "dropout_rate=0.5", *whole)
    assert "Did you mean 'dropout_rate'?" in refused("enqueue", "dropuot_rate=0.1", *whole)
    assert "`lstm_units` is missing" in refused("enqueue", "dropout_rate=0.1", "learning_rate=0.01")
    answer = json.loads(say("enqueue", "dropout_rate=0.11", *whole, "--json").splitlines()[0])
    assert answer["point"] == {"dropout_rate": 0.11, "lstm_units": [4], "learning_rate": 0.01}
    assert answer["state"] == "waiting"


@pytest.mark.slow
def test_watch_prints_plain_lines_and_ends_cleanly_with_ctrl_c(running: Running) -> None:
    running.until_working()
    for more in ([], ["--json"]):
        command = [*TUNE, "status", "--watch", *more, "--storage", running.url]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
        ) as watching:
            assert watching.stdout is not None
            wanted = '"fleet"' if more else "LAST BEAT"
            lines = [watching.stdout.readline()]  # at once, though nobody reads a terminal
            while wanted not in lines[-1]:
                lines.append(watching.stdout.readline())
            watching.send_signal(signal.SIGINT)
            _, errors = watching.communicate(timeout=30)
        assert (watching.returncode, errors) == (0, "")
        assert "\033" not in "".join(lines)
        if more:
            assert [study["study"] for study in json.loads(lines[0])["studies"]] == [running.name]
        else:
            assert f" {running.name}: done " in lines[0]


def several(folder: Path) -> None:
    for name in ("a", "b"):
        new_study(f"sqlite:///{folder / 'a.db'}", spec_of(name), folder)


@pytest.mark.parametrize("command", ["pause", "resume", "stop"])
def test_one_of_several_studies_must_be_named(command: str, tmp_path: Path, refused: Said) -> None:
    several(tmp_path)
    assert "The database holds 2 studies: name one with --study. a, b." in refused(command)
    assert "Did you mean 'a'?" in refused(command, "--study", "aa")


def test_status_shows_all_studies_or_one_and_workers_for_scripts(tmp_path: Path, say: Said) -> None:
    several(tmp_path)
    assert [line.split(":")[0] for line in say("status").splitlines()] == ["a", "b"]
    assert say("status", "--study", "b").startswith("b: done 0")
    shown = json.loads(say("status", "--json"))
    assert [study["study"] for study in shown["studies"]] == ["a", "b"]
    assert shown["studies"][0]["control"] == "run"
    assert shown["fleet"] == []


def test_status_says_which_budget_is_used_up_while_tickets_wait(tmp_path: Path, say: Said) -> None:
    spec = spec_of("a", search={"worker_seconds": 1e-6})
    _, study = new_study(f"sqlite:///{tmp_path / 'a.db'}", spec, tmp_path)
    assert "no new trial begins" not in say("status")
    records.begin_run(study, now=time.time() - 60, timeout=30)
    assert "no new trial begins: the time limit is used up" in say("status")
    records.begin_run(study, now=time.time(), timeout=30)
    study.ask()
    assert "no new trial begins: the time of all workers together is used up" in say("status")


def plain_optuna(folder: Path) -> None:
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'a.db'}")
    optuna.create_study(storage=storage, study_name="theirs").optimize(lambda trial: trial.suggest_float("x", 0, 1), 2)
    storage.engine.dispose()


@pytest.mark.parametrize("command", [["status"], ["pause"], ["enqueue", "x=1"], ["worker", "--study", "theirs"]])
def test_database_of_optuna_itself_holds_no_study_of_ours(command: list[str], tmp_path: Path, refused: Said) -> None:
    plain_optuna(tmp_path)
    assert "holds no study of greentune" in refused(*command)


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["status"], "There is no database at"),
        (["worker"], "There is no database at"),
        (["worker", "--study", "a"], "There is no database at"),
        (["pause"], "There is no database at"),
        (["enqueue", "x=1"], "There is no database at"),
        (["worker", "--study", "a", "--idle-exit", "5m"], "is for a worker without --study"),
        (["worker", "--idle-exit", "soon"], "must be a time: seconds, or 30s, 10m, 1h; got 'soon'"),
        (["worker", "--outage", "-3s"], "`--outage` must be a time"),
        (["submit", "none.toml"], "there is none at none.toml"),
    ],
)
def test_command_that_cannot_be_done_says_why(command: list[str], sentence: str, refused: Said) -> None:
    assert sentence in refused(*command)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--study", "smal"], "There is no study 'smal' in the database. Did you mean 'small'?"),
        (["--study", "small", "--gpus", "7"], "A GPU must be one that exists; got '7'"),
        (["--gpus", "7"], "A GPU must be one that exists; got '7'"),
        (["--study", "small", "--workers", "0"], "`workers` must be at least 1; got 0"),
    ],
)
def test_worker_that_cannot_join_says_why(
    options: list[str], sentence: str, tmp_path: Path, refused: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_study(f"sqlite:///{tmp_path / 'a.db'}", spec_of("small"), tmp_path)
    monkeypatch.setattr(joining, "check_study_data", lambda _study, _spec: None)
    assert sentence in refused("worker", *options, "--out", str(tmp_path / "out"))


def test_other_data_on_this_host_are_refused_and_the_study_is_not_stopped(
    tmp_path: Path, say: Said, refused: Said
) -> None:
    say("submit", str(write_study(tmp_path)), "--out", str(tmp_path))
    study = records.load_study(open_storage(tmp_path / "a.db"), "small")
    write_series(tmp_path / "wind.csv", n_rows=399)
    assert "differ from those of the study 'small'" in refused("worker", "--study", "small", "--out", str(tmp_path))
    (tmp_path / "wind.csv").unlink()
    assert "On this host: " in refused("worker", "--study", "small", "--out", str(tmp_path))
    assert (records.stopped_by(study), study.user_attrs[records.CONTROL]) == ([], records.RUN)


def test_more_workers_than_the_database_has_connections_for_are_refused(
    postgres_server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = postgres_server.new_database()
    new_study(url, spec_of("small"), tmp_path)
    arguments = ["worker", "--workers", "200", "--storage", url, "--out", str(tmp_path)]
    said = complaint(arguments, monkeypatch, capsys)
    assert "200 workers may open 800" in said
    assert "Use at most" in said


def test_submitted_study_waits_with_its_tickets_and_more_can_be_submitted(tmp_path: Path, say: Said) -> None:
    path = str(write_study(tmp_path))
    said = say("submit", path, "--timeout", "5m", "--out", str(tmp_path))
    assert "study small: 6 tickets added, 6 waiting" in said
    assert "Nobody works on this database now: `tune worker` serves it." in said
    study = records.load_study(open_storage(tmp_path / "a.db"), "small")
    assert study.user_attrs[records.UNTIL] is None
    assert records.read_spec(study).search.timeout == 300
    printed = say("submit", path, "--timeout", "5m", "--json", "--out", str(tmp_path))
    again = json.loads(printed.splitlines()[0])  # what stands behind it is standard error
    assert again == {"study": "small", "created": False, "added": 0, "waiting": 6}


def test_standing_worker_ends_cleanly_with_ctrl_c(tmp_path: Path) -> None:
    several(tmp_path)
    command = [*TUNE, "worker", "--storage", str(tmp_path / "a.db"), "--workers", "1", "--out", str(tmp_path)]
    for name in ("a", "b"):
        records.order(records.load_study(open_storage(tmp_path / "a.db"), name), records.PAUSE)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment()) as standing:
        assert standing.stderr is not None
        assert "1 standing worker" in standing.stderr.readline()
        threading.Timer(1.0, lambda: standing.send_signal(signal.SIGINT)).start()
        errors = standing.communicate(timeout=30)[1]
    assert standing.returncode == 130
    assert "Traceback" not in errors
