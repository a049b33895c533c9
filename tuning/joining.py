"""`tune worker`: this machine joins a study that somebody else has begun, or serves all that are open."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import optuna

from ..storage import fleet, spool, tallies
from ..storage.address import redact
from ..storage.resilient import ResilientStorage
from . import records
from .crew import WORK, Crew, Place
from .launch import check_connections, local_places
from .machine import Machines
from .opening import writable
from .progress import Progress
from .service import Service
from .snapshot import take_snapshot
from .spec import SpecError
from .study_data import check_study_data
from .supervisor import Outcome, Supervisor
from .wording import counted


def join_study(
    storage: ResilientStorage,
    url: str,
    name: str,
    machines: Machines,
    *,
    out: Path,
    quiet: bool,
    command: Sequence[str] = WORK,
) -> Outcome:
    """Work on a study with this machine until it is done; the one who began it makes the winner.

    Args:
        out: folder for what the workers print.
        command: that starts a worker.

    Raises:
        Mistake: there is no such study, the data here are others, a GPU does not exist, too many workers.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = records.load_study(storage, name)
    spec = records.read_spec(study)
    _refuse_stopped(study)
    check_study_data(study, spec)
    places = _places(storage, spec.backend, machines)[: max(1, tallies.open_tickets(storage, study._study_id))]
    spool.replay(storage, url)
    crew = Crew(places, url, _logs(out), command=command)
    with Progress(epochs=spec.training.epochs, until=None, workers=len(places), quiet=quiet) as progress:
        progress.say(f"study {name}: {counted(len(places), 'worker')} of this machine join; logs in {crew.logs}")
        outcome = Supervisor(study, storage, spec, crew=crew, progress=progress).run()
        waiting = take_snapshot(study).waiting
        left = f"{counted(waiting, 'ticket')} left" if waiting else "no ticket is left"
        progress.say(f"study {name}: {outcome.value}; {left}")
    return outcome


def _refuse_stopped(study: optuna.Study) -> None:
    """A study that was stopped has no work for anybody.

    Raises:
        SpecError: with the order or the reason, and the command that goes on.
    """
    name, reasons = study.study_name, records.stopped_by(study)
    if study.user_attrs.get(records.CONTROL) == records.STOP:
        raise SpecError(f"The study '{name}' is stopped. `tune resume --study {name}` goes on with it; then join.")
    if reasons:
        raise SpecError([f"The study '{name}' has stopped: {' '.join(reasons)}"])


def serve_studies(
    storage: ResilientStorage,
    url: str,
    machines: Machines,
    *,
    out: Path,
    idle_exit: float | None,
    say: Callable[[str], None],
    command: Sequence[str] = WORK,
) -> bool:
    """Serve every open study of the database until told to end.

    Args:
        out: folder for what the workers print.
        idle_exit: seconds without any work after which it ends; None: never.
        say: where sentences on the progress go.
        command: that starts a worker.

    Returns:
        True when it ended by itself, for want of work.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    fleet.ensure_table(storage)
    spool.replay(storage, url)
    # A study on another backend may come: GPUs are given out where either backend sees them.
    crew = Crew(_places(storage, "tensorflow", machines), url, _logs(out), command=command)
    say(f"{counted(len(crew.slots), 'standing worker')} on {redact(url)}; logs in {crew.logs}")
    return Service(storage, crew=crew, idle_exit=idle_exit, say=say).run()


def _places(storage: ResilientStorage, backend: str, machines: Machines) -> list[Place]:
    mistakes = machines.mistakes()
    if mistakes:
        raise SpecError(mistakes)
    places = local_places(backend, machines)
    check_connections(storage, len(places))
    return places


def _logs(out: Path) -> Path:
    return writable(out) / "logs" / socket.gethostname()
