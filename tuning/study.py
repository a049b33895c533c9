"""The whole way: specification → study → tickets → workers → winner → bundle and report. What `tune` does."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import RDBStorage

from ..objectives.runtime import resolve_backend, usable_gpus
from ..reports.bundle import check_folder
from ..storage.dataset import Dataset
from ..storage.datasets import load_dataset
from ..storage.dataspec import DataError
from ..storage.rdb import StorageError, exclusive, file_lock, open_storage, redact, storage_url
from . import delivery, queue, records, table
from .presets import with_preset
from .progress import Progress
from .snapshot import Snapshot, take_snapshot
from .spec import DEFAULT_TRIALS, SpecError, StudySpec, differences, parse_spec
from .supervisor import Supervisor, available_cores
from .wording import best_text, counted, duration

DEFAULT_OUT = "runs"


@dataclass(frozen=True)
class TuneResult:
    """What a run left behind.

    Attributes:
        spec: the specification, as it stands in the study.
        snapshot: counts and the best trial at the end.
        table: CSV of all trials.
        agreement: of a grid: whether penalty and forecast error agree on the best point.
        delivered: figures and places of the retrained winner; None when there is no winner yet.
        interrupted: somebody pressed Ctrl-C; the same command goes on.
        added: tickets that this run added to the queue.
    """

    storage: str
    folder: Path
    spec: StudySpec
    snapshot: Snapshot
    table: Path
    agreement: str | None
    delivered: dict[str, Any] | None
    interrupted: bool
    added: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return {
            "study": self.spec.study,
            "storage": self.storage,
            "folder": str(self.folder),
            "trials": {name: getattr(self.snapshot, name) for name in _COUNTS},
            "best": self.snapshot.to_json()["best"],
            "table": str(self.table),
            "agreement": self.agreement,
            "interrupted": self.interrupted,
            "added": self.added,
            "seconds": round(self.seconds, 1),
            **(self.delivered or {}),
        }


_COUNTS = ("done", "running", "pruned", "failed", "waiting", "requeued")


def tune(
    study: StudySpec | Mapping[str, Any],
    *,
    storage: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] = DEFAULT_OUT,
    workers: int | None = None,
    quiet: bool = False,
) -> TuneResult:
    """Search, choose the winner, retrain it, evaluate it and export it; go on where an earlier run stopped.

    Args:
        study: a specification, or what differs from the presets as nested tables, as in a study file:
            ``{"search": {"sampler": "grid"}}``. ``{}`` is the packaged wind farm.
        storage: database URL or SQLite file; None: ``greentune.db`` in ``out``.
        out: folder of all runs; results go to ``out/STUDY``.
        workers: processes; None: one a GPU where the backend sees any, otherwise one a core.
        quiet: no progress on standard error.

    Raises:
        Mistake: everything that the user can put right, all at once.
    """
    began = time.monotonic()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    raw = study.model_dump(mode="json") if isinstance(study, StudySpec) else with_preset({}, study)
    spec, dataset = _checked(raw, workers)
    out_folder = writable(Path(out))
    url = storage_url(storage or out_folder / records.DATABASE)
    database = open_storage(url)
    found, spec, created = _create_or_resume(database, spec, dataset)
    folder = writable(out_folder / spec.study)
    check_folder(folder / "bundle")
    (folder / "study.json").write_text(spec.to_json() + "\n", encoding="utf-8")
    changed = queue.reconcile(found, database, queue.plan(spec))
    before = take_snapshot(found)
    gpus = usable_gpus(spec.backend)
    n_workers = min(workers or len(gpus) or available_cores(), max(1, before.waiting))
    until = None if spec.search.timeout is None else time.time() + spec.search.timeout
    with Progress(epochs=spec.training.epochs, until=until, workers=n_workers, quiet=quiet) as progress:
        progress.say(_opening(spec, redact(url), created, changed, before, n_workers))
        supervisor = Supervisor(
            found,
            database,
            spec,
            url=url,
            workers=n_workers,
            gpus=gpus,
            logs=folder / "logs",
            until=until,
            progress=progress,
        )
        finished = supervisor.run()
    snapshot = take_snapshot(found)
    name = "grid_results.csv" if spec.search.sampler == "grid" else "trials.csv"
    results = table.write_csv(folder / name, table.rows(found, spec))
    delivered = None
    if snapshot.best is not None:
        progress.say(f"search ended: best {best_text(snapshot)}; all trials in {results}")
        if finished:
            delivered = _deliver(spec, url, folder, snapshot, progress)
            finished = delivered is not None
    return TuneResult(
        storage=redact(url),
        folder=folder,
        spec=spec,
        snapshot=snapshot,
        table=results,
        agreement=table.agreement(found) if spec.search.sampler == "grid" else None,
        delivered=delivered,
        interrupted=not finished,
        added=changed.added,
        seconds=time.monotonic() - began,
    )


def _deliver(spec: StudySpec, url: str, folder: Path, snapshot: Snapshot, progress: Progress) -> dict[str, Any] | None:
    """The winner's figures, from an earlier run where nothing has changed since; None when it was interrupted."""
    assert snapshot.best is not None
    try:
        with file_lock(folder / ".delivery.lock"):  # of two commands at one study the second finds what the first made
            delivered = delivery.earlier(folder, snapshot)
            if delivered is not None:
                return delivered
            what = f"retraining trial {snapshot.best.number} for up to {spec.final.epochs} epochs"
            progress.say(f"{what}, then the test part, the bundle and the report")
            return delivery.deliver_in_child(spec, url, folder, say=progress.say)
    except KeyboardInterrupt:
        return None


def _checked(raw: Mapping[str, Any], workers: int | None) -> tuple[StudySpec, Dataset]:
    """Read specification and data, and report what is wrong with either in one go."""
    mistakes: list[str] = []
    spec: StudySpec | None = None
    dataset: Dataset | None = None
    if workers is not None and workers < 1:
        mistakes.append(f"`workers` must be at least 1; got {workers}.")
    try:
        spec = parse_spec(raw)
    except SpecError as error:
        mistakes += error.mistakes
    try:
        data = spec.data if spec is not None else parse_data(raw)
        if data is not None:
            dataset = load_dataset(data)
    except DataError as error:
        mistakes += error.mistakes
    if mistakes or spec is None or dataset is None:
        raise SpecError(mistakes)
    return spec, dataset


def _create_or_resume(database: RDBStorage, spec: StudySpec, dataset: Dataset) -> tuple[optuna.Study, StudySpec, bool]:
    with exclusive(database, spec.study):
        if not records.exists(database, spec.study):
            trials = spec.search.trials
            if trials is None and spec.search.sampler != "grid":
                trials = DEFAULT_TRIALS
            spec = spec.model_copy(
                update={
                    "backend": resolve_backend(spec.backend),
                    "search": spec.search.model_copy(update={"trials": trials}),
                }
            )
            return records.create_study(database, spec, fingerprint=dataset.fingerprint, unit=dataset.unit), spec, True
        study = records.load_study(database, spec.study)
        stored = records.read_spec(study)
        found = differences(stored, spec)
        if found:
            raise SpecError(
                f"The study '{spec.study}' exists with another specification: {'; '.join(found)}. "
                "Use the same options to go on with it, or another --study NAME."
            )
        if dataset.fingerprint != records.read_fingerprint(study):
            raise SpecError(
                f"The study '{spec.study}' exists with other data: the bytes of {spec.data.path} have changed since. "
                "Restore the file to go on with it, or use another --study NAME."
            )
        search = stored.search.model_copy(
            update={"trials": spec.search.trials or stored.search.trials, "timeout": spec.search.timeout}
        )
        data = stored.data.model_copy(update={"path": spec.data.path})
        resumed = stored.model_copy(update={"search": search, "data": data})
        records.write_spec(study, resumed)
        records.stop(study, [])
        return study, resumed, False


def parse_data(raw: Mapping[str, Any]) -> Any:
    """The data section alone, when the rest has mistakes; None when the section itself was refused already."""
    from pydantic import ValidationError

    from ..storage.dataspec import DataSpec

    try:
        return DataSpec.model_validate(raw.get("data", {}))
    except ValidationError:
        return None


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


def _opening(
    spec: StudySpec, url: str, created: bool, changed: queue.Reconciled, before: Snapshot, workers: int
) -> str:
    search = spec.search
    what = (
        f"study {spec.study}: {spec.builder}, {search.sampler}, pruner {search.pruner}, {search.metric}, {spec.backend}"
    )
    if not created and not before.waiting and not changed.added:
        return f"{what}\nnothing to add: all {before.finished} trials of this study have a result in {url}"
    state = "new" if created else f"going on, {counted(before.finished, 'trial')} with a result"
    limit = "" if search.timeout is None else f", at most {duration(search.timeout)}"
    lost = f", {changed.lost} of dead workers put back" if changed.lost else ""
    work = f"{counted(before.waiting, 'trial')} to run on {counted(workers, 'worker')}"
    return f"{what}\n{state}: {work}{limit}{lost}; database {url}"
