"""What a user calls a builder becomes one of two kinds, and what it returns is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
import optuna
import pytest

from greentune.models.contract import ModelError, Parameter
from greentune.models.registry import get_builder
from greentune.models.suggests import Suggests
from greentune.models.user import Contract, DefineByRun, as_builder, checked, takes
from greentune.models.values import number

SHAPE = (4, 3)


def network(
    n_outputs: int = 1, *, inputs: bool = True, flat: bool = True, compiled: bool = True, shape: tuple[int, ...] = SHAPE
) -> keras.Model:
    layers = [keras.layers.Flatten()] if flat else []
    model = keras.Sequential([*([keras.Input(shape)] if inputs else []), *layers, keras.layers.Dense(n_outputs)])
    if compiled:
        model.compile(optimizer="sgd", loss="mse")
    return model


def function(trial: Suggests, input_shape: tuple[int, int], n_outputs: int) -> keras.Model:
    trial.suggest_int("units", 1, 8)
    return network(n_outputs, shape=input_shape)


class Full:
    """The three parts of our own builders."""

    parameters: Mapping[str, Parameter] = {"rate": number("rate", 0.1, "a rate", low=0.0, high=1.0)}
    space: Mapping[str, object] = {"rate": [0.1, 0.2]}

    def build(
        self, parameters: Mapping[str, object], input_shape: tuple[int, int], n_outputs: int
    ) -> keras.Model | None:
        return network(n_outputs, shape=input_shape)


class Disagreeing(Full):
    def disagreements(self, parameters: Mapping[str, object]) -> list[str]:
        return [f"not {parameters['rate']}"]


class MadeLater(Full):
    """Its parts are there once it is made, as with dataclasses."""

    def __init__(self) -> None:
        self.parameters = dict(Full.parameters)
        self.space = {"rate": [0.3]}


LaterOnly: Any = type("LaterOnly", (), {"__init__": MadeLater.__init__, "build": Full.build})


class Needy(Full):
    def __init__(self, n_layers: int) -> None:
        self.n_layers = n_layers


class Failing(Full):
    def __init__(self) -> None:
        raise RuntimeError("my own reason")


class ForgetsToReturn(Full):
    def build(self, parameters: Mapping[str, object], input_shape: tuple[int, int], n_outputs: int) -> None:
        return None


class Tables(Full):
    parameters: Any = ("rate",)
    space: Any = 3


class Loose(Full):
    parameters: Any = MappingProxyType({"rate": 0.1})


class NarrowBuild(Full):
    def build(self, parameters: Mapping[str, object]) -> None:  # type: ignore[override]
        return None


class OnlyBuild:
    def build(self, hp: object) -> None:
        return None


class Callable3:
    def __call__(self, trial: Suggests, input_shape: tuple[int, int], n_outputs: int) -> keras.Model:
        return network(n_outputs, shape=input_shape)


def refused(value: object) -> list[str]:
    with pytest.raises(ModelError) as caught:
        as_builder(value, "build.py:mine")
    return caught.value.mistakes


@pytest.mark.parametrize("value", [function, Callable3(), lambda trial, shape, n, extra=1: None, lambda *given: None])
def test_what_takes_three_arguments_is_a_function_of_the_trial(value: object) -> None:
    assert as_builder(value, "build.py:mine") is value


@pytest.mark.parametrize("value", [Full, Full(), MadeLater, LaterOnly, LaterOnly(), get_builder("stacked_lstm")])
def test_class_or_instance_with_the_three_parts_is_a_builder_like_ours(value: Any) -> None:
    builder = as_builder(value, "build.py:mine")
    assert isinstance(builder, Contract)
    assert builder.key == "build.py:mine"
    made = value() if isinstance(value, type) else value
    assert (builder.parameters.keys(), builder.space) == (made.parameters.keys(), made.space)


def test_builder_says_its_own_disagreements_or_none() -> None:
    silent, loud = (as_builder(kind, "mine") for kind in (Full, Disagreeing))
    assert isinstance(silent, Contract)
    assert isinstance(loud, Contract)
    assert silent.disagreements({"rate": 0.1}) == []
    assert loud.disagreements({"rate": 0.1}) == ["not 0.1"]


def test_builder_of_the_user_builds_and_its_model_is_looked_at() -> None:
    builder = as_builder(Full, "mine")
    assert isinstance(builder, Contract)
    assert builder.build({"rate": 0.1}, SHAPE, 2).output_shape == (None, 2)
    forgetful = as_builder(ForgetsToReturn, "mine")
    assert isinstance(forgetful, Contract)
    with pytest.raises(ModelError, match="mine must return a Keras model; it returned nothing"):
        forgetful.build({}, SHAPE, 1)


def test_function_of_the_user_draws_from_its_trial_and_is_looked_at() -> None:
    trial = optuna.trial.FixedTrial({"units": 3})
    bound = DefineByRun(function, trial, "mine")
    assert bound.build({}, SHAPE, 1).output_shape == (None, 1)
    assert trial.params == {"units": 3}
    with pytest.raises(ModelError, match=r"outputs of shape \(None, 2\); it has \(None, 1\)"):
        DefineByRun(lambda trial, shape, n: network(1), trial, "mine").build({}, SHAPE, 2)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (3, "it is of type int. Name the function."),
        (OnlyBuild(), "it has only build. If it is a HyperModel of KerasTuner, give it as --hypermodel."),
        (OnlyBuild, "it has only build. If it is a HyperModel of KerasTuner, give it as --hypermodel."),
        (lambda hp: None, "it takes (hp). For build(hp) of KerasTuner use --hypermodel."),
        (lambda trial, shape: None, "it takes (trial, shape). Change its signature."),
        (lambda trial, shape, n, more: None, "it takes (trial, shape, n, more). Change its signature."),
        (Needy, "must be made without arguments; it takes (n_layers"),
        (NarrowBuild, "`build` of build.py:mine must take (parameters, input_shape, n_outputs)."),
        (Loose, "must hold greentune.models.Parameter objects, one for each name"),
    ],
)
def test_what_is_neither_is_refused_with_a_way_out(value: object, sentence: str) -> None:
    (mistake,) = refused(value)
    assert sentence in mistake


def test_all_mistakes_of_a_builder_come_at_once() -> None:
    assert refused(Tables) == [
        "`parameters` of build.py:mine must be a table by name; it is of type tuple.",
        "`space` of build.py:mine must be a table by name; it is of type int.",
    ]


def test_error_of_the_users_own_while_it_is_made_is_the_users_to_see() -> None:
    with pytest.raises(RuntimeError, match="my own reason"):
        as_builder(Failing, "mine")


@pytest.mark.parametrize(("n", "taken"), [(0, False), (1, True), (2, True), (3, False)])
def test_number_of_arguments_is_that_of_the_signature(n: int, *, taken: bool) -> None:
    assert takes(lambda a, b=1: None, n) is taken


def test_what_has_no_signature_is_believed() -> None:
    assert takes(max, 17)


def test_unbuilt_model_gets_its_weights() -> None:
    model = network(inputs=False)
    assert not model.built
    assert checked(model, "mine", SHAPE, 1) is model
    assert model.built
    assert model.count_params() == 4 * 3 + 1


def test_subclassed_model_gets_its_weights() -> None:
    class Mine(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.flat, self.dense = keras.layers.Flatten(), keras.layers.Dense(2)

        def call(self, x: Any) -> Any:
            return self.dense(self.flat(x))

    model = Mine()
    model.compile(optimizer="sgd", loss="mse")
    checked(model, "mine", SHAPE, 2)
    assert [weights.shape for weights in model.get_weights()] == [(12, 2), (2,)]


def test_weights_of_a_built_model_stay_as_they_are() -> None:
    model = network()
    before = [np.copy(weights) for weights in model.get_weights()]
    checked(model, "mine", SHAPE, 1)
    assert all(np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True))


def two_outputs() -> keras.Model:
    inputs = keras.Input(SHAPE)
    flat = keras.layers.Flatten()(inputs)
    model = keras.Model(inputs, [keras.layers.Dense(1)(flat), keras.layers.Dense(1)(flat)])
    model.compile(optimizer="sgd", loss="mse")
    return model


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (lambda: None, "mine must return a Keras model; it returned nothing. End it with `return model`."),
        (
            lambda: [network()],
            "mine must return a Keras 3 model; it returned a builtins.list. Return the model itself.",
        ),
        (lambda: network(compiled=False), "this one is not. Call model.compile(optimizer=…, loss=…) before."),
        (lambda: network(7), "with outputs of shape (None, 1); it has (None, 7). End it with Dense(1)"),
        (lambda: network(flat=False), "it has (None, 4, 1). End it with Dense(1), after the sequence is gone"),
        (two_outputs, "with outputs of shape (None, 1); it has [(None, 1), (None, 1)]"),
        (lambda: network(shape=(9, 3)), "mine must take windows of shape (None, 4, 3): "),
    ],
)
def test_what_is_no_model_for_the_data_is_refused_with_a_way_out(model: Any, sentence: str) -> None:
    with pytest.raises(ModelError) as caught:
        checked(model(), "mine", SHAPE, 1)
    assert sentence in str(caught.value)


def test_uncompiled_model_is_taken_where_somebody_else_trains_it() -> None:
    assert not checked(network(compiled=False), "mine", SHAPE, 1, compiled=False).compiled
