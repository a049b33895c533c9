"""Processes of a simulated run: found, killed, and asked where they hang."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from .study import SUPERVISOR


def start_supervisor(url: str, study: str, *, workers: int, folder: Path, **variables: str) -> subprocess.Popen[bytes]:
    """A supervisor in a process group of its own; what it says goes to ``supervisor.log``."""
    with (folder / "supervisor.log").open("ab") as log:
        return subprocess.Popen(
            [*SUPERVISOR, url, study, str(workers), str(folder / "logs")],
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def workers_of(study: str) -> list[psutil.Process]:
    """Living worker processes of a study, whoever started them."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        arguments = process.info["cmdline"] or []
        if any(a.endswith("simulation/worker.py") for a in arguments) and study in arguments:
            found.append(process)
    return [process for process in found if process.info["status"] != psutil.STATUS_ZOMBIE]


def kill(process: psutil.Process) -> bool:
    """SIGKILL; False when it had ended."""
    try:
        os.kill(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def wait_for_end(supervisor: subprocess.Popen[bytes], study: str, folder: Path, *, seconds: float) -> None:
    """Wait for the supervisor; a hang ends with the stacks of all processes in the message."""
    try:
        supervisor.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        for process in [psutil.Process(supervisor.pid), *workers_of(study)]:
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                process.send_signal(signal.SIGUSR1)
        time.sleep(2)
        said = "\n".join(f"== {path.name}\n{path.read_text()[-6000:]}" for path in sorted(folder.rglob("*.log")))
        raise AssertionError(f"no end after {seconds} s\n{said}") from None


@contextlib.contextmanager
def nothing_left(study: str) -> Iterator[None]:
    """Afterwards no worker of the study lives."""
    try:
        yield
    finally:
        limit = time.monotonic() + 10
        while workers_of(study) and time.monotonic() < limit:
            time.sleep(0.1)
        for process in workers_of(study):
            kill(process)
