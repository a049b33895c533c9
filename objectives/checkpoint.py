"""The state of a trial on disk, so that an interrupted training goes on from its last epoch. No Keras."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from .state import TrainingState, read_state, remove_drafts, write_state

logger = logging.getLogger(__name__)


class Checkpointer:
    """Holds the state at the end of the newest epoch in memory, and writes it every few epochs and when told.

    Hand it to `fit` or `holdout`. On JAX a training that was interrupted after any epoch and went on from the state of
    that epoch gives the same bits as one that never was, in the same environment (see `worker_environment`).

    On TensorFlow weights, optimiser, dropout, callbacks and the order of windows that are gathered batch by batch go on
    as well. Windows in memory are shuffled there by a generator of TensorFlow's that cannot be read; after `set_seed`
    it gives every epoch the same order, so nothing is lost, and without a seed another one. The numbers are the same up
    to what TensorFlow itself varies from run to run: nothing on the CPUs it was tried on, the last digits on a GPU.

    A disk that is full or not ours ends no training: one warning, and the next writing tries again.

    Args:
        path: the ``.npz`` that receives the state; its folder is made when it is missing.
        every: epochs between two writings, at least 1. The last epoch is always written.
        identity: digest of parameters, data, settings, backend and whatever else makes a training what it is; a state
            with another identity is never used.
    """

    def __init__(self, path: Path, *, every: int, identity: str) -> None:
        self._path = path
        self._every = every
        self._identity = identity
        self._state: TrainingState | None = None
        self._written: TrainingState | None = None
        self._next_writing = every
        self._tried = False
        self._warned = False

    @property
    def state(self) -> TrainingState | None:
        """The state at the end of the newest epoch; None before there is one."""
        return self._state

    @property
    def history(self) -> Mapping[str, Sequence[float]]:
        """The values of the epochs done, by name; empty when fresh."""
        return {} if self._state is None else {name: tuple(values) for name, values in self._state.history.items()}

    def resume_from(self, candidates: Iterable[Path]) -> int:
        """Takes the state with the most epochs among those that exist, are whole and belong to this training.

        A file that is broken or foreign is passed over with a warning.

        Returns:
            the number of epochs done; 0: none.
        """
        for path in candidates:
            if (found := self._read(path)) is not None and found.epochs_done > self.epochs_done:
                self._state = found
                self._written = found if path == self._path else None
                self._next_writing = found.epochs_done + self._every
        return self.epochs_done

    @property
    def epochs_done(self) -> int:
        """Epochs that need not be trained again."""
        return 0 if self._state is None else self._state.epochs_done

    def keep(self, state: TrainingState) -> None:
        """Takes the state at the end of an epoch; `fit` calls it."""
        self._state = state
        if state.ended or state.epochs_done >= self._next_writing:
            self._next_writing = state.epochs_done + self._every
            self.save()

    def discard(self, reason: str) -> None:
        """Drops a state that cannot be used after all, so that the training begins anew; `fit` calls it."""
        logger.warning("The state of %d epochs is not used: %s. The training begins anew.", self.epochs_done, reason)
        self._state = self._written = None
        self._next_writing = self._every

    def save(self) -> bool:
        """Writes the newest state, if it is not on disk already. Safe at any moment between two instructions.

        Returns:
            whether the newest state is on disk; False too when there is none yet.
        """
        state = self._state
        if state is None:
            return False
        if state is self._written and self._path.exists():
            return True
        try:
            if not self._tried:
                self._tried = True
                remove_drafts(self._path)
            write_state(self._path, state, self._identity)
        except (OSError, ValueError) as error:
            if not self._warned:
                self._warned = True
                logger.warning(
                    "The state of the training cannot be written to %s (%s). It goes on without; an interruption would"
                    " cost its epochs. Make room there, or mend the folder's rights.",
                    self._path,
                    error,
                )
            return False
        self._written = state
        return True

    def _read(self, path: Path) -> TrainingState | None:
        if not path.exists():
            return None
        try:
            return read_state(path, self._identity)
        except Exception as error:  # noqa: BLE001 (a damaged archive raises whatever its bytes lead to)
            logger.warning("The state in %s is passed over: %s", path, str(error) or type(error).__name__)
            return None
