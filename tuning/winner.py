"""The winner: chosen, retrained as documented (R5), judged on the test part, exported, loaded back, reported.

Runs in a process of its own (see :mod:`.delivery`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from ..objectives.holdout import TrialResult, holdout
from ..objectives.training import FitSettings
from ..reports.bundle import BundleError, write_bundle
from ..reports.evaluation import evaluate, predict_part
from ..storage.dataset import Dataset
from ..storage.datasets import load_dataset
from ..storage.rdb import open_storage
from . import records, reporting
from .delivery import RESULT, message
from .snapshot import best_trial, take_snapshot
from .spec import SpecError, StudySpec
from .wording import duration

EPOCHS_BETWEEN_LINES = 10


def deliver(study_name: str, folder: Path, *, trial: int | None, bundle: Path | None) -> dict[str, Any]:
    """Do all of it and write ``result.json``.

    Args:
        study_name: the study, in the database named by ``GREENTUNE_STORAGE``.
        folder: of the study.
        trial: number of the trial to export; None: the best.
        bundle: where the bundle goes; None: ``folder/bundle``.

    Raises:
        Mistake: there is nothing to deliver, or it cannot be written, or the bundle does not load back as it was.
    """
    storage = open_storage(os.environ["GREENTUNE_STORAGE"], create=False)
    study = records.load_study(storage, study_name)
    spec = records.read_spec(study)
    dataset = load_dataset(spec.data)
    if dataset.fingerprint != records.read_fingerprint(study):
        raise SpecError(f"The data at {spec.data.path} have changed since the study was created. Restore them.")
    winner = choose(study, trial)
    began = time.perf_counter()
    result = retrain(spec, dataset, winner, folder / "checkpoint.keras")
    fit = reporting.fit_facts(spec, result, time.perf_counter() - began)
    predicted = predict_part(result.model, dataset, "test")
    evaluation = evaluate(dataset, "test", predicted)
    parameters = parameters_of(spec, winner)
    target = write_bundle(
        bundle or folder / "bundle",
        model=result.model,
        dataset=dataset,
        evaluation=evaluation,
        predicted=predicted,
        history=result.fit.history,
        parameters=parameters,
        builder=spec.builder,
        study=reporting.study_facts(study, spec, winner),
        backend=spec.backend,
        fit=fit,
    )
    verified = verify(target, trust_scaler=spec.data.trust_scaler)
    report = reporting.write(
        folder / "report.html", study, spec, dataset, winner, parameters, result, evaluation, predicted, target
    )
    snapshot = take_snapshot(study)
    delivered = {
        "trial": winner.number,
        "trials_finished": snapshot.finished,
        "parameters": parameters,
        **evaluation.to_json(),
        "bundle": str(target),
        "report": str(report),
        "verified": verified,
    }
    (folder / RESULT).write_text(json.dumps(delivered, indent=2) + "\n", encoding="utf-8")
    return delivered


def choose(study: optuna.Study, number: int | None) -> FrozenTrial:
    """The best COMPLETE trial, or the one of that number.

    Raises:
        SpecError: there is none, or that one is not COMPLETE.
    """
    trials = study.get_trials(deepcopy=False)
    if number is None:
        best = best_trial(trials)
        if best is None:
            raise SpecError(f"The study '{study.study_name}' has no finished trial yet. Run `tune` to go on with it.")
        return best
    if not 0 <= number < len(trials) or trials[number].state is not TrialState.COMPLETE:
        state = trials[number].state.name if 0 <= number < len(trials) else "unknown"
        raise SpecError(
            f"`trial` must be the number of a COMPLETE trial; {number} is {state}. "
            "The study's trials.csv (grid_results.csv) lists them."
        )
    return trials[number]


def parameters_of(spec: StudySpec, trial: FrozenTrial) -> dict[str, Any]:
    """All parameters that the study fixed and the trial drew, decoded."""
    return {"batch_size": spec.training.batch_size, **spec.parameters, **spec.parsed_space().decode(trial.params)}


def retrain(spec: StudySpec, dataset: Dataset, trial: FrozenTrial, checkpoint: Path) -> TrialResult:
    """Train the winner as R5 says: more epochs, early stopping, lower learning rates on a plateau, a checkpoint."""
    parameters = parameters_of(spec, trial)
    final = spec.final
    settings = FitSettings(
        epochs=final.epochs,
        batch_size=int(parameters.pop("batch_size")),
        seed=spec.seed,
        monitor=spec.search.metric,
        shuffle=final.shuffle,
        patience=final.patience,
        reduce_lr_patience=final.reduce_lr_patience,
        checkpoint=checkpoint,
        gradient_norms=final.gradient_norms,
    )
    best, began = float("inf"), time.perf_counter()

    def say(epoch: int, logs: dict[str, float]) -> None:
        nonlocal best
        best = min(best, logs[spec.search.metric])
        if (epoch + 1) % EPOCHS_BETWEEN_LINES == 0:
            spent = duration(time.perf_counter() - began)
            best_so_far = f"best {spec.search.metric} {best:.6f}"
            message(say=f"  epoch {epoch + 1}/{final.epochs} after {spent}: {best_so_far}")

    return holdout(spec.builder, parameters, dataset, settings, listeners=(say,))


def verify(bundle: Path, *, trust_scaler: bool) -> dict[str, Any]:
    """Load the bundle in a fresh process and have it reproduce its metrics.

    Raises:
        BundleError: it does not.
    """
    command = [sys.executable, "-P", "-m", "greentune.reports.verify", str(bundle), "--json"]
    command += ["--trust-scaler"] if trust_scaler else []
    child = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
    try:
        answer: dict[str, Any] = json.loads(child.stdout)
    except ValueError:
        raise BundleError(f"The bundle {bundle} did not load back: exit code {child.returncode}.") from None
    if child.returncode != 0:
        raise BundleError(f"The bundle {bundle} does not reproduce its metrics: {json.dumps(answer)}.")
    return answer
