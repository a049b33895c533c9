"""What a report says, as plain values; nothing here is drawn or formatted."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..storage.features import leads_of
from ..storage.parts import PART_NAMES
from . import plots
from .baselines import baselines_of
from .evaluation import Evaluation
from .pareto import Pareto, panels
from .plot_data import legible_stretch
from .residuals import reading, residuals, summarise
from .wording import steps

if TYPE_CHECKING:
    from ..storage.datasets import Dataset


@dataclass(frozen=True)
class Winner:
    """The model that was exported.

    Attributes:
        builder: its key; parameters: all hyperparameters, the training's among them.
        trial_number: of the study, where it comes from one.
        n_parameters: counted on the model.
        best_epoch: 0-based, of the retraining; epochs_trained: how many there were.
        monitor: the metric that chose the epoch; best_value: its value there.
        notes: further sentences, for instance how the retraining compares with the trial.
        members: of an ensemble, the trials whose mean it is; it has no parameters of its own.
    """

    builder: str
    parameters: Mapping[str, object]
    n_parameters: int
    trial_number: int | None = None
    best_epoch: int | None = None
    epochs_trained: int | None = None
    monitor: str | None = None
    best_value: float | None = None
    backend: str | None = None
    notes: tuple[str, ...] = ()
    members: tuple[TrialRow, ...] = ()


@dataclass(frozen=True)
class TrialRow:
    """One line in a table of trials: `value` of the monitor, `rmse` of the validation part in the unit."""

    number: int
    value: float | None
    parameters: Mapping[str, object]
    rmse: float | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Search:
    """The search that found the winner.

    Attributes:
        counts: trials by state, for instance ``{"complete": 40, "pruned": 18}``.
        seconds: wall clock of the search, without the time in which no trial ran.
        space: what was searched, in the notation of a study file.
        best_trials: best first.
        notes: further sentences, for instance whether the penalty and the forecast error agree on the best point.
        folds: lines of text that draw the folds.
        winner_folds: what the winner came to on each fold: ``trial``, ``fold``, ``seed``, the metrics, ``best_epoch``
            from 0, ``epochs``, ``seconds``.
        candidates: for the winner, with their numbers of the search and with fresh seeds, the best first.
        pareto: where there were several objectives.
    """

    study: str
    sampler: str
    pruner: str
    seed: int | None
    monitor: str
    counts: Mapping[str, int]
    workers: int | None = None
    seconds: float | None = None
    space: Mapping[str, object] = field(default_factory=dict)
    best_trials: tuple[TrialRow, ...] = ()
    notes: tuple[str, ...] = ()
    folds: tuple[str, ...] = ()
    winner_folds: tuple[Mapping[str, Any], ...] = ()
    candidates: tuple[Mapping[str, Any], ...] = ()
    pareto: Pareto | None = None


TOGETHER = "train + val"
"""The part that a model learnt from that has no validation."""


@dataclass(frozen=True)
class PartFacts:
    """A part of the data: its windows, those left out for a gap, first and last target time (UTC) where known."""

    name: str
    n_windows: int
    n_left_out: int | None
    first: str | None
    last: str | None


@dataclass(frozen=True)
class DataFacts:
    """The data: where they come from, how long, how whole, how they were cut and what the model sees of them."""

    source: str
    target: str | None
    unit: str
    capacity: float | None
    first: str | None
    last: str | None
    step_seconds: float | None
    counts: Mapping[str, int]
    parts: tuple[PartFacts, ...]
    features: tuple[tuple[str, str], ...]
    lookback: int
    steps_ahead: tuple[int, ...]
    scaling: str
    fingerprint: str
    attribution: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReportContent:
    """Everything on the page.

    Attributes:
        title: of the page, for instance the study's name.
        created: when, as it shall be read.
        evaluation: the content of ``metrics.json`` (`Evaluation.to_json`).
        figures: PNG bytes by name: ``forecast``, ``residuals``, ``scatter``, ``curves`` and, with several
            objectives, ``pareto``; what is missing is left out.
        residual_reading, forecast_caption: a sentence beside the pictures.
        validation: how the model was validated, a sentence each; limits: what the figures do not say.
        commands: (what it does, command line) pairs.
        versions: of the libraries.
    """

    title: str
    created: str
    evaluation: Mapping[str, Any]
    winner: Winner
    search: Search | None
    data: DataFacts
    figures: Mapping[str, bytes]
    residual_reading: str
    forecast_caption: str
    validation: tuple[str, ...]
    limits: tuple[str, ...]
    commands: tuple[tuple[str, str], ...]
    versions: Mapping[str, str]


def data_facts(dataset: Dataset) -> DataFacts:
    """The facts of a data set, from its public fields."""
    spec, times = dataset.spec, dataset.times
    return DataFacts(
        source=spec.path,
        target=spec.target,
        unit=dataset.unit,
        capacity=dataset.capacity,
        first=None if times is None else _day(times[0]),
        last=None if times is None else _day(times[-1]),
        step_seconds=dataset.step_seconds,
        counts=dict(dataset.counts),
        parts=tuple(_part_facts(dataset, name) for name in PART_NAMES if name != "val" or _has_validation(dataset)),
        features=tuple((name, _meaning(dataset, name)) for name in dataset.feature_names),
        lookback=dataset.lookback,
        steps_ahead=tuple(dataset.steps_ahead),
        scaling="unknown" if dataset.x_scaler is None else dataset.x_scaler.kind,
        fingerprint=dataset.fingerprint,
        attribution=str(dataset.describe().get("attribution") or ""),
        notes=tuple(dataset.notes),
    )


def draw_figures(
    dataset: Dataset,
    evaluation: Evaluation,
    predicted: NDArray[np.floating],
    history: Mapping[str, Sequence[float]],
    best_epoch: int | None,
) -> dict[str, bytes]:
    """The four pictures of the page as PNG bytes; the forecast is shown for the last output, the farthest ahead."""
    part = dataset.part(evaluation.part)
    observed = dataset.observed(part)
    forecast = np.asarray(predicted, dtype=np.float64).reshape(observed.shape)
    times = dataset.target_times(part)
    last = baselines_of(dataset, evaluation.part)[0].get("persistence")
    stretch = legible_stretch(
        observed[:, -1],
        forecast[:, -1],
        None if last is None else last[:, -1],
        None if times is None else times[:, -1],
    )
    unit = dataset.unit
    drawn = {name: io.BytesIO() for name in ("forecast", "residuals", "scatter", "curves")}
    plots.forecast(stretch, drawn["forecast"], unit=unit)
    plots.residuals(observed, forecast, drawn["residuals"], unit=unit, times=times)
    plots.scatter(observed, forecast, drawn["scatter"], unit=unit)
    plots.curves(history, drawn["curves"], best_epoch=best_epoch)
    return {name: stream.getvalue() for name, stream in drawn.items()}


def _front(search: Search | None, unit: str) -> dict[str, bytes]:
    if search is None or search.pareto is None:
        return {}
    drawn = io.BytesIO()
    plots.pareto(panels(search.pareto, unit), drawn)
    return {"pareto": drawn.getvalue()}


def report_content(
    *,
    title: str,
    created: str,
    dataset: Dataset,
    evaluation: Evaluation,
    predicted: NDArray[np.floating],
    history: Mapping[str, Sequence[float]],
    winner: Winner,
    search: Search | None,
    commands: Sequence[tuple[str, str]],
    versions: Mapping[str, str],
    validation: Sequence[str] = (),
    limits: Sequence[str] = (),
) -> ReportContent:
    """Gathers a whole report; what was validated and its limits are completed with what holds for every data set.

    Args:
        predicted: (n, n_outputs) forecast of the evaluated part, in ``dataset.unit``.
        validation, limits: further sentences.
    """
    part = dataset.part(evaluation.part)
    observed = dataset.observed(part)
    forecast = np.asarray(predicted, dtype=np.float64).reshape(observed.shape)
    lag = dataset.steps_ahead[-1] if dataset.steps_ahead else 1
    summary = summarise(residuals(observed, forecast), forecast, lag=lag)
    return ReportContent(
        title=title,
        created=created,
        evaluation=evaluation.to_json(),
        winner=winner,
        search=search,
        data=data_facts(dataset),
        figures=draw_figures(dataset, evaluation, predicted, history, winner.best_epoch) | _front(search, dataset.unit),
        residual_reading=reading(summary, dataset.unit),
        forecast_caption=_caption(dataset),
        validation=(*_validation(dataset), *validation),
        limits=(*_limits(dataset), *limits),
        commands=tuple(commands),
        versions=dict(versions),
    )


def _caption(dataset: Dataset) -> str:
    nearest = "A stretch of the test part whose error is nearest to that of the whole part"
    if dataset.n_outputs > 1:
        nearest += ", for the farthest of the steps ahead"
    return f"{nearest}: neither the best days nor the worst."


def _validation(dataset: Dataset) -> list[str]:
    if dataset.target is None:
        return ["The parts are those of the arrays; whether windows straddle their borders cannot be seen from them."]
    gap = dataset.lookback + dataset.spec.horizon - 1
    scaling = "Scaling was fitted on training rows only."
    if not _has_validation(dataset):
        scaling = (
            "The exported model was trained on the training and the validation part together, and its scaling was "
            "fitted there; in the search each fit was scaled by its own training."
        )
    return [
        "The parts follow each other in time: training, validation, test.",
        f"No window straddles a border: {gap} steps lie between the last target of a part and the first of the next.",
        scaling,
        "Training and search saw the training and the validation part; the test part was kept for the winner.",
    ]


def _limits(dataset: Dataset) -> list[str]:
    found = ["One test period, one place: another year or another plant may give other figures."]
    if dataset.target is not None and dataset.spec.known_ahead:
        found.append(
            "Columns that are known ahead enter with the value given for the target time. Where that is a reanalysis "
            "or a "
            "measurement rather than a forecast, real forecasts will be somewhat worse."
        )
    if dataset.target is None:
        found.append("How the arrays were made is not known: leaks before they were saved cannot be seen here.")
    return found


def _has_validation(dataset: Dataset) -> bool:
    """Without, the model learnt from the training and the validation part together."""
    return len(dataset.val.windows) > 0


def _part_facts(dataset: Dataset, name: str) -> PartFacts:
    part = dataset.part(name)
    times = dataset.target_times(part)
    known = times is not None and times.size > 0
    first, last = (_day(times.min()), _day(times.max())) if known and times is not None else (None, None)
    left_out = dataset.counts.get(f"windows_left_out_{name}")
    shown = TOGETHER if name == "train" and not _has_validation(dataset) else name
    return PartFacts(shown, len(part.windows), left_out, first, last)


def _meaning(dataset: Dataset, name: str) -> str:
    spec = dataset.spec
    if dataset.target is None:
        return "as in the arrays"
    column, (lead,) = name.partition("@")[0], leads_of(spec, [name])
    turned = column.removesuffix("_sin").removesuffix("_cos")
    if turned in spec.calendar and turned != column:
        return "calendar, at the target time"
    if column == spec.target:
        return "own past"
    beyond = f"{steps(int(lead) - spec.horizon, dataset.step_seconds)} after" if lead > spec.horizon else "at"
    kind = f"known ahead, {beyond} the target time" if lead else "past only"
    return f"{kind}; angle" if turned != column and turned in spec.circular else kind


def _day(time: np.datetime64) -> str:
    return np.datetime_as_string(time, unit="m").replace("T", " ") + " UTC"
