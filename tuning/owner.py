"""Who works on a trial, and whether that process still lives."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ..storage.fleet import Worker

LOST, EXPIRED = "died", "was not heard of for {:.0f} s"


def this_worker(number: int | None, device: str) -> Worker:
    """Describe this process for the table of workers.

    Args:
        number: of the worker under its supervisor.
        device: what it computes on.
    """
    return Worker(
        id=uuid.uuid4().hex,
        host=socket.gethostname(),
        machine=this_machine(),
        pid=os.getpid(),
        started=_started(os.getpid()),
        worker=number,
        device=device,
        study=None,
        trial_id=None,
    )


def owner_of(worker: Worker, claim: int) -> dict[str, Any]:
    """What is written to a trial that the worker claims; `claim` counts the worker's claims."""
    names = ("id", "host", "machine", "pid", "started", "worker", "device")
    return {name: getattr(worker, name) for name in names} | {"claim": claim}


def why_dead(owner: Mapping[str, Any], fleet: Mapping[str, Worker], expiry: float) -> str | None:
    """Why the process that claimed a trial counts as dead; None while it lives.

    On this machine the kernel is asked. Everywhere else, and for a process that is stopped, the beat decides.

    Args:
        owner: as written by the claim.
        fleet: all workers by their id.
        expiry: seconds without a beat after which a worker counts as dead.
    """
    if owner.get("machine") == this_machine() and not _runs(int(owner["pid"]), owner.get("started")):
        return LOST
    known = fleet.get(str(owner.get("id")))
    if known is None:
        return "has left"
    return EXPIRED.format(known.silence) if known.silence > expiry else None


def is_gone(worker: Worker, expiry: float) -> bool:
    """Whether a worker in the table has died without leaving it."""
    return why_dead(owner_of(worker, 0), {worker.id: worker}, expiry) is not None


@cache
def this_machine() -> str:
    """Name of this boot of this machine and of the space of process ids: a pid means nothing outside of both."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{Path('/proc/self/ns/pid').readlink().name}"
    except OSError:
        return f"host:{socket.gethostname()}"


def _runs(pid: int, started: str | None) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it runs under another account
    return _started(pid) == started


def _started(pid: int) -> str | None:
    """When the process began, in the kernel's ticks; None where the system does not tell.

    A zombie has ended: where process 1 of a container reaps nobody, it would count as alive for ever.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return "ended" if fields[0] in "ZX" else fields[19]
