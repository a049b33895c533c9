"""Commands that look at running studies and act on them, from any machine."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options as o
from .cli_shared import EXIT_INTERRUPTED, existing, say, silent, specification

if TYPE_CHECKING:
    import optuna

    from ..storage.resilient import ResilientStorage

WATCH_SECONDS = 2.0
BROWSER_SECONDS = 10.0
"""A page that waits longer for the database is taken for broken."""
HEARD_SECONDS = 60.0


def status(
    study: o.AllStudiesOption = None,
    storage: o.StorageOption = None,
    out: o.OutOption = Path("runs"),
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again every 2 s, until Ctrl-C.")] = False,
    as_json: o.JsonOption = False,
) -> None:
    """Show studies and the whole fleet: trials by state, the best so far, who works where on what.

    `--watch --json` prints one line of JSON every 2 s.
    """
    try:
        database, _ = existing(storage, out)
        if not watch:
            print(_status(database, study, as_json=as_json, indent=2))
            return
        while True:
            shown = _status(database, study, as_json=as_json, indent=None)
            if not as_json:
                shown = ("\033[H\033[2J" if _is_terminal() else time.strftime("%H:%M:%S ")) + shown
            print(shown, flush=True)
            time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        raise typer.Exit from None


def submit(
    config: Annotated[Path, typer.Argument(help="Study file (TOML).")],
    study: o.StudyOption = None,
    trials: o.TrialsOption = None,
    timeout: o.TimeoutOption = None,
    worker_seconds: o.WorkerSecondsOption = None,
    storage: o.StorageOption = None,
    out: o.OutOption = Path("runs"),
    artifacts: o.ArtifactsOption = None,
    as_json: o.JsonOption = False,
) -> None:
    """Leave a study in the database for standing workers (`tune worker`), and return.

    A time limit counts from the first trial. A backend `auto` is settled here, by what this machine sees. `tune export`
    makes bundle and report when the study has a result.
    """
    import optuna

    from .opening import open_study
    from .presets import with_preset
    from .snapshot import take_snapshot

    given = {
        "study": study,
        "search.trials": trials,
        "search.timeout": timeout,
        "search.worker_seconds": worker_seconds,
    }
    raw = with_preset({}, specification(config, given))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    opened = open_study(raw, storage=storage, out=out, artifacts=artifacts, start_clock=False)
    waiting = take_snapshot(opened.study).waiting
    name = opened.spec.study
    for sentence in opened.notes:
        say(sentence)
    if as_json:
        print(json.dumps({"study": name, "created": opened.created, "added": opened.changed.added, "waiting": waiting}))
        return
    print(f"study {name}: {opened.changed.added} tickets added, {waiting} waiting; `tune status --study {name}`")
    if not _served(opened.storage):
        print("Nobody works on this database now: `tune worker` serves it.", file=sys.stderr)


def worker(
    study: Annotated[str | None, typer.Option("--study", help="The study. Default: every open study in turn.")] = None,
    storage: o.StorageOption = None,
    out: o.OutOption = Path("runs"),
    workers: o.WorkersOption = None,
    gpus: o.GpusOption = None,
    workers_per_gpu: o.WorkersPerGpuOption = 1,
    outage: o.OutageOption = None,
    idle_exit: Annotated[
        str | None,
        typer.Option("--idle-exit", help="Without --study: end after so long without work. [default: never]"),
    ] = None,
    quiet: o.QuietOption = False,
) -> None:
    """Join a running study with the cores or GPUs of this machine; without --study serve all open ones, fairly.

    The database is the one that `tune` or `tune submit` uses, the data must lie where the study says. Ctrl-C puts the
    running tickets back.
    """
    from ..storage.mistakes import Mistake
    from .joining import join_study, serve_studies
    from .machine import Machines
    from .supervisor import Outcome

    limit = o.duration_of("--idle-exit", idle_exit)
    if study is not None and limit is not None:
        raise Mistake("`--idle-exit` is for a worker without --study; with it the worker ends with its study.")
    o.allow_outage(outage)
    database, url = existing(storage, out, standing=study is None)
    machines = Machines(workers=workers, gpus=o.parse_gpus(gpus), per_gpu=workers_per_gpu)
    if study is not None:
        if join_study(database, url, study, machines, out=out, quiet=quiet) is Outcome.INTERRUPTED:
            raise typer.Exit(EXIT_INTERRUPTED)
        return
    if not serve_studies(database, url, machines, out=out, idle_exit=limit, say=silent if quiet else say):
        raise typer.Exit(EXIT_INTERRUPTED)


def pause(
    study: o.OneStudyOption = None,
    storage: o.StorageOption = None,
    out: o.OutOption = Path("runs"),
    now: Annotated[bool, typer.Option("--now", help="Put running trials back, with a checkpoint, too.")] = False,
) -> None:
    """Begin no new trial of a study on any machine until `tune resume`; workers stay and wait."""
    from . import records

    found, _ = _loaded(study, storage, out)
    records.order(found, records.PAUSE_NOW if now else records.PAUSE)
    name, running = found.study_name, "go back to the queue" if now else "will be finished"
    print(f"study {name} is paused: running trials {running}; `tune resume --study {name}` goes on")


def resume(study: o.OneStudyOption = None, storage: o.StorageOption = None, out: o.OutOption = Path("runs")) -> None:
    """Go on with a study that was paused or stopped, or whose time is over; standing workers take it up again."""
    from . import orders

    found, database = _loaded(study, storage, out)
    orders.resume(found, database)
    print(f"study {found.study_name} goes on")
    _say_if_nobody_works(found, database)


def stop(study: o.OneStudyOption = None, storage: o.StorageOption = None, out: o.OutOption = Path("runs")) -> None:
    """End the work on a study on all machines, as Ctrl-C does on one: running trials go back with a checkpoint."""
    from . import records

    found, _ = _loaded(study, storage, out)
    records.order(found, records.STOP)
    print(f"study {found.study_name} is stopped; `tune resume` or the command that began it goes on")


def enqueue(
    assignments: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME=VALUE...", help="Of the searched parameters: learning_rate=0.003 lstm_units=64-32."
        ),
    ],
    study: o.OneStudyOption = None,
    storage: o.StorageOption = None,
    out: o.OutOption = Path("runs"),
    as_json: o.JsonOption = False,
) -> None:
    """Add one point to a study; it is the next to be trained. What is left out is drawn by TPE."""
    from . import orders

    found, database = _loaded(study, storage, out)
    point, state = orders.enqueue(found, database, assignments)
    if as_json:
        print(json.dumps({"study": found.study_name, "point": point, "state": state}))
        return
    shown = ", ".join(f"{name}={value}" for name, value in point.items())
    print(f"study {found.study_name}: {shown} {_ENQUEUED[state]}")
    if state == "added":
        _say_if_nobody_works(found, database)


def dashboard(
    storage: o.StorageOption = None,
    out: o.OutOption = Path("runs"),
    port: Annotated[int, typer.Option(help="Port on this machine.", min=1, max=65535)] = 8080,
) -> None:
    """Serve optuna-dashboard over the studies, with notes and forecasts, for browsers on this machine only."""
    database, _ = existing(storage, out, outage=BROWSER_SECONDS)
    from .dashboard import serve

    serve(database, port=port, say=say)


def work(
    study: Annotated[str, typer.Option(help="Name of the study; the database is in GREENTUNE_STORAGE.")],
    worker: Annotated[int, typer.Option(help="Number of this worker.")],
    parent: Annotated[int | None, typer.Option(help="Process id of the supervisor.")] = None,
    share: Annotated[bool, typer.Option("--share", help="Leave when another study needs workers more.")] = False,
) -> None:
    """Work off tickets of a study until none is left. Started by `tune` and `tune worker`."""
    import logging

    from .worker import work as run

    code = run(study, worker=worker, parent=parent, share=share)
    logging.shutdown()
    # Not through the interpreter's end: threads of JAX may still compile for an interrupted trial, and crash in it.
    os._exit(code)


_ENQUEUED = {
    "added": "added to the queue",
    "waiting": "waits in the queue already",
    "running": "runs already",
    "done": "has a result already",
    "failed": "has failed already, and would fail again",
}


def _status(database: ResilientStorage, study: str | None, *, as_json: bool, indent: int | None) -> str:
    from ..storage import fleet
    from . import gate, records
    from .owner import is_gone
    from .snapshot import take_snapshot
    from .summary import EXPIRY_SECONDS, fleet_lines, status_lines

    names = records.study_names(database) if study is None else [study]
    found = [records.load_study(database, name) for name in names] or [records.load_study(database, None)]
    snapshots = [take_snapshot(each, used_up=gate.used_up_of(each, database)) for each in found]
    workers = fleet.workers(database) if fleet.has_table(database) else []
    if study is not None:
        workers = [each for each in workers if each.study == study]
    if as_json:
        shown: dict[str, Any] = {"studies": [each.to_json() for each in snapshots]}
        fleet_rows = [each.to_json() | {"gone": is_gone(each, EXPIRY_SECONDS)} for each in workers]
        return json.dumps(shown | {"fleet": fleet_rows}, indent=indent)
    lines = [line for snapshot in snapshots for line in status_lines(snapshot)]
    return "\n".join([*lines, *(fleet_lines(workers, snapshots) if workers else [])])


def _loaded(study: str | None, storage: str | None, out: Path) -> tuple[optuna.Study, ResilientStorage]:
    from ..storage.mistakes import Mistake
    from . import records

    database, _ = existing(storage, out)
    names = records.study_names(database)
    if study is None and len(names) > 1:
        raise Mistake(f"The database holds {len(names)} studies: name one with --study. {', '.join(names)}.")
    return records.load_study(database, study), database


def _say_if_nobody_works(study: optuna.Study, database: ResilientStorage) -> None:
    if not _served(database):
        print(
            f"Nobody works on it now: `tune worker --study {study.study_name}`, or the command that began it.",
            file=sys.stderr,
        )


def _served(database: ResilientStorage) -> bool:
    """Whether any worker has been heard of lately."""
    from ..storage import fleet

    return any(worker.silence < HEARD_SECONDS for worker in fleet.workers(database))


def _is_terminal() -> bool:
    return sys.stdout.isatty()
