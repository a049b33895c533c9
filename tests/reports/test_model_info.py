from __future__ import annotations

import json

import pytest

from greentune.reports.model_info import describe_model, describe_training, model_info, recorded_path, versions
from greentune.reports.plain_json import to_text

from .conftest import Trained


@pytest.fixture(scope="module")
def information(trained: Trained) -> dict:
    given = {name: value for name, value in trained.arguments().items() if name not in ("evaluation", "predicted")}
    return json.loads(to_text(model_info(**given)))


def test_model_is_described_as_it_is(trained: Trained) -> None:
    described = describe_model(trained.model)
    n_inputs = trained.dataset.lookback * trained.dataset.n_features
    assert described["n_parameters"] == (n_inputs + 1) * 4 + 5 == sum(w.numpy().size for w in trained.model.weights)
    assert described["input_shape"] == [None, 6, trained.dataset.n_features]
    assert [layer["type"] for layer in described["layers"]] == ["Flatten", "Dense", "Dense"]


def test_training_is_read_off_model_and_history(information: dict, trained: Trained) -> None:
    training = information["training"]
    assert training["optimizer"]["type"] == "Adam"
    assert training["optimizer"]["learning_rate"] == pytest.approx(0.01)
    assert training["loss"] == "mse"
    assert training["epochs_trained"] == 3
    assert training["best_epoch"] == 1
    assert training["at_best_epoch"]["val_mse"] == trained.history["val_mse"][1]
    assert training["final_val_loss"] == trained.history["val_loss"][-1]


def test_ensemble_has_no_optimiser_of_its_own(trained: Trained) -> None:
    described = describe_training(trained.model, trained.history, {"members": [{"trial": 4, "best_epoch": 1}]})
    assert (described["optimizer"], described["loss"], described["metrics"]) == (None, None, None)
    assert described["history_of_trial"] == 4
    assert described["best_epoch"] is None


def test_a_change_of_the_model_shows(trained: Trained) -> None:
    """Mutation: typed-in metadata would not notice."""
    import keras

    other = keras.Sequential([keras.Input((6, 5)), keras.layers.LSTM(3), keras.layers.Dense(2)], name="other")
    described = describe_model(other)
    assert described["n_parameters"] == other.count_params() != describe_model(trained.model)["n_parameters"]
    assert described["n_outputs"] == 2


def test_data_can_be_found_and_read_again(information: dict, trained: Trained) -> None:
    data = information["data"]
    assert data["spec"]["target"] == "power"
    assert data["feature_names"] == list(trained.dataset.feature_names)
    assert data["fingerprint"] == trained.dataset.fingerprint
    assert data["unit"] == "MW"
    assert data["steps_ahead"] == [3]


def test_paths_are_found_from_anywhere(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    assert recorded_path("farm.csv") == str(tmp_path / "farm.csv")
    assert recorded_path("sample:la_haute_borne") == "sample:la_haute_borne"


def test_versions_name_us_and_the_libraries() -> None:
    assert {"python", "greentune", "keras", "tensorflow", "jax", "numpy"} <= versions().keys()
