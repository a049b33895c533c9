"""From a specification to a data set: the one door through which everybody gets data."""

from __future__ import annotations

from .dataset import Dataset, Part
from .dataspec import DataError, DataSpec
from .digest import digest, fields_that_matter
from .from_arrays import arrays_fingerprint, load_arrays
from .from_series import load_series
from .table import located

__all__ = ["Dataset", "Part", "fingerprint", "load_dataset"]


def load_dataset(spec: DataSpec) -> Dataset:
    """Read, check, scale and cut; the same specification and bytes always give the same data set.

    Raises:
        DataError: every mistake that can be seen, all at once.
    """
    try:
        with located(spec.path) as place:
            return load_arrays(spec, place) if place.is_dir() else load_series(spec, place)
    except DataError as error:
        # What can be said without the data and what the data say, together.
        raise DataError(list(dict.fromkeys([*spec.mistakes(), *error.mistakes]))) from error


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
