"""Studies of users' code by a worker of this very process: what is in a worker's way here, and what is put back."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from greentune.storage.dataset import Dataset
from greentune.storage.rdb import open_storage
from greentune.tuning import probe, probing, worker
from greentune.tuning.opening import Opened, open_study
from greentune.tuning.presets import with_preset
from greentune.tuning.spec import StudySpec

from .user_code import imports_undone


@contextmanager
def in_this_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A command given in the folder, with its workers in this process."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(probe, "look", looked_at_here)
    monkeypatch.setenv("GREENTUNE_STORAGE", f"sqlite:///{folder / 'a.db'}")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)}
    affinity = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    with imports_undone():
        yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    if affinity is not None:
        os.sched_setaffinity(0, affinity)


def looked_at_here(spec: StudySpec, dataset: Dataset | None, *, timed: bool = False) -> probe.Looked:
    """The first look, without a process of its own, which would take seconds: test_checking has real ones."""
    shape = [1, 1, 1] if dataset is None else [dataset.lookback, dataset.n_features, dataset.n_outputs]
    request = {"spec": spec.model_dump(mode="json"), "shape": shape, "timed": timed}
    return probe.Looked(**vars(probing.probe(request)))


def opened(folder: Path, raw: dict[str, Any], **options: Any) -> Opened:
    """The study, created or gone on with."""
    return open_study(with_preset({}, raw), storage=folder / "a.db", out=folder / "runs", **options)


def worked(folder: Path, raw: dict[str, Any], *, code: int = 0) -> Opened:
    """The study, opened and worked off; the worker ends with the code."""
    study = opened(folder, raw)
    assert worker.work(study.spec.study, worker=0) == code
    return study


def trials_of(folder: Path, study: str) -> list[FrozenTrial]:
    """All rows of the study."""
    return optuna.load_study(study_name=study, storage=open_storage(folder / "a.db")).trials


def states(folder: Path, study: str) -> list[TrialState]:
    """How they are."""
    return [trial.state for trial in trials_of(folder, study)]
