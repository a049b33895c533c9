"""A full memory is told from every other failure, in the errors that libraries really raise."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import jax
import numpy as np
import pytest

from greentune.objectives.memory import is_out_of_memory
from greentune.objectives.runtime import worker_environment

from .conftest import ROOT


def raised(action: Any) -> BaseException:
    try:
        action()
    except BaseException as error:  # noqa: BLE001 (the error is what is asked for)
        return error
    raise AssertionError("nothing was raised")


def test_pythons_and_numpys_own_errors_are_known() -> None:
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(raised(lambda: np.zeros(2**47)))


def test_the_error_of_jax_is_known() -> None:
    error = raised(lambda: jax.numpy.zeros((2**47,)).block_until_ready())

    assert type(error).__name__ == "JaxRuntimeError"
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("Out of memory"),
        RuntimeError("Out of memory"),
        OSError(28, "No space left on device"),
        ArithmeticError("loss became nan"),
        jax.errors.JaxRuntimeError("INTERNAL: cuDNN failed"),
        KeyboardInterrupt(),
    ],
    ids=repr,
)
def test_other_failures_are_other_failures(error: BaseException) -> None:
    assert not is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 17179869184 bytes."),
        jax.errors.JaxRuntimeError("INTERNAL: Error dispatching computation: Out of memory allocating 256 bytes."),
        # What Keras makes of an error inside a layer whose class it cannot call.
        RuntimeError("Exception encountered when calling LSTM.call().\n\nRESOURCE_EXHAUSTED: Out of memory"),
        type("ResourceExhaustedError", (Exception,), {"__module__": "tensorflow.python.framework.errors_impl"})(),
        type("XlaRuntimeError", (RuntimeError,), {"__module__": "jaxlib.xla_extension"})("RESOURCE_EXHAUSTED: x"),
    ],
    ids=repr,
)
def test_errors_of_a_gpu_and_of_other_versions_are_known(error: BaseException) -> None:
    assert is_out_of_memory(error)


def test_it_is_found_behind_other_errors() -> None:
    def caused() -> None:
        try:
            raise MemoryError
        except MemoryError as cause:
            raise ValueError("the trial failed") from cause

    def hidden() -> None:
        try:
            raise MemoryError
        except MemoryError:
            raise ValueError("the trial failed") from None

    assert is_out_of_memory(raised(caused))
    assert is_out_of_memory(raised(hidden))
    assert is_out_of_memory(ExceptionGroup("both", [ValueError(), MemoryError()]))


def test_a_chain_that_bites_its_tail_ends() -> None:
    first, second = ValueError(), ValueError()
    first.__cause__, second.__cause__ = second, first

    assert not is_out_of_memory(first)


REAL = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (12 * 2**30,) * 2)
import keras
from greentune.objectives.memory import is_out_of_memory
from greentune.objectives.training import FitSettings, fit
from tests.tiny import tiny_dataset

# JAX allocates later than it says: there building succeeds, and the first epoch fails.
try:
    layers = [keras.Input((4, 1)), keras.layers.LSTM(4_000_000), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile("sgd", "mse", metrics=["mse"])
    fit(model, tiny_dataset(n_features=1), FitSettings(epochs=1, batch_size=16, seed=1))
except Exception as error:
    print(type(error).__name__, is_out_of_memory(error))
"""


@pytest.mark.parametrize(
    ("backend", "expected"),
    [
        ("jax", "JaxRuntimeError True"),
        pytest.param("tensorflow", "ResourceExhaustedError True", marks=[pytest.mark.long, pytest.mark.slow]),
    ],
)
def test_the_real_error_of_an_lstm_that_is_far_too_large_is_known(backend: str, expected: str) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", REAL],
        env={**os.environ, **worker_environment(backend)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert finished.stdout.strip() == expected, finished.stderr
