"""Who works on a trial, and whether that process still lives."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def this_owner(worker: int) -> dict[str, Any]:
    """Describe this process: host, process id, start time (ids are reused), number of the worker."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "started": _started(os.getpid()), "worker": worker}


def is_alive(owner: Mapping[str, Any]) -> bool:
    """Whether the process that claimed a trial still runs.

    A process of another host cannot be seen from here and counts as alive.
    """
    if owner.get("host") != socket.gethostname():
        return True
    pid = int(owner["pid"])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it runs under another account
    return _started(pid) == owner.get("started")


def _started(pid: int) -> str | None:
    """When the process began, in the kernel's ticks; None where the system does not tell. Zombies have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]
