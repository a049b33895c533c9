"""The model as a TensorFlow SavedModel, from either backend, and the proof that it says the same."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .layout import BundleError

TOLERANCE = 1e-3
"""Largest difference in scaled units (TensorFloat-32 on a GPU errs by about 1e-3 of a value; a CPU by 1e-7)."""


def export_saved_model(model: Any, folder: Path) -> None:
    """Writes the inference function of a Keras model; one on JAX is lowered for CPU and CUDA, to serve on both."""
    import keras

    options: dict[str, Any] = {}
    if keras.backend.backend() == "jax":
        options["jax2tf_kwargs"] = {"native_serialization": True, "native_serialization_platforms": ("cpu", "cuda")}
    model.export(str(folder), format="tf_saved_model", verbose=False, **options)


def saved_model_difference(folder: Path, model: Any, windows: NDArray[np.float32]) -> float:
    """Largest absolute difference between SavedModel and model, in scaled units, on a few windows.

    Args:
        windows: (k, lookback, n_features) float32.

    Raises:
        BundleError: they disagree.
    """
    if len(windows) == 0:
        return 0.0
    served = ServedModel(folder).predict_on_batch(windows)
    said = np.asarray(model.predict_on_batch(windows))
    difference = float(np.max(np.abs(served - said.reshape(served.shape))))
    if not difference <= TOLERANCE * max(1.0, float(np.max(np.abs(said)))):
        raise BundleError(
            f"The SavedModel must forecast what the model does; they differ by {difference:.2g} scaled units on "
            f"{len(windows)} windows. Use {folder.parent / 'model.keras'} instead, or export with --backend tensorflow."
        )
    return difference


class ServedModel:
    """A SavedModel as a model that forecasts and nothing else; needs neither Keras nor the code of its layers.

    TensorFlow computes on the CPU here: beside JAX it must not take the memory of the GPU.
    """

    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import tensorflow as tf

        with tf.device("/CPU:0"), _quiet():
            self._loaded = tf.saved_model.load(str(folder))  # holds the variables: must outlive the calls

    def predict_on_batch(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Forecasts of windows (n, lookback, n_features), (n, n_outputs), both scaled."""
        import tensorflow as tf

        with tf.device("/CPU:0"), _quiet():
            return np.asarray(self._loaded.serve(tf.constant(windows)))


@contextmanager
def _quiet() -> Iterator[None]:
    """Custom gradients are not saved, nor needed for inference: no warning of it."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def tensorflow_is_loaded() -> bool:
    """Whether checking a SavedModel costs no import of TensorFlow (4 to 7 seconds)."""
    return "tensorflow" in sys.modules
