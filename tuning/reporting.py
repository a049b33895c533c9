"""What the report says of a study: read off the study and the fit, nothing typed in."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from ..objectives.audit import Audit
from ..objectives.fold_drawing import draw
from ..reports.content import Search, TrialRow, Winner, report_content
from ..reports.evaluation import Evaluation
from ..reports.model_info import versions
from ..reports.page import write_report
from ..reports.pareto import Judged, Pareto
from ..reports.wording import number
from ..storage.dataset import Dataset
from ..storage.source import Source
from . import records, table
from .choosing import Choice
from .facts import counts
from .folds import folds_of
from .pareto import by_error, error_of, front
from .retraining import Retrained
from .shown import parameters_of, searched_space
from .snapshot import take_snapshot
from .spec import StudySpec
from .user_models import mixed_code
from .wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

BEST_TRIALS_SHOWN = 10


def write(
    path: Path,
    *,
    study: optuna.Study,
    spec: StudySpec,
    source: Source,
    dataset: Dataset,
    choice: Choice,
    members: Sequence[Retrained],
    evaluation: Evaluation,
    predicted: NDArray[np.floating],
    looks: Sequence[dict[str, Any]],
    bundle: Path,
) -> Path:
    """Write ``report.html``."""
    first, alone = members[0], len(members) == 1
    fit = first.result.fit
    content = report_content(
        title=study.study_name,
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        dataset=dataset,
        evaluation=evaluation,
        predicted=predicted,
        history=fit.history,
        winner=Winner(
            builder=first.builder if alone else "ensemble",
            parameters=first.parameters if alone else {},
            n_parameters=sum(member.result.fit.n_parameters for member in members),
            trial_number=first.trial if alone else None,
            best_epoch=fit.best_epoch if alone else None,
            epochs_trained=fit.epochs if alone else None,
            monitor=fit.monitor if alone else None,
            best_value=fit.best_value if alone else None,
            backend=spec.backend,
            notes=(
                choice.reason,
                *optimism_note(choice.optimism),
                *(retraining_note(study, spec, member) for member in members),
            ),
            members=() if alone else tuple(_member_row(study, spec, member) for member in members),
        ),
        search=_search(study, spec, source, choice),
        commands=_commands(spec, bundle),
        versions=versions(),
        validation=(*_validation(spec), *_audited(study)),
        limits=(
            "The best number of a search is the smallest of many and so flatters; fresh seeds and the test do not.",
            _looks(looks),
            *mixed_code(spec),
        ),
    )
    return write_report(path, content)


def _validation(spec: StudySpec) -> list[str]:
    validation, metric = spec.validation, spec.search.metric
    if validation.method == "holdout":
        where = "on the validation part"
    else:
        folds = 4 if validation.method == "documented" else validation.n_splits
        where = (
            f"on {folds} {validation.method} folds of all windows before the test part, each with scalers of its own "
            f"training rows where the series is known; its number is the {validation.aggregate} of theirs"
        )
    several = validation.seeds > 1
    repeats = f" Promising trials were repeated with up to {validation.seeds} seeds." if several else ""
    learnt = {
        "all": "The winner was then trained on training and validation part together, for the median of the epochs "
        "that were best in its fits; what the training says of itself after that is no validation.",
        "train": "The winner was then trained on the training part, with early stopping on the validation part.",
    }
    return [
        f"Each trial was trained for up to {spec.training.epochs} epochs and judged by {metric} {where}.{repeats}",
        learnt[spec.final.refit],
    ]


def _audited(study: optuna.Study) -> list[str]:
    found = study.user_attrs.get(records.AUDIT)
    return [] if found is None else Audit.from_json(found).lines()


def _looks(looks: Sequence[dict[str, Any]]) -> str:
    if len(looks) == 1:
        return "The test part was used once, for this model: no choice was made on it."
    listed = "; ".join(f"trials {look['trials']} on {look['when']} UTC" for look in looks)
    return (
        f"The test part was used {len(looks)} times ({listed}). Choosing among these by their test error would make "
        "it a validation part."
    )


def optimism_note(percent: float | None) -> list[str]:
    """What became of the best number of the search with fresh seeds; nothing where it was not tried."""
    if percent is None:
        return []
    came_out = "With fresh seeds the best number of the search came out"
    if percent > 0:
        return [f"{came_out} {percent:.1f} % worse: that is its optimism."]
    return [f"{came_out} {-percent:.1f} % better: it was not optimistic."]


def seconds_at_work(trials: Sequence[FrozenTrial]) -> float | None:
    """Wall time in which at least one trial ran: a study may have been gone on with after days."""
    spans = sorted((t.datetime_start, t.datetime_complete) for t in trials if t.datetime_start and t.datetime_complete)
    if not spans:
        return None
    seconds, until = 0.0, spans[0][0]
    for begun, ended in spans:
        seconds += max(0.0, (ended - max(begun, until)).total_seconds())
        until = max(until, ended)
    return seconds


def _search(study: optuna.Study, spec: StudySpec, source: Source, choice: Choice) -> Search:
    trials = study.get_trials(deepcopy=False)
    complete = _complete(study)
    return Search(
        study=study.study_name,
        sampler=spec.search.sampler,
        pruner=spec.search.pruner,
        seed=spec.seed,
        monitor=spec.search.metric,
        counts=counts(take_snapshot(study)),
        workers=_most_workers(trials),
        seconds=seconds_at_work(trials),
        space=searched_space(study, spec),
        best_trials=tuple(_row(trial, spec) for trial in complete[:BEST_TRIALS_SHOWN]),
        notes=tuple(search_notes(study, spec)),
        folds=tuple(draw(folds_of(source, spec.validation), source.n_samples, times=source.sample_times)),
        winner_folds=tuple(
            {"trial": number, **score}
            for number in choice.winners
            for score in trials[number].user_attrs.get("folds", ())
        ),
        candidates=tuple(choice.to_json()["candidates"]),
        pareto=_pareto(complete, spec, choice) if len(spec.search.objectives) > 1 else None,
    )


def _pareto(complete: Sequence[FrozenTrial], spec: StudySpec, choice: Choice) -> Pareto:
    best, rows = {trial.number for trial in front(complete)}, []
    for trial in complete:
        row, number = _row(trial, spec), trial.number
        values = tuple(trial.values or ())
        rows.append(Judged(number, values, row.rmse, row.parameters, number in best, number in choice.winners))
    names = spec.search.value_names
    return Pareto(names, tuple(rows), asked=choice.rule == "asked")


def _member_row(study: optuna.Study, spec: StudySpec, member: Retrained) -> TrialRow:
    """A member of an ensemble, with all its parameters and the numbers of its trial in the search."""
    return replace(_row(study.get_trials(deepcopy=False)[member.trial], spec), parameters=member.parameters)


def search_notes(study: optuna.Study, spec: StudySpec) -> list[str]:
    """What else is to be said of the trials: rows that are not counted, and what another number would prefer."""
    snapshot = take_snapshot(study)
    notes = []
    if snapshot.requeued:
        back = counted(snapshot.requeued, "row")
        notes.append(f"Not counted: {back} of tickets that went back to the queue (lost, interrupted, withdrawn).")
    agreement = None if "loss" in spec.space else table.agreement(study)  # penalties of different losses do not compare
    if agreement is not None:
        notes.append(agreement)
    rows = [row for row in (_row(trial, spec) for trial in _complete(study)) if row.rmse is not None]
    best = min(rows, key=lambda row: row.rmse or 0.0, default=None)
    if best is None or best.rmse == rows[0].rmse or (spec.search.metric == "val_loss" and agreement is not None):
        return notes
    why = ""
    if spec.search.metric == "val_mse" and spec.validation.method != "holdout":
        why = ": each fold is scaled by its own training rows, so val_mse weighs the folds otherwise"
    decides = f"by {spec.search.metric}, which decides, it is trial {rows[0].number}"
    notes.append(
        f"By RMSE in {snapshot.unit} trial {best.number} would be the best ({number(best.rmse)}), {decides}{why}."
    )
    return notes


def _complete(study: optuna.Study) -> list[FrozenTrial]:
    """The COMPLETE trials, the best first."""
    return sorted(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)), key=by_error)


def _row(trial: FrozenTrial, spec: StudySpec) -> TrialRow:
    values = trial.user_attrs.get("values", {})
    parameters = parameters_of(trial, spec.parsed_space())
    return TrialRow(trial.number, error_of(trial), parameters, values.get("val_rmse"), trial.user_attrs.get("seconds"))


def _most_workers(trials: Sequence[FrozenTrial]) -> int | None:
    owners = {
        (t.user_attrs["owner"]["host"], t.user_attrs["owner"]["worker"]) for t in trials if "owner" in t.user_attrs
    }
    return len(owners) or None


def retraining_note(study: optuna.Study, spec: StudySpec, member: Retrained) -> str:
    """How the retraining compares with the trial, where it does."""
    fit, epochs = member.result.fit, member.result.fit.epochs
    value = error_of(study.get_trials(deepcopy=False)[member.trial])
    searched = "unknown" if value is None else f"{value:.6f}"
    had = f"Trial {member.trial} had {spec.search.metric} {searched} in the search"
    if spec.final.refit == "all":
        return f"{had}; retrained on everything before the test part for {counted(epochs, 'epoch')}."
    again = f"retrained it has {fit.best_value:.6f}, at epoch {fit.best_epoch + 1} of {epochs}"
    if spec.validation.method == "holdout":
        return f"{had}; {again}."
    return f"{had}, on its folds; {again}, on the validation part, so the two do not compare."


def _commands(spec: StudySpec, bundle: Path) -> list[tuple[str, str]]:
    return [
        ("Forecast from a series", f"tune predict {bundle} SERIES.csv --out forecasts.csv"),
        ("Prove that the bundle still gives its figures", f"python -m greentune.reports.verify {bundle}"),
        ("See all trials in a browser", "tune dashboard"),
        ("Export another trial", f"tune export --study {spec.study} --trial NUMBER"),
    ]
