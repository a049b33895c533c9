"""HyperModels of KerasTuner are built as they are, and what is none is refused with a way out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import keras_tuner
import optuna
import pytest
from keras_tuner import applications

from greentune.models import ModelError
from greentune.models.keras_tuner import build, defaults, has_own_fit, hyperparameters

SHAPE = (32, 32, 3)


def network(units: int, *, compiled: bool = True) -> keras.Model:
    model = keras.Sequential([keras.Input((4, 2)), keras.layers.Flatten(), keras.layers.Dense(units)])
    if compiled:
        model.compile(optimizer="sgd", loss="mse")
    return model


def by_function(hp: keras_tuner.HyperParameters) -> keras.Model:
    return network(hp.Int("units", 1, 4))


class Plain(keras_tuner.HyperModel):
    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        return network(hp.Int("units", 1, 4))


class Declaring(keras_tuner.HyperModel):
    def declare_hyperparameters(self, hp: keras_tuner.HyperParameters) -> None:
        hp.Int("units", 1, 4)

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        return network(hp.get("units"))


class OwnFit(Plain):
    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        return network(hp.Int("units", 1, 4), compiled=False)

    def fit(self, hp: keras_tuner.HyperParameters, model: keras.Model, *args: Any, **kwargs: Any) -> float:
        return float(hp.Float("rate", 0, 1))


class WithoutBuild(keras_tuner.HyperModel):
    pass


class BuildIsNumber(keras_tuner.HyperModel):
    build = 3


class BuildWantsMore(keras_tuner.HyperModel):
    def build(self, hp: keras_tuner.HyperParameters, n_outputs: int) -> keras.Model:
        return network(n_outputs)


def width(model: keras.Model) -> int:
    return int(model.output_shape[-1])


@pytest.mark.parametrize("hypermodel", [by_function, lambda hp: by_function(hp), Plain(), Plain().build, Declaring()])
def test_an_instance_and_a_function_are_built_with_the_values_of_the_trial(hypermodel: object) -> None:
    trial = optuna.trial.FixedTrial({"units": 3})
    hp = hyperparameters(trial)

    assert width(build(hypermodel, hp)) == 3
    assert width(build(hypermodel, hp)) == 3
    assert (hp.values, trial.params, hp.stored) == ({"units": 3}, {"units": 3}, {"units": 3})


def test_the_defaults_build_without_a_trial() -> None:
    hp = defaults()
    assert width(build(Plain(), hp)) == 1
    assert hp.stored == {"units": 1}


def test_an_untunable_hypermodel_takes_its_defaults() -> None:
    hp = hyperparameters(optuna.trial.FixedTrial({}))
    assert width(build(Plain(tunable=False), hp)) == 1
    assert hp.values == {}

    declared = hyperparameters(optuna.trial.FixedTrial({"units": 3}))
    assert width(build(Declaring(tunable=False), declared)) == 3


@pytest.mark.parametrize(
    ("hypermodel", "message"),
    [
        (3, r"got 3, which has no `build`"),
        (WithoutBuild(), r"must have a `build` of its own; WithoutBuild has none"),
        (BuildIsNumber(), r"that of BuildIsNumber is 3"),
        (
            BuildWantsMore(),
            r"BuildWantsMore takes \(hp: .*, n_outputs: .*\).*: missing a required argument: 'n_outputs'",
        ),
        (lambda: network(1), r"called with the hyperparameters alone.*takes \(\): too many positional arguments"),
        (lambda hp: None, r"returned None\. Is `return model` missing"),
        (lambda hp: [network(1)], r"returned a list: .*Return the model itself"),
        (lambda hp: network(1, compiled=False), r"is not compiled\. Call `model\.compile"),
        (network(1), r"a new model for each trial; got the model 'sequential.*' itself"),
    ],
)
def test_what_is_no_hypermodel_is_refused_with_a_way_out(hypermodel: object, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build(hypermodel, defaults())


def test_a_mistake_inside_build_is_the_users_own() -> None:
    def wrong(hp: keras_tuner.HyperParameters) -> keras.Model:
        return network(hp.Int("units", 1, 4) + "1")

    with pytest.raises(TypeError, match="unsupported operand"):
        build(wrong, defaults())


@pytest.mark.parametrize(
    ("hypermodel", "own"), [(OwnFit, True), (OwnFit(), True), (Plain, False), (Plain(), False), (by_function, False)]
)
def test_a_fit_of_its_own_is_noticed(hypermodel: object, *, own: bool) -> None:
    assert has_own_fit(hypermodel) is own


def test_a_hypermodel_with_its_own_fit_may_leave_the_model_uncompiled_and_draw_more() -> None:
    hypermodel: Any = OwnFit()
    hp = hyperparameters(optuna.trial.FixedTrial({"units": 2, "rate": 0.5}))
    model = build(hypermodel, hp)

    assert not model.compiled
    assert hypermodel.fit(hp, model) == 0.5
    assert hp.values == {"units": 2, "rate": 0.5}


def test_neither_keras_nor_keras_tuner_is_loaded_before_a_trial_is_at_hand() -> None:
    code = "import sys, greentune.models.keras_tuner; print(sorted({'keras', 'keras_tuner'} & set(sys.modules)))"
    child = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert child.stdout.strip() == "[]", child.stderr


def augmentation(**arguments: Any) -> applications.HyperImageAugment:
    return applications.HyperImageAugment(input_shape=SHAPE, **arguments)


@pytest.mark.parametrize("augment_layers", [0, 3, [2, 3]])
def test_the_image_augmentation_of_keras_tuner_is_drawn_but_is_no_model_to_train(augment_layers: Any) -> None:
    hypermodel, trial = augmentation(augment_layers=augment_layers), optuna.create_study().ask()
    hp = hyperparameters(trial)
    hypermodel.build(hp)

    assert hp.values == trial.params
    assert {"factor_rotate", "factor_translate_x", "factor_translate_y", "factor_contrast"} <= set(hp.values)
    with pytest.raises(ModelError, match="is not compiled"):
        build(hypermodel, hyperparameters(optuna.trial.FixedTrial(trial.params)))


def small_efficient_net(include_top: bool, input_tensor: Any) -> keras.Model:
    return keras.Model(keras.utils.get_source_inputs(input_tensor), keras.layers.Conv2D(2, 3, strides=16)(input_tensor))


def test_the_efficient_net_of_keras_tuner_is_drawn_with_its_augmentation(monkeypatch: pytest.MonkeyPatch) -> None:
    from keras_tuner.src.applications import efficientnet

    versions = dict.fromkeys(efficientnet.EFFICIENTNET_MODELS, small_efficient_net)  # the real ones load weights
    monkeypatch.setattr(efficientnet, "EFFICIENTNET_MODELS", versions)
    hypermodel = applications.HyperEfficientNet(input_shape=SHAPE, classes=3, augmentation_model=augmentation())
    assert drawn_and_replayed(hypermodel) == {
        "augment_layers",
        "factor_rotate",
        "factor_translate_x",
        "factor_translate_y",
        "factor_contrast",
        "version",
        "pooling",
        "top_dropout_rate",
        "learning_rate",
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("hypermodel", "ticket", "names"),
    [
        (
            partial(applications.HyperXception, input_shape=SHAPE, classes=3),
            {"num_residual_blocks": 2, "sep_num_filters": 128, "conv2d_num_filters": 32},
            {"activation", "kernel_size", "initial_strides", "pooling", "num_dense_layers", "dropout_rate"},
        ),
        *(
            (
                partial(applications.HyperResNet, input_shape=SHAPE, classes=3),
                {"version": version, "conv3_depth": 4, "conv4_depth": 6},
                {"pooling", "optimizer", "learning_rate"},
            )
            for version in ("v1", "v2", "next")
        ),
    ],
    ids=["xception", "resnet v1", "resnet v2", "resnet next"],
)
def test_the_applications_of_keras_tuner_are_built(
    hypermodel: Callable[[], keras_tuner.HyperModel], ticket: dict[str, Any], names: set[str]
) -> None:
    assert names <= drawn_and_replayed(hypermodel(), ticket)


def drawn_and_replayed(hypermodel: keras_tuner.HyperModel, ticket: dict[str, Any] | None = None) -> set[str]:
    """The names drawn by a real trial, whose parameters gave the same values again."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    study.enqueue_trial(ticket or {})
    trial = study.ask()
    hp = hyperparameters(trial)
    assert width(build(hypermodel, hp)) == 3

    again = hyperparameters(optuna.trial.FixedTrial(trial.params))
    build(hypermodel, again)
    assert again.values == hp.values == trial.params
    return set(hp.values)
