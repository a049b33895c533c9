"""Workers whose memory grows, trials that do not fit into any, and a disk that is full: no ticket is lost."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest
from optuna.trial import FrozenTrial, TrialState

from greentune.tuning import crew, records
from greentune.tuning.crew import Crew, Place
from greentune.tuning.progress import Progress
from greentune.tuning.supervisor import Outcome, Supervisor

from ..simulation.processes import nothing_left
from ..simulation.study import WORKER, new_study, spec_of
from .real import command, log_of, run, sqlite_of, trials_of, wait_until, write_real_study
from .size import FULL, MEMORY_TRIALS, TOO_MANY_UNITS

pytestmark = pytest.mark.slow

LIMITS_MB = {"jax": 1000 if FULL else 760, "tensorflow": 1150}
"""On JAX a worker has some 690 MiB after its first trial and 30 more after each further one (without anything in the
cache of compiled programs; otherwise it begins with 525)."""


class Scale(threading.Thread):
    """Weighs the workers of a command while it runs: the most that each process has had, in MiB."""

    def __init__(self, parent: int) -> None:
        super().__init__(daemon=True)
        self._parent, self._ended = parent, threading.Event()
        self.most: dict[int, float] = {}

    def run(self) -> None:
        while not self._ended.wait(0.05):
            for process in _workers_of(self._parent):
                try:
                    weight = process.memory_info().rss / 2**20
                except psutil.Error:
                    continue
                self.most[process.pid] = max(weight, self.most.get(process.pid, 0.0))

    def end(self) -> None:
        self._ended.set()
        self.join()


def _workers_of(parent: int) -> Iterator[psutil.Process]:
    try:
        children = psutil.Process(parent).children()
    except psutil.Error:
        return
    for process in children:
        try:
            if "work" in process.cmdline():
                yield process
        except psutil.Error:
            continue


@pytest.mark.long
@pytest.mark.parametrize("backend", ["jax", "tensorflow"] if FULL else ["jax"])
def test_workers_stay_under_their_limit_and_no_trial_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # every shape is compiled
    limit = LIMITS_MB[backend]
    folder = write_real_study(
        tmp_path / "here",
        backend=backend,
        space={"lstm_units": [[n] for n in range(3, 3 + MEMORY_TRIALS)]},
        training={"epochs": 1},
        run={"keep_best": 5},  # that of the default: saving a model takes memory, too
    )
    url = sqlite_of(folder)
    given = ("--config", "study.toml", "--workers", "2", "--memory-limit", str(limit))
    with command(folder, url, *given) as running:
        scale = Scale(running.pid)
        scale.start()
        wait_until(lambda: "search ended" in (folder / "said.txt").read_text(), seconds=1200, every=0.5)
        scale.end()
        running.send_signal(signal.SIGTERM)  # the winner's retraining is not the matter here
        running.wait(timeout=60)
    logging.getLogger(__name__).info("most MiB of each worker: %s", [round(most) for most in scale.most.values()])
    assert len(scale.most) > 2, "no worker was replaced"
    assert 100 < max(scale.most.values()) < limit
    assert "near the limit" in log_of(folder)
    rows = trials_of(url)
    complete = Counter(t.user_attrs["ticket"] for t in rows if t.state is TrialState.COMPLETE)
    assert list(complete.values()) == [1] * MEMORY_TRIALS
    other = [(t.state, t.user_attrs["reason"]) for t in rows if t.state is not TrialState.COMPLETE]
    assert set(other) <= {(TrialState.FAIL, "recycled")}


@pytest.mark.long
@pytest.mark.parametrize(("backend", "oom"), [("jax", "retry"), ("tensorflow", "fail")] if FULL else [("jax", "fail")])
def test_model_that_fits_into_no_machine_fails_and_the_study_delivers(tmp_path: Path, backend: str, oom: str) -> None:
    folder = write_real_study(
        tmp_path / "here",
        backend=backend,
        space={"lstm_units": [[4], [TOO_MANY_UNITS], [5]]},
        training={"epochs": 1},
    )
    run(folder, sqlite_of(folder), "--config", "study.toml", "--workers", "1", "--oom", oom, seconds=500)
    rows = trials_of(sqlite_of(folder))
    wanted = ["COMPLETE", "oom", "COMPLETE", *(["oom"] if oom == "retry" else [])]
    assert [t.user_attrs.get("reason", t.state.name) for t in rows] == wanted
    assert rows[0].user_attrs["owner"]["pid"] == rows[1].user_attrs["owner"]["pid"]
    assert rows[2].user_attrs["owner"]["pid"] != rows[1].user_attrs["owner"]["pid"], "the process was not replaced"
    assert "accumulate" not in rows[1].user_attrs
    assert [t.user_attrs["accumulate"] for t in rows[3:]] == [2] * len(rows[3:])
    assert "out of memory" in (folder / "said.txt").read_text()
    assert (folder / "runs" / "small" / "bundle" / "model.keras").exists()


def simulated(tmp_path: Path, oom: str) -> tuple[optuna.Study, Supervisor]:
    """A supervisor of one simulated worker at three tickets, of batches of 8, 16 and 32."""
    spec = spec_of(
        f"memory-{os.getpid()}",
        space={"lstm_units": [[3]], "dropout_rate": [0.1], "learning_rate": [0.01], "batch_size": [8, 16, 32]},
        run={"oom": oom, "retries": 3},
    )
    url = sqlite_of(tmp_path)
    storage, study = new_study(url, spec, tmp_path)
    progress = Progress(epochs=1, until=None, workers=1, quiet=True)
    workers = Crew([Place(0)], url, tmp_path / "logs", command=WORKER)
    return study, Supervisor(study, storage, spec, crew=workers, progress=progress)


def facts(trial: FrozenTrial) -> tuple[Any, ...]:
    """How a trial ended, and with which batch."""
    values = trial.user_attrs.get("folds", [{}])[0]
    return (
        trial.user_attrs.get("reason", trial.state.name),
        trial.params["batch_size"],
        values.get("batch_size"),
        values.get("accumulated"),
    )


@pytest.mark.parametrize(
    ("oom", "fits", "wanted"),
    [
        ("retry", 16, [("oom", 32, None, None), ("COMPLETE", 32, 16, 2)]),
        (
            "retry",
            8,
            [("oom", 16, None, None), ("COMPLETE", 16, 8, 2), ("oom", 32, None, None), ("oom", 32, None, None)],
        ),
        ("fail", 16, [("oom", 32, None, None)]),
    ],
)
def test_ticket_out_of_memory_is_tried_once_more_with_half_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, oom: str, fits: int, wanted: list[tuple[Any, ...]]
) -> None:
    monkeypatch.setenv("SIMULATED_MEMORY", str(fits))
    study, supervisor = simulated(tmp_path, oom)
    with nothing_left(study.study_name):
        assert supervisor.run() is Outcome.FINISHED
    found = sorted((facts(t) for t in study.trials), key=lambda fact: (fact[1], fact[0] != "oom"))
    whole = [("COMPLETE", size, size, 1) for size in (8, 16, 32) if size <= fits]
    assert found == sorted([*wanted, *whole], key=lambda fact: (fact[1], fact[0] != "oom"))


def test_worker_that_the_kernel_has_killed_leaves_the_reason_oom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills = 0
    monkeypatch.setattr(crew, "kernel_kills", lambda: kills)
    monkeypatch.setenv("SIMULATED_SECONDS", "0.5")
    study, supervisor = simulated(tmp_path, "fail")

    def kill_at_batch_32() -> None:
        nonlocal kills

        def victim() -> int | None:
            running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
            return next((t.user_attrs["owner"]["pid"] for t in running if t.params.get("batch_size") == 32), None)

        pid = wait_until(victim, seconds=60)
        kills += 1
        os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_at_batch_32, daemon=True)
    killer.start()
    with nothing_left(study.study_name):
        assert supervisor.run() is Outcome.FINISHED
    killer.join()
    assert sorted(facts(t)[:2] for t in study.trials) == [("COMPLETE", 8), ("COMPLETE", 16), ("oom", 32)]
    (killed,) = study.get_trials(states=(TrialState.FAIL,))
    assert "for want of memory" in killed.user_attrs["detail"]


def test_kills_of_the_kernel_are_told_from_those_of_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kills = 0
    monkeypatch.setattr(crew, "kernel_kills", lambda: kills)
    some = Crew([Place(number) for number in range(3)], "sqlite://", tmp_path)

    def killed_together(by_the_kernel: int, elsewhere: int = 0) -> list[bool]:
        nonlocal kills
        kills += elsewhere
        some.collect(lambda _study: 0)
        for slot in some.slots:
            slot.process, slot.study = subprocess.Popen(["sleep", "60"]), "s"
            slot.process.kill()
            slot.process.wait()
        kills += by_the_kernel
        return [ended.out_of_memory for ended in some.collect(lambda _study: 0)]

    assert killed_together(0) == [False] * 3
    assert killed_together(3) == [True] * 3
    assert sum(killed_together(2)) == 2
    assert killed_together(0, elsewhere=5) == [False] * 3, "somebody else's process was killed before"


def test_process_that_ran_out_of_memory_is_no_crash(tmp_path: Path) -> None:
    some = Crew([Place(0)], "sqlite://", tmp_path)
    (slot,) = some.slots
    slot.process, slot.study = subprocess.Popen(["sh", "-c", f"exit {records.EXIT_OOM}"]), "s"
    slot.process.wait()
    (ended,) = some.collect(lambda _study: 0)
    assert ended.out_of_memory
    assert slot.crashes == 0
    assert some.free() == [slot], "it is replaced at once"


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 KiB, half of them taken."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("only root may mount, and not in every container")
    try:
        (disk / "full").write_bytes(bytes(12_000))
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.long
def test_full_disk_is_said_once_and_the_trial_goes_on(tmp_path: Path, tiny_disk: Path) -> None:
    study: dict[str, Any] = {
        "parameters": {"lstm_units": [4]},
        "space": {"learning_rate": [0.01]},
        "training": {"epochs": 4},
        "run": {"checkpoint_every": 1, "keep_best": 5},
    }
    join = ("worker", "--study", "small", "--workers", "1")
    said, values = [], []
    for name, artifacts in (("room", tmp_path / "artifacts"), ("full", tiny_disk / "artifacts")):
        folder = write_real_study(tmp_path / name, **study)
        run(folder, sqlite_of(folder), "submit", "study.toml", "--artifacts", str(artifacts))
        run(folder, sqlite_of(folder), *join)
        said.append(log_of(folder))
        (trial,) = trials_of(sqlite_of(folder))
        assert trial.state is TrialState.COMPLETE
        values.append((trial.value, trial.intermediate_values))
    assert values[0] == values[1]
    assert [text.count("cannot be written") for text in said] == [0, 1]
    assert [text.count("Not kept in") for text in said] == [0, 1]
    assert [text.count("No space left on device") for text in said] == [0, 2]
    assert any((tmp_path / "artifacts").rglob("trial-0.keras"))
    left = [path for path in tiny_disk.rglob("*") if path.is_file()]
    assert [path.name for path in left] == ["full"], "half of something was left behind"
