"""What must be settled before Keras is imported: backend, devices, threads, core, compile cache; and seeds after it.

Nothing here imports Keras at module level, so the supervisor and the command line may use it.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Sequence
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
_NVIDIA_SMI = ("nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits")
_NVIDIA_SMI_TIMEOUT_SECONDS = 20
_MEMORY_VARIABLE = "GREENTUNE_GPU_MEMORY_MB"
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
    memory_fraction: float | None = None,
    memory_mb: int | None = None,
) -> dict[str, str]:
    """The environment variables to set before a process that trains is spawned.

    Args:
        backend: ``jax`` or ``tensorflow``.
        device: the GPU that the process may see, one of `usable_gpus`; None: none, it computes on the CPU.
        threads: most threads for one operation; None: as many as the libraries like. One for a process that is pinned
            to a core. JAX shares its sums out among them, so the last bits of a training depend on their number, and
            with None on the cores of the process: give the same number wherever a trial is to be repeated.
        cache: folder for JAX' compiled programs, shared by all processes; None: none. See `default_cache`.
        memory_fraction: share of a GPU's memory that JAX may take, in (0, 1]: 0.45 for each of two workers leaves a
            little for the driver. None: JAX' own default, three quarters. TensorFlow knows no shares.
        memory_mb: megabytes of a GPU's memory that TensorFlow may take, for `apply_gpu_limits`; None: as many as it
            needs. JAX knows no megabytes.

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
        if memory_mb is not None:
            environment[_MEMORY_VARIABLE] = str(memory_mb)
        return environment
    if memory_fraction is not None:
        environment["XLA_PYTHON_CLIENT_MEM_FRACTION"] = str(memory_fraction)
    if threads is not None:
        environment["PJRT_NPROC"] = str(threads)
    if device is None:
        environment["JAX_PLATFORMS"] = "cpu"
    if cache is not None and prepare_cache(cache):
        environment["JAX_COMPILATION_CACHE_DIR"] = str(cache)
        environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        environment["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
    return environment


def apply_gpu_limits() -> None:
    """Bounds what TensorFlow takes of each visible GPU; in a worker, after its environment is set, before it trains.

    With a limit (see `worker_environment`) each GPU becomes one logical device of that size; without, memory grows as
    it is needed. The two exclude each other. JAX has read its share from the environment: nothing is done.

    Raises:
        RuntimeError: by TensorFlow, if it has computed on a GPU already.
    """
    if os.environ.get("KERAS_BACKEND") != "tensorflow":
        return
    import tensorflow as tf

    limit = os.environ.get(_MEMORY_VARIABLE)
    for gpu in tf.config.list_physical_devices("GPU"):
        if limit is None:
            tf.config.experimental.set_memory_growth(gpu, enable=True)
        else:
            share = tf.config.LogicalDeviceConfiguration(memory_limit=int(limit))
            tf.config.set_logical_device_configuration(gpu, [share])


def check_gpus(asked: Sequence[str], present: Sequence[str]) -> list[str]:
    """What is wrong with a choice of GPUs.

    Args:
        asked: the GPUs that somebody wants to use.
        present: the GPUs that there are, as `usable_gpus` names them.

    Returns:
        a sentence for each GPU asked for that does not exist, in that order; empty when all do.
    """
    there = f"this machine has {', '.join(present)}" if present else "this machine has none that the backend can use"
    way_out = "Choose among these, or train on the CPU." if present else "Train on the CPU, or install the driver."
    missing = dict.fromkeys(gpu for gpu in asked if gpu not in present)
    return [f"A GPU must be one that exists; got '{gpu}', and {there}. {way_out}" for gpu in missing]


def gpu_memory_mb() -> list[int]:
    """The memory of each NVIDIA GPU of the machine in MiB, by their numbers; empty where there is none.

    The driver's own program is asked, so that no library takes hold of a GPU. It does not heed
    ``CUDA_VISIBLE_DEVICES``.
    """
    try:
        answer = subprocess.run(
            _NVIDIA_SMI, capture_output=True, text=True, timeout=_NVIDIA_SMI_TIMEOUT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    sizes = [line.strip() for line in answer.stdout.splitlines()]
    # A broken driver is reported on the same channel, in words.
    if answer.returncode != 0 or not all(size.isdecimal() for size in sizes):
        return []
    return [int(size) for size in sizes]


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
