"""Chaos: workers and supervisors are killed while a study runs, and it must come out as if nothing had happened."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from optuna.trial import TrialState

from .processes import kill, nothing_left, start_supervisor, wait_for_end, workers_of
from .study import new_study, spec_of, wrong_with


@dataclass(frozen=True)
class Report:
    """What a round came to: what is wrong with the study, rows by state or reason, kills that met a living process."""

    wrong: list[str]
    rows: Counter[str]
    kills: int
    supervisors_killed: int
    seconds: float


def chaos_round(
    url: str,
    folder: Path,
    *,
    name: str,
    workers: int = 8,
    kills: int = 20,
    every: float = 0.25,
    supervisor_kills: int = 2,
    trial_seconds: str = "0.2-0.4",
    limit: float = 180.0,
) -> Report:
    """One round: a grid of 108 points under fire."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = spec_of(name)
    _, study = new_study(url, spec, folder)
    variables = {"SIMULATED_SECONDS": trial_seconds}
    began = time.monotonic()
    done = supervisors_killed = 0
    supervisor = start_supervisor(url, name, workers=workers, folder=folder, **variables)
    with nothing_left(name):
        while done < kills and supervisor.poll() is None and time.monotonic() - began < limit:
            time.sleep(every)
            working = [t.user_attrs["owner"]["pid"] for t in study.trials if t.state is TrialState.RUNNING]
            targets = [process for process in workers_of(name) if process.pid in working]
            if targets:
                done += kill(random.choice(targets))
            if supervisors_killed < supervisor_kills and done >= (supervisors_killed + 1) * kills // 3:
                os.kill(supervisor.pid, signal.SIGKILL)
                supervisor.wait()
                supervisors_killed += 1
                supervisor = start_supervisor(url, name, workers=workers, folder=folder, **variables)
        wait_for_end(supervisor, name, folder, seconds=limit)
        if supervisor.returncode != 0:
            raise AssertionError((folder / "supervisor.log").read_text()[-3000:])
    rows = Counter(t.user_attrs.get("reason", t.state.name) for t in study.trials)
    return Report(wrong_with(study, spec), rows, done, supervisors_killed, time.monotonic() - began)
