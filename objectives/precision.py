"""In which numbers a model computes: Keras' dtype policies, for the length of one trial.

Weights stay float32 in all of them, and so does the last layer of greentune's own models. ``mixed_float16`` has a
narrow range, so Keras scales the loss while it trains. The mixed ones are for a GPU with tensor cores.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


@contextmanager
def policy_restored() -> Iterator[None]:
    """Afterwards new layers compute as they did before, whatever policy was set or forgotten meanwhile."""
    import keras

    before = keras.config.dtype_policy()
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
