"""The folds of a study: what its validation section means on its data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..objectives import splits
from ..objectives.cross_validation import Cut
from ..objectives.splits import Fold
from ..storage.dataset import Dataset
from ..storage.mistakes import Mistake
from ..storage.source import Source
from ..storage.variants import variant

if TYPE_CHECKING:
    from .sections import ValidationSpec
    from .spec import StudySpec

DATA_PARAMETERS = ("lookback", "feature_groups")
"""Parameters of a space that choose what a model sees, not how it is built or trained."""


def folds_of(source: Source, validation: ValidationSpec) -> list[Fold]:
    """Cut the samples of a study into folds; see :mod:`storage.source` for what a sample is.

    Args:
        source: the data, with the longest lookback that is searched.

    Raises:
        Mistake: the data are too short for it, or the gap asked for is smaller than what lookback and horizon need.
    """
    n, gap, v = source.n_samples, gap_of(source.dataset, validation), validation
    if v.method == "documented":
        return splits.documented(n, gap=gap)
    if v.method == "holdout":
        n_train, n_val = (len(part.windows) for part in (source.dataset.train, source.dataset.val))
        return [Fold(0, range(n_train), range(n - n_val, n), 0)]
    borders = None
    if v.borders != "count":
        if source.sample_times is None:
            raise Mistake(f"`validation.borders` by {v.borders} need times; these arrays have none. Use count.")
        borders = splits.period_starts(source.sample_times, v.borders)
    common: dict[str, Any] = {
        "n_splits": v.n_splits,
        "validation_size": v.validation_size,
        "step": v.step,
        "gap": gap,
        "refit_every": v.refit_every,
        "borders": borders,
    }
    if v.method == "sliding":
        return splits.sliding(n, train_size=v.train_size, **common)
    return splits.expanding(n, max_train_size=v.train_size, **common)


def gap_of(dataset: Dataset, validation: ValidationSpec) -> int:
    """Samples between training and validation: what lookback and horizon need, or more where the user says so.

    Raises:
        Mistake: the user asks for less.
    """
    # Foreign arrays do not say how far ahead their target lies: one step is what they cannot be below.
    ahead = dataset.steps_ahead[-1] if dataset.steps_ahead else 1
    needed = splits.derived_gap(dataset.lookback, ahead)
    if validation.gap is not None and validation.gap < needed:
        raise Mistake(
            f"`validation.gap` must be at least lookback {dataset.lookback} + horizon {ahead} - 1 = {needed}, or "
            f"training windows would hold rows of the validation; got {validation.gap}. Leave it out, or use more."
        )
    return needed if validation.gap is None else validation.gap


def cuts_of(source: Source, validation: ValidationSpec) -> list[Cut]:
    """The folds with their data: those of the holdout are the parts that the data section names."""
    if validation.method == "holdout":
        return [Cut(0, source.dataset, 0)]
    return [Cut(fold.number, source.fold(fold.train, fold.val), fold.fitted) for fold in folds_of(source, validation)]


def seen_by(cuts: Sequence[Cut], point: Mapping[str, Any]) -> list[Cut]:
    """The folds as a point sees them: with its lookback and its groups of features."""
    if not any(name in point for name in DATA_PARAMETERS):
        return list(cuts)
    wanted = {"lookback": point.get("lookback"), "groups": point.get("feature_groups")}
    return [Cut(cut.number, variant(cut.dataset, **wanted), cut.fitted) for cut in cuts]


def longest(spec: StudySpec) -> int:
    """The longest lookback that a study searches or compares: all its trials forecast the windows of that one.

    That of the data section counts where a trial may see it: not when every trial draws its own.
    """
    searched = [p for p in spec.parsed_space().parameters if p.name == "lookback"]
    compared = [int(e.parameters["lookback"]) for e in spec.entries.values() if "lookback" in e.parameters]
    usual = [] if searched and not searched[0].when else [spec.data.lookback]
    return max([*usual, *compared, *(int(value) for p in searched for value in p.ends)])
