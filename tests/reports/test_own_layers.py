"""Bundles of models with a user's own classes: without their code a fresh process forecasts by the SavedModel."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from greentune.reports import layout
from greentune.reports.bundle import write_bundle
from greentune.reports.evaluation import evaluate, predict_part
from greentune.reports.layout import BundleError
from greentune.reports.loading import load_model, read_info
from greentune.reports.model_info import own_layers
from greentune.storage.dataset import Dataset

from .conftest import Trained

pytestmark = pytest.mark.slow


def gated(dataset: Dataset) -> Any:
    """A functional model with a layer of ours."""
    import keras

    class Gate(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.weight = self.add_weight(shape=(shape[-1],), name="weight")

        def call(self, x: Any) -> Any:
            return x * keras.ops.sigmoid(self.weight)

    inputs = keras.Input((dataset.lookback, dataset.n_features))
    x = Gate()(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, keras.layers.Dense(dataset.n_outputs)(x))


def subclassed(dataset: Dataset) -> Any:
    """A model that is a class of ours, and says neither its shapes nor how it is made."""
    import keras

    class Flat(keras.Model):
        def __init__(self, given: object) -> None:
            super().__init__()
            self.flat, self.dense = keras.layers.Flatten(), keras.layers.Dense(dataset.n_outputs)

        def call(self, x: Any) -> Any:
            return self.dense(self.flat(x))

        def get_config(self) -> dict[str, Any]:
            return {"given": 1}

    return Flat(object())


@pytest.fixture(params=[gated, subclassed], ids=["layer", "model"], scope="module")
def own(request: pytest.FixtureRequest, trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = request.param(trained.dataset)
    model.compile("adam", "mse")
    model.fit(trained.dataset.train.windows.array(), trained.dataset.train.y, epochs=1, verbose=0)
    predicted = predict_part(model, trained.dataset, "test")
    evaluation = evaluate(trained.dataset, "test", predicted)
    of_ours = dataclasses.replace(trained, model=model, predicted=predicted, evaluation=evaluation)
    return write_bundle(tmp_path_factory.mktemp("own") / "bundle", **of_ours.arguments())


def test_bundle_names_the_classes_that_keras_would_need(own: Path) -> None:
    described = json.loads((own / layout.MODEL_INFO).read_text())["model"]
    assert described["own_layers"] in (["Gate"], ["Flat"])
    assert described["input_shape"][1:] == [6, described["input_shape"][-1]]
    assert "Import the code of" in (own / layout.README).read_text()


def test_fresh_process_without_the_code_reproduces_the_bundle(own: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "greentune.reports.verify", str(own)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "reproduced" in done.stdout


def test_without_a_saved_model_the_mistake_says_what_is_missing(own: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(own, tmp_path / "copy")
    shutil.rmtree(copy / layout.SAVED_MODEL)
    with pytest.raises(BundleError, match="If it has layers of your own, import them first"):
        load_model(copy, read_info(copy))


def test_models_of_keras_and_ours_need_no_code(trained: Trained) -> None:
    assert own_layers(trained.model) == []
