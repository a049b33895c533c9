"""One attempt at a ticket: from the claimed trial to the told result, whatever happens in between."""

from __future__ import annotations

import copy
import logging
import os
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from ..models.contract import ModelError
from ..objectives.callbacks import NonFinite, Pruned
from ..objectives.cross_validation import CrossResult
from ..objectives.memory import is_out_of_memory
from ..storage import spool, tickets
from ..storage.mistakes import Mistake
from ..storage.outages import StorageUnavailable
from ..storage.tickets import Claim
from .bench import Bench
from .follow import Follow
from .keepsakes import keep_best
from .live_trial import LiveTrial
from .objective_call import call
from .point import further_values, model_of, run_point, summary
from .samplers import claim_sampler
from .shown import DRAWN
from .stopping import Interrupted
from .user_models import Bound, draws_itself, told

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
    # Between two calls of `ask`, which nobody makes here, a study of Optuna's hands the same old trials to its sampler.
    # A copy has read none yet: TPE sees all results so far.
    bench = replace(bench, study=copy.copy(bench.study))
    bench.study.sampler = claim_sampler(bench.spec, claim.ticket)
    return _Attempt(bench, claim, optuna.trial.Trial(bench.study, claim.trial_id)).run()


class _Attempt:
    """A claimed trial on its way to a result."""

    def __init__(self, bench: Bench, claim: Claim, trial: optuna.Trial) -> None:
        self._bench, self._claim, self._trial = bench, claim, trial
        self._began = time.perf_counter()
        self._followed: Follow | None = None
        self._model: Bound | None = None

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
        spec = self._bench.spec
        result: CrossResult | None = None
        try:
            if spec.objective_function is not None:
                values = self._call()
            else:
                result, values = self._train()
        except Pruned as pruned:
            facts = {} if self._followed is None else self._followed.facts()
            return self._end(TrialState.PRUNED, value=pruned.value, **facts)
        except optuna.TrialPruned:  # by the user's own code
            reported = self._bench.storage.get_trial(self._claim.trial_id).intermediate_values
            return self._end(TrialState.PRUNED, value=reported[max(reported)] if reported else None)
        except NonFinite as error:
            return self._end(TrialState.FAIL, reason="nonfinite", detail=str(error))
        except (StorageUnavailable, UpdateFinishedTrialError):
            raise  # not the training's doing
        except Mistake as error:
            # A user's model that cannot be built may be a matter of what was drawn: some could, before the study began.
            if isinstance(error, ModelError) and draws_itself(spec):
                return self._end(TrialState.FAIL, reason="error", detail=str(error))
            self._end(TrialState.FAIL, reason="setup", detail=str(error))
            raise
        except Exception as error:
            if is_out_of_memory(error):
                self._end(TrialState.FAIL, reason="oom", detail=_last_frames(error))
                raise OutOfMemory(str(error)) from error
            # A bad trial must not end the worker; what it raised is kept with it.
            detail = told(spec, error) or _last_frames(error)
            _log.error("trial %d raised an error:\n%s", self._claim.number, detail)
            return self._end(TrialState.FAIL, reason="error", detail=detail[-2000:])
        if result is None:
            return self._end(TrialState.COMPLETE, value=values[0], others=values[1:])
        with keep_best(self._bench, self._claim.number, result):
            return self._end(TrialState.COMPLETE, value=values[0], others=values[1:], **summary(result))

    def _call(self) -> tuple[float, ...]:
        """The values that the user's objective function returns."""
        bench = self._bench
        with bench.stop.interruptible():
            return call(bench.spec, LiveTrial(bench.study, self._claim.trial_id, bench.stop))

    def _train(self) -> tuple[CrossResult, tuple[float, ...]]:
        """The result, and its values: the error, and those in further objectives."""
        bench = self._bench
        point = bench.spec.parsed_space().sample(self._trial)
        if draws_itself(bench.spec):
            live = LiveTrial(bench.study, self._claim.trial_id, bench.stop)
            self._model = model_of(bench.spec, point, bench.cuts[-1].dataset, live)
        self._followed = Follow(bench, self._claim, self._trial, point)
        with bench.stop.interruptible():
            result = run_point(
                bench.spec,
                bench.cuts,
                point,
                model=self._model,
                hooks=self._followed.hooks(),
                accumulate=self._claim.accumulate,
            )
            return result, (result.value, *further_values(bench.spec, result))

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

    def _end(
        self, state: TrialState, *, value: float | None = None, others: Sequence[float] = (), **facts: Any
    ) -> TrialState | None:
        """Tell the result with its facts; that of a trial which was declared dead meanwhile is dropped."""
        bench, claim = self._bench, self._claim
        if self._model is not None and (drawn := self._model.drawn()):
            facts[DRAWN] = drawn
        facts["seconds"] = round(time.perf_counter() - self._began, 3)
        try:
            landed = tickets.finish(bench.storage, claim.trial_id, state, value=value, others=others, facts=facts)
        except StorageUnavailable:
            if state is not TrialState.FAIL:
                path = spool.keep(bench.url, claim.trial_id, state, value=value, others=others, facts=facts)
                _log.warning("the result of trial %d is kept in %s and told at the next start", claim.number, path)
            raise
        if not landed:
            _log.warning("the result of trial %d came late and was dropped: %s %s", claim.number, state.name, value)
            return None
        _log.info(
            "trial %d %s %s with %s",
            claim.number,
            state.name,
            facts.get("reason", value),
            facts.get(DRAWN, self._trial.params),
        )
        if bench.artifacts is not None and state is not TrialState.FAIL:
            bench.artifacts.drop_checkpoints(claim.ticket)
        return state

    def _save(self) -> None:
        if self._followed is not None:
            self._followed.save()

    def _say_dead(self) -> None:
        _log.warning("trial %d was declared dead meanwhile; its training ends here", self._claim.number)


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
