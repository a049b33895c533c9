"""The study's own entries in the database: its specification, the fingerprint of its data, a message that stops it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import optuna
from optuna.storages import RDBStorage

from ..storage.mistakes import Mistake, nearest

if TYPE_CHECKING:
    from .spec import StudySpec

DATABASE = "greentune.db"
"""The SQLite file in a folder of runs, where no other storage is named."""

_SPEC, _UNIT = "greentune:spec", "greentune:unit"
_FINGERPRINT, _STOPPED = "greentune:fingerprint", "greentune:stopped"

EXIT_SETUP = 3
"""Exit code of a worker that found the set-up wrong; the message stands in the study (:func:`stopped_by`)."""


class StudyError(Mistake):
    """There is no such study in the database, or it is somebody else's."""


def study_names(storage: RDBStorage) -> list[str]:
    """The names of all studies of greentune in this database, the newest last."""
    return [study.study_name for study in storage.get_all_studies() if _SPEC in study.user_attrs]


def create_study(storage: RDBStorage, spec: StudySpec, *, fingerprint: str, unit: str) -> optuna.Study:
    """Create the study with everything that its workers must know inside.

    Args:
        fingerprint: of the data.
        unit: in which errors are given; arrays may know another one than the specification, or none.

    Raises:
        StudyError: somebody else's study has this name.
    """
    study = optuna.create_study(storage=storage, study_name=spec.study, direction="minimize", load_if_exists=True)
    if study.get_trials(deepcopy=False):  # without trials it may be ours: a creation that was killed half-way
        raise StudyError(f"The study '{spec.study}' exists, but greentune did not make it. Use another --study NAME.")
    study.set_user_attr(_UNIT, unit)
    write_spec(study, spec)
    study.set_user_attr(_FINGERPRINT, fingerprint)
    return study


def load_study(storage: RDBStorage, name: str | None) -> optuna.Study:
    """Load a study by its name; without one, the newest.

    Raises:
        StudyError: there is none of that name, or none at all, or it was not made by greentune.
    """
    names = study_names(storage)
    if not names:
        raise StudyError(
            "The database holds no study of greentune. Start one with `tune`, or name another with --storage."
        )
    if name is None:
        name = names[-1]
    elif name not in names:
        raise StudyError(f"There is no study '{name}' in the database. {nearest(name, names)}")
    return optuna.load_study(study_name=name, storage=storage)


def exists(storage: RDBStorage, name: str) -> bool:
    """Whether a study of greentune has this name."""
    return name in study_names(storage)


def read_tables(study: optuna.Study) -> dict[str, Any]:
    """The specification as nested tables: all that a look at the study needs, without the time to check it again."""
    tables: dict[str, Any] = json.loads(study.user_attrs[_SPEC])
    return tables


def read_spec(study: optuna.Study) -> StudySpec:
    """The specification with which the study was created, budgets as last extended."""
    from .spec import StudySpec

    return StudySpec.from_json(study.user_attrs[_SPEC])


def write_spec(study: optuna.Study, spec: StudySpec) -> None:
    """Store the specification."""
    study.set_user_attr(_SPEC, spec.to_json())


def read_unit(study: optuna.Study) -> str:
    """The unit of the study's errors: ``MW``, or ``scaled units`` where no scaler is known."""
    return str(study.user_attrs.get(_UNIT, ""))


def read_fingerprint(study: optuna.Study) -> str:
    """The fingerprint of the data on which the study runs."""
    return str(study.user_attrs[_FINGERPRINT])


def stop(study: optuna.Study, mistakes: Sequence[str]) -> None:
    """Leave a message that ends the study on all machines: the set-up is wrong, not a trial."""
    study.set_user_attr(_STOPPED, list(mistakes))


def stopped_by(study: optuna.Study) -> list[str]:
    """The message that ended the study; empty when it may go on."""
    return list(study.user_attrs.get(_STOPPED, []))
