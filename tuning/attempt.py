"""One attempt at a ticket: from the claimed trial to the told result, whatever happens in between."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
import traceback
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from ..objectives.callbacks import Listener, NonFinite, Pruned, PruningListener
from ..objectives.checkpoint import Checkpointer
from ..objectives.holdout import TrialResult, holdout
from ..objectives.memory import is_out_of_memory
from ..objectives.training import FitSettings
from ..storage import spool, tickets
from ..storage.dataset import Dataset
from ..storage.mistakes import Mistake
from ..storage.outages import StorageUnavailable
from ..storage.tickets import Claim
from .bench import Bench
from .keepsakes import keep_best
from .samplers import claim_sampler
from .space import labels
from .spec import StudySpec
from .stopping import Interrupted, StopSignal

_log = logging.getLogger("greentune.worker")


class OutOfMemory(Exception):
    """The process has run out of memory once, so it is to be replaced."""


def attempt(bench: Bench, claim: Claim) -> TrialState | None:
    """Train the point of a claimed trial and tell the result.

    Returns:
        how the trial ended; None when it was declared dead meanwhile, so that nothing was told.

    Raises:
        Interrupted: the worker is to end, or to wait; the ticket has gone back.
        OutOfMemory: the process is to be replaced; the trial has failed.
        Mistake: the set-up is wrong.
        StorageUnavailable: the database stayed away; a result is kept in a file.
    """
    bench.study.sampler = claim_sampler(bench.spec, claim.ticket)
    return _Attempt(bench, claim, optuna.trial.Trial(bench.study, claim.trial_id)).run()


class _Attempt:
    """A claimed trial on its way to a result."""

    def __init__(self, bench: Bench, claim: Claim, trial: optuna.Trial) -> None:
        self._bench, self._claim, self._trial = bench, claim, trial
        self._began = time.perf_counter()
        self._checkpointer: Checkpointer | None = None

    def run(self) -> TrialState | None:
        try:
            return self._from_training_to_result()
        except Interrupted as interruption:
            return self._interrupted(interruption)
        except StorageUnavailable:
            self._save()
            raise
        except UpdateFinishedTrialError:
            self._say_dead()
            return None

    def _from_training_to_result(self) -> TrialState | None:
        try:
            result = self._train()
        except Pruned as pruned:
            return self._end(TrialState.PRUNED, value=pruned.value)
        except NonFinite as error:
            return self._end(TrialState.FAIL, reason="nonfinite", detail=str(error))
        except (StorageUnavailable, UpdateFinishedTrialError):
            raise  # not the training's doing
        except Mistake as error:
            self._end(TrialState.FAIL, reason="setup", detail=str(error))
            raise
        except Exception as error:
            if is_out_of_memory(error):
                self._end(TrialState.FAIL, reason="oom", detail=_last_frames(error))
                raise OutOfMemory(str(error)) from error
            traceback.print_exc()  # a bad trial must not end the worker; what it raised is kept with it
            return self._end(TrialState.FAIL, reason="error", detail=_last_frames(error))
        with keep_best(self._bench, self._claim.number, result):
            return self._end(TrialState.COMPLETE, value=result.fit.best_value, **summary(result))

    def _train(self) -> TrialResult:
        bench, metric = self._bench, self._bench.spec.search.metric
        point = bench.spec.parsed_space().sample(self._trial)
        self._checkpointer = _checkpointer(bench, self._claim, point)
        prune = PruningListener(self._trial, metric)
        if self._checkpointer is not None:  # pruners compare the epochs of the earlier attempt with those of others
            for epoch, value in enumerate(self._checkpointer.history.get(metric, ())):
                self._trial.report(value, epoch)
        with bench.stop.interruptible():
            return run_point(
                bench.spec,
                bench.dataset,
                point,
                listeners=(_held_back(bench.stop, prune),),
                checkpointer=self._checkpointer,
                accumulate=self._claim.accumulate,
            )

    def _interrupted(self, interruption: Interrupted) -> TrialState | None:
        run = self._bench.spec.run
        match interruption.reason:
            case "fenced":
                self._say_dead()
                return None
            case "timeout":
                detail = f"it took longer than {run.trial_timeout} s"
                return self._end(TrialState.FAIL, reason="timeout", detail=detail)
            case "memory" if self._bench.fresh:
                detail = f"it took more than {run.memory_limit_mb} MiB in a fresh process"
                self._end(TrialState.FAIL, reason="oom", detail=detail)
                raise OutOfMemory(detail) from None
            case "memory":
                self._save()
                self._end(TrialState.FAIL, reason="recycled", detail="the process had grown over its memory limit")
            case reason:
                self._save()
                self._end(TrialState.FAIL, reason=reason, detail="the worker was asked to stop, or its supervisor died")
        raise interruption

    def _end(self, state: TrialState, *, value: float | None = None, **facts: Any) -> TrialState | None:
        """Tell the result with its facts; that of a trial which was declared dead meanwhile is dropped."""
        bench, claim = self._bench, self._claim
        facts["seconds"] = round(time.perf_counter() - self._began, 3)
        try:
            landed = tickets.finish(bench.storage, claim.trial_id, state, value=value, facts=facts)
        except StorageUnavailable:
            if state is not TrialState.FAIL:
                path = spool.keep(bench.url, claim.trial_id, state, value=value, facts=facts)
                _log.warning("the result of trial %d is kept in %s and told at the next start", claim.number, path)
            raise
        if not landed:
            _log.warning("the result of trial %d came late and was dropped: %s %s", claim.number, state.name, value)
            return None
        _log.info("trial %d %s %s with %s", claim.number, state.name, facts.get("reason", value), self._trial.params)
        if bench.artifacts is not None and state is not TrialState.FAIL:
            bench.artifacts.drop_checkpoints(claim.ticket)
        return state

    def _save(self) -> None:
        if self._checkpointer is not None:
            self._checkpointer.save()

    def _say_dead(self) -> None:
        _log.warning("trial %d was declared dead meanwhile; its training ends here", self._claim.number)


def run_point(
    spec: StudySpec,
    dataset: Dataset,
    point: Mapping[str, Any],
    *,
    listeners: Sequence[Listener] = (),
    checkpointer: Checkpointer | None = None,
    accumulate: int = 1,
) -> TrialResult:
    """Train one point as the study says: the whole trial, also outside of a search.

    The same point gives the same number, to the bit on one CPU backend with the same number of threads.

    Args:
        point: values of the searched parameters, decoded (lists, not labels).
        listeners: told of every epoch; one that raises ends the training.
        checkpointer: keeps the state of the training, and holds the one to go on from.
        accumulate: batches whose gradients are added up before a step; each has that part of the batch size.
    """
    training = spec.training
    parameters = {**spec.parameters, **point}
    batch_size = int(parameters.pop("batch_size", training.batch_size))
    settings = FitSettings(
        epochs=training.epochs,
        batch_size=max(1, batch_size // accumulate),
        monitor=spec.search.metric,
        shuffle=training.shuffle,
        patience=training.patience,
        reduce_lr_patience=training.reduce_lr_patience,
        seed=spec.seed,
        gradient_accumulation=accumulate,
        precision=training.precision,
    )
    return holdout(spec.builder, parameters, dataset, settings, listeners=listeners, checkpointer=checkpointer)


def summary(result: TrialResult) -> dict[str, Any]:
    """What is kept with a trial beside its number."""
    return {
        "values": {name: float(value) for name, value in result.values.items()},
        "best_epoch": result.fit.best_epoch,
        "epochs": len(result.fit.history["loss"]),
        "n_parameters": result.fit.n_parameters,
    }


def _checkpointer(bench: Bench, claim: Claim, point: Mapping[str, Any]) -> Checkpointer | None:
    """Ready to go on from what an earlier attempt at the ticket has left."""
    every = bench.spec.run.checkpoint_every
    if bench.artifacts is None or every == 0:
        return None
    identity = training_identity(bench.spec, point, bench.dataset.fingerprint, claim.accumulate)
    checkpointer = Checkpointer(bench.artifacts.checkpoint(claim.ticket, claim.number), every=every, identity=identity)
    if claim.attempt > 1:
        done = checkpointer.resume_from(bench.artifacts.checkpoints(claim.ticket))
        if done:
            _log.info("trial %d goes on after epoch %d of an earlier attempt", claim.number, done)
    return checkpointer


def training_identity(spec: StudySpec, point: Mapping[str, Any], fingerprint: str, accumulate: int) -> str:
    """Digest of all that decides the bits of a training: only with the same one is a checkpoint gone on from."""
    versions = {name: metadata.version(name) for name in ("keras", spec.backend, "numpy")}
    threads = os.environ.get("PJRT_NPROC")
    settings = {name: value for name, value in spec.identity().items() if not name.startswith("space.")}
    facts = [settings, labels(point), fingerprint, accumulate, versions, threads]
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def _held_back(stop: StopSignal, listener: Listener) -> Listener:
    def report(epoch: int, logs: dict[str, float]) -> None:
        with stop.held_back():
            listener(epoch, logs)

    return report


def _last_frames(error: BaseException) -> str:
    lines = traceback.format_exception(error)
    return "".join(lines[-6:])[-2000:]


def give_up(bench: Bench, trial_id: int, exit_code: int) -> None:
    """End a trial that does not hear its interruption, and the process with it; called from another thread."""
    detail = f"it took longer than {bench.spec.run.trial_timeout} s and did not react"
    try:
        tickets.finish(bench.storage, trial_id, TrialState.FAIL, facts={"reason": "timeout", "detail": detail})
    finally:
        os._exit(exit_code)
