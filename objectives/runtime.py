"""What must be settled before Keras is imported: backend, devices, threads, core, compile cache; and seeds after it.

Nothing here imports Keras at module level, so the supervisor and the command line may use it.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Literal

import numpy as np

from .compile_cache import prepare_cache

Backend = Literal["jax", "tensorflow"]

_PROBES = {
    "tensorflow": "import tensorflow as tf; print('devices:', len(tf.config.list_physical_devices('GPU')))",
    "jax": "import jax; print('devices:', sum(device.platform == 'gpu' for device in jax.devices()))",
}
_PROBE_TIMEOUT_SECONDS = 180
_NVIDIA_FILES = ("/proc/driver/nvidia/version", "/dev/nvidia0", "/dev/nvidiactl", "/dev/dxg")


def resolve_backend(backend: Literal["auto", "jax", "tensorflow"]) -> Backend:
    """The backend that a study will use.

    Args:
        backend: ``auto`` is TensorFlow where TensorFlow sees a GPU and JAX everywhere else: on a CPU it is 3 to 8 times
            faster at small LSTMs.

    Returns:
        ``jax`` or ``tensorflow``. TensorFlow is asked in a child process, and only where an NVIDIA driver is present.
    """
    if backend != "auto":
        return backend
    return "tensorflow" if usable_gpus("tensorflow") else "jax"


def usable_gpus(backend: str) -> tuple[str, ...]:
    """The GPUs on which a backend can compute, as ``CUDA_VISIBLE_DEVICES`` names them.

    The backend is asked in a child process, and only where an NVIDIA driver is present; a variable that is set already
    narrows the choice.
    """
    if not _has_nvidia_driver():
        return ()
    count = _gpus_seen_by(backend)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [str(number) for number in range(count)] if visible is None else visible.split(",")
    return tuple(name.strip() for name in names[:count])


def worker_environment(
    backend: str,
    *,
    device: str | None = None,
    threads: int | None = None,
    cache: Path | None = None,
) -> dict[str, str]:
    """The environment variables to set before a process that trains is spawned.

    Args:
        backend: ``jax`` or ``tensorflow``.
        device: the GPU that the process may see, one of `usable_gpus`; None: none, it computes on the CPU.
        threads: most threads for one operation; None: as many as the libraries like. One for a process that is pinned
            to a core. JAX shares its sums out among them, so the last bits of a training depend on their number, and
            with None on the cores of the process: give the same number wherever a trial is to be repeated.
        cache: folder for JAX' compiled programs, shared by all processes; None: none. See `default_cache`.

    Returns:
        only the variables to add or replace.
    """
    environment = {
        "KERAS_BACKEND": backend,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1" if device is None else device,
    }
    if threads is not None:
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
            environment[name] = str(threads)
        environment["TF_NUM_INTEROP_THREADS"] = "1"
    if backend != "jax":
        return environment
    if threads is not None:
        environment["PJRT_NPROC"] = str(threads)
    if device is None:
        environment["JAX_PLATFORMS"] = "cpu"
    if cache is not None and prepare_cache(cache):
        environment["JAX_COMPILATION_CACHE_DIR"] = str(cache)
        environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        environment["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
    return environment


def pin_to_core(core: int) -> None:
    """Keeps this process on one core, where the system can do so; before Keras is imported.

    Args:
        core: number of the core, from 0; counted around the cores that this process may use.
    """
    if not hasattr(os, "sched_setaffinity"):
        return
    allowed = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {allowed[core % len(allowed)]})


def set_seed(seed: int) -> None:
    """Starts every random number that a training draws afresh, as ``keras.utils.set_random_seed`` does.

    That function imports TensorFlow even on JAX: 6 s and 500 MB for each worker. Where TensorFlow is not loaded, the
    same numbers come without it: Python's and NumPy's generators are seeded, and clearing the session forgets the
    global seed generator of Keras, which draws its next start from Python's.

    Args:
        seed: from 0 to 2**32 - 1.
    """
    import keras

    if keras.backend.backend() == "tensorflow" or "tensorflow" in sys.modules:
        keras.utils.set_random_seed(seed)
        return
    keras.backend.clear_session(free_memory=False)
    random.seed(seed)
    np.random.seed(seed)


def _has_nvidia_driver() -> bool:
    return any(Path(path).exists() for path in _NVIDIA_FILES)


def _gpus_seen_by(backend: str) -> int:
    try:
        answer = subprocess.run(
            [sys.executable, "-P", "-c", _PROBES[backend]],
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True,
            text=True,
            timeout=_PROBE_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    counts = [line.split()[1] for line in answer.stdout.splitlines() if line.startswith("devices: ")]
    return int(counts[-1]) if counts else 0
