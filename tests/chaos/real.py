"""A study of real trainings by the real command: started, watched in its database, killed in a chosen epoch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from greentune.storage.rdb import open_storage
from greentune.tuning.presets import merge

from ..tuning.wind_farm import TUNE, environment, write_series

STUDY = "small"


def write_real_study(folder: Path, *, n_rows: int = 400, **more: Any) -> Path:
    """A wind farm and ``study.toml`` for it, in a new folder; more tables win."""
    folder.mkdir()
    write_series(folder / "wind.csv", n_rows)
    small: dict[str, Any] = {
        "study": STUDY,
        "backend": "jax",
        "data": {"path": "wind.csv", "target": "power_mw", "lookback": 4, "horizon": 1, "capacity": 5.0},
        "search": {"sampler": "grid"},
        "winner": {"fresh_seeds": 0},
        "final": {"epochs": 1},
        "run": {"keep_best": 0},
    }
    lines, tables = [], merge(small, more)
    for name, value in sorted(tables.items(), key=lambda item: isinstance(item[1], dict)):
        if isinstance(value, dict):
            lines += [f"[{name}]", *(f"{key} = {json.dumps(each)}" for key, each in value.items())]
        else:
            lines.append(f"{name} = {json.dumps(value)}")
    (folder / "study.toml").write_text("\n".join(lines) + "\n")
    return folder


def sqlite_of(folder: Path) -> str:
    """The database of a folder."""
    return f"sqlite:///{folder / 'a.db'}"


@contextmanager
def command(folder: Path, url: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """`tune` in a folder, with what it says in ``said.txt``; at the end nothing of it is left."""
    with (folder / "said.txt").open("ab") as said:
        running = subprocess.Popen(
            [*TUNE, *arguments],
            cwd=folder,
            env=environment() | {"GREENTUNE_STORAGE": url},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    try:
        yield running
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()


def run(folder: Path, url: str, *arguments: str, seconds: float = 240.0) -> None:
    """The same, until it ends well."""
    with command(folder, url, *arguments) as running:
        assert running.wait(timeout=seconds) == 0, (folder / "said.txt").read_text()


def trials_of(url: str) -> list[FrozenTrial]:
    """All rows of the study."""
    return optuna.load_study(study_name=STUDY, storage=open_storage(url, create=False)).trials


def log_of(folder: Path) -> str:
    """What workers that were started from a folder wrote, in whichever folder of runs."""
    return "\n".join(path.read_text(errors="replace") for path in sorted(folder.rglob("worker-*.log")))


def wait_until(found: Callable[[], Any], *, seconds: float = 120.0, every: float = 0.02) -> Any:
    """What `found` returns, as soon as it is not None or False."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        answer = found()
        if answer:
            return answer
        time.sleep(every)
    raise AssertionError(f"waited for {seconds} s in vain")


def pid_after_epoch(url: str, epochs: int) -> int:
    """Wait until the running trial has done so many epochs.

    Returns:
        the process that trains it.
    """
    storage = wait_until(lambda: _opened(url))
    study = wait_until(lambda: _loaded(storage))

    def pid() -> int | None:
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if len(trial.intermediate_values) >= epochs:
                return int(trial.user_attrs["owner"]["pid"])
        return None

    return int(wait_until(pid))


def _opened(url: str) -> Any:
    if url.startswith("sqlite") and not Path(url.removeprefix("sqlite:///")).exists():
        return None
    return open_storage(url)


def _loaded(storage: Any) -> optuna.Study | None:
    if STUDY not in [study.study_name for study in storage.get_all_studies()]:
        return None
    return optuna.load_study(study_name=STUDY, storage=storage)
