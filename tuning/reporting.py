"""What the bundle and the report say of a study: facts read off the study and the fit, nothing typed in."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from ..objectives.holdout import TrialResult
from ..reports.content import Search, TrialRow, Winner, report_content
from ..reports.evaluation import Evaluation
from ..reports.model_info import versions
from ..reports.page import write_report
from ..storage.dataset import Dataset
from . import table
from .spec import StudySpec

if TYPE_CHECKING:
    from collections.abc import Sequence

BEST_TRIALS_SHOWN = 10


def fit_facts(spec: StudySpec, result: TrialResult, seconds: float) -> dict[str, Any]:
    """Settings and outcome of the winner's retraining."""
    fit = result.fit
    return {
        **spec.final.model_dump(mode="json"),
        "seed": spec.seed,
        "monitor": fit.monitor,
        "best_value": fit.best_value,
        "best_epoch": fit.best_epoch,
        "epochs_trained": len(fit.history["loss"]),
        "stopped": fit.stopped,
        "validation": result.values,
        "seconds": round(seconds, 2),
    }


def study_facts(study: optuna.Study, spec: StudySpec, winner: FrozenTrial) -> dict[str, Any]:
    """The search behind the winner, for ``model_info.json``; no database address."""
    trials = study.get_trials(deepcopy=False)
    return {
        "name": study.study_name,
        "sampler": spec.search.sampler,
        "pruner": spec.search.pruner,
        "metric": spec.search.metric,
        "seed": spec.seed,
        "epochs": spec.training.epochs,
        "trials": dict(Counter(trial.state.name.lower() for trial in trials)),
        "space": spec.space,
        "winner": {
            "trial": winner.number,
            "value": winner.value,
            "values": winner.user_attrs.get("values"),
            "n_parameters": winner.user_attrs.get("n_parameters"),
        },
    }


def write(
    path: Path,
    study: optuna.Study,
    spec: StudySpec,
    dataset: Dataset,
    winner: FrozenTrial,
    parameters: dict[str, Any],
    result: TrialResult,
    evaluation: Evaluation,
    predicted: NDArray[np.floating],
    bundle: Path,
) -> Path:
    """Write ``report.html``."""
    fit = result.fit
    content = report_content(
        title=study.study_name,
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        dataset=dataset,
        evaluation=evaluation,
        predicted=predicted,
        history=fit.history,
        winner=Winner(
            builder=spec.builder,
            parameters=parameters,
            n_parameters=fit.n_parameters,
            trial_number=winner.number,
            best_epoch=fit.best_epoch,
            epochs_trained=len(fit.history["loss"]),
            monitor=fit.monitor,
            best_value=fit.best_value,
            backend=spec.backend,
            notes=(_retraining_note(winner, result),),
        ),
        search=_search(study, spec),
        commands=_commands(spec, bundle),
        versions=versions(),
        validation=(
            (
                f"Each trial was trained on the training part for up to {spec.training.epochs} epochs and judged by "
                f"{spec.search.metric} on the validation part; the winner is the trial with the smallest one."
            ),
        ),
        limits=("The winner's validation figure is the smallest of many and so flatters; the test part does not.",),
    )
    return write_report(path, content)


def _search(study: optuna.Study, spec: StudySpec) -> Search:
    trials = study.get_trials(deepcopy=False)
    begun = [t.datetime_start for t in trials if t.datetime_start is not None]
    ended = [t.datetime_complete for t in trials if t.datetime_complete is not None and t.datetime_start is not None]
    complete = sorted((t for t in trials if t.state is TrialState.COMPLETE), key=lambda t: (t.value or 0.0, t.number))
    agreement = None if "loss" in spec.space else table.agreement(study)  # penalties of different losses do not compare
    return Search(
        study=study.study_name,
        sampler=spec.search.sampler,
        pruner=spec.search.pruner,
        seed=spec.seed,
        monitor=spec.search.metric,
        counts=dict(Counter(trial.state.name.lower() for trial in trials)),
        workers=_most_workers(trials),
        seconds=(max(ended) - min(begun)).total_seconds() if begun and ended else None,
        space=spec.space,
        best_trials=tuple(_row(trial, spec) for trial in complete[:BEST_TRIALS_SHOWN]),
        notes=() if agreement is None else (agreement,),
    )


def _row(trial: FrozenTrial, spec: StudySpec) -> TrialRow:
    values = trial.user_attrs.get("values", {})
    parameters = spec.parsed_space().decode(trial.params)
    return TrialRow(trial.number, trial.value, parameters, values.get("val_rmse"), trial.user_attrs.get("seconds"))


def _most_workers(trials: Sequence[FrozenTrial]) -> int | None:
    owners = {
        (t.user_attrs["owner"]["host"], t.user_attrs["owner"]["worker"]) for t in trials if "owner" in t.user_attrs
    }
    return len(owners) or None


def _retraining_note(winner: FrozenTrial, result: TrialResult) -> str:
    fit = result.fit
    searched = "unknown" if winner.value is None else f"{winner.value:.6f}"
    return (
        f"Trial {winner.number} had {fit.monitor} {searched} in the search; retrained it has {fit.best_value:.6f}, "
        f"at epoch {fit.best_epoch + 1} of {len(fit.history['loss'])}."
    )


def _commands(spec: StudySpec, bundle: Path) -> list[tuple[str, str]]:
    return [
        ("Forecast from a series", f"tune predict {bundle} SERIES.csv --out forecasts.csv"),
        ("Prove that the bundle still gives its figures", f"python -m greentune.reports.verify {bundle}"),
        ("See all trials in a browser", "tune dashboard"),
        ("Export another trial", f"tune export --study {spec.study} --trial NUMBER"),
    ]
