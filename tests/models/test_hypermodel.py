"""A HyperModel of KerasTuner trains as it was written, and is judged like every other model."""

from __future__ import annotations

from typing import Any

import keras
import keras_tuner
import numpy as np
import optuna
import pytest

from greentune.models.contract import FitsItself, ModelError
from greentune.models.hypermodel import HyperModelTrial, for_trial, instance
from greentune.models.keras_tuner import hyperparameters
from greentune.objectives.holdout import TrialResult, holdout
from greentune.objectives.training import FitSettings
from greentune.storage.dataset import Dataset

SHAPE = (4, 3)


def network(units: int, *, compiled: bool = True, metrics: tuple[str, ...] = ()) -> keras.Model:
    layers = [keras.layers.Flatten(), keras.layers.Dense(units, activation="relu"), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input(SHAPE), *layers])
    if compiled:
        model.compile(optimizer=keras.optimizers.SGD(0.05), loss="mse", metrics=list(metrics))
    return model


class Plain(keras_tuner.HyperModel):
    def build(self, hp: Any) -> keras.Model:
        return network(hp.Int("units", 2, 8))


class Sized(Plain):
    def __init__(self, input_shape: tuple[int, int], n_outputs: int, name: str = "sized") -> None:
        super().__init__(name)
        self.given = (input_shape, n_outputs)


class Needy(Plain):
    def __init__(self, n_layers: int) -> None:
        super().__init__()


class DrawsBatchSize(Plain):
    """As KerasTuner's guides do it."""

    def fit(self, hp: Any, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        return model.fit(*args, batch_size=hp.Choice("batch_size", [8, 32]), **kwargs)


class Deaf(Plain):
    """Does not hand the callbacks on."""

    def fit(self, hp: Any, model: keras.Model, x: Any, y: Any, **kwargs: Any) -> Any:
        return model.fit(x, y, epochs=2, verbose=0)


class Loop(keras_tuner.HyperModel):
    """The custom training loop of KerasTuner's guide: an own optimiser, and callbacks called by hand."""

    first_epoch = 0

    def build(self, hp: Any) -> keras.Model:
        return network(hp.Int("units", 2, 8), compiled=False)

    def fit(
        self, hp: Any, model: keras.Model, x: Any, y: Any, validation_data: Any, callbacks: Any = None, **kwargs: Any
    ) -> float:
        for callback in callbacks:
            callback.set_model(model)
        best = float("inf")
        for epoch in range(self.first_epoch, self.first_epoch + kwargs["epochs"]):
            kernel, bias = model.layers[-1].kernel, model.layers[-1].bias
            errors = np.asarray(model(x)) - y
            bias.assign(np.asarray(bias) - 0.1 * errors.mean(axis=0))
            assert kernel.shape[-1] == 1
            value = float(np.mean((np.asarray(model(validation_data[0])) - validation_data[1]) ** 2))
            for callback in callbacks:
                callback.on_epoch_end(epoch, logs={"val_loss": value})
            best = min(best, value)
        return best


class LoopFromOne(Loop):
    first_epoch = 1


class TwoFits(Plain):
    """Trains twice, as with frozen layers first: the epochs begin anew."""

    def fit(self, hp: Any, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        model.fit(*args, **kwargs)
        return model.fit(*args, **kwargs)


class Failing(Plain):
    def fit(self, hp: Any, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("my own reason")


def bound(hypermodel: Any, **values: Any) -> HyperModelTrial:
    trial = optuna.trial.FixedTrial({"units": 4, **values})
    return for_trial(hypermodel, hyperparameters(trial), "hyper.py:Mine")


def trained(
    hypermodel: Any, dataset: Dataset, *, values: dict[str, Any] | None = None, **changes: Any
) -> tuple[HyperModelTrial, TrialResult]:
    model = bound(hypermodel, **(values or {}))
    settings = FitSettings(**{"epochs": 3, "batch_size": 32, "seed": 1, **changes})
    return model, holdout(model, {}, dataset, settings)


def test_instance_and_function_are_taken_as_they_are() -> None:
    made = Plain()
    assert instance(made, "mine", SHAPE, 1) is made
    assert instance(made.build, "mine", SHAPE, 1) == made.build


def test_class_is_made_and_told_the_shape_of_the_data_if_it_takes_it() -> None:
    assert isinstance(instance(Plain, "mine", SHAPE, 1), Plain)
    assert instance(Sized, "mine", SHAPE, 2).given == (SHAPE, 2)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (3, r"mine must be a HyperModel of KerasTuner or a function build\(hp\); it is of type int"),
        (dict, r"mine must have a method build\(self, hp\).*it has none"),
        (Needy, "missing a required argument: 'n_layers'. Give its arguments defaults, or name an instance"),
    ],
)
def test_what_is_no_hypermodel_is_refused_with_a_way_out(value: object, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        instance(value, "mine", SHAPE, 1)


def test_model_is_built_with_the_values_of_the_trial_and_looked_at() -> None:
    model = bound(Plain())
    assert model.build({}, SHAPE, 1).layers[1].units == 4
    assert model.hp.values == {"units": 4}
    with pytest.raises(ModelError, match=r"hyper.py:Mine must return a model with outputs of shape \(None, 2\)"):
        bound(Plain()).build({}, SHAPE, 2)


def test_only_a_hypermodel_with_its_own_fit_trains_itself() -> None:
    assert isinstance(bound(DrawsBatchSize()), FitsItself)
    assert not isinstance(bound(Plain()), FitsItself)


def test_own_fit_may_draw_the_batch_size(tiny_dataset: Dataset) -> None:
    small, of_8 = trained(DrawsBatchSize(), tiny_dataset, values={"batch_size": 8})
    large, of_32 = trained(DrawsBatchSize(), tiny_dataset, values={"batch_size": 32})
    assert (small.hp.values["batch_size"], large.hp.values["batch_size"]) == (8, 32)
    assert of_8.values["val_mse"] < of_32.values["val_mse"], "six steps an epoch instead of two"
    assert len(of_8.fit.history["val_mse"]) == 3


def test_own_fit_that_hands_everything_on_gives_the_numbers_of_a_plain_fit(tiny_dataset: Dataset) -> None:
    _, own = trained(DrawsBatchSize(), tiny_dataset, values={"batch_size": 8})
    _, plain = trained(Plain(), tiny_dataset, batch_size=8)
    assert own.values == plain.values
    assert {**own.fit.history, "seconds": []} == {**plain.fit.history, "seconds": []}


def test_own_fit_that_ignores_the_callbacks_is_judged_by_its_end(tiny_dataset: Dataset) -> None:
    _, result = trained(Deaf(), tiny_dataset)
    assert result.fit.epochs == 1
    predicted = np.asarray(result.model(tiny_dataset.val.windows.array()))
    assert result.values["val_mse"] == pytest.approx(np.mean((predicted - tiny_dataset.val.y) ** 2), rel=1e-5)
    assert result.values["val_loss"] == result.values["val_mse"]


@pytest.mark.parametrize("hypermodel", [Loop, LoopFromOne])
def test_own_loop_that_calls_the_callbacks_by_hand_is_followed_epoch_by_epoch(
    hypermodel: type[Loop], tiny_dataset: Dataset
) -> None:
    _, result = trained(hypermodel(), tiny_dataset, patience=2, reduce_lr_patience=1)
    history = result.fit.history
    assert history["val_loss"] == pytest.approx(history["val_mse"], rel=1e-5), "the loop's own number is the same"
    assert len(history["val_mae"]) == 3
    assert result.fit.best_value == min(history["val_mse"]) == history["val_mse"][result.fit.best_epoch]
    assert all(0 <= seconds < 60 for seconds in history["seconds"])
    assert "learning_rate" not in history


def test_own_loop_keeps_the_weights_of_its_best_epoch(tiny_dataset: Dataset) -> None:
    _, result = trained(Loop(), tiny_dataset)
    predicted = np.asarray(result.model(tiny_dataset.val.windows.array()))
    assert np.mean((predicted - tiny_dataset.val.y) ** 2) == pytest.approx(result.fit.best_value, rel=1e-5)


def test_own_loop_is_retrained_without_gradient_norms_where_nobody_knows_its_loss(tiny_dataset: Dataset) -> None:
    _, uncompiled = trained(Loop(), tiny_dataset, gradient_norms=True)
    _, compiled = trained(DrawsBatchSize(), tiny_dataset, values={"batch_size": 8}, gradient_norms=True)
    assert "gradient_norm" not in uncompiled.fit.history
    assert len(compiled.fit.history["gradient_norm"]) == 3


def test_own_fit_in_two_parts_is_one_history(tiny_dataset: Dataset) -> None:
    _, result = trained(TwoFits(), tiny_dataset)
    assert len(result.fit.history["val_mse"]) == 6
    assert result.fit.at_best("val_mse") == min(result.fit.history["val_mse"])


def test_listener_that_gives_up_ends_an_own_loop(tiny_dataset: Dataset) -> None:
    class GivenUp(Exception):
        pass

    def listener(epoch: int, values: dict[str, float]) -> None:
        if epoch == 1:
            raise GivenUp

    settings = FitSettings(epochs=5, batch_size=16, seed=1)
    with pytest.raises(GivenUp):
        holdout(bound(Loop()), {}, tiny_dataset, settings, listeners=[listener])


def test_error_of_an_own_fit_comes_out_as_it_is(tiny_dataset: Dataset) -> None:
    with pytest.raises(RuntimeError, match="my own reason"):
        trained(Failing(), tiny_dataset)
