from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from greentune.reports import layout
from greentune.reports.layout import BundleError
from greentune.reports.saved_model import saved_model_difference

from .conftest import Trained


def test_saved_model_says_the_same(written_bundle: Path, trained: Trained) -> None:
    windows = trained.dataset.test.windows.take(np.arange(5))
    assert saved_model_difference(written_bundle / layout.SAVED_MODEL, trained.model, windows) < 1e-5


def test_another_model_is_noticed(written_bundle: Path, trained: Trained) -> None:
    import keras

    other = keras.models.clone_model(trained.model)
    other.set_weights([weight + 0.1 for weight in trained.model.get_weights()])
    with pytest.raises(BundleError, match="differ by"):
        saved_model_difference(
            written_bundle / layout.SAVED_MODEL, other, trained.dataset.test.windows.take(np.arange(5))
        )


def test_no_window_no_difference(written_bundle: Path, trained: Trained) -> None:
    assert saved_model_difference(written_bundle, trained.model, np.empty((0, 6, 5), np.float32)) == 0.0
