"""What a Ray task does on its machine: it starts one ordinary worker, waits for it and says how it ended.

Everything that depends on the machine is settled here and not by the launcher: Python, the core, the GPU, the folder of
compiled programs, and how the database is reached (see :mod:`.cluster`). Only strings, numbers and small dictionaries
cross Ray.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from ..objectives.compile_cache import default_cache
from ..objectives.runtime import gpu_memory_mb, worker_environment
from ..storage.address import STORAGE_VARIABLE, find_storage

PATIENCE_SECONDS = 20.0
"""How long a worker that is asked to end may take to put its ticket back before it is killed."""
GPU_SHARE = 0.9
"""Workers that share a GPU leave a tenth of it to the driver and to what libraries take beyond their limit."""
KEPT_CHARACTERS = 20_000
"""So much of what a worker printed goes back to the launcher."""
_POLL_SECONDS = 0.2


def describe_machine() -> dict[str, str]:
    """Whether Ray demands a token here (``auth``), and the version of greentune."""
    return {"auth": os.environ.get("RAY_AUTH_MODE", "disabled"), "greentune": version("greentune")}


def run_worker(order: Mapping[str, Any], box: Sequence[Any]) -> dict[str, str | int]:
    """Run one worker to its end. SIGTERM reaches it when the task is cancelled, and when this process is killed.

    Args:
        order: ``command`` (arguments to Python), ``study``, ``worker`` (its number), ``backend``, ``gpus`` (how many,
            or a fraction), ``own_storage`` (whether this machine's own environment may name the database).
        box: one reference to the database's URL in Ray's object store.

    Returns:
        ``code`` (its exit code), ``node`` (this machine), ``said`` (the end of what it printed).
    """
    environment = os.environ | child_environment(str(order["backend"]), float(order["gpus"]))
    environment[STORAGE_VARIABLE] = (find_storage(None) if order["own_storage"] else None) or _fetch(box)
    command = [sys.executable, *order["command"], "--study", order["study"], "--worker", str(order["worker"])]
    command += ["--parent", str(os.getpid())]  # Ray leaves the children of a killed task alone
    core = take_core()
    with tempfile.TemporaryFile() as printed:
        child = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=printed, stderr=printed)
        code = _wait_for(child)
        printed.seek(max(0, printed.tell() - KEPT_CHARACTERS))
        said = printed.read().decode(errors="replace")
    if core is not None:
        core.close()
    return {"code": code, "node": socket.gethostname(), "said": said.strip()}


def _fetch(box: Sequence[Any]) -> str:
    import ray  # not at the top: the launcher must be able to say that Ray is missing

    return str(ray.get(box[0]))


def child_environment(backend: str, gpus: float, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables that a worker needs on this machine.

    Ray leaves ``CUDA_VISIBLE_DEVICES`` alone where no GPU was asked for, so that it is set to none; its shares of a GPU
    are bookkeeping, so that the memory is limited here; and it sets the number of threads, which is replaced.
    """
    device = environment.get("CUDA_VISIBLE_DEVICES") if gpus > 0 else None
    limits: dict[str, Any] = {}
    if device is not None and gpus < 1:
        sizes = gpu_memory_mb() if backend == "tensorflow" else []
        limits["memory_fraction"] = GPU_SHARE * gpus
        if device.isdecimal() and int(device) < len(sizes):
            limits["memory_mb"] = int(sizes[int(device)] * GPU_SHARE * gpus)
    return worker_environment(backend, device=device, threads=1, cache=default_cache(), **limits)


def take_core() -> socket.socket | None:
    """Keep this process and its children on a core of this machine that no other task of ours has.

    Workers are numbered over the whole cluster: by its number alone a worker would choose a core on which another one
    computes, while others are idle.

    Returns:
        what holds the core, until it is closed or this process ends; None where the system cannot do so, or where all
        cores are taken.
    """
    if sys.platform != "linux":
        return None
    for core in sorted(os.sched_getaffinity(0)):
        holder = socket.socket(socket.AF_UNIX)
        try:
            holder.bind(f"\0greentune-core-{core}")  # a name without a file: it goes with its holder
        except OSError:
            holder.close()
            continue
        os.sched_setaffinity(0, {core})
        return holder
    return None


def _wait_for(child: subprocess.Popen[bytes]) -> int:
    try:
        while True:
            try:
                return child.wait(_POLL_SECONDS)  # Ray interrupts between two waits, not within one
            except subprocess.TimeoutExpired:
                continue
    except KeyboardInterrupt:  # the task was cancelled
        child.terminate()
        try:
            child.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        raise
