"""The table of all trials as CSV: `grid_results.csv` for a grid, `trials.csv` otherwise; and what it shows."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from . import records
from .pareto import by_value, error_of, front
from .shown import parameter_names, parameters_of
from .space import labels
from .spec import StudySpec

_MEASURED = ("val_loss", "val_mse", "val_rmse", "val_mae")


def rows(study: optuna.Study, spec: StudySpec) -> list[dict[str, Any]]:
    """One row a trial with a result: parameters (lists as labels), values of the best epoch, when and how long.

    A grid has its COMPLETE trials only, best first, so exactly one row a point. ``best_epoch`` counts from 1,
    ``val_rmse_<unit>`` is in the unit of the data, the other errors are in scaled units. With several objectives
    each has a column, and ``pareto`` says whether a trial lies on the front. A pruned trial has no such number: what
    was known when it ended stands in a column of its own (with several folds an estimate of what it would have come
    to), beside the number of folds that it had finished.
    """
    wanted = (TrialState.COMPLETE,)
    if spec.search.sampler != "grid" or spec.search.pruner != "none":
        wanted = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)  # type: ignore[assignment]
    trials = study.get_trials(deepcopy=False, states=wanted)
    directions, names = spec.search.directions, parameter_names(trials, spec.parsed_space())
    key = by_value(directions)
    complete_first = sorted(trials, key=lambda t: (t.state is not TrialState.COMPLETE, key(t)[:2]))
    best = {trial.number for trial in front(trials, directions)}
    unit = re.sub(r"\W+", "_", records.read_unit(study).lower())
    return [_row(trial, spec, unit, names, pareto=trial.number in best) for trial in complete_first]


def write_table(study: optuna.Study, spec: StudySpec, folder: Path) -> Path:
    """Write the table into the folder of the study, under the name that fits its sampler."""
    name = "grid_results.csv" if spec.search.sampler == "grid" else "trials.csv"
    return write_csv(folder / name, rows(study, spec))


def write_csv(path: Path, table: Sequence[dict[str, Any]]) -> Path:
    """Write the rows whole or not at all."""
    columns = list(dict.fromkeys(name for row in table for name in row))
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, columns)
        writer.writeheader()
        writer.writerows(table)
    return draft.replace(path)


def agreement(study: optuna.Study) -> str | None:
    """Whether the penalty and the forecast error agree on the best point; None before any trial is complete.

    ``val_loss`` holds the L1/L2 penalty, ``val_mse`` is the squared error of the forecast alone.
    """
    trials = [t for t in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)) if "values" in t.user_attrs]
    if not trials:
        return None
    by_loss, by_error = (min(trials, key=lambda t: (t.user_attrs["values"][name], t.number)) for name in _MEASURED[:2])
    if by_loss.number == by_error.number:
        return (
            f"Penalty and forecast error agree on the best point: trial {by_loss.number} has both the smallest "
            f"val_loss ({_value(by_loss, 'val_loss')}) and the smallest val_mse ({_value(by_loss, 'val_mse')})."
        )
    return (
        f"Penalty and forecast error disagree on the best point: val_loss, which holds the L1/L2 penalty, prefers "
        f"trial {by_loss.number} (val_loss {_value(by_loss, 'val_loss')}, val_mse {_value(by_loss, 'val_mse')}); the "
        f"forecast error alone prefers trial {by_error.number} (val_loss {_value(by_error, 'val_loss')}, "
        f"val_mse {_value(by_error, 'val_mse')})."
    )


def _row(trial: FrozenTrial, spec: StudySpec, unit: str, names: Sequence[str], *, pareto: bool) -> dict[str, Any]:
    values = trial.user_attrs.get("values", {})
    best_epoch = trial.user_attrs.get("best_epoch")
    row: dict[str, Any] = {"trial": trial.number}
    if spec.search.sampler != "grid":
        row |= {"state": trial.state.name, "reason": trial.user_attrs.get("reason", "")}
    point = labels(parameters_of(trial, spec.parsed_space()))
    row |= {name: point.get(name, "") for name in names}
    if trial.state is TrialState.PRUNED:
        row[f"{spec.search.metric}_when_pruned"] = error_of(trial)
    if trial.state is TrialState.PRUNED and spec.objective_function is None:
        row["folds_when_pruned"] = len({score["fold"] for score in trial.user_attrs.get("folds", ())})
    row |= {(f"val_rmse_{unit}" if name == "val_rmse" else name): values[name] for name in _MEASURED if name in values}
    first, *further = spec.search.value_names
    if spec.objective_function is not None and trial.state is TrialState.COMPLETE:
        row[first] = error_of(trial)
    if further:
        measured = [int(value) if value.is_integer() else value for value in (trial.values or ())[1:]]
        row |= dict(zip(further, measured, strict=False)) | {"pareto": "yes" if pareto else ""}
    if spec.objective_function is None:
        row["best_epoch"] = "" if best_epoch is None else best_epoch + 1
    row["seconds"] = trial.user_attrs.get("seconds", "")
    return row


def _value(trial: FrozenTrial, name: str) -> str:
    return f"{trial.user_attrs['values'][name]:.6f}"
