"""The beat of a worker: it says that it lives, and learns of orders and of the loss of its trial."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace

from ..storage import fleet
from ..storage.outages import StorageUnavailable
from ..storage.resilient import ResilientStorage
from . import records
from .stopping import StopSignal

_log = logging.getLogger("greentune.worker")


class Heart(threading.Thread):
    """Beats every few seconds, whatever the database does: after an outage it goes on.

    Args:
        study: on whose tickets the worker works.
        interval: seconds between two beats, at the moment.
        stop: is asked to interrupt the trial when it was declared dead or the study is stopped.
    """

    def __init__(
        self,
        storage: ResilientStorage,
        worker: fleet.Worker,
        *,
        study: str,
        interval: Callable[[], float],
        stop: StopSignal,
    ) -> None:
        super().__init__(name="beat", daemon=True)
        self._storage, self._worker, self._study = storage, worker, study
        self._interval, self._stop_signal = interval, stop
        self._trial_id: int | None = None
        self._ended = threading.Event()
        self._lock = threading.Lock()

    def works_on(self, trial_id: int | None) -> None:
        """Say with the next beats which trial is in hand."""
        with self._lock:  # a beat that began before must not take the next trial for a lost one
            self._trial_id = trial_id

    def end(self) -> None:
        """Stop beating and leave the table."""
        self._ended.set()
        self.join(timeout=5)
        try:
            fleet.leave(self._storage, self._worker.id)
        except StorageUnavailable:
            _log.info("the database is away: the worker leaves without saying so")

    def run(self) -> None:
        while not self._ended.wait(self._interval()):
            try:
                self._beat()
            except StorageUnavailable as error:
                _log.warning("no beat for a long time, trying again: %s", error.reason)

    def _beat(self) -> None:
        trial_id = self._trial_id
        heard = fleet.beat(self._storage, self._worker.id, study=self._study, trial_id=trial_id)
        if heard.forgotten:  # this machine was asleep, or the database was away for hours
            fleet.join(self._storage, replace(self._worker, study=self._study, trial_id=trial_id))
        control = records.decode(heard.attributes).get(records.CONTROL, records.RUN)
        with self._lock:
            if trial_id is None or trial_id != self._trial_id:
                return
            if heard.fenced:
                self._stop_signal.request("fenced")
            elif control in (records.PAUSE_NOW, records.STOP):
                self._stop_signal.request("interrupted" if control == records.STOP else "paused")
