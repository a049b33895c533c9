"""How many workers a run starts, and where: on this machine or on a Ray cluster."""

from __future__ import annotations

from dataclasses import dataclass

from ..objectives.runtime import check_gpus, gpu_memory_mb, resolve_backend, usable_gpus
from ..storage.rdb import CONNECTIONS_PER_PROCESS
from ..storage.resilient import ResilientStorage
from . import gate, queue, records
from .crew import Crew, Place, places
from .machine import Machines, available_cores
from .opening import Opened
from .progress import Progress
from .snapshot import take_snapshot
from .spec import SpecError
from .supervisor import Outcome, Supervisor


@dataclass(frozen=True)
class Local:
    """Workers of this machine."""

    opened: Opened
    places: list[Place]

    @property
    def workers(self) -> int:
        """How many."""
        return len(self.places)

    def run(self, progress: Progress) -> Outcome:
        """Work off the queue; see :class:`.Supervisor`."""
        opened = self.opened
        crew = Crew(self.places, opened.url, opened.folder / "logs")
        return Supervisor(opened.study, opened.storage, opened.spec, crew=crew, progress=progress).run()


@dataclass(frozen=True)
class OnRay:
    """Workers of a Ray cluster."""

    opened: Opened
    machines: Machines
    workers: int

    def run(self, progress: Progress) -> Outcome:
        """Work off the queue; see :class:`.RayLauncher`."""
        from .cluster import RayLauncher  # not at the top: Ray is an extra

        opened, spec = self.opened, self.opened.spec
        study, storage = opened.study, opened.storage
        planned = queue.plan(spec)
        ended = RayLauncher(
            study,
            address=self.machines.address or "local",
            url=opened.url,
            backend=spec.backend,
            workers=self.workers,
            gpus_per_worker=self.machines.gpus_per_worker,
            logs=opened.folder / "logs",
            until=None,  # the gate knows it
            progress=progress,
            look=lambda: take_snapshot(study),
            stopping=storage.patience.hurry,
            reconcile=lambda: queue.reconcile(study, storage, planned, spec.run),
            opening=self._opening,
            crash_loop=spec.run.crash_loop,
        ).run()
        if study.user_attrs.get(records.CONTROL) == records.STOP:
            return Outcome.STOPPED
        return Outcome.FINISHED if ended else Outcome.INTERRUPTED

    def _opening(self) -> gate.Gate:
        attributes = self.opened.study.user_attrs
        if attributes.get(records.STOPPED):
            raise SpecError(attributes[records.STOPPED])
        return gate.opening(self.opened.storage, self.opened.study._study_id, self.opened.spec, attributes)


def launcher(opened: Opened, machines: Machines, waiting: int) -> Local | OnRay:
    """Decide where the workers compute.

    Args:
        waiting: tickets in the queue; more workers than that are not started.

    Raises:
        SpecError: a GPU that does not exist, more workers than the database has connections for.
    """
    if machines.launcher == "ray":
        workers = min(machines.workers or available_cores(), max(1, waiting))
        check_connections(opened.storage, workers)
        return OnRay(opened, machines, workers)
    found = local_places(opened.spec.backend, machines)[: max(1, waiting)]
    check_connections(opened.storage, len(found))
    return Local(opened, found)


def machine_mistakes(machines: Machines, backend: str) -> list[str]:
    """What is wrong with the machines that a run asks for, one sentence each; looked at before anything is written.

    Args:
        backend: as asked for; ``auto`` too.
    """
    found = machines.mistakes()
    if machines.gpus is not None and not found:
        known = backend if backend in ("jax", "tensorflow") else resolve_backend("auto")
        found += check_gpus(machines.gpus, usable_gpus(known))
    return found


def local_places(backend: str, machines: Machines) -> list[Place]:
    """One place for each worker of this machine.

    Raises:
        SpecError: a GPU that does not exist.
    """
    present = usable_gpus(backend)
    if machines.gpus is not None:
        mistakes = check_gpus(machines.gpus, present)
        if mistakes:
            raise SpecError(mistakes)
    gpus = present if machines.gpus is None else machines.gpus
    n = machines.workers or len(gpus) * machines.per_gpu or available_cores()
    per_gpu = max(machines.per_gpu, -(-n // len(gpus))) if gpus else 1
    return places(n, gpus, per_gpu, gpu_memory_mb() if per_gpu > 1 else [])


def check_connections(storage: ResilientStorage, workers: int) -> None:
    """Refuse more workers than the database can serve.

    Raises:
        SpecError: with the largest number that fits.
    """
    most = most_workers(storage)
    if most is not None and workers > most:
        raise SpecError(
            f"`workers` must leave the database connections for everybody: {workers} workers may open "
            f"{workers * CONNECTIONS_PER_PROCESS}, it has {most * CONNECTIONS_PER_PROCESS} left. Use at most "
            f"{max(1, most)} workers here, or raise max_connections in PostgreSQL."
        )


def most_workers(storage: ResilientStorage) -> int | None:
    """How many more workers the database has connections for; None: there is no such limit (SQLite)."""
    if storage.engine.dialect.name != "postgresql":
        return None
    with storage.engine.connect() as connection:
        most = int(connection.exec_driver_sql("SHOW max_connections").scalar() or 0)
        reserved = int(connection.exec_driver_sql("SHOW superuser_reserved_connections").scalar() or 0)
        taken = connection.exec_driver_sql(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        ).scalar()
    return (most - reserved - int(taken or 0)) // CONNECTIONS_PER_PROCESS
