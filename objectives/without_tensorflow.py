"""Keras on JAX without TensorFlow, where Keras would import it only to ask a question."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_tensorflow() -> Iterator[None]:
    """Tell Keras for a moment that there is no TensorFlow; where it is imported already, nothing changes.

    Keras imports it when a model is saved or a layer is wrapped (`Bidirectional`), only to ask whether anything in the
    configuration is a TensorShape. That costs each worker seconds and 350 MB.
    """
    from keras.src.utils.module_utils import tensorflow  # no public way

    if "tensorflow" not in sys.modules:
        tensorflow._available = False
    try:
        yield
    finally:
        tensorflow._available = None
