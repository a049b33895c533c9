"""One worker: a process that claims tickets, trains and tells, until nothing is waiting.

The supervisor starts it as ``python -m greentune.tuning worker …`` with backend, devices and threads already in the
environment, and the database in ``GREENTUNE_STORAGE``. SIGTERM puts the running ticket back.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from ..objectives.callbacks import Listener, NonFinite, Pruned, PruningListener
from ..objectives.holdout import TrialResult, holdout
from ..objectives.runtime import pin_to_core
from ..objectives.training import FitSettings
from ..storage.dataset import Dataset
from ..storage.datasets import load_dataset
from ..storage.mistakes import Mistake
from ..storage.rdb import open_storage
from . import queue, records
from .owner import this_owner
from .pruners import make_pruner
from .samplers import claim_sampler
from .spec import SpecError, StudySpec

RECYCLE_AFTER_TRIALS = 50
"""A worker ends after so many trials and is replaced: processes grow with every model they compile."""

_log = logging.getLogger("greentune.worker")


class Interrupted(BaseException):
    """SIGTERM: the running trial ends here and its ticket goes back. Not an Exception: no handler may swallow it."""


class StopSignal:
    """Turns SIGTERM into :class:`Interrupted` while training, and into a flag while talking to the database."""

    def __init__(self) -> None:
        self.asked = False
        self._armed = False
        signal.signal(signal.SIGTERM, self._receive)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the supervisor decides

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Inside, the signal raises at once."""
        self._arm()
        try:
            yield
        finally:
            self._armed = False

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Inside, within :meth:`interruptible`, the signal waits for the end."""
        self._armed = False
        yield
        self._arm()

    def _arm(self) -> None:
        self._armed = True
        if self.asked:
            raise Interrupted

    def _receive(self, _signal: int, _frame: FrameType | None) -> None:
        self.asked = True
        if self._armed:
            self._armed = False
            raise Interrupted


def work(study_name: str, *, worker: int, parent: int | None = None, until: float | None = None) -> int:
    """Work off tickets of the study until none is waiting.

    Args:
        study_name: the study, in the database named by ``GREENTUNE_STORAGE``.
        worker: number of this worker, for logs and the live view; it stays on the core of that number.
        parent: process id of the supervisor; the worker ends with it.
        until: Unix time after which no new ticket is claimed.

    Returns:
        the exit code.
    """
    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s")
    _log.setLevel(logging.INFO)
    pin_to_core(worker)
    stop = StopSignal()
    _end_with_parent(parent)
    storage = open_storage(os.environ["GREENTUNE_STORAGE"], create=False)
    study = records.load_study(storage, study_name)
    spec = records.read_spec(study)
    try:
        dataset = load_dataset(spec.data)
        if dataset.fingerprint != records.read_fingerprint(study):
            raise SpecError(f"The data at {spec.data.path} have changed since the study was created. Use a new study.")
        study.pruner = make_pruner(spec.search.pruner, spec.training.epochs)
        owner = this_owner(worker)
        for _ in range(RECYCLE_AFTER_TRIALS):
            orphaned = parent is not None and os.getppid() != parent
            if stop.asked or orphaned or (until is not None and time.time() >= until):
                return 0
            trial_id = queue.claim(study, storage, owner)
            if trial_id is None:
                return 0
            _run_ticket(study, storage, spec, dataset, trial_id, stop)
            _log.info("%s", _outcome(storage.get_trial(trial_id)))
    except Mistake as mistake:
        records.stop(study, mistake.mistakes)
        return records.EXIT_SETUP
    except Interrupted:
        _log.info("worker %d was asked to stop", worker)
    return 0


def _run_ticket(
    study: optuna.Study, storage: RDBStorage, spec: StudySpec, dataset: Dataset, trial_id: int, stop: StopSignal
) -> None:
    study.sampler = claim_sampler(spec, storage.get_trial(trial_id).user_attrs.get("ticket", ""))
    trial = optuna.trial.Trial(study, trial_id)
    prune = PruningListener(trial, spec.search.metric)
    began = time.perf_counter()

    def report(epoch: int, logs: dict[str, float]) -> None:
        with stop.held_back():
            prune(epoch, logs)

    try:
        point = spec.parsed_space().sample(trial)
        with stop.interruptible():
            result = run_point(spec, dataset, point, listeners=(report,))
    except Pruned:
        _tell(study, trial, TrialState.PRUNED, {"seconds": round(time.perf_counter() - began, 3)})
    except NonFinite as error:
        queue.fail(storage, trial, "nonfinite", str(error))
    except Interrupted:
        queue.fail(storage, trial, "interrupted", "the worker was asked to stop")
        raise
    except Mistake as error:
        queue.fail(storage, trial, "setup", str(error))
        raise
    except Exception as error:  # noqa: BLE001 - a bad trial must not end the worker; what it raised is kept with it
        traceback.print_exc()
        queue.fail(storage, trial, "error", _last_frames(error))
    else:
        facts = summary(result, time.perf_counter() - began)
        _tell(study, trial, TrialState.COMPLETE, facts, result.fit.best_value)


def run_point(
    spec: StudySpec, dataset: Dataset, point: Mapping[str, Any], *, listeners: Sequence[Listener] = ()
) -> TrialResult:
    """Train one point as the study says: the whole trial, also outside of a search.

    The same point gives the same number, to the bit on one CPU backend with the same number of threads.

    Args:
        point: values of the searched parameters, decoded (lists, not labels).
        listeners: told of every epoch; one that raises ends the training.
    """
    training = spec.training
    parameters = {**spec.parameters, **point}
    settings = FitSettings(
        epochs=training.epochs,
        batch_size=int(parameters.pop("batch_size", training.batch_size)),
        monitor=spec.search.metric,
        shuffle=training.shuffle,
        patience=training.patience,
        reduce_lr_patience=training.reduce_lr_patience,
        seed=spec.seed,
    )
    return holdout(spec.builder, parameters, dataset, settings, listeners=listeners)


def summary(result: TrialResult, seconds: float) -> dict[str, Any]:
    """What is kept with a trial beside its number."""
    return {
        "values": {name: float(value) for name, value in result.values.items()},
        "best_epoch": result.fit.best_epoch,
        "epochs": len(result.fit.history["loss"]),
        "seconds": round(seconds, 3),
        "n_parameters": result.fit.n_parameters,
    }


def _tell(
    study: optuna.Study, trial: optuna.Trial, state: TrialState, facts: Mapping[str, Any], value: float | None = None
) -> None:
    """Write the result with its facts; that of a trial which was declared dead meanwhile is dropped."""
    try:
        for name, fact in facts.items():
            trial.set_user_attr(name, fact)
        study.tell(trial, value, state=state)
    except (UpdateFinishedTrialError, ValueError) as error:
        if not trial.storage.get_trial(trial._trial_id).state.is_finished():
            raise
        _log.warning("the result of trial %d came late and was dropped: %s", trial.number, error)


def _outcome(trial: FrozenTrial) -> str:
    reason = trial.user_attrs.get("reason")
    return f"trial {trial.number} {trial.state.name} {reason or trial.value} with {trial.params}"


def _last_frames(error: Exception) -> str:
    lines = traceback.format_exception(error)
    return "".join(lines[-6:])[-2000:]


def _end_with_parent(parent: int | None) -> None:
    """Receive SIGTERM when the supervisor dies (Linux; elsewhere the loop looks at the parent before each ticket)."""
    if parent is None:
        return
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(0)
