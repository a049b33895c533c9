"""Variants of a data set: the same targets, seen through shorter windows or fewer features.

All variants forecast the same windows of the same parts, so their errors compare. Nothing is copied: a shorter window
is the end of the long one, and features are picked when a batch is gathered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .dataset import Dataset
from .dataspec import DataSpec
from .features import column_features, columns_of


def variant(dataset: Dataset, *, lookback: int | None = None, groups: Sequence[str] | None = None) -> Dataset:
    """A data set with another lookback or with some of the named groups of features.

    Args:
        dataset: with the longest lookback and all features.
        lookback: steps in a window, at most those of `dataset`; None: all.
        groups: names of `DataSpec.feature_groups` that are seen; features in no group always are. None: all groups.

    Returns:
        the same windows and targets; specification, names and scaler are those of the variant.
    """
    left_out = _left_out(dataset.spec, groups)
    owners = zip(dataset.feature_names, feature_owners(dataset), strict=True)
    names = [name for name, owner in owners if owner not in left_out]
    return narrowed(dataset, lookback=dataset.lookback if lookback is None else lookback, feature_names=names)


def narrowed(dataset: Dataset, *, lookback: int, feature_names: Sequence[str]) -> Dataset:
    """A data set with windows of at most as many steps, and with these of its features, in its order."""
    owners, seen = feature_owners(dataset), set(feature_names)
    columns = np.array([i for i, name in enumerate(dataset.feature_names) if name in seen], dtype=np.int64)
    if lookback == dataset.lookback and len(columns) == dataset.n_features:
        return dataset
    picked = None if len(columns) == dataset.n_features else columns
    train, val, test = (
        replace(part, windows=part.windows.narrowed(lookback, picked))
        for part in (dataset.train, dataset.val, dataset.test)
    )
    return replace(
        dataset,
        train=train,
        val=val,
        test=test,
        spec=_narrowed(dataset.spec, lookback, [owners[column] for column in columns]),
        whole=dataset.whole or dataset.spec,
        lookback=lookback,
        feature_names=tuple(dataset.feature_names[column] for column in columns),
        n_features=len(columns),
        x_scaler=None if dataset.x_scaler is None else dataset.x_scaler.select(columns),
    )


def feature_owners(dataset: Dataset) -> list[str]:
    """What each feature is made of: a column, a field of the calendar, or itself in foreign arrays."""
    spec, names = dataset.spec, dataset.feature_names
    if dataset.target is None:
        return list(names)
    owners = [column for column in columns_of(spec, names) for _ in column_features(spec, column)]
    return owners + [field for field in spec.calendar for _ in ("sin", "cos")]


def group_mistakes(dataset: Dataset) -> list[str]:
    """What the groups of a specification name that is no feature of the data; empty when nothing is."""
    known = set(feature_owners(dataset))
    return [
        f"`data.feature_groups.{group}` must hold features, fields of the calendar among them; '{name}' is none. "
        f"Features are: {', '.join(sorted(known))}."
        for group, members in dataset.spec.feature_groups.items()
        for name in members
        if name not in known
    ]


def _left_out(spec: DataSpec, groups: Sequence[str] | None) -> set[str]:
    if groups is None:
        return set()
    seen = {name for group in groups for name in spec.feature_groups[group]}
    return {name for members in spec.feature_groups.values() for name in members} - seen


def _narrowed(spec: DataSpec, lookback: int, owners: Sequence[str]) -> DataSpec:
    """The specification that makes such windows by itself."""
    features = tuple(name for name in dict.fromkeys(owners) if name not in (spec.target, *spec.calendar))
    known_ahead = tuple(name for name in spec.known_ahead if name in owners)
    return spec.model_copy(
        update={
            "lookback": lookback,
            "features": features,
            "known_ahead": known_ahead,
            "known_ahead_beyond": spec.known_ahead_beyond if known_ahead else 0,
            "circular": tuple(name for name in spec.circular if name in owners),
            "calendar": tuple(field for field in spec.calendar if field in owners),
            "feature_groups": {},
        }
    )
