"""One point trained as its study says: on every fold, with every seed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any

from ..models.registry import builder_keys, get_builder
from ..models.suggests import Suggests
from ..objectives.cross_validation import CrossResult, Cut, Hooks, cross_validate
from ..objectives.latency import latency_ms
from ..objectives.training import FitSettings
from ..storage.dataset import Dataset
from ..storage.source import Source
from ..storage.variants import variant
from .entries import ENTRY
from .folds import DATA_PARAMETERS, cuts_of, longest, seen_by
from .references import BUILDER
from .samplers import derived_seed
from .space import labels
from .spec import StudySpec
from .user_models import Bound, Nothing, bind, draws_itself, replay

SEED = "seed"
"""Parameter of a listed point that stands for the study's own seed."""


def run_point(
    spec: StudySpec,
    data: Source | Sequence[Cut],
    point: Mapping[str, Any],
    *,
    model: Bound | None = None,
    hooks: Hooks | None = None,
    accumulate: int = 1,
) -> CrossResult:
    """Train one point as the study says: the whole trial, also outside of a search.

    The same point gives the same number, to the bit on one CPU backend with the same number of threads.

    Args:
        data: of the study (`load_source`), or its folds, cut already (`cuts_of`).
        point: values of the searched parameters, decoded (lists, not labels).
        model: of a running trial, see `model_of`; None: what the user's code drew stands in the point.
        hooks: who follows; see `cross_validate`.
        accumulate: batches whose gradients are added up before a step; each has that part of the batch size.
    """
    cuts = data if isinstance(data, Sequence) else cuts_of(data, spec.validation)
    model = model or model_of(spec, point, cuts[-1].dataset)
    point = resolved(spec, declared(spec, point))
    _, _, settings = prepared(spec, point, accumulate=accumulate)
    return cross_validate(
        model.builds,
        model.parameters,
        seen_by(cuts, point),
        settings,
        seeds=seeds_of(spec, point),
        aggregate=spec.validation.aggregate,
        hooks=hooks,
    )


def declared(spec: StudySpec, point: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a point that the study's own space declares; the rest was drawn by the user's code."""
    return {name: value for name, value in point.items() if name in spec.space} if draws_itself(spec) else dict(point)


def model_of(spec: StudySpec, point: Mapping[str, Any], dataset: Dataset, trial: Suggests | None = None) -> Bound:
    """The model of a point, ready to be built.

    Args:
        point: of a running trial what the study's space has drawn; of an earlier one all that it stores.
        dataset: of the study, with the longest lookback.
        trial: from which the user's code draws; None: the values stand in the point.

    Raises:
        ModelError, OtherCode: see `bind`.
    """
    ours = declared(spec, point)
    builder, parameters, _ = prepared(spec, ours)
    if spec.hypermodel is None and builder in builder_keys():
        return Bound(get_builder(builder), parameters)
    if spec.entries:
        trial = Nothing()
    elif trial is None:
        trial = replay({name: value for name, value in point.items() if name not in ours})
    seen = variant(dataset, lookback=ours.get("lookback"), groups=ours.get("feature_groups"))
    return bind(spec, builder, parameters, trial, (seen.lookback, seen.n_features, seen.n_outputs))


def resolved(spec: StudySpec, point: Mapping[str, Any]) -> dict[str, Any]:
    """The point with what its entry stands for, builder and parameters; where it names none, as it is."""
    if not spec.entries or ENTRY not in point:
        return dict(point)
    entry = spec.entries[point[ENTRY]]
    # Where another entry looks back farther than the study, the windows of the data are that long.
    usual = {"lookback": spec.data.lookback} if longest(spec) > spec.data.lookback else {}
    return {BUILDER: entry.builder, **usual, **entry.parameters, **{n: v for n, v in point.items() if n != ENTRY}}


def prepared(
    spec: StudySpec, point: Mapping[str, Any], *, accumulate: int = 1
) -> tuple[str, dict[str, Any], FitSettings]:
    """Builder, its parameters and the settings of a fit, for a point of a study."""
    training = spec.training
    everything = {**spec.parameters, **resolved(spec, point)}
    parameters = {name: value for name, value in everything.items() if name not in DATA_PARAMETERS}
    builder = str(parameters.pop(BUILDER, spec.builder))
    seed = int(parameters.pop(SEED, spec.seed))
    batch_size = int(parameters.pop("batch_size", training.batch_size))
    settings = FitSettings(
        epochs=training.epochs,
        batch_size=max(1, batch_size // accumulate),
        monitor=spec.search.metric,
        shuffle=training.shuffle,
        patience=training.patience,
        reduce_lr_patience=training.reduce_lr_patience,
        decay=training.decay,
        seed=seed,
        gradient_accumulation=accumulate,
        precision=training.precision,
    )
    return builder, parameters, settings


def seeds_of(spec: StudySpec, point: Mapping[str, Any]) -> list[int]:
    """One seed a repeat: the same for all trials of a study, so that they differ by their parameters alone."""
    return repeat_seeds(int(point.get(SEED, spec.seed)), spec.validation.seeds)


def repeat_seeds(first: int, n: int) -> list[int]:
    """`n` seeds that follow from the first; more of them begin with the fewer."""
    return [first, *(derived_seed(first, f"repeat {number}") for number in range(1, n))]


def further_values(spec: StudySpec, result: CrossResult) -> tuple[float, ...]:
    """The values of a trial in the objectives behind its error; of the model of the newest fold."""
    measures: dict[str, Callable[[], float]] = {
        "n_params": lambda: float(result.last.fit.n_parameters),
        "latency": lambda: latency_ms(result.last.model, result.dataset.val.windows.take([-1])[0]),
    }
    return tuple(measures[name]() for name in spec.search.objectives[1:])


def summary(result: CrossResult) -> dict[str, Any]:
    """What is kept with a trial beside its number."""
    return {
        "values": {name: float(value) for name, value in result.values.items()},
        "best_epoch": result.best_epoch,
        "epochs": sum(score.epochs for score in result.scores),
        "n_parameters": result.last.fit.n_parameters,
        "folds": [score.to_json() for score in result.scores],
    }


def training_identity(
    spec: StudySpec, point: Mapping[str, Any], fingerprint: str, accumulate: int, place: int, ticket: str
) -> str:
    """Digest of all that decides the bits of a fit: only with the same one is a checkpoint gone on from.

    Args:
        place: of the fit among those of its trial.
        ticket: stands for what the user's code draws: each attempt at a ticket draws the same.
    """
    versions = {name: metadata.version(name) for name in ("keras", spec.backend, "numpy")}
    threads = os.environ.get("PJRT_NPROC")
    # Of a comparison only the point's own entry counts: others may be added while its checkpoint waits.
    settings = {n: value for n, value in spec.identity().items() if not n.startswith(("space.", "entries."))}
    facts = [settings, labels(resolved(spec, point)), fingerprint, accumulate, versions, threads, place]
    if draws_itself(spec):
        facts += [ticket, spec.code.files if spec.code is not None else {}]
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
