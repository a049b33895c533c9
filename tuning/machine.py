"""What machines a run may use, and what this one has."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal


def available_cores() -> int:
    """How many processors this process may use: the default number of workers."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Machines:
    """Where the workers of a run compute.

    Attributes:
        workers: processes; None: one a GPU (`per_gpu` of them) where the backend sees any, otherwise one a core.
        gpus: devices to use, as ``CUDA_VISIBLE_DEVICES`` names them; None: all that the backend sees.
        per_gpu: workers that share a GPU, each with an equal part of its memory.
        launcher: ``local``, or ``ray``: the workers are placed on a Ray cluster.
        address: of the cluster; None: the one on this machine, or a new one.
        gpus_per_worker: of the cluster, for each worker; may be a fraction.
    """

    workers: int | None = None
    gpus: tuple[str, ...] | None = None
    per_gpu: int = 1
    launcher: Literal["local", "ray"] = "local"
    address: str | None = None
    gpus_per_worker: float = 0.0

    def mistakes(self) -> list[str]:
        """What is wrong with it, one sentence each."""
        found = []
        if self.workers is not None and self.workers < 1:
            found.append(f"`workers` must be at least 1; got {self.workers}.")
        if self.per_gpu < 1:
            found.append(f"`workers-per-gpu` must be at least 1; got {self.per_gpu}.")
        if self.gpus_per_worker < 0:
            found.append(f"`gpus-per-worker` must not be negative; got {self.gpus_per_worker}.")
        return found
