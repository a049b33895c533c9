"""From what a user asks for to a study in the database with its tickets: checked, created or gone on with, extended."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from ..objectives.audit import Audit, audit
from ..objectives.runtime import resolve_backend
from ..storage import fleet, spool
from ..storage.address import StorageError, find_storage, storage_url
from ..storage.dataset import Dataset
from ..storage.datasets import load_source
from ..storage.dataspec import DataError
from ..storage.locks import named_lock
from ..storage.mistakes import Mistake
from ..storage.rdb import open_storage
from ..storage.resilient import ResilientStorage
from ..storage.source import Source
from ..storage.variants import group_mistakes
from . import queue, records
from .extension import extend, extended_space
from .folds import cuts_of
from .spec import DEFAULT_TRIALS, SpecError, StudySpec, differences, parse_spec
from .study_data import data_of


@dataclass(frozen=True)
class Opened:
    """A study that is ready for workers.

    Attributes:
        created: whether it is new.
        told: results of an earlier run that the database got only now.
        changed: what this opening changed in its queue.
        audit: what was checked of the data.
        notes: sentences on what this opening made of the specification.
    """

    study: optuna.Study
    storage: ResilientStorage
    url: str
    spec: StudySpec
    folder: Path
    created: bool
    told: int
    changed: queue.Reconciled
    audit: Audit
    notes: tuple[str, ...] = ()


def open_study(
    raw: Mapping[str, Any],
    *,
    storage: str | os.PathLike[str] | None,
    out: Path,
    artifacts: Path | None = None,
    mistakes: list[str] | None = None,
    check: Callable[[ResilientStorage], None] = lambda _storage: None,
    start_clock: bool = True,
) -> Opened:
    """Check everything, then create the study or go on with it, and put its tickets into the queue.

    Args:
        storage: database URL or SQLite file; None: what the environment names, or ``greentune.db`` in `out`.
        artifacts: folder for checkpoints and models; None: ``artifacts`` in the folder of the study.
        mistakes: what is wrong with options that are none of the specification's; told together with the rest.
        check: refuses the database by raising, before anything is written to it.
        start_clock: whether the time limit counts from now, or from the first claim.

    Raises:
        Mistake: everything that the user can put right, all at once.
    """
    spec, dataset, found = _checked(raw, mistakes or [])
    out_folder = writable(out)
    url = storage_url(find_storage(storage) or out_folder / records.DATABASE)
    database = open_storage(url)
    check(database)
    fleet.ensure_table(database)
    folder = out_folder / spec.study
    asked, notes = spec, tuple[str, ...]()
    with named_lock(database.engine, spec.study):
        created = not records.exists(database, spec.study)
        if created:
            study, spec = _create(database, spec, dataset, found, folder, artifacts or folder / "artifacts")
        else:
            study, spec = _go_on(database, spec, dataset)
            notes = _first_stands(asked, spec)
    writable(folder)
    told = spool.replay(database, url)
    timeout = spec.search.timeout if start_clock else None
    records.begin_run(study, now=fleet.now(database), timeout=timeout)
    changed = queue.reconcile(study, database, queue.plan(spec), spec.run)
    return Opened(study, database, url, spec, folder, created, told, changed, found, notes)


def writable(folder: Path) -> Path:
    """Make the folder if it is missing; StorageError if it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise StorageError(f"`out` must be a folder; {folder} is a file. Use another --out.") from None
    except OSError as error:
        raise StorageError(f"The folder {folder} cannot be made: {error.strerror}. Use another --out.") from None
    if not os.access(folder, os.W_OK):
        raise StorageError(f"The folder {folder} must be writable; it is not. Use another --out.")
    return folder.resolve()


def _checked(raw: Mapping[str, Any], mistakes: list[str]) -> tuple[StudySpec, Dataset, Audit]:
    """Read specification and data, report what is wrong with either in one go, and look for leaks."""
    spec: StudySpec | None = None
    source: Source | None = None
    try:
        spec = parse_spec(raw)
    except SpecError as error:
        mistakes += error.mistakes
    try:
        data = data_of(spec) if spec is not None else _data_alone(raw)
        if data is not None:
            source = load_source(data)
            mistakes += group_mistakes(source.dataset)
    except DataError as error:
        mistakes += error.mistakes
    found = None
    if spec is not None and source is not None and not mistakes:
        try:
            found = audit(source.dataset, [cut.dataset for cut in cuts_of(source, spec.validation)])
            mistakes += [f"The data leak: {leak.sentence}" for leak in found.leaks]
        except Mistake as error:
            mistakes += error.mistakes
    if mistakes or spec is None or source is None or found is None:
        raise SpecError(mistakes)
    return spec, source.dataset, found


def _data_alone(raw: Mapping[str, Any]) -> Any:
    """The data section, when the rest has mistakes; None when the section itself was refused already."""
    from pydantic import ValidationError

    from ..storage.dataspec import DataSpec

    try:
        return DataSpec.model_validate(raw.get("data", {}))
    except ValidationError:
        return None


def _create(
    database: ResilientStorage, spec: StudySpec, dataset: Dataset, audit: Audit, folder: Path, artifacts: Path
) -> tuple[optuna.Study, StudySpec]:
    trials = spec.search.trials
    if trials is None and spec.search.sampler not in ("grid", "points"):
        trials = DEFAULT_TRIALS
    search = spec.search.model_copy(update={"trials": trials})
    spec = spec.model_copy(update={"backend": resolve_backend(spec.backend), "search": search})
    study = records.create_study(
        database,
        spec,
        fingerprint=dataset.fingerprint,
        unit=dataset.unit,
        folder=str(folder),
        artifacts=str(artifacts.resolve()),
        audit=audit.to_json(),
    )
    return study, spec


def _go_on(database: ResilientStorage, spec: StudySpec, dataset: Dataset) -> tuple[optuna.Study, StudySpec]:
    study = records.load_study(database, spec.study)
    stored = records.read_spec(study)
    found = differences(stored, spec)
    if found:
        raise SpecError(
            f"The study '{spec.study}' exists with another specification: {'; '.join(found)}. "
            f"Use the same options to go on with it, or another {_naming(spec)}."
        )
    if dataset.fingerprint != records.read_fingerprint(study):
        raise SpecError(
            f"The study '{spec.study}' exists with other data: the bytes of {spec.data.path} have changed since. "
            f"Restore the file to go on with it, or use another {_naming(spec)}."
        )
    search = stored.search.model_copy(
        update={
            "trials": spec.search.trials or stored.search.trials,
            "points": spec.search.points,
            "timeout": spec.search.timeout,
            "worker_seconds": spec.search.worker_seconds,
            "until_no_gain": spec.search.until_no_gain,
        }
    )
    resumed = stored.model_copy(
        update={
            "search": search,
            "winner": spec.winner,
            "run": spec.run,
            "entries": spec.entries,
            "space": extended_space(stored.space, spec.space)[0],
            "data": stored.data.model_copy(update={"path": spec.data.path}),
        }
    )
    extend(database, study._study_id, resumed.parsed_space())
    records.write_spec(study, resumed)
    return study, resumed


def _first_stands(asked: StudySpec, stored: StudySpec) -> tuple[str, ...]:
    """What to say where a study has begun with other points than those that are asked for now."""
    first = asked.search.first
    if first == stored.search.first[: len(first)]:
        return ()
    study = stored.study
    return (f"search.first: {study} keeps the points that it began with; `tune enqueue --study {study}` adds others",)


def _naming(spec: StudySpec) -> str:
    return "--name NAME" if spec.entries else "--study NAME"
