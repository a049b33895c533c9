"""What a worker works with."""

from __future__ import annotations

from dataclasses import dataclass

import optuna

from ..storage.artifacts import Artifacts
from ..storage.dataset import Dataset
from ..storage.resilient import ResilientStorage
from .spec import StudySpec
from .stopping import StopSignal


@dataclass(frozen=True)
class Bench:
    """What a worker works with.

    Attributes:
        url: of the database.
        artifacts: folder for checkpoints and models; None: no such folder here.
        fresh: whether this process has trained nothing before.
    """

    study: optuna.Study
    storage: ResilientStorage
    url: str
    spec: StudySpec
    dataset: Dataset
    artifacts: Artifacts | None
    stop: StopSignal
    fresh: bool
