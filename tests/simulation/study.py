"""A study whose trials take as long as they are told, and what its results must be."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from greentune.storage.rdb import open_storage
from greentune.storage.resilient import ResilientStorage
from greentune.tuning import queue, records
from greentune.tuning.pareto import error_of
from greentune.tuning.presets import merge, with_preset
from greentune.tuning.spec import StudySpec, parse_spec

FINGERPRINT = "simulated"
WORKER = (sys.executable, "-P", str(Path(__file__).with_name("worker.py")))
SUPERVISOR = (sys.executable, "-P", str(Path(__file__).with_name("supervisor.py")))

# 4 × 3 × 3 × 3 points, as the documented grid
SPACE = {
    "lstm_units": [[32, 16], [50, 25], [64, 32], [128, 64]],
    "dropout_rate": [0.1, 0.2, 0.3],
    "learning_rate": [0.001, 0.0005, 0.0001],
    "batch_size": [16, 32, 64],
}


def spec_of(name: str = "race", **more: Any) -> StudySpec:
    """A grid of 108 points without checkpoints; more tables win."""
    tables: dict[str, Any] = {
        "study": name,
        "backend": "jax",
        "space": SPACE,
        "search": {"sampler": "grid"},
        "training": {"epochs": 1},
        "run": {"checkpoint_every": 0, "keep_best": 0},
    }
    return parse_spec(with_preset({}, merge(tables, more)))


def new_study(url: str, spec: StudySpec, folder: Path) -> tuple[ResilientStorage, optuna.Study]:
    """Create it with all its tickets."""
    storage = open_storage(url)
    study = records.create_study(
        storage, spec, fingerprint=FINGERPRINT, unit="MW", folder=str(folder), artifacts=str(folder / "artifacts")
    )
    queue.reconcile(study, storage, queue.plan(spec), spec.run)
    return storage, study


def right_value(parameters: dict[str, Any]) -> float:
    """What the simulated training of a point comes to."""
    return len(str(sorted(parameters["lstm_units"]))) + parameters["dropout_rate"] + parameters["learning_rate"]


def wrong_with(study: optuna.Study, spec: StudySpec) -> list[str]:
    """What is wrong with a finished study: anything but one right COMPLETE a point and FAIL rows that say why."""
    trials = study.get_trials(deepcopy=False)
    complete = [t for t in trials if t.state is TrialState.COMPLETE]
    counts = Counter(t.user_attrs["ticket"] for t in complete)
    wanted = {ticket.key for ticket in queue.plan(spec)}
    found = [f"{key} has {n} results" for key, n in counts.items() if n != 1]
    found += [f"{key} has no result" for key in wanted - counts.keys()]
    found += [f"{key} was not planned" for key in counts.keys() - wanted]
    found += [f"trial {t.number} has {t.values}" for t in complete if error_of(t) != right_value(point_of(spec, t))]
    other = [t for t in trials if t.state is not TrialState.COMPLETE]
    found += [
        f"trial {t.number} is {t.state.name} without a reason"
        for t in other
        if t.state is not TrialState.FAIL or "reason" not in t.user_attrs
    ]
    return found


def point_of(spec: StudySpec, trial: FrozenTrial) -> dict[str, Any]:
    """The parameters of a trial, decoded."""
    return spec.parsed_space().decode(trial.params)
