"""Where data sets of a study come from: cut once into parts, or again and again into folds.

rows    |<-------------- before the test ------------->|<-- test -->|
parts   |<------ training ------>|<--- validation ---->|            |    `dataset`
fold 0  |<-- train -->| gap |<-- val -->|              |            |    `fold(range, range)`, its scalers fitted on
fold 1  |<-------- train -------->| gap |<-- val -->|  |            |    its own training rows
all     |<--------------- train ---------------------->|            |    `everything()`

The samples of the folds are the windows before the test part, in order of time, numbered from 0.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np

from .dataset import Dataset, Part


class Source(Protocol):
    """Data that can be cut."""

    @property
    def dataset(self) -> Dataset:
        """Training, validation and test part as the specification says."""

    @property
    def n_samples(self) -> int:
        """Windows before the test part that touch no gap."""

    @property
    def sample_times(self) -> np.ndarray | None:
        """(n_samples,) datetime64[ns] UTC of the last target of each; None for foreign arrays."""

    def fold(self, train: range, val: range) -> Dataset:
        """A data set whose training and validation parts are these samples; the test part stays what it is."""

    def everything(self) -> Dataset:
        """A data set that trains on all samples and has no validation; the test part stays what it is."""


def without_validation(dataset: Dataset) -> Dataset:
    """The same with an empty validation part."""
    part, none = dataset.val, np.arange(0)
    windows = replace(part.windows, index=part.windows.index[none])
    origins = None if part.origins is None else part.origins[none]
    return replace(dataset, val=Part(part.name, windows, part.y[none], origins))
