"""An ensemble is the mean of its members, in one model that is saved and loaded like any other."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from greentune.models.ensemble import Member, ensemble
from greentune.models.registry import get_builder

WINDOWS = np.random.default_rng(0).random((7, 6, 4), dtype=np.float32)


def small(lookback: int, n_features: int, units: int) -> keras.Model:
    return get_builder("stacked_lstm").build({"lstm_units": [units]}, (lookback, n_features), 2)


def test_members_see_their_part_of_the_window_and_the_mean_is_answered(tmp_path: Path) -> None:
    short, narrow = small(3, 4, 2), small(6, 2, 3)
    made = ensemble([Member(short, 3), Member(narrow, 6, [1, 3])], (6, 4))
    wanted = short.predict(WINDOWS[:, 3:], verbose=0) + narrow.predict(WINDOWS[:, :, [1, 3]], verbose=0)
    answered = made.predict(WINDOWS, verbose=0)
    np.testing.assert_allclose(answered, wanted / 2, rtol=1e-6)
    assert made.count_params() == short.count_params() + narrow.count_params()
    made.save(tmp_path / "ensemble.keras")
    loaded = keras.saving.load_model(tmp_path / "ensemble.keras")
    np.testing.assert_array_equal(loaded.predict(WINDOWS, verbose=0), answered)


def test_ensemble_of_one_answers_as_that_one() -> None:
    alone = small(6, 4, 2)
    np.testing.assert_array_equal(
        ensemble([Member(alone, 6)], (6, 4)).predict(WINDOWS, verbose=0), alone.predict(WINDOWS, verbose=0)
    )
