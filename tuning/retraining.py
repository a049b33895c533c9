"""The winner trained for good: on everything before the test part, or as documented (R5); alone or with others."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.trial import FrozenTrial

from ..models.ensemble import Member, ensemble
from ..objectives.callbacks import Listener
from ..objectives.holdout import TrialResult, holdout
from ..objectives.training import FitSettings
from ..storage.dataset import Dataset
from ..storage.source import Source
from ..storage.variants import variant
from .delivery import message
from .point import declared, model_of, prepared, repeat_seeds, resolved
from .presets import DEFAULT_DECAY
from .spec import StudySpec
from .user_models import draws_itself, model_name
from .wording import duration

if TYPE_CHECKING:
    import keras

EPOCHS_BETWEEN_LINES = 10


@dataclass(frozen=True, eq=False)
class Retrained:
    """A trial that was trained again.

    Attributes:
        trial: its number.
        parameters: all that the study fixed and the trial drew, decoded.
        dataset: what it was trained on, as it sees it.
        seed: of initial weights, order and dropout.
        seconds: of wall time.
    """

    trial: int
    builder: str
    parameters: dict[str, Any]
    dataset: Dataset
    result: TrialResult
    seed: int
    seconds: float


def retrain(
    spec: StudySpec, source: Source, trial: FrozenTrial, *, epochs: int, checkpoint: Path, place: int = 0
) -> Retrained:
    """Train a trial's point for good.

    Args:
        epochs: without a validation, for how long; at most ``final.epochs``.
        checkpoint: ``.keras`` file that holds the best model so far, where there is a validation.
        place: of the member in an ensemble. Each has a seed of its own: equal starts make equal mistakes.
    """
    began = time.perf_counter()
    stored = spec.parsed_space().decode(trial.params)
    point = resolved(spec, declared(spec, stored))
    everything = spec.final.refit == "all"
    whole = source.everything() if everything else source.dataset
    dataset = variant(whole, lookback=point.get("lookback"), groups=point.get("feature_groups"))
    builder, _, searched = prepared(spec, point)
    model = model_of(spec, stored, whole)
    searched = replace(searched, seed=repeat_seeds(searched.seed, place + 1)[place])
    settings = _without_validation(spec, searched, epochs) if everything else _documented(spec, searched, checkpoint)
    result = holdout(model.builds, model.parameters, dataset, settings, listeners=(_say(settings),))
    named = {"batch_size": spec.training.batch_size, **spec.parameters, **point, **model.drawn()}
    return Retrained(
        trial.number, model_name(spec, builder), named, dataset, result, settings.seed, time.perf_counter() - began
    )


def together(spec: StudySpec, members: Sequence[Retrained], source: Source) -> tuple[keras.Model, Dataset]:
    """The model that is exported and the data as it sees them: the winner, or the ensemble."""
    if len(members) == 1:
        return members[0].result.model, members[0].dataset
    whole = source.everything() if spec.final.refit == "all" else source.dataset
    names = {name: place for place, name in enumerate(whole.feature_names)}
    seen = [
        Member(
            member.result.model,
            member.dataset.lookback,
            None if member.dataset.n_features == whole.n_features else [names[n] for n in member.dataset.feature_names],
        )
        for member in members
    ]
    return ensemble(seen, (whole.lookback, whole.n_features)), whole


def _without_validation(spec: StudySpec, searched: FitSettings, epochs: int) -> FitSettings:
    """As in the search, for as many epochs as were best there, on all data; the learning rate falls at the end."""
    return replace(
        searched,
        decay=searched.decay or DEFAULT_DECAY,
        epochs=min(epochs, spec.final.epochs),
        # A user's model may have no metric but its loss.
        monitor="loss" if draws_itself(spec) else searched.monitor.removeprefix("val_"),
        keep="last",
        patience=None,
        reduce_lr_patience=None,
        gradient_norms=spec.final.gradient_norms,
    )


def _documented(spec: StudySpec, searched: FitSettings, checkpoint: Path) -> FitSettings:
    """R5: more epochs, early stopping, lower learning rates on a plateau, a checkpoint."""
    final = spec.final
    return replace(
        searched,
        epochs=final.epochs,
        shuffle=final.shuffle,
        decay=0.0,
        patience=final.patience,
        reduce_lr_patience=final.reduce_lr_patience,
        checkpoint=checkpoint,
        gradient_norms=final.gradient_norms,
    )


def _say(settings: FitSettings) -> Listener:
    best, began = float("inf"), time.perf_counter()

    def say(epoch: int, logs: dict[str, float]) -> None:
        nonlocal best
        best = min(best, logs[settings.monitor])
        if (epoch + 1) % EPOCHS_BETWEEN_LINES == 0:
            spent = duration(time.perf_counter() - began)
            message(say=f"  epoch {epoch + 1}/{settings.epochs} after {spent}: best {settings.monitor} {best:.6f}")

    return say
