"""Names, scopes, conditions and copies are KerasTuner's; only the values are the trial's."""

from __future__ import annotations

import copy
from typing import Any

import keras_tuner
import optuna
import pytest

from greentune.models.keras_tuner import defaults, hyperparameters


def fixed(**stored: Any) -> optuna.trial.FixedTrial:
    return optuna.trial.FixedTrial(stored)


def cell(hp: keras_tuner.HyperParameters) -> None:
    """Scopes in scopes: names, conditions, a condition on a name of a scope."""
    with hp.name_scope("cell"):
        kind = hp.Choice("kind", ["mlp", "cnn"])
        for number in range(hp.Int("depth", 1, 2)):
            with hp.name_scope(str(number)):
                hp.Int("width", 1, 4)
        with hp.conditional_scope("kind", ["mlp"]):
            hp.Boolean("bias")
            if kind == "mlp":
                hp.Int("size", 8, 64, step=8)
            with hp.conditional_scope("bias", [True]):
                hp.Float("rate", 0.1, 0.9)
        with hp.conditional_scope("kind", ["cnn"]):
            hp.Choice("size", [3, 5])
    hp.Float("momentum", 0.5, 0.99, sampling="reverse_log", parent_name="cell/kind", parent_values="cnn")
    hp.Fixed("epochs", 4)


def test_an_unconditional_search_stores_the_names_of_keras_tuner() -> None:
    trial = fixed(**{"cell_1/units": 3})
    hp = hyperparameters(trial)
    with hp.name_scope("cell_1"):
        assert hp.Int("units", 1, 4) == 3
        assert (hp["units"], hp.get("units"), "units" in hp, "other" in hp) == (3, 3, True, False)
    assert hp["cell_1/units"] == 3
    assert trial.params == {"cell_1/units": 3}


@pytest.mark.parametrize("sampler", [optuna.samplers.RandomSampler(seed=3), optuna.samplers.TPESampler(seed=3)])
def test_a_conditional_search_gives_what_keras_tuner_gives_for_the_same_values(
    sampler: optuna.samplers.BaseSampler,
) -> None:
    study = optuna.create_study(sampler=sampler)
    for _ in range(25):
        trial = study.ask()
        hp = hyperparameters(trial)
        cell(hp)
        study.tell(trial, hp["cell/depth"])

        original = keras_tuner.HyperParameters()
        original.values = dict(hp.values)
        cell(original)
        assert original.values == hp.values
        assert original.get_config() == hp.get_config()
        assert original.active_scopes == hp.active_scopes
        assert original.inactive_scopes == hp.inactive_scopes
        assert [original.is_active(known) for known in original.space] == [hp.is_active(known) for known in hp.space]

        again = hyperparameters(optuna.trial.FixedTrial(trial.params))
        cell(again)
        assert again.values == hp.values
        assert trial.params == hp.stored == again.stored
    assert {trial.params["cell/kind"] for trial in study.trials} == {"mlp", "cnn"}


def test_one_name_may_have_a_range_here_and_choices_there() -> None:
    mlp = hyperparameters(
        fixed(
            **{
                "cell/kind": "mlp",
                "cell/depth": 1,
                "cell/0/width": 1,
                "cell/size [cell/kind=mlp]": 24,
                "cell/bias [cell/kind=mlp]": False,
            }
        )
    )
    cell(mlp)
    cnn = hyperparameters(
        fixed(
            **{
                "cell/kind": "cnn",
                "cell/depth": 1,
                "cell/0/width": 1,
                "cell/size [cell/kind=cnn]": 5,
                "momentum [cell/kind=cnn]": 0.5,
            }
        )
    )
    cell(cnn)

    assert mlp.values == {
        "cell/kind": "mlp",
        "cell/depth": 1,
        "cell/0/width": 1,
        "cell/size": 24,
        "cell/bias": False,
        "epochs": 4,
    }
    assert cnn.values == {
        "cell/kind": "cnn",
        "cell/depth": 1,
        "cell/0/width": 1,
        "cell/size": 5,
        "momentum": 0.99,
        "epochs": 4,
    }


def test_an_inactive_hyperparameter_is_not_asked_for() -> None:
    trial = fixed(kind="mlp")
    hp = hyperparameters(trial)
    hp.Choice("kind", ["mlp", "cnn"])

    assert hp.Int("filters", 1, 9, default=4, parent_name="kind", parent_values=["cnn"]) is None
    assert hp.Int("filters", 1, 9, default=4, parent_name="kind", parent_values=["cnn"]) is None
    assert (hp.values, trial.params, hp.is_active("filters")) == ({"kind": "mlp"}, {"kind": "mlp"}, False)
    assert "filters" not in hp
    with pytest.raises(ValueError, match="filters is currently inactive"):
        hp.get("filters")


def test_a_second_call_gives_the_first_value() -> None:
    hp = hyperparameters(optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1)).ask())
    first = hp.Int("units", 1, 10**6)

    assert hp.Int("units", 1, 10**6) == first
    assert hp.Int("units", 5, 7) == first  # another range, the same hyperparameter: as in KerasTuner
    with hp.conditional_scope("units", [first]):
        assert hp.Boolean("bias") == hp.Boolean("bias")
    assert len(hp.space) == 2


def test_the_mistakes_of_a_scope_are_those_of_keras_tuner() -> None:
    hp = hyperparameters(fixed(kind="mlp"))
    with pytest.raises(ValueError, match="`HyperParameter` named: kind not defined"):
        hp.Int("units", 1, 2, parent_name="kind", parent_values=["mlp"])
    hp.Choice("kind", ["mlp", "cnn"])
    with pytest.raises(ValueError, match="cannot have the same name as its parent"):
        hp.Choice("kind", ["mlp"], parent_name="kind", parent_values=["mlp"])


@pytest.mark.parametrize("copied", [lambda hp: hp.copy(), copy.deepcopy], ids=["copy", "deepcopy"])
def test_a_copy_knows_the_values_and_asks_no_trial(copied: Any) -> None:
    trial = fixed(units=3, layers=2)
    hp = hyperparameters(trial)
    hp.Int("units", 1, 4)

    other = copied(hp)
    assert isinstance(other, keras_tuner.HyperParameters)
    assert (other.Int("units", 1, 4), other.Int("layers", 1, 2)) == (3, 1)
    assert "layers" not in hp
    assert hp.Int("layers", 1, 2) == 2


def test_a_deep_copy_keeps_the_open_scopes_and_leaves_out_the_trial() -> None:
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1)).ask()
    hp = hyperparameters(trial)
    with hp.name_scope("cell"):
        hp.Boolean("bias")
        with hp.conditional_scope("bias", [True, False]):
            other = copy.deepcopy({"hp": hp})["hp"]
            assert other.Int("units", 1, 10**6) == 1
    assert list(other.stored) == ["cell/bias", "cell/units [cell/bias=True|False]"]
    assert list(hp.stored) == ["cell/bias"]


def test_a_configuration_comes_back_as_keras_tuners_own() -> None:
    hp = hyperparameters(fixed(units=3))
    hp.Int("units", 1, 4)

    back = type(hp).from_config(hp.get_config())
    assert (back.values, back.get_config()) == ({"units": 3}, hp.get_config())
    assert keras_tuner.HyperParameters.from_config(hp.get_config()).values == {"units": 3}


def test_merged_hyperparameters_are_drawn_unless_they_overwrite() -> None:
    others = keras_tuner.HyperParameters()
    others.Int("units", 1, 9)
    drawn, overwritten = hyperparameters(fixed(units=5)), hyperparameters(fixed(units=5))

    drawn.merge(others, overwrite=False)
    overwritten.merge(others)
    assert (drawn.values, drawn.stored) == ({"units": 5}, {"units": 5})
    assert (overwritten.values, overwritten.stored) == ({"units": 1}, {})


def test_the_defaults_of_conditions_are_the_active_ones() -> None:
    hp = defaults()
    cell(hp)

    original = keras_tuner.HyperParameters()
    cell(original)
    assert hp.values == original.values
    assert hp.stored == {
        "cell/kind": "mlp",
        "cell/depth": 1,
        "cell/0/width": 1,
        "cell/size [cell/kind=mlp]": 8,
        "cell/bias [cell/kind=mlp]": False,
    }
    again = hyperparameters(optuna.trial.FixedTrial(hp.stored))
    cell(again)
    assert again.values == hp.values
