"""One worker: a process that claims tickets, trains and tells, until the queue is empty or somebody says stop.

A supervisor starts it as ``python -m greentune.tuning work …`` with backend, devices and threads already in the
environment, and the database in ``GREENTUNE_STORAGE``. SIGTERM puts the running ticket back.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import optuna
import sqlalchemy as sa
from optuna.trial import TrialState

from ..objectives.cross_validation import Cut
from ..objectives.runtime import apply_gpu_limits, pin_to_core
from ..storage import fleet, spool, tickets
from ..storage.artifacts import Artifacts
from ..storage.mistakes import Mistake
from ..storage.outages import StorageUnavailable
from ..storage.rdb import open_storage
from ..storage.resilient import ResilientStorage
from ..storage.tickets import Claim
from . import gate, queue, records
from .attempt import OutOfMemory, attempt, give_up
from .beat import Heart
from .bench import Bench
from .folds import cuts_of
from .gate import Gate
from .no_gain import no_gain
from .owner import owner_of, this_worker
from .pruners import make_pruner
from .service import leave_for_others
from .spec import SpecError, StudySpec
from .stopping import Interrupted, StopSignal
from .study_data import OtherData, load_study_data
from .user_models import OtherCode, preload
from .watchdog import Watchdog, resident_mb

IDLE_SECONDS = 1.0
"""How often a worker that has nothing to do looks again: a ticket of somebody who died may come back."""

_log = logging.getLogger("greentune.worker")


def work(study_name: str, *, worker: int, parent: int | None = None, share: bool = False) -> int:
    """Work off tickets of the study until nothing waits and nobody else is at work.

    Args:
        study_name: the study, in the database named by ``GREENTUNE_STORAGE``.
        worker: number of this worker, for logs and the live view; on a CPU it stays on the core of that number.
        parent: process id of the supervisor; the worker ends with it.
        share: leave when another study needs workers more.

    Returns:
        the exit code.
    """
    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s")
    _log.setLevel(logging.INFO)
    device = _device(worker)
    url = os.environ["GREENTUNE_STORAGE"]
    stop = StopSignal(foreground=parent is None)
    _end_with_parent(parent)
    try:
        storage = open_storage(url, create=False, patient=True)
    except StorageUnavailable as error:
        _log.warning("%s", error)
        return records.EXIT_STORAGE
    stop.on_signal = storage.patience.hurry
    leave_when = leave_for_others(storage, study_name) if share else lambda: False
    return _Worker(storage, url, study_name, worker, device, stop, parent).run(leave_when)


class _Worker:
    """The state of a worker between two trials."""

    def __init__(
        self,
        storage: ResilientStorage,
        url: str,
        study_name: str,
        number: int,
        device: str,
        stop: StopSignal,
        parent: int | None,
    ) -> None:
        self._storage, self._url, self._stop = storage, url, stop
        self._study = records.load_study(storage, study_name)
        self._spec_text = ""
        self._opening = Gate.OPEN
        self._clock_stands = False
        self._spec = records.read_spec(self._study)
        self._planned: list[queue.Ticket] = []
        self._me = this_worker(number, device)
        self._heart = Heart(
            storage, self._me, study=study_name, interval=lambda: self._spec.run.beat_seconds, stop=stop
        )
        self._bench: Bench | None = None
        self._trial_id: int | None = None
        self._watchdog = Watchdog(parent=parent, stop=stop, give_up=self._give_up)
        self._n_trials = 0
        self._artifacts: Artifacts | None = None

    def run(self, leave_when: Callable[[], bool]) -> int:
        fleet.ensure_table(self._storage)
        fleet.join(self._storage, replace(self._me, study=self._study.study_name))
        self._heart.start()
        self._watchdog.start()
        try:
            return self._loop(leave_when)
        except StorageUnavailable as error:
            _log.warning("%s", error)
            return records.EXIT_STORAGE
        except OutOfMemory as error:
            _log.warning("out of memory, this process is to be replaced: %s", error)
            return records.EXIT_OOM
        except (OtherData, OtherCode) as error:
            _log.error("%s", error)
            return records.EXIT_DATA
        except Mistake as mistake:
            records.stop(self._study, mistake.mistakes)
            return records.EXIT_SETUP
        except Interrupted as interruption:
            _log.info("worker %s ends: %s", self._me.worker, interruption.reason)
            return 0
        finally:
            self._heart.end()

    def _loop(self, leave_when: Callable[[], bool]) -> int:
        spool.replay(self._storage, self._url)
        cuts = self._load_data()
        self._artifacts = Artifacts.open(self._study.user_attrs.get(records.ARTIFACTS))
        self._look_for_a_gain()
        while not self._stop.asked:
            owner = owner_of(self._me, self._n_trials)
            claim = tickets.claim(self._storage, self._study._study_id, owner, allowed=self._may_claim)
            if claim is not None:
                self._one(cuts, claim)
                if self._n_trials >= self._spec.run.recycle_after or self._too_large() or leave_when():
                    return 0
            elif self._opening is Gate.CLOSED:
                return 0
            elif self._opening is Gate.PAUSED:
                self._idle()
            elif self._clock_stands:
                assert self._spec.search.timeout is not None
                records.start_clock(self._study, now=fleet.now(self._storage), timeout=self._spec.search.timeout)
            elif not self._more_may_come():
                return 0
        return 0

    def _may_claim(self, connection: sa.Connection, attributes: tickets.Attributes) -> bool:
        """Whether the study is open, with what stands in it now; within the transaction of the claim."""
        self._take_over(attributes[records.SPEC])
        decoded = records.decode(attributes)
        self._opening = gate.look(connection, self._study._study_id, self._spec, decoded)
        # The time of a submitted study begins with its first trial, not while it waits for workers.
        self._clock_stands = self._spec.search.timeout is not None and decoded.get(records.UNTIL) is None
        return self._opening is Gate.OPEN and not self._clock_stands

    def _take_over(self, text: str) -> None:
        """A specification that has changed meanwhile."""
        if text == self._spec_text:
            return
        self._spec_text = text
        self._spec = StudySpec.from_json(json.loads(text))
        self._study.pruner = _pruner(self._spec)
        self._planned = queue.plan(self._spec)

    def _one(self, cuts: Sequence[Cut], claim: Claim) -> None:
        """One ticket, with everybody watching."""
        spec = self._spec
        fresh = self._n_trials == 0
        self._bench = Bench(self._study, self._storage, self._url, spec, cuts, self._artifacts, self._stop, fresh)
        self._n_trials += 1
        self._stop.forget_requests()
        self._trial_id = claim.trial_id
        self._heart.works_on(claim.trial_id)
        self._watchdog.watch(seconds=spec.run.trial_timeout, memory_mb=spec.run.memory_limit_mb)
        state: TrialState | None = None
        try:
            state = attempt(self._bench, claim)
        except Interrupted as interruption:
            if interruption.reason != "paused":
                raise
        finally:
            self._watchdog.rest()
            self._heart.works_on(None)
            self._trial_id = None
        if state is TrialState.FAIL:
            self._look_for_a_crash_loop()
        else:
            self._look_for_a_gain()

    def _load_data(self) -> Sequence[Cut]:
        preload(self._spec)
        if self._spec.objective_function is not None:
            return ()
        cuts = cuts_of(load_study_data(self._study, self._spec), self._spec.validation)
        apply_gpu_limits()
        return cuts

    def _more_may_come(self) -> bool:
        """Whether tickets come back, because their workers died or may still do so."""
        if queue.reconcile(self._study, self._storage, self._planned, self._spec.run).added:
            return True
        if not queue.anybody_at_work(self._storage, self._study):
            return False
        self._idle()
        return True

    def _idle(self) -> None:
        time.sleep(IDLE_SECONDS * random.uniform(0.7, 1.3))

    def _too_large(self) -> bool:
        limit = self._spec.run.memory_limit_mb
        if limit is None or resident_mb() < 0.9 * limit:
            return False
        _log.info("replaced after %d trials: %.0f MiB are near the limit of %d", self._n_trials, resident_mb(), limit)
        return True

    def _look_for_a_crash_loop(self) -> None:
        rows = self._storage.transaction(
            lambda connection, _again: tickets.read_rows(connection, self._study._study_id)
        )
        begun = self._study.user_attrs.get(records.BEGUN)
        why = gate.crash_loop(rows, times=self._spec.run.crash_loop, begun=begun)
        if why is not None:
            raise SpecError(why)

    def _look_for_a_gain(self) -> None:
        """End the search when it gains nothing any more: running trials are finished, no new one begins."""
        search = self._spec.search
        if search.until_no_gain is None:
            return
        trials = self._study.get_trials(deepcopy=False)
        if no_gain(trials, search.until_no_gain, search.metric, maximize=search.directions[:1] == ("maximize",)):
            why = f"The last {search.until_no_gain} trials brought no gain larger than the noise"
            _log.info("%s: the search ends", why)
            records.end_search(self._study, now=fleet.now(self._storage), why=why)

    def _give_up(self) -> None:
        if self._bench is not None and self._trial_id is not None:
            give_up(self._bench, self._trial_id, records.EXIT_TIMEOUT)


def _pruner(spec: StudySpec) -> optuna.pruners.BasePruner:
    if spec.objective_function is not None:
        return make_pruner(spec.search.pruner, None)
    validation = spec.validation
    n_folds = {"holdout": 1, "documented": 4}.get(validation.method, validation.n_splits)
    return make_pruner(spec.search.pruner, spec.training.epochs, n_folds=n_folds, n_seeds=validation.seeds)


def _device(worker: int) -> str:
    """Where this process computes; on a CPU it is pinned to its core."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "-1")
    if visible not in ("", "-1"):
        return f"gpu {visible}"
    pin_to_core(worker)
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    return f"cpu {next(iter(cores))}" if len(cores) == 1 else "cpu"


def _end_with_parent(parent: int | None) -> None:
    """Receive SIGTERM when the supervisor dies (Linux; elsewhere the watchdog looks)."""
    if parent is None:
        return
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(0)
