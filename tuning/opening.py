"""From what a user asks for to a study in the database with its tickets: checked, created or gone on with, extended."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from ..objectives.audit import Audit
from ..objectives.runtime import resolve_backend
from ..storage import fleet, spool
from ..storage.address import StorageError, find_storage, storage_url
from ..storage.dataset import Dataset
from ..storage.locks import named_lock
from ..storage.rdb import open_storage
from ..storage.resilient import ResilientStorage
from . import queue, records, warm_start
from .extension import extend, extended_space
from .look_over import look_over
from .spec import SpecError, StudySpec, differences, with_default_trials
from .user_models import accepting, check_unchanged, mixed_code


@dataclass(frozen=True)
class Opened:
    """A study that is ready for workers.

    Attributes:
        created: whether it is new.
        told: results of an earlier run that the database got only now.
        changed: what this opening changed in its queue.
        audit: what was checked of the data; None where an objective function has none.
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
    audit: Audit | None
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """What was checked and what was made of the specification, for people."""
        return [*(() if self.audit is None else self.audit.lines()), *self.notes]


def open_study(
    raw: Mapping[str, Any],
    *,
    storage: str | os.PathLike[str] | None,
    out: Path,
    artifacts: Path | None = None,
    mistakes: list[str] | None = None,
    check: Callable[[ResilientStorage], None] = lambda _storage: None,
    start_clock: bool = True,
    accept_code: bool = False,
) -> Opened:
    """Check everything, then create the study or go on with it, and put its tickets into the queue.

    Args:
        storage: database URL or SQLite file; None: what the environment names, or ``greentune.db`` in `out`.
        artifacts: folder for checkpoints and models; None: ``artifacts`` in the folder of the study.
        mistakes: what is wrong with options that are none of the specification's; told together with the rest.
        check: refuses the database by raising, before anything is written to it.
        accept_code: whether an existing study may go on with code that was edited since.
        start_clock: whether the time limit counts from now, or from the first claim.

    Raises:
        Mistake: everything that the user can put right, all at once.
    """
    checked = look_over(raw, [*(mistakes or []), *warm_start.start_mistakes(raw, storage, out)])
    spec, dataset, notes = checked.spec, checked.dataset, checked.notes
    out_folder = writable(out)
    url = storage_url(find_storage(storage) or out_folder / records.DATABASE)
    database = open_storage(url)
    check(database)
    fleet.ensure_table(database)
    folder = out_folder / spec.study
    asked = spec
    with named_lock(database.engine, spec.study):
        created = not records.exists(database, spec.study)
        if created:
            spec, mapped = warm_start.started(database, spec, "" if dataset is None else dataset.unit)
            notes += mapped
            study, spec = _create(database, spec, dataset, checked.audit, folder, artifacts or folder / "artifacts")
        else:
            study, spec = _go_on(database, spec, dataset, accept_code=accept_code)
            notes += (*_first_stands(asked, spec), *mixed_code(spec))
    writable(folder)
    told = spool.replay(database, url)
    timeout = spec.search.timeout if start_clock else None
    records.begin_run(study, now=fleet.now(database), timeout=timeout)
    changed = queue.reconcile(study, database, queue.plan(spec), spec.run)
    return Opened(study, database, url, spec, folder, created, told, changed, checked.audit, notes)


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


def _create(
    database: ResilientStorage,
    spec: StudySpec,
    dataset: Dataset | None,
    audit: Audit | None,
    folder: Path,
    artifacts: Path,
) -> tuple[optuna.Study, StudySpec]:
    spec = with_default_trials(spec).model_copy(update={"backend": resolve_backend(spec.backend)})
    study = records.create_study(
        database,
        spec,
        fingerprint="" if dataset is None else dataset.fingerprint,
        unit="" if dataset is None else dataset.unit,
        folder=str(folder),
        artifacts=str(artifacts.resolve()),
        audit=None if audit is None else audit.to_json(),
    )
    return study, spec


def _go_on(
    database: ResilientStorage, spec: StudySpec, dataset: Dataset | None, *, accept_code: bool
) -> tuple[optuna.Study, StudySpec]:
    study = records.load_study(database, spec.study)
    stored = records.read_spec(study)
    if accept_code:
        stored = accepting(stored, spec)
    found = differences(stored, spec) + warm_start.started_otherwise(stored, spec)
    if found:
        raise SpecError(
            f"The study '{spec.study}' exists with another specification: {'; '.join(found)}. "
            f"Use the same options to go on with it, or another {_naming(spec)}."
        )
    check_unchanged(stored)
    if dataset is not None and dataset.fingerprint != records.read_fingerprint(study):
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
            "final": spec.final,
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
