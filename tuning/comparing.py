"""What `tune compare` does: entries trained on the same split and seeds, or delivered studies, in one table."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from ..storage.address import find_storage, redact, storage_url
from ..storage.locks import file_lock
from ..storage.mistakes import Mistake
from ..storage.rdb import open_storage
from . import comparison_output, delivered, delivery, records, table
from .comparison_spec import comparison_tables
from .crew import exit_reason
from .entries import ENTRY
from .launch import check_connections, launcher, machine_mistakes
from .machine import Machines
from .opening import Opened, open_study, writable
from .point import SEED
from .progress import Progress
from .snapshot import Snapshot, take_snapshot
from .spec import StudySpec
from .study import DEFAULT_OUT
from .supervisor import Outcome
from .wording import counted

Training = tuple[str, int]
"""Entry and seed."""


@dataclass(frozen=True)
class ComparisonResult:
    """What a comparison left behind.

    Attributes:
        folder: of the comparison, with ``comparison.html``, ``comparison.csv`` and ``comparison.json``.
        content: of the latter, see :mod:`..reports.comparison`; None where there is nothing to compare yet.
        interrupted: somebody pressed Ctrl-C; the same command goes on.
        snapshot: counts of the trainings; None where delivered studies were compared.
    """

    name: str
    storage: str
    folder: Path
    content: dict[str, Any] | None
    interrupted: bool
    snapshot: Snapshot | None
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        trainings = None if self.snapshot is None else {n: getattr(self.snapshot, n) for n in _COUNTS}
        return {
            "name": self.name,
            "storage": self.storage,
            "folder": str(self.folder),
            "trainings": trainings,
            "interrupted": self.interrupted,
            "seconds": round(self.seconds, 1),
            **(self.content or {}),
        }

    def lines(self) -> list[str]:
        """For a terminal."""
        if self.content is not None:
            return comparison_output.lines(self.content)
        if self.interrupted:
            return ["Interrupted. Nothing is lost: the same command goes on."]
        failures = {} if self.snapshot is None else self.snapshot.failures
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(failures.items())) or "none"
        return [
            f"Fewer than two entries were trained, so nothing is compared. Failed by reason: {reasons}; see the logs."
        ]


_COUNTS = ("done", "running", "failed", "waiting", "requeued")


def compare(
    asked: Mapping[str, Any] | None = None,
    *,
    studies: Sequence[str] = (),
    seeds: int | None = None,
    name: str | None = None,
    storage: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] = DEFAULT_OUT,
    workers: int | None = None,
    machines: Machines | None = None,
    artifacts: str | os.PathLike[str] | None = None,
    quiet: bool = False,
) -> ComparisonResult:
    """Train entries on the same split and seeds and judge them on the same test windows; or compare delivered studies.

    Args:
        asked: nested tables, as in a study file, whose list ``compare`` holds the entries: ``{"compare": [{"name": "A",
            "builder": "stacked_lstm", "parameters": {"lstm_units": [32]}}, …]}``. Without it the documented four (R13),
            without data the packaged wind farm.
        studies: names of delivered studies to compare instead.
        seeds: with how many each entry is trained; None: 1. More under the same name adds only the missing trainings.
        name: of the comparison and its folder.
        storage, out, workers, machines, artifacts, quiet: as for `tune`.

    Raises:
        Mistake: everything that the user can put right, all at once.
    """
    began = time.monotonic()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    wanted = machines or Machines()
    wanted = wanted if workers is None else replace(wanted, workers=workers)
    if studies:
        given = {
            f"settings of {', '.join(asked or ())}": bool(asked),
            "`seeds`": seeds is not None,
            "`artifacts`": artifacts is not None,
            "workers": wanted != Machines(),
        }
        mistakes = [
            f"Studies that exist are compared as they are; got {what} beside `--study`. Leave out one of the two."
            for what, is_given in given.items()
            if is_given
        ]
        return _of_studies(studies, name, storage, Path(out), mistakes, began)
    raw, mistakes = comparison_tables(asked or {}, seeds=1 if seeds is None else seeds, name=name)
    opened = open_study(
        raw,
        storage=storage,
        out=Path(out),
        artifacts=None if artifacts is None else Path(artifacts),
        mistakes=mistakes + machine_mistakes(wanted, str(raw.get("backend", "auto"))),
        check=lambda database: check_connections(database, wanted.workers or 1),
    )
    return _of_entries(opened, wanted, quiet, began)


def _of_entries(opened: Opened, machines: Machines, quiet: bool, began: float) -> ComparisonResult:
    spec, folder = opened.spec, opened.folder
    (folder / "study.json").write_text(spec.to_json() + "\n", encoding="utf-8")
    waiting = take_snapshot(opened.study).waiting
    launch = launcher(opened, machines, waiting)
    with Progress(epochs=spec.training.epochs, until=None, workers=launch.workers, quiet=quiet) as progress:
        for line in (
            *(opened.audit.lines() if opened.audit is not None else ()),
            _opening(opened, waiting, launch.workers),
        ):
            progress.say(line)
        ended = launch.run(progress)
    table.write_table(opened.study, spec, folder)
    content, interrupted = None, ended is not Outcome.FINISHED
    if not interrupted and len({entry for entry, _ in trainings(opened.study, spec)}) > 1:
        try:
            content = _judged(opened, progress.say)
        except KeyboardInterrupt:
            interrupted = True
    return ComparisonResult(
        name=spec.study,
        storage=redact(opened.url),
        folder=folder,
        content=content,
        interrupted=interrupted,
        snapshot=take_snapshot(opened.study),
        seconds=time.monotonic() - began,
    )


def _judged(opened: Opened, say: Callable[[str], None]) -> dict[str, Any]:
    """The table of the trained models: what an earlier run found, or from a child process, which imports Keras."""
    spec, folder = opened.spec, opened.folder
    with file_lock(folder / delivery.LOCK):
        found = comparison_output.earlier(folder, basis(opened.study, spec))
        if found is not None:
            return found
        say(f"judging the {counted(len(trainings(opened.study, spec)), 'trained model')} on the test part")
        code, mistakes, log = delivery.in_child("judge", spec, opened.url, folder, say=say)
        found = comparison_output.earlier(folder, basis(opened.study, spec))
    if code == 0 and found is not None:
        return found
    raise delivery.DeliveryError(
        mistakes
        or f"Judging the comparison '{spec.study}' ended by {exit_reason(code)}; the last words are in {log}. All "
        "trained models are kept: the same command tries again."
    )


def trainings(study: optuna.Study, spec: StudySpec) -> dict[Training, FrozenTrial]:
    """The COMPLETE trials of the points of a comparison, in the order of the points."""
    space = spec.parsed_space()
    found: dict[Training, FrozenTrial] = {}
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        point = space.decode(trial.params)
        found.setdefault((str(point[ENTRY]), int(point[SEED])), trial)
    wanted = [(str(point[ENTRY]), int(point[SEED])) for point in spec.search.points]
    return {training: found[training] for training in wanted if training in found}


def basis(study: optuna.Study, spec: StudySpec) -> dict[str, Any]:
    """What a table rests on: another one, and it must be made again."""
    return {f"{entry}, seed {seed}": trial.number for (entry, seed), trial in trainings(study, spec).items()}


def _of_studies(
    studies: Sequence[str],
    name: str | None,
    storage: str | os.PathLike[str] | None,
    out: Path,
    mistakes: list[str],
    began: float,
) -> ComparisonResult:
    url = storage_url(find_storage(storage) or out / records.DATABASE)
    try:
        database = open_storage(url, create=False)
    except Mistake as error:
        raise type(error)([*mistakes, *error.mistakes]) from error
    called = name or delivered.default_name(studies)
    if records.exists(database, called) or not re.fullmatch(r"(?!\.+$)[^/\\\0]+", called):
        mistakes.append(f"`name` must be that of a new folder, and of no study; got '{called}'. Use another --name.")
    found = delivered.read_all(database, studies, out, mistakes)
    folder = writable(out) / called
    content = comparison_output.write(folder, delivered.content(found, called))
    return ComparisonResult(called, redact(url), folder, content, False, None, time.monotonic() - began)


def _opening(opened: Opened, waiting: int, workers: int) -> str:
    spec, url = opened.spec, redact(opened.url)
    seeds = counted(len({point[SEED] for point in spec.search.points}), "seed")
    names, epochs = ", ".join(spec.entries), counted(spec.training.epochs, "epoch")
    what = f"comparison {spec.study}: {names}; {seeds}, up to {epochs}, {spec.backend}"
    if not waiting:
        return f"{what}\nnothing to train: all trainings have a result in {url}"
    return f"{what}\n{counted(waiting, 'training')} to run on {counted(workers, 'worker')}; database {url}"
