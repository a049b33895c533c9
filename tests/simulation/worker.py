"""The real worker with a training that only sleeps: ``SIMULATED_SECONDS`` a trial, ``SIMULATED_REPORTS`` reports."""

from __future__ import annotations

import faulthandler
import os
import random
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import optuna
import sqlalchemy as sa
from optuna.trial import TrialState

from greentune.objectives import cross_validation
from greentune.objectives.holdout import TrialResult
from greentune.objectives.training import FitResult
from greentune.storage import tickets
from greentune.storage.tables import TRIALS
from greentune.storage.tickets import Claim
from greentune.tuning import worker
from tests.simulation import outages
from tests.simulation.study import FINGERPRINT, right_value


def seconds() -> float:
    """``0.3``, or a range ``0.001-0.01``."""
    low, _, high = os.environ.get("SIMULATED_SECONDS", "0.001-0.01").partition("-")
    return random.uniform(float(low), float(high or low))


def train(_builder: str, parameters: dict[str, Any], _data: Any, settings: Any, **given: Any) -> TrialResult:
    """As many epochs as told, and a number that follows from the parameters alone."""
    n_epochs = int(os.environ.get("SIMULATED_REPORTS", "1"))
    value = right_value(parameters)
    if settings.batch_size > int(os.environ.get("SIMULATED_MEMORY", "1000000")):
        raise MemoryError(f"a batch of {settings.batch_size}")
    if n_epochs == 0:
        time.sleep(seconds())
    for epoch in range(n_epochs):
        time.sleep(seconds() / n_epochs)
        for listener in given["listeners"]:
            listener(epoch, {settings.monitor: value + n_epochs - 1 - epoch})
    history = {"loss": [value], settings.monitor: [value]}
    fit = FitResult(settings.monitor, value, n_epochs - 1, history, [], 1, "epochs")
    told = dict.fromkeys(("val_loss", "val_mse", "val_mae", "val_rmse"), value)
    told |= {"batch_size": settings.batch_size, "accumulated": settings.gradient_accumulation}
    return TrialResult(fit, told, model=None)


def claim_carelessly(storage: Any, study_id: int, owner: dict[str, Any], **_given: Any) -> Claim | None:
    """The mutation: what the queue would do without lock and condition."""
    waiting = storage.get_all_trials(study_id, deepcopy=False, states=(TrialState.WAITING,))
    if not waiting:
        return None
    trial = waiting[0]
    running = sa.update(TRIALS).where(TRIALS.c.trial_id == trial._trial_id).values(state=TrialState.RUNNING)
    storage.transaction(lambda connection, _again: connection.execute(running))
    storage.set_trial_user_attr(trial._trial_id, "owner", owner)
    return Claim(trial._trial_id, trial.number, trial.user_attrs["ticket"], 1, 1)


def note_claims(folder: Path) -> None:
    """Write down the trial of every claim that succeeded, one file a process."""
    claim = tickets.claim

    def noted(storage: Any, study_id: int, owner: Any, **given: Any) -> Claim | None:
        claimed = claim(storage, study_id, owner, **given)
        if claimed is not None:
            with (folder / f"claims-{os.getpid()}.txt").open("a") as file:
                file.write(f"{claimed.number}\n")
        return claimed

    tickets.claim = noted  # type: ignore[assignment]


def load_nothing(_study: Any, _spec: Any) -> Any:
    """No data; and with everything else in place wait for the others until ``SIMULATED_START``, seconds since 1970."""
    time.sleep(max(0.0, float(os.environ.get("SIMULATED_START", "0")) - time.time()))
    return SimpleNamespace(dataset=SimpleNamespace(fingerprint=FINGERPRINT))


def main() -> None:
    """Answer to the options of `python -m greentune.tuning work`."""
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    given = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=False))
    cross_validation.holdout = train
    worker.load_study_data = load_nothing
    if "SIMULATED_CARELESS" in os.environ:
        tickets.claim = claim_carelessly  # type: ignore[assignment]
    if "SIMULATED_CLAIMS" in os.environ:
        note_claims(Path(os.environ["SIMULATED_CLAIMS"]))
    if "SIMULATED_OUTAGES" in os.environ:
        outages.prepare(Path(os.environ["SIMULATED_OUTAGES"]))
    parent = given.get("--parent")
    code = worker.work(
        given["--study"],
        worker=int(given["--worker"]),
        parent=int(parent) if parent else None,
        share="--share" in sys.argv,
    )
    sys.exit(code)


if __name__ == "__main__":
    main()
