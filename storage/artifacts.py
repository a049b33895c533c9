"""The folder of a study for what is too large for the database: checkpoints, trained models, forecasts.

Every host that sees the folder can go on with a trial that another one has begun.

    checkpoints/TICKET/trial-7.npz    state of a running trial (trial-7-2.npz: of its third fit)
    models/trial-7.keras              the trained model of one of the best trials
    forecasts/trial-7.npz             its forecast of the validation part
"""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
from collections.abc import Collection
from pathlib import Path

_KEPT = {"models": ".keras", "forecasts": ".npz"}

_log = logging.getLogger(__name__)


class Artifacts:
    """The folder; a disk that is full or away never ends a trial, it is said once.

    Args:
        folder: of the study.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._warned = False

    @classmethod
    def open(cls, folder: str | None) -> Artifacts | None:
        """The folder named in a study; None where this host does not see it and cannot make it."""
        if not folder:
            return None
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            _log.warning("No checkpoints: the folder %s cannot be used here (%s).", folder, error.strerror)
            return None
        return cls(Path(folder))

    def checkpoint(self, ticket: str, number: int, place: int = 0) -> Path:
        """Where the state of a running trial goes; of a trial with several fits, that of the fit at this place."""
        return self._checkpoints(ticket) / f"trial-{number}{_at(place)}.npz"

    def checkpoints(self, ticket: str, place: int = 0) -> list[Path]:
        """States that earlier attempts at a ticket have left of this fit."""
        pattern = re.compile(rf"trial-\d+{_at(place)}\.npz")
        return sorted(path for path in self._checkpoints(ticket).glob("trial-*.npz") if pattern.fullmatch(path.name))

    def drop_checkpoints(self, ticket: str) -> None:
        """The ticket is done."""
        shutil.rmtree(self._checkpoints(ticket), ignore_errors=True)

    def model(self, number: int) -> Path:
        """Where the trained model of a trial is kept."""
        return self.folder / "models" / f"trial-{number}{_KEPT['models']}"

    def forecast(self, number: int) -> Path:
        """Where its forecast of the validation part is kept."""
        return self.folder / "forecasts" / f"trial-{number}{_KEPT['forecasts']}"

    def retain(self, numbers: Collection[int]) -> None:
        """Remove what is kept of all other trials."""
        for kind, ending in _KEPT.items():
            wanted = {f"trial-{number}{ending}" for number in numbers}
            for path in (self.folder / kind).glob(f"trial-*{ending}"):
                if path.name not in wanted:
                    path.unlink(missing_ok=True)

    def complain(self, error: OSError) -> None:
        """Say once that something could not be kept."""
        if not self._warned:
            self._warned = True
            _log.warning("Not kept in %s: %s. The trials go on.", self.folder, error.strerror or error)

    def _checkpoints(self, ticket: str) -> Path:
        return self.folder / "checkpoints" / hashlib.sha256(ticket.encode()).hexdigest()[:16]


def _at(place: int) -> str:
    return f"-{place}" if place else ""
