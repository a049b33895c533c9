"""How long a forecast takes: the fastest of the calls that come after the first ones."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from greentune.objectives.latency import LEAST, MOST_SECONDS, REPEATS, WARM_UP, latency_ms

from ..tiny import tiny_dataset


class Model:
    """Notes what it is asked for; on its clock a call takes as long as the next of `seconds`."""

    def __init__(self, seconds: list[float]) -> None:
        self.asked: list[np.ndarray] = []
        self._seconds = itertools.cycle(seconds)
        self.now = 0.0

    def predict_on_batch(self, batch: np.ndarray) -> np.ndarray:
        self.asked.append(batch)
        self.now += next(self._seconds)
        return np.zeros((1, 1))


def measured(model: Any) -> float:
    return latency_ms(model, np.ones((4, 3)), clock=lambda: model.now)


def test_fastest_of_the_calls_after_the_first_in_milliseconds() -> None:
    model = Model([50.0] * WARM_UP + [0.002, 0.001, 0.003] * REPEATS)
    assert measured(model) == pytest.approx(1.0)
    assert len(model.asked) == WARM_UP + REPEATS
    assert {batch.shape for batch in model.asked} == {(1, 4, 3)}
    assert model.asked[0].dtype == np.float32


def test_noise_in_the_third_digit_is_left_out() -> None:
    assert measured(Model([0.000133639])) == measured(Model([0.000132529])) == 0.13


def test_slow_model_is_asked_less_often() -> None:
    model = Model([MOST_SECONDS])
    assert measured(model) == pytest.approx(1000 * MOST_SECONDS)
    assert len(model.asked) == WARM_UP + LEAST


def test_real_model_is_left_as_it_was() -> None:
    import keras

    windows = tiny_dataset().val.windows
    model = keras.Sequential([keras.Input(windows.shape[1:]), keras.layers.Flatten(), keras.layers.Dense(1)])
    before = model.predict(windows.array(), verbose=0)
    assert 0 < latency_ms(model, windows.take([-1])[0]) < 1000
    np.testing.assert_array_equal(model.predict(windows.array(), verbose=0), before)
