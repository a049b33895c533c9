"""Many workers at one database, started at the same moment."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from optuna.trial import TrialState

from greentune.tuning.spec import StudySpec

from .study import WORKER, new_study, wrong_with


@dataclass(frozen=True)
class Report:
    """What came of it.

    Attributes:
        wrong: what is wrong with the study.
        n_workers: processes that took part.
        seconds: from the first claim to the last result.
        between_ms: mean time of a worker between the end of a training and the beginning of the next one.
    """

    wrong: list[str]
    n_workers: int
    n_trials: int
    seconds: float
    between_ms: float

    def efficiency(self, trial_seconds: float) -> float:
        """Ideal time over the time it took."""
        return self.n_trials * trial_seconds / self.n_workers / self.seconds


def crowd(
    url: str,
    folder: Path,
    spec: StudySpec,
    *,
    workers: int,
    trial_seconds: float,
    reports: int = 1,
    starting_seconds: float,
) -> Report:
    """Let `workers` processes work off a study together."""
    _, study = new_study(url, spec, folder)
    environment = os.environ | {
        "GREENTUNE_STORAGE": url,
        "SIMULATED_SECONDS": str(trial_seconds),
        "SIMULATED_REPORTS": str(reports),
        "SIMULATED_START": str(time.time() + starting_seconds),
    }
    command = [*WORKER, "--study", spec.study, "--worker"]
    log = folder / "workers.log"
    with log.open("ab") as said:
        crew = [subprocess.Popen([*command, str(number)], env=environment, stderr=said) for number in range(workers)]
        codes = [worker.wait(timeout=600) for worker in crew]
    assert codes == [0] * workers, log.read_text()[-3000:]
    trials = [t for t in study.get_trials(deepcopy=False) if t.state is TrialState.COMPLETE]
    begun = [t.datetime_start for t in trials if t.datetime_start is not None]
    ended = [t.datetime_complete for t in trials if t.datetime_complete is not None]
    seconds = (max(ended) - min(begun)).total_seconds()
    between = workers * seconds - len(trials) * trial_seconds
    return Report(
        wrong=wrong_with(study, spec),
        n_workers=len({t.user_attrs["owner"]["pid"] for t in trials}),
        n_trials=len(trials),
        seconds=seconds,
        between_ms=1000 * between / len(trials),
    )
