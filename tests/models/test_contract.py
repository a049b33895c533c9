"""Every builder keeps the contract, for every shape of windows; parameters are checked all at once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping

import numpy as np
import pytest

from greentune.models.contract import Builder, ModelError, Parameter, complete
from greentune.models.registry import builder_keys, get_builder

SMALL: dict[str, dict[str, object]] = {
    "stacked_lstm": {"lstm_units": [3, 2]},
    "advanced_lstm": {"lstm_units": [3, 2], "dropout_rates": [0.2, 0.1], "dense_units": [3]},
}
# Window shapes (lookback, n_features), each with a number of outputs.
SHAPES = [((4, 3), 1), ((4, 1), 1), ((1, 3), 2), ((3, 2), 6)]
# Notation of a range, for the default spaces.
RANGE_KEYS = {"low", "high", "log", "step", "when"}


@pytest.fixture(params=builder_keys())
def builder(request: pytest.FixtureRequest) -> Builder:
    return get_builder(request.param)


def every_value(space: Mapping[str, object]) -> list[tuple[str, object]]:
    """The choices and the ends of the ranges."""
    values: list[tuple[str, object]] = []
    for name, declared in space.items():
        if isinstance(declared, dict) and "choices" not in declared:
            assert set(declared) <= RANGE_KEYS
            assert declared["low"] < declared["high"]
            values += [(name, declared["low"]), (name, declared["high"])]
        else:
            choices = declared["choices"] if isinstance(declared, dict) else declared
            assert isinstance(choices, list)
            values += [(name, choice) for choice in choices]
    return values


@pytest.mark.parametrize(("input_shape", "n_outputs"), SHAPES)
def test_a_model_maps_windows_to_outputs(builder: Builder, input_shape: tuple[int, int], n_outputs: int) -> None:
    model = builder.build(SMALL[builder.key], input_shape, n_outputs)

    predicted = np.asarray(model(np.zeros((5, *input_shape), np.float32)))

    assert predicted.shape == (5, n_outputs)
    assert predicted.dtype == np.float32


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "nadam", "rmsprop", "sgd"])
def test_a_model_is_compiled_as_told(builder: Builder, optimizer: str) -> None:
    told = {"optimizer": optimizer, "learning_rate": 0.003, "clipnorm": 1.5, "loss": "mae"}

    model = builder.build({**SMALL[builder.key], **told}, (4, 3), 1)

    assert type(model.optimizer).__name__.lower() == optimizer
    assert float(np.asarray(model.optimizer.learning_rate)) == pytest.approx(0.003)
    assert model.optimizer.clipnorm == 1.5
    assert model.loss == "mae"


def test_the_saved_architecture_needs_no_class_of_ours(builder: Builder) -> None:
    model = builder.build(SMALL[builder.key], (4, 3), 1)

    assert "greentune" not in model.to_json()


def test_defaults_are_complete_normal_and_json(builder: Builder) -> None:
    values = complete(builder, {})

    assert list(values) == list(builder.parameters)
    assert complete(builder, values) == values
    assert json.loads(json.dumps(values)) == values


def test_completed_lists_are_not_shared(builder: Builder) -> None:
    units = complete(builder, {})["lstm_units"]
    assert isinstance(units, list)
    units.append(1)

    assert complete(builder, {})["lstm_units"] != units


def test_the_default_space_is_valid(builder: Builder) -> None:
    for name, value in every_value(builder.space):
        if name == "batch_size":
            assert isinstance(value, int)
            assert value > 0
        else:
            assert builder.parameters[name].mistake(value) is None


def test_all_mistakes_come_at_once_with_the_nearest_name(builder: Builder) -> None:
    with pytest.raises(ModelError) as caught:
        complete(builder, {"lstm_unit": [3], "learning_rate": 0, "l1": -1.0})

    unknown, *values = caught.value.mistakes
    assert "'lstm_unit'. Did you mean 'lstm_units'?" in unknown
    assert [mistake.split("'")[1] for mistake in values] == ["l1", "learning_rate"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lstm_units", []),
        ("lstm_units", 50),
        ("lstm_units", [50, 0]),
        ("lstm_units", [50.0]),
        ("lstm_units", [True]),
        ("lstm_units", "50"),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("learning_rate", "0.1"),
        ("l2", -1e-9),
        ("l2", None),
        ("optimizer", "Adam"),
        ("optimizer", ["adam"]),
        ("loss", "mape"),
        ("clipnorm", 0.0),
        ("clipnorm", True),
    ],
)
def test_a_wrong_value_is_named_with_its_rule(builder: Builder, name: str, value: object) -> None:
    with pytest.raises(ModelError) as caught:
        complete(builder, {name: value})

    (mistake,) = caught.value.mistakes
    assert f"'{name}' must be {builder.parameters[name].rule}; got {value!r}" in mistake


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ({"lstm_units": (3, 2), "dropout_rates": 0}, {"lstm_units": [3, 2]}),
        ({"learning_rate": 1}, {"learning_rate": 1.0}),
        ({"l1": np.float32(0.5)}, {"l1": 0.5}),
        ({"clipnorm": "none"}, {"clipnorm": None}),
    ],
)
def test_values_are_brought_into_normal_form(
    builder: Builder, given: dict[str, object], normal: dict[str, object]
) -> None:
    values = complete(builder, {name: value for name, value in given.items() if name in builder.parameters})

    assert {name: values[name] for name in normal} == normal
    assert [type(values[name]) for name in normal] == [type(value) for value in normal.values()]


def test_a_parameter_says_what_is_wrong_or_nothing() -> None:
    parameter = Parameter("steps", 1, "a whole number", lambda value: int(str(value)), "steps")

    assert parameter.mistake(3) is None
    assert parameter.mistake("x") == "Parameter 'steps' must be a whole number; got 'x'. The default is 1."


def test_importing_the_models_does_not_import_keras() -> None:
    code = "import sys, greentune.models; sys.exit(any(name in sys.modules for name in ('keras', 'jax', 'tensorflow')))"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
