"""A worker on JAX never pays for TensorFlow."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import sys
from greentune.objectives.holdout import holdout
from greentune.objectives.training import FitSettings
from greentune.objectives.without_tensorflow import without_tensorflow
from tests.tiny import tiny_dataset
settings = FitSettings(epochs=1, batch_size=16, seed=0)
result = holdout("advanced_lstm", {"lstm_units": [2], "dropout_rates": 0.1}, tiny_dataset(), settings)
with without_tensorflow():
    result.model.save(sys.argv[1])
assert "tensorflow" not in sys.modules, "TensorFlow was loaded"
from keras.src.utils.module_utils import tensorflow
assert tensorflow.available, "and afterwards it is there again"
"""


@pytest.mark.slow
def test_a_bidirectional_model_is_built_trained_and_saved_without_tensorflow(tmp_path: Path) -> None:
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    command = [sys.executable, "-c", CODE, str(tmp_path / "model.keras")]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert finished.returncode == 0, finished.stderr
