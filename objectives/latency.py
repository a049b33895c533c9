"""How long one forecast takes: an objective beside the error.

It is a measurement of this machine, this process and this moment, not a property of the model: compare it only within
a study whose workers are alike, and do not expect it to be the same again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras

WARM_UP, REPEATS, LEAST = 3, 100, 5
MOST_SECONDS = 2.0
"""After so long `LEAST` repeats are enough."""


def latency_ms(model: keras.Model, window: np.ndarray, *, clock: Callable[[], float] = time.perf_counter) -> float:
    """The fewest milliseconds that a trained model takes to forecast from one window.

    The fewest, as `timeit` has it: whatever makes a call longer is somebody else's work.

    The call is that of an exported forecaster, `predict_on_batch`, from an array to an array; the first calls compile
    it and do not count.

    Two digits: what differs by less is noise, and would put a worse trial of the same size on a Pareto front.

    Args:
        window: (lookback, n_features), scaled as the model was trained.
        clock: seconds.
    """
    batch = np.ascontiguousarray(window, dtype=np.float32)[None]
    for _ in range(WARM_UP):
        np.asarray(model.predict_on_batch(batch))
    seconds: list[float] = []
    while len(seconds) < REPEATS and (len(seconds) < LEAST or sum(seconds) < MOST_SECONDS):
        began = clock()
        np.asarray(model.predict_on_batch(batch))
        seconds.append(clock() - began)
    return float(f"{1000 * min(seconds):.2g}")
