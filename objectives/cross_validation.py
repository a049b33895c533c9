"""The objective of a trial: parameters → folds × seeds → one number. The holdout is the case of one fold.

            fold 0   fold 1   fold 2        Every fit has a place: repeat · folds + fold. All folds are done with the
repeat 0    place 0  place 1  place 2       first seed before the second begins, so a trial that stops between two
repeat 1    place 3  place 4  place 5       repeats has an unbiased number.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..models.contract import Builds
from .callbacks import Listener, metric_value
from .forecast_errors import add_missing
from .holdout import TrialResult, holdout, validation_values
from .training import FitSettings

if TYPE_CHECKING:
    import keras

    from ..storage.dataset import Dataset
    from .checkpoint import Checkpointer

Aggregate = Literal["mean", "median", "recent"]


@dataclass(frozen=True, eq=False)
class Cut:
    """A fold with its data.

    Attributes:
        number: of the fold, from 0.
        dataset: its parts `train` and `val` are the fold's.
        fitted: number of the fold whose model is judged here; another one where models serve several folds.
    """

    number: int
    dataset: Dataset
    fitted: int


@dataclass(frozen=True)
class Score:
    """What one fit came to on one fold.

    Attributes:
        fold, repeat: which; both from 0.
        seed: of the fit.
        values: val_loss, val_mse, val_mae in scaled units, val_rmse in the unit of the data; of the best epoch.
        best_epoch: from 0; of the fit that is judged.
        epochs: trained for this fold; 0 where the model of an earlier fold is judged.
        seconds: of wall time.
    """

    fold: int
    repeat: int
    seed: int
    values: Mapping[str, float]
    best_epoch: int
    epochs: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain values, as they are kept with the trial."""
        return {
            "fold": self.fold,
            "repeat": self.repeat,
            "seed": self.seed,
            **{name: float(value) for name, value in self.values.items()},
            "best_epoch": self.best_epoch,
            "epochs": self.epochs,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class Hooks:
    """Who follows a trial from fit to fit; each is called with the place of the fit.

    Attributes:
        listeners: told of every epoch of the fit; one that raises ends the trial.
        checkpointer: keeps the state of the fit and brings the one to go on from. A fit that had ended is not repeated.
        judged: told of the scores so far after each fold; it may raise to end the trial.
        another: whether the seed of the next repeat is worth its time, given the number so far.
    """

    listeners: Callable[[int], Sequence[Listener]] = lambda _place: ()
    checkpointer: Callable[[int], Checkpointer | None] = lambda _place: None
    judged: Callable[[int, Sequence[Score]], None] = lambda _place, _scores: None
    another: Callable[[float], bool] = lambda _value: True


@dataclass(frozen=True, eq=False)
class CrossResult:
    """What a trial came to.

    Attributes:
        monitor: the metric.
        value: its aggregate, the number of the trial.
        values: the aggregates of val_loss, val_mse, val_mae and val_rmse.
        scores: of each fold and repeat.
        last: the last fit, on the newest fold; and its `dataset`.
    """

    monitor: str
    value: float
    values: dict[str, float]
    scores: tuple[Score, ...]
    last: TrialResult
    dataset: Dataset = field(repr=False)

    @property
    def best_epoch(self) -> int:
        """The median of the fits' best epochs, from 0: how long a training without validation goes on."""
        return median_epoch([score.best_epoch for score in self.scores if score.epochs])


def cross_validate(
    builder: str | Builds,
    parameters: Mapping[str, object],
    cuts: Sequence[Cut],
    settings: FitSettings,
    *,
    seeds: Sequence[int] | None = None,
    aggregate: Aggregate = "mean",
    hooks: Hooks | None = None,
) -> CrossResult:
    """Train and judge a point on every fold, with every seed that is worth it.

    Args:
        builder: the model's key, or what builds it.
        parameters: the builder's parameters; the others take their defaults.
        cuts: the folds, in order of time.
        settings: how each fit is trained; its seed is that of the first repeat.
        seeds: one a repeat; None: the one of `settings`. All trials should have the same (common random numbers).
        aggregate: over the folds, after the mean over the repeats: see :func:`combine`.
        hooks: who follows.

    Raises:
        ModelError, NonFinite, UnknownMetric: see `holdout`.
    """
    hooks = hooks or Hooks()
    scores: list[Score] = []
    last: TrialResult | None = None
    for repeat, seed in enumerate(seeds or (settings.seed,)):
        if repeat and not hooks.another(_value(scores, settings.monitor, aggregate)):
            break
        for position, cut in enumerate(cuts):
            place, began = repeat * len(cuts) + position, time.perf_counter()
            if cut.fitted == cut.number or last is None:
                fit_settings = replace(settings, seed=seed)
                last = holdout(
                    builder,
                    parameters,
                    cut.dataset,
                    fit_settings,
                    listeners=hooks.listeners(place),
                    checkpointer=hooks.checkpointer(place),
                )
                values, epochs = last.values, last.fit.epochs
            else:
                values, epochs = _judge(last.model, cut.dataset, settings.batch_size), 0
                for listener in hooks.listeners(place):
                    listener(0, dict(values))
            seconds = time.perf_counter() - began
            scores.append(Score(cut.number, repeat, seed, values, last.fit.best_epoch, epochs, seconds))
            hooks.judged(place, scores)
    assert last is not None
    names = ("val_loss", "val_mse", "val_mae")
    values = {name: _value(scores, name, aggregate) for name in names}
    squares = [replace(score, values={"square": score.values["val_rmse"] ** 2}) for score in scores]
    values["val_rmse"] = float(np.sqrt(_value(squares, "square", aggregate)))
    value = _value(scores, settings.monitor, aggregate)
    return CrossResult(settings.monitor, value, values, tuple(scores), last, cuts[-1].dataset)


def combine(values: Sequence[float], how: Aggregate) -> float:
    """One number from those of the folds, in order of time.

    Args:
        values: a value a fold.
        how: ``mean``; ``median``; ``recent``, the mean with weights 1, 2, 3 …, so that the newest fold counts most.
    """
    if how == "median":
        return float(np.median(values))
    weights = np.arange(1, len(values) + 1) if how == "recent" else None
    return float(np.average(values, weights=weights))


def by_fold(scores: Sequence[Score], metric: str) -> list[float]:
    """The mean over the repeats for each fold, in order of the folds."""
    folds = sorted({score.fold for score in scores})
    return [float(np.mean([metric_value(s.values, metric) for s in scores if s.fold == fold])) for fold in folds]


def median_epoch(best_epochs: Sequence[int]) -> int:
    """The median of best epochs, rounded to a whole one."""
    return round(float(np.median(best_epochs)))


def _value(scores: Sequence[Score], metric: str, how: Aggregate) -> float:
    return combine(by_fold(scores, metric), how)


def _judge(model: keras.Model, dataset: Dataset, batch_size: int) -> dict[str, float]:
    """The values of a model that was trained on an earlier fold."""
    found = model.evaluate(
        dataset.val.windows.array(), dataset.val.y, batch_size=batch_size, verbose=0, return_dict=True
    )
    values = {f"val_{name}": float(value) for name, value in found.items()}
    add_missing(values, model, dataset.val, batch_size)
    return validation_values(values, model, dataset, batch_size)
