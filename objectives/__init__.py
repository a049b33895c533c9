"""One trial: from parameters to a number. Nothing that is named here imports Keras before a training begins."""

from __future__ import annotations

from .callbacks import Listener, Pruned, PruningListener, UnknownMetric
from .compile_cache import default_cache
from .runtime import pin_to_core, resolve_backend, set_seed, worker_environment

__all__ = [
    "Listener",
    "Pruned",
    "PruningListener",
    "UnknownMetric",
    "default_cache",
    "pin_to_core",
    "resolve_backend",
    "set_seed",
    "worker_environment",
]
