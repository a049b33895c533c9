"""Reaching a Ray cluster: with a token and never without, and only if it can run a worker.

Whoever can talk to a Ray cluster can run programs on it. So a cluster that demands no token is refused, before anything
is sent to it.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..storage.mistakes import Mistake
from .cluster_machine import describe_machine
from .interrupts import in_main_thread

LOCAL = "local"
"""The address of a Ray that is started for one run, on this machine alone."""
CONNECT_SECONDS = 5.0
PROBE_SECONDS = 120.0
_TOKEN_MODES = ("token", "k8s")
_MAKE_TOKEN = (
    "Make one with `ray get-auth-token --generate`, keep it to yourself (chmod 600 ~/.ray/auth_token) and copy it to "
    "all machines."
)


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Connect this process to a Ray cluster and give the module ``ray``; a connection that there is already is used.

    Args:
        address: ``auto`` (``RAY_ADDRESS``, or the cluster of which this machine is a part), ``host:port``, or
            ``local`` to start Ray on this machine.

    Raises:
        Mistake: Ray is not installed, there is no token, or nothing answers at the address.
    """
    mistakes = [*address_mistakes(address), *token_mistakes(local=address == LOCAL)]
    if mistakes:
        raise Mistake(mistakes)
    if sys.modules.get("ray") is not None and "RAY_AUTH_MODE" not in os.environ:
        raise Mistake(
            "Ray reads RAY_AUTH_MODE when it is imported; it was imported already, without. "
            "Set RAY_AUTH_MODE=token before `import ray`."
        )
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    try:
        import ray
        import ray.util.scheduling_strategies
    except ImportError:
        raise Mistake(
            "The launcher `ray` needs the extra greentune[ray]; Ray cannot be imported. "
            "Install it: pip install 'greentune[ray]'."
        ) from None
    if ray.is_initialized():
        yield ray
        return
    handler = signal.getsignal(signal.SIGTERM)  # Ray sets its own and leaves it behind
    dashboard = False if address == LOCAL else None
    try:
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=dashboard)
        except (ConnectionError, RuntimeError, ray.exceptions.RayError) as error:
            raise Mistake(
                f"Ray must run at `--address` and take this machine's token; '{address}' cannot be used: "
                f"{_reason(error)}. Start it with `ray start`, and compare `ray get-auth-token` on both machines."
            ) from error
        yield ray
    finally:
        ray.shutdown()
        if in_main_thread():
            signal.signal(signal.SIGTERM, handler)


def address_mistakes(address: str) -> list[str]:
    """What is wrong with an address, asked before Ray, which waits for minutes for a machine that does not answer."""
    if address in ("auto", LOCAL):
        return []
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal():
        return [
            f"`--address` must be auto, local or host:port; got '{address}'. Run `tune` on a machine of the cluster."
        ]
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        return [f"Ray must run at `--address`; nothing answers at {address} ({error}). Start it with `ray start`."]
    return []


def token_mistakes(*, local: bool) -> list[str]:
    """What is wrong with the token of this machine, in the places where Ray looks, in its order.

    Args:
        local: the cluster is started for this run. Without a token it gets a new one, which stays in the memory of its
            processes: Ray would write it to a file that everybody on the machine can read.
    """
    mode = os.environ.get("RAY_AUTH_MODE", "token")
    if mode not in _TOKEN_MODES:
        return [f"Ray must run with token authentication; RAY_AUTH_MODE is {mode}. Set it to token, or unset it."]
    if mode != "token" or os.environ.get("RAY_AUTH_TOKEN"):
        return []
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named) if named else Path("~/.ray/auth_token").expanduser()
    try:
        if path.read_text(encoding="utf-8").strip():
            return []
        reason = f"{path} is empty"
    except (OSError, UnicodeDecodeError) as error:
        reason = f"{path}: {getattr(error, 'strerror', None) or 'not text'}"
    if local and not named:
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
        return []
    return [f"Ray's token must be in RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token; {reason}. {_MAKE_TOKEN}"]


def usable_machines(ray: Any, *, url: str, workers: int, gpus_per_worker: float) -> int:
    """Check that a cluster is fit for the workers of a study.

    Args:
        url: the database; it is looked at and not sent.

    Returns:
        for how many workers there is room at the moment, at least 1.

    Raises:
        Mistake: no machine has room for a worker, or one lacks greentune or demands no token, or the database is a file
            and the machines are several.
    """
    nodes = [node for node in ray.nodes() if node["Alive"]]
    mistakes = []
    if url.startswith("sqlite") and len(nodes) > 1:
        mistakes.append(
            f"Workers on several machines need a database server; got {url} on {len(nodes)} machines. "
            "Use --storage postgresql://user@host/database."
        )
    places = {node["NodeID"]: room(node["Resources"], gpus_per_worker) for node in nodes}
    if not any(places.values()):
        total = ray.cluster_resources()
        there = f"{total.get('CPU', 0):g} CPU and {total.get('GPU', 0):g} GPU on {len(nodes)}"
        mistakes.append(
            f"A worker needs 1 CPU and {gpus_per_worker:g} GPU of one machine; the cluster has {there}, "
            f"and room for none of {workers} workers. "
            "Use another --gpus-per-worker, or add machines."
        )
    if mistakes:
        raise Mistake(mistakes)
    answering = _ask_machines(ray, [node for node in nodes if places[node["NodeID"]]])
    return sum(places[node] for node in answering)


def room(resources: Mapping[str, float], gpus_per_worker: float) -> int:
    """How many workers a machine can hold: each takes a CPU, and whole GPUs or a share of one."""
    cpus, gpus = int(resources.get("CPU", 0)), int(resources.get("GPU", 0))
    if gpus_per_worker <= 0:
        return cpus
    by_gpu = gpus * int(1 / gpus_per_worker + 1e-9) if gpus_per_worker <= 1 else gpus // int(gpus_per_worker)
    return min(cpus, by_gpu)


def _ask_machines(ray: Any, nodes: Sequence[Mapping[str, Any]]) -> list[str]:
    """The machines that demand a token and have this greentune; Mistake if others are there, or none is."""
    on = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    describe = ray.remote(num_cpus=0, max_calls=1)(describe_machine)
    answers = [describe.options(scheduling_strategy=on(node["NodeID"], soft=False)).remote() for node in nodes]
    gone = (ray.exceptions.TaskUnschedulableError, ray.exceptions.NodeDiedError)
    ours, mistakes, answering = version("greentune"), [], []
    for node, answer in zip(nodes, answers, strict=True):
        host = node["NodeManagerHostname"]
        try:
            described = ray.get(answer, timeout=PROBE_SECONDS)
        except gone:
            continue  # Ray takes a while to see that a machine has died
        except ray.exceptions.RayError as error:
            mistakes.append(
                f"Each machine needs greentune[ray]; on {host} it does not start: {last_line(error)}. Install it there."
            )
            continue
        if described["auth"] not in _TOKEN_MODES:
            raise Mistake(
                "A Ray cluster must demand a token, since whoever reaches it can run programs and read the database's "
                f"password; this one demands none. {_MAKE_TOKEN} Then start Ray there with RAY_AUTH_MODE=token."
            )
        if described["greentune"] != ours:
            mistakes.append(
                f"Each machine needs greentune {ours}; {host} has {described['greentune']}. Install it there."
            )
        answering.append(node["NodeID"])
    if not mistakes and not answering:
        mistakes.append("Ray must have a machine that is alive; all of them have just died. Try again.")
    if mistakes:
        raise Mistake(mistakes)
    return answering


def _reason(error: Exception) -> str:
    """What Ray says, in one line; its longer messages hold the logs of other processes."""
    text = " ".join(str(error).split()).rstrip(".")
    return text if len(text) <= 300 else last_line(error)


def last_line(said: object) -> str:
    """The last line of a message or of a traceback, where the reason stands."""
    lines = [line.strip() for line in str(said).splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else "without a word"
