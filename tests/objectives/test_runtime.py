"""What is settled before Keras is imported, and the seeds after it."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from greentune.objectives import runtime
from greentune.objectives.runtime import pin_to_core, resolve_backend, set_seed, worker_environment


@pytest.mark.parametrize("backend", ["jax", "tensorflow"])
def test_a_named_backend_is_taken_as_it_is(backend: str) -> None:
    assert resolve_backend(backend) == backend  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("driver", "visible", "expected"), [(False, True, "jax"), (True, False, "jax"), (True, True, "tensorflow")]
)
def test_auto_is_tensorflow_only_where_it_sees_a_gpu(
    monkeypatch: pytest.MonkeyPatch, expected: str, *, driver: bool, visible: bool
) -> None:
    monkeypatch.setattr(runtime, "_has_nvidia_driver", lambda: driver)
    monkeypatch.setattr(runtime, "_gpus_seen_by", lambda _backend: int(visible))

    assert resolve_backend("auto") == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("print('noise'); print('devices: 2')", ("0", "1")),
        ("print('devices: 0')", ()),
        ("raise ImportError", ()),
        ("import time; time.sleep(60)", ()),
    ],
)
def test_gpus_are_those_that_the_probe_counts(
    monkeypatch: pytest.MonkeyPatch, code: str, expected: tuple[str, ...]
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(runtime, "_has_nvidia_driver", lambda: True)
    monkeypatch.setattr(runtime, "_PROBES", {"jax": code})
    monkeypatch.setattr(runtime, "_PROBE_TIMEOUT_SECONDS", 2)

    assert runtime.usable_gpus("jax") == expected


def test_gpus_keep_the_names_under_which_they_are_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-abc")
    monkeypatch.setattr(runtime, "_has_nvidia_driver", lambda: True)
    monkeypatch.setattr(runtime, "_gpus_seen_by", lambda _backend: 2)

    assert runtime.usable_gpus("tensorflow") == ("3", "GPU-abc")


def test_without_a_driver_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_has_nvidia_driver", lambda: False)
    monkeypatch.setattr(runtime, "_PROBES", {})

    assert runtime.usable_gpus("jax") == ()


def test_a_worker_on_the_cpu_sees_no_gpu() -> None:
    environment = worker_environment("jax")

    assert environment["KERAS_BACKEND"] == "jax"
    assert environment["JAX_PLATFORMS"] == "cpu"
    assert environment["CUDA_VISIBLE_DEVICES"] == "-1"
    assert "OMP_NUM_THREADS" not in environment
    assert "JAX_COMPILATION_CACHE_DIR" not in environment


def test_a_worker_with_a_device_sees_that_one_only() -> None:
    environment = worker_environment("jax", device="2")

    assert environment["CUDA_VISIBLE_DEVICES"] == "2"
    assert "JAX_PLATFORMS" not in environment


def test_threads_are_bounded_when_told() -> None:
    environment = worker_environment("tensorflow", threads=1)

    assert {environment[name] for name in environment if name.endswith("_THREADS")} == {"1"}
    assert {"OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"} <= environment.keys()
    assert worker_environment("jax", threads=1)["PJRT_NPROC"] == "1"


def test_a_cache_that_can_be_written_is_used(tmp_path: Path) -> None:
    assert worker_environment("jax", cache=tmp_path / "cache")["JAX_COMPILATION_CACHE_DIR"] == str(tmp_path / "cache")
    assert "JAX_COMPILATION_CACHE_DIR" not in worker_environment("tensorflow", cache=tmp_path)


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert "JAX_COMPILATION_CACHE_DIR" not in worker_environment("jax", cache=tmp_path / "file" / "cache")


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no core affinity")
def test_a_process_is_pinned_to_one_core_it_may_use() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        pin_to_core(len(allowed))  # one round further: the first again
        assert os.sched_getaffinity(0) == {min(allowed)}
    finally:
        os.sched_setaffinity(0, allowed)


def test_a_seed_starts_every_generator_afresh() -> None:
    def draw() -> tuple[float, float, list[float]]:
        legacy = float(np.random.random())  # noqa: NPY002 (the state that Keras draws from)
        return random.random(), legacy, np.asarray(keras.random.uniform((3,))).tolist()

    set_seed(11)
    first = draw()
    set_seed(11)
    again = draw()
    set_seed(12)

    assert again == first
    assert draw() != first


@pytest.mark.slow
def test_our_seed_draws_what_keras_own_seed_draws() -> None:
    code = """
import sys, keras, random, numpy as np
from greentune.objectives.runtime import set_seed
def draw():
    layer = keras.layers.Dropout(0.5)
    return [random.random(), np.random.random(), np.asarray(keras.random.uniform((2,))).tolist(),
            np.asarray(layer(np.ones((1, 9)), training=True)).tolist()]
set_seed(7)
ours = draw()
assert "tensorflow" not in sys.modules, "TensorFlow was loaded"
keras.backend.clear_session()
keras.utils.set_random_seed(7)
assert ours == draw(), (ours, draw())
"""
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert finished.returncode == 0, finished.stderr


def test_importing_the_folder_does_not_import_keras() -> None:
    code = "import sys, greentune.objectives, greentune.objectives.training, greentune.objectives.holdout\n"
    code += "sys.exit(any(name in sys.modules for name in ('keras', 'jax', 'tensorflow', 'optuna')))"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_share_of_a_gpu_is_a_fraction_for_jax_and_megabytes_for_tensorflow() -> None:
    jax = worker_environment("jax", device="0", memory_fraction=0.45, memory_mb=8000)
    tensorflow = worker_environment("tensorflow", device="0", memory_fraction=0.45, memory_mb=8000)

    assert jax["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.45"
    assert tensorflow["GREENTUNE_GPU_MEMORY_MB"] == "8000"
    assert "GREENTUNE_GPU_MEMORY_MB" not in jax
    assert "XLA_PYTHON_CLIENT_MEM_FRACTION" not in tensorflow


def test_without_a_share_no_limit_is_set() -> None:
    for backend in ("jax", "tensorflow"):
        assert not {"XLA_PYTHON_CLIENT_MEM_FRACTION", "GREENTUNE_GPU_MEMORY_MB"} & worker_environment(backend).keys()


class FakeTensorFlow:
    """Has two GPUs and remembers what was done with them."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.config = self
        self.experimental = self

    def list_physical_devices(self, kind: str) -> list[str]:
        assert kind == "GPU"
        return ["GPU:0", "GPU:1"]

    def LogicalDeviceConfiguration(self, *, memory_limit: int) -> str:  # noqa: N802 (TensorFlow's name)
        return f"{memory_limit} MB"

    def set_logical_device_configuration(self, device: str, devices: list[str]) -> None:
        self.calls.append(("limit", device, devices))

    def set_memory_growth(self, device: str, enable: bool) -> None:
        self.calls.append(("growth", device, enable))


@pytest.mark.parametrize(
    ("backend", "megabytes", "expected"),
    [
        ("tensorflow", "8000", [("limit", "GPU:0", ["8000 MB"]), ("limit", "GPU:1", ["8000 MB"])]),
        ("tensorflow", None, [("growth", "GPU:0", True), ("growth", "GPU:1", True)]),
        ("jax", "8000", []),
        ("jax", None, []),
    ],
)
def test_tensorflow_gets_a_limit_or_grows_and_never_both(
    monkeypatch: pytest.MonkeyPatch, backend: str, megabytes: str | None, expected: list[object]
) -> None:
    fake = FakeTensorFlow()
    monkeypatch.setitem(sys.modules, "tensorflow", fake)  # type: ignore[arg-type]
    monkeypatch.setenv("KERAS_BACKEND", backend)
    monkeypatch.delenv("GREENTUNE_GPU_MEMORY_MB", raising=False)
    if megabytes is not None:
        monkeypatch.setenv("GREENTUNE_GPU_MEMORY_MB", megabytes)

    runtime.apply_gpu_limits()

    assert fake.calls == expected


@pytest.mark.slow
def test_the_real_tensorflow_has_what_the_fake_has() -> None:
    code = """
import tensorflow as tf
from greentune.objectives.runtime import apply_gpu_limits
apply_gpu_limits()
tf.config.LogicalDeviceConfiguration(memory_limit=10)
assert callable(tf.config.set_logical_device_configuration) and callable(tf.config.experimental.set_memory_growth)
"""
    environment = {**os.environ, **worker_environment("tensorflow", memory_mb=100)}

    finished = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )

    assert finished.returncode == 0, finished.stderr


def test_gpus_that_do_not_exist_are_told_one_by_one() -> None:
    assert runtime.check_gpus(["1", "0"], ["0", "1"]) == []
    assert runtime.check_gpus([], []) == []
    assert runtime.check_gpus(["0", "3", "7", "3"], ["0", "1"]) == [
        "A GPU must be one that exists; got '3', and this machine has 0, 1. Choose among these, or train on the CPU.",
        "A GPU must be one that exists; got '7', and this machine has 0, 1. Choose among these, or train on the CPU.",
    ]
    assert "none that the backend can use. Train on the CPU" in runtime.check_gpus(["0"], [])[0]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo 81559; echo 40960", [81559, 40960]),
        ("echo NVIDIA-SMI has failed because it could not communicate with the driver; exit 9", []),
        ("echo No devices were found", []),
        ("exit 0", []),
        ("sleep 60", []),
    ],
)
def test_the_memory_of_each_gpu_is_what_the_driver_says(
    monkeypatch: pytest.MonkeyPatch, script: str, expected: list[int]
) -> None:
    monkeypatch.setattr(runtime, "_NVIDIA_SMI", ("sh", "-c", script))
    monkeypatch.setattr(runtime, "_NVIDIA_SMI_TIMEOUT_SECONDS", 1)

    assert runtime.gpu_memory_mb() == expected


def test_without_the_drivers_program_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_NVIDIA_SMI", ("/nowhere/nvidia-smi",))

    assert runtime.gpu_memory_mb() == []
