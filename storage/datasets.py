"""From a specification to a data set: the one door through which everybody gets data."""

from __future__ import annotations

from collections.abc import Sequence

from .dataset import Dataset, Part
from .dataspec import DataError, DataSpec
from .digest import digest, fields_that_matter
from .from_arrays import ArraySource, arrays_fingerprint
from .from_series import SeriesSource
from .source import Source
from .table import located
from .variants import narrowed

__all__ = ["Dataset", "Part", "Source", "fingerprint", "load_cut", "load_dataset", "load_source"]


def load_dataset(spec: DataSpec) -> Dataset:
    """Read, check, scale and cut; the same specification and bytes always give the same data set.

    Raises:
        DataError: every mistake that can be seen, all at once.
    """
    return load_source(spec).dataset


def load_source(spec: DataSpec) -> Source:
    """Read and check data that are cut into folds afterwards.

    Raises:
        DataError: every mistake that can be seen, all at once.
    """
    try:
        with located(spec.path) as place:
            return ArraySource(spec, place) if place.is_dir() else SeriesSource(spec, place)
    except DataError as error:
        # What can be said without the data and what the data say, together.
        raise DataError(list(dict.fromkeys([*spec.mistakes(), *error.mistakes]))) from error


def load_cut(spec: DataSpec, *, everything: bool, lookback: int, feature_names: Sequence[str]) -> Dataset:
    """The data set of a bundle once more: cut as its model was trained, as narrow as its model sees it.

    Args:
        spec: of the whole data set (`Dataset.whole`, or else its `spec`).
        everything: whether the training part is all that lies before the test part.
        lookback, feature_names: of the model.

    Raises:
        DataError: every mistake that can be seen, all at once.
    """
    source = load_source(spec)
    dataset = source.everything() if everything else source.dataset
    return narrowed(dataset, lookback=lookback, feature_names=feature_names)


def fingerprint(spec: DataSpec) -> str:
    """SHA-256 of the bytes and of what of the specification matters; no window is built.

    The path and `trust_scaler` do not count: the same file elsewhere has the same fingerprint.

    Raises:
        DataError: the data cannot be found or read.
    """
    with located(spec.path) as place:
        if place.is_dir():
            return arrays_fingerprint(spec, place)
        return digest([place], fields_that_matter(spec))
