"""What greentune keeps with a study in the database: specification, fingerprint of the data, unit, orders, messages.

A worker needs a storage and a study name, nothing else.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import optuna
from optuna.storages import BaseStorage
from optuna.study import StudyDirection

from ..storage.mistakes import Mistake, nearest

if TYPE_CHECKING:
    from .spec import StudySpec

FRESH = ".fresh"
"""Behind the name of a search: the study of its best points with fresh seeds; see :mod:`.fresh`."""

DATABASE = "greentune.db"
"""The SQLite file in a folder of runs, where no other storage is named."""

SPEC, UNIT, FINGERPRINT = "greentune:spec", "greentune:unit", "greentune:fingerprint"
STOPPED, CONTROL = "greentune:stopped", "greentune:control"
BEGUN, UNTIL, ENDED = "greentune:begun", "greentune:until", "greentune:ended"
FOLDER, ARTIFACTS = "greentune:folder", "greentune:artifacts"
AUDIT, TESTED = "greentune:audit", "greentune:tested"

UNFINISHED = ("interrupted", "paused", "recycled")
"""Reasons for which a trial was put back though nothing is wrong with it: it goes on before others begin."""

RUN, PAUSE, PAUSE_NOW, STOP = "run", "pause", "pause-now", "stop"
"""Orders to the workers of a study: see `tune pause`, `tune resume`, `tune stop`."""

EXIT_SETUP, EXIT_STORAGE, EXIT_OOM, EXIT_TIMEOUT, EXIT_DATA = 3, 4, 5, 6, 7
"""Exit codes of a worker: wrong set-up (:func:`stopped_by` says what), database away, out of memory, trial too long,
other data on this host than those of the study."""


class StudyError(Mistake):
    """There is no such study in the database, or it is somebody else's."""


def study_names(storage: BaseStorage) -> list[str]:
    """The names of all studies of greentune in this database, the newest last."""
    return [study.study_name for study in storage.get_all_studies() if SPEC in study.user_attrs]


def create_study(
    storage: BaseStorage,
    spec: StudySpec,
    *,
    fingerprint: str,
    unit: str,
    folder: str = "",
    artifacts: str = "",
    audit: Any = None,
) -> optuna.Study:
    """Create the study with everything that its workers must know inside.

    Args:
        fingerprint: of the data.
        unit: in which errors are given; arrays may know another one than the specification, or none.
        folder: of the study, for results; an absolute path.
        artifacts: folder for checkpoints and trained models, an absolute path; hosts that see it use it. Empty: none.
        audit: what the audit of the data has found, in plain values.

    Raises:
        StudyError: somebody else's study has this name.
    """
    names = spec.search.value_names
    asked = spec.search.directions or ("minimize",) * len(names)
    directions = [StudyDirection[direction.upper()] for direction in asked]
    study = optuna.create_study(storage=storage, study_name=spec.study, directions=directions, load_if_exists=True)
    others = len(study.directions) != len(names)
    if others or study.get_trials(deepcopy=False):  # without trials it may be ours: a creation that was killed half-way
        raise StudyError(f"The study '{spec.study}' exists, but greentune did not make it. Use another --study NAME.")
    if len(names) > 1:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(list(names))  # for the dashboard
    study.set_user_attr(UNIT, unit)
    study.set_user_attr(FOLDER, folder)
    study.set_user_attr(ARTIFACTS, artifacts)
    study.set_user_attr(FINGERPRINT, fingerprint)
    # Each is written once before anybody else knows the study: of two first writers Optuna drops one without a word.
    study.set_user_attr(STOPPED, [])
    study.set_user_attr(CONTROL, RUN)
    study.set_user_attr(BEGUN, None)
    study.set_user_attr(UNTIL, None)
    study.set_user_attr(AUDIT, audit)
    study.set_user_attr(TESTED, [])
    write_spec(study, spec)  # last: a study without it is not ours yet
    return study


def load_study(storage: BaseStorage, name: str | None) -> optuna.Study:
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
        name = next((found for found in reversed(names) if not found.endswith(FRESH)), names[-1])
    elif name not in names:
        raise StudyError(f"There is no study '{name}' in the database. {nearest(name, names)}")
    return optuna.load_study(study_name=name, storage=storage)


def exists(storage: BaseStorage, name: str) -> bool:
    """Whether a study of greentune has this name."""
    return name in study_names(storage)


def read_tables(study: optuna.Study) -> dict[str, Any]:
    """The specification as nested tables: all that a look at the study needs, without the time to check it again."""
    tables: dict[str, Any] = json.loads(study.user_attrs[SPEC])
    return tables


def read_spec(study: optuna.Study) -> StudySpec:
    """The specification with which the study was created, budgets as last extended.

    Raises:
        StudyError: another version of greentune wrote it.
    """
    return spec_in(study.study_name, study.user_attrs)


def spec_in(name: str, attributes: Mapping[str, Any]) -> StudySpec:
    """The specification among the attributes of a study; see :func:`read_spec`."""
    from pydantic import ValidationError

    from .spec import StudySpec

    try:
        return StudySpec.from_json(attributes[SPEC])
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise StudyError(
            f"The study '{name}' was made by another version of greentune: `{where}` is not known here or "
            "has another form. Use that version, or another study."
        ) from error


def write_spec(study: optuna.Study, spec: StudySpec) -> None:
    """Store the specification."""
    study.set_user_attr(SPEC, spec.to_json())


def read_unit(study: optuna.Study) -> str:
    """The unit of the study's errors: ``MW``, or ``scaled units`` where no scaler is known."""
    return str(study.user_attrs.get(UNIT, ""))


def read_fingerprint(study: optuna.Study) -> str:
    """The fingerprint of the data on which the study runs."""
    return str(study.user_attrs[FINGERPRINT])


def look_at_test(study: optuna.Study, winners: Sequence[int], *, rmse: float | None) -> list[dict[str, Any]]:
    """Remember that the test part was used to judge a model; the same model again is no new look.

    Returns:
        every look so far: the trials that it was at, the error that was seen, when (UTC).
    """
    looks: list[dict[str, Any]] = list(study.user_attrs.get(TESTED, []))
    if any(look["trials"] == list(winners) and look["rmse"] == rmse for look in looks):
        return looks
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    looks.append({"trials": list(winners), "rmse": rmse, "when": when})
    study.set_user_attr(TESTED, looks)
    return looks


def begin_run(study: optuna.Study, *, now: float, timeout: float | None) -> None:
    """Open the study for workers: no message, no order, and the time of this run.

    Args:
        now: on the database's clock, seconds since 1970.
        timeout: seconds after which no new trial begins; None: no limit, or one that counts from the first claim.
    """
    study.set_user_attr(STOPPED, [])
    study.set_user_attr(CONTROL, RUN)
    study.set_user_attr(ENDED, None)
    study.set_user_attr(BEGUN, now)
    study.set_user_attr(UNTIL, None if timeout is None else now + timeout)


def start_clock(study: optuna.Study, *, now: float, timeout: float) -> None:
    """Let the time limit count from now; an order that came meanwhile stands."""
    study.set_user_attr(UNTIL, now + timeout)


def end_search(study: optuna.Study, *, now: float, why: str) -> None:
    """Let running trials be the last ones.

    Args:
        why: a sentence without its full stop.
    """
    study.set_user_attr(ENDED, why)
    study.set_user_attr(UNTIL, now)


def order(study: optuna.Study, control: str) -> None:
    """Tell the workers on all machines to go on, to pause or to stop."""
    study.set_user_attr(CONTROL, control)


def stop(study: optuna.Study, mistakes: Sequence[str]) -> None:
    """Leave a message that ends the study on all machines: the set-up is wrong, not a trial."""
    study.set_user_attr(STOPPED, list(mistakes))


def stopped_by(study: optuna.Study) -> list[str]:
    """The message that ended the study; empty when it may go on."""
    return list(study.user_attrs.get(STOPPED, []))


def decode(attributes: Mapping[str, str]) -> dict[str, Any]:
    """The attributes of a study as they come with a beat; the specification stays text."""
    return {name: json.loads(text) for name, text in attributes.items()}
