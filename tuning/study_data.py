"""The data of a study on this host: the same as those with which it was created, or none of its trials runs here."""

from __future__ import annotations

import optuna

from ..storage.datasets import load_source
from ..storage.dataspec import DataError, DataSpec
from ..storage.mistakes import Mistake
from ..storage.source import Source
from . import records
from .folds import longest
from .spec import StudySpec
from .user_models import check_unchanged


class OtherData(Mistake):
    """This host has other data than the study was created with, or none."""


def load_study_data(study: optuna.Study, spec: StudySpec) -> Source:
    """Load the data of a study.

    Raises:
        OtherData: they are not here, or others are.
    """
    try:
        source = load_source(data_of(spec))
    except DataError as error:
        raise OtherData([f"On this host: {sentence}" for sentence in error.mistakes]) from error
    if source.dataset.fingerprint != records.read_fingerprint(study):
        raise OtherData(
            f"The data at {spec.data.path} differ from those of the study '{study.study_name}': they have changed "
            "since, or this host has others. Restore the file, or start a new study."
        )
    return source


def check_study_data(study: optuna.Study, spec: StudySpec) -> None:
    """Look whether this host has the data of a study, if it needs any, and the user's code.

    Raises:
        OtherData: see `load_study_data`.
        OtherCode: see `check_unchanged`.
    """
    check_unchanged(spec)
    if spec.objective_function is None:
        load_study_data(study, spec)


def data_of(spec: StudySpec) -> DataSpec:
    """The data section with the longest lookback that is searched: all trials forecast the windows of that one."""
    return spec.data.model_copy(update={"lookback": longest(spec)})
