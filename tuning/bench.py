"""What a worker works with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import optuna

from ..objectives.cross_validation import Cut
from ..storage.artifacts import Artifacts
from ..storage.resilient import ResilientStorage
from .spec import StudySpec
from .stopping import StopSignal


@dataclass(frozen=True)
class Bench:
    """What a worker works with.

    Attributes:
        url: of the database.
        cuts: the folds of the study with their data, as they are with the longest lookback and all features.
        artifacts: folder for checkpoints and models; None: no such folder here.
        fresh: whether this process has trained nothing before.
    """

    study: optuna.Study
    storage: ResilientStorage
    url: str
    spec: StudySpec
    cuts: Sequence[Cut]
    artifacts: Artifacts | None
    stop: StopSignal
    fresh: bool
