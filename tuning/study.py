"""The whole way: specification → study → tickets → workers → winner → bundle and report. What `tune` does."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna

from ..reports.bundle import check_folder
from ..storage.address import redact
from . import table
from .finishing import finish
from .launch import check_connections, launcher, machine_mistakes
from .machine import Machines
from .opening import Opened, open_study
from .presets import with_preset
from .progress import Progress
from .records import DEFAULT_OUT
from .references import with_references
from .result import TuneResult, result_of
from .snapshot import Snapshot, take_snapshot
from .spec import StudySpec
from .supervisor import Outcome
from .user_models import models_named
from .wording import best_text, counted, duration


def tune(
    study: StudySpec | Mapping[str, Any],
    *,
    storage: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] = DEFAULT_OUT,
    workers: int | None = None,
    machines: Machines | None = None,
    artifacts: str | os.PathLike[str] | None = None,
    accept_code: bool = False,
    quiet: bool = False,
) -> TuneResult:
    """Search, choose the winner, retrain it, evaluate it and export it; go on where an earlier run stopped.

    Args:
        study: a specification, or what differs from the presets as nested tables, as in a study file:
            ``{"search": {"sampler": "grid"}}``. ``{}`` is the packaged wind farm. A builder, HyperModel or objective
            function may be given itself, if it stands in a file.
        storage: database URL or SQLite file; None: what ``GREENTUNE_STORAGE`` or ``GREENTUNE_STORAGE_FILE`` name, or
            ``greentune.db`` in ``out``.
        out: folder of all runs; results go to ``out/STUDY``.
        workers: processes; None: one a GPU where the backend sees any, otherwise one a core.
        machines: where they compute, in more detail; `workers` wins over its own.
        artifacts: folder for checkpoints and trained models that all hosts see; None: in the folder of the study.
        accept_code: go on with a study though the user's code was edited since.
        quiet: no progress on standard error.

    Raises:
        Mistake: everything that the user can put right, all at once.
    """
    began = time.monotonic()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    raw = study.model_dump(mode="json") if isinstance(study, StudySpec) else with_preset({}, with_references(study))
    asked = machines or Machines()
    asked = asked if workers is None else replace(asked, workers=workers)
    opened = open_study(
        raw,
        storage=storage,
        out=Path(out),
        artifacts=None if artifacts is None else Path(artifacts),
        mistakes=machine_mistakes(asked, str(raw.get("backend", "auto"))),
        check=lambda database: check_connections(database, asked.workers or 1),
        accept_code=accept_code,
    )
    spec, folder = opened.spec, opened.folder
    check_folder(folder / "bundle")
    (folder / "study.json").write_text(spec.to_json() + "\n", encoding="utf-8")
    before = take_snapshot(opened.study)
    until = None if spec.search.timeout is None else time.time() + spec.search.timeout
    launch = launcher(opened, asked, before.waiting)
    with Progress(epochs=spec.training.epochs, until=until, workers=launch.workers, quiet=quiet) as progress:
        for line in (
            *(opened.audit.lines() if opened.audit is not None else ()),
            *opened.notes,
            _opening(opened, before, launch.workers),
        ):
            progress.say(line)
        ended = launch.run(progress)
    snapshot = take_snapshot(opened.study)
    results = table.write_table(opened.study, spec, folder)
    delivered, delivers = None, spec.objective_function is None
    if snapshot.best is not None:
        progress.say(f"search ended: best {best_text(snapshot)}; all trials in {results}")
        if ended is Outcome.FINISHED and delivers:
            delivered = finish(opened, asked, again=False, quiet=quiet, say=progress.say)
    return result_of(
        opened.study,
        spec,
        folder,
        opened.url,
        delivered=delivered,
        interrupted=ended is not Outcome.FINISHED or (delivers and snapshot.best is not None and delivered is None),
        added=opened.changed.added,
        seconds=time.monotonic() - began,
    )


def _opening(opened: Opened, before: Snapshot, workers: int) -> str:
    spec, changed, url = opened.spec, opened.changed, redact(opened.url)
    search = spec.search
    what = (
        f"study {spec.study}: {models_named(spec)}, {search.sampler}, pruner {search.pruner}, "
        f"{' and '.join(search.value_names)}, {spec.backend}"
    )
    if not opened.created and not before.waiting and not changed.added:
        return f"{what}\nnothing to add: all {before.finished} trials of this study have a result in {url}"
    state = "new" if opened.created else f"going on, {counted(before.finished, 'trial')} with a result"
    limit = "" if search.timeout is None else f", none begins after {duration(search.timeout)}"
    lost = f", {changed.lost} of dead workers put back" if changed.lost else ""
    told = f", {opened.told} kept during an outage" if opened.told else ""
    work = f"{counted(before.waiting, 'trial')} to run on {counted(workers, 'worker')}"
    return f"{what}\n{state}: {work}{limit}{lost}{told}; database {url}"
