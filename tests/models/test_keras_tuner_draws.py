"""Whatever a trial proposes, the value handed out is one of KerasTuner's, and what is stored gives it again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras_tuner
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras_tuner.engine import hyperparameters as kinds

from greentune.models import ModelError
from greentune.models.keras_tuner import defaults, hyperparameters
from greentune.models.keras_tuner_draws import Drawing, drawing_of, stored_name

Ask = Callable[[keras_tuner.HyperParameters], Any]

LISTED: dict[str, Ask] = {
    "boolean": lambda hp: hp.Boolean("x", default=True),
    "choice of words": lambda hp: hp.Choice("x", ["adam", "sgd", "adam"], default="sgd"),
    "choice of ints": lambda hp: hp.Choice("x", [1, 2, 4], default=4),
    "choice of floats": lambda hp: hp.Choice("x", [1.0, 2.0, 0.5]),
    "choice of truth values": lambda hp: hp.Choice("x", [True, False], default=False),
    "int": lambda hp: hp.Int("x", -2, 5, default=3),
    "int of one": lambda hp: hp.Int("x", 7, 7),
    "int, no sampling named": lambda hp: hp.Int("x", 1, 5, sampling=None),
    "int, step": lambda hp: hp.Int("x", 6, 13, step=3, default=9),
    "int, log, step": lambda hp: hp.Int("x", 2, 40, step=2, sampling="log", default=8),
    "int, reverse log, step": lambda hp: hp.Int("x", 2, 32, step=2, sampling="reverse_log"),
    "float, step": lambda hp: hp.Float("x", 0.0, 0.6, step=0.1, default=0.5),
    "float, whole step": lambda hp: hp.Float("x", 1, 9, step=2),
    "float, step without decimals": lambda hp: hp.Float("x", 1 / 3, 2, step=1 / 7),
    "float, step beyond the range": lambda hp: hp.Float("x", 0.1, 0.2, step=1.0),
    "float, log, step": lambda hp: hp.Float("x", 1e-3, 10, step=10, sampling="log", default=1e-2),
    "float, reverse log, step": lambda hp: hp.Float("x", 1e-3, 10, step=10, sampling="reverse_log"),
}
SPANS: dict[str, Ask] = {
    "int, log": lambda hp: hp.Int("x", 1, 1000, sampling="log", default=30),
    "int, reverse log": lambda hp: hp.Int("x", 1, 1000, sampling="reverse_log", default=900),
    "float": lambda hp: hp.Float("x", -1, 3, default=0.25),
    "float of one": lambda hp: hp.Float("x", 2.5, 2.5),
    "float, log": lambda hp: hp.Float("x", 1e-5, 1e-1, sampling="log", default=1e-3),
    "float, reverse log": lambda hp: hp.Float("x", 1e-5, 1e-1, sampling="reverse_log", default=0.09),
}
ALL = LISTED | SPANS
EACH_KIND = pytest.mark.parametrize("ask", ALL.values(), ids=ALL)


class Quantile:
    """Proposes the value at a cumulative probability of the distribution asked for."""

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return choices[int(self.probability * len(choices))]

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        if log:
            return int(low * ((high + 1) / low) ** self.probability)
        return low + step * int(self.probability * ((high - low) // step + 1))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        if log:
            return low * (high / low) ** self.probability
        if step is not None:
            return low + step * int(self.probability * (round((high - low) / step) + 1))
        return low + self.probability * (high - low)


def registered(ask: Ask) -> Any:
    """KerasTuner's own object for the call."""
    hp = keras_tuner.HyperParameters()
    ask(hp)
    return hp.space[0]


def drawing(ask: Ask) -> Drawing:
    found = drawing_of(registered(ask))
    assert found is not None
    return found


def listed_values(ask: Ask) -> list[Any]:
    """Every value that KerasTuner can draw, in order, by asking for each place of a fine grid of probabilities."""
    original = registered(ask)
    return list(dict.fromkeys(original.prob_to_value((place + 0.5) / 4096) for place in range(4096)))


def study(sampler: optuna.samplers.BaseSampler) -> optuna.Study:
    return optuna.create_study(sampler=sampler)


@EACH_KIND
@pytest.mark.parametrize("probability", [0.03, 0.3, 0.55, 0.97])
def test_the_distribution_is_that_of_keras_tuner(ask: Ask, probability: float) -> None:
    original = registered(ask)
    mirrored = getattr(original, "sampling", None) == "reverse_log" and original.step is None
    value = ask(hyperparameters(Quantile(1 - probability if mirrored else probability)))

    expected = original.prob_to_value(probability)
    assert type(value) is type(expected)
    if ask is SPANS["int, reverse log"]:  # rounded down before the mirror, not behind it
        assert abs(value - expected) <= 1
    else:
        assert value == pytest.approx(expected)


@pytest.mark.parametrize("ask", LISTED.values(), ids=LISTED)
def test_every_listed_value_can_be_stored_and_comes_back_exactly(ask: Ask) -> None:
    values, way = listed_values(ask), drawing(ask)

    back = [way.value_of(way.stored_for(value)) for value in values]
    assert back == values
    assert [type(value) for value in back] == [type(value) for value in values]


@EACH_KIND
@pytest.mark.parametrize("sampler", [optuna.samplers.RandomSampler, optuna.samplers.TPESampler])
def test_a_real_trial_gives_legal_values_and_its_parameters_give_them_again(
    ask: Ask, sampler: type[optuna.samplers.BaseSampler]
) -> None:
    searching = study(sampler(seed=1))  # type: ignore[call-arg]  # every sampler used here takes a seed
    original, seen = registered(ask), set()
    for _ in range(14):  # TPE draws its first ten at random
        trial = searching.ask()
        hp = hyperparameters(trial)
        value = ask(hp)
        again = hyperparameters(optuna.trial.FixedTrial(trial.params))
        ask(again)
        searching.tell(trial, float(original.value_to_prob(value)))
        seen.add(value)
        assert hp.values == again.values == {"x": value}
        assert hp.stored == trial.params
        assert type(value) is type(original.prob_to_value(0.5))

    if ask in SPANS.values():
        assert all(original.min_value <= value <= original.max_value for value in seen)
    else:
        assert seen <= set(listed_values(ask))


@EACH_KIND
def test_the_defaults_are_those_of_keras_tuner_and_a_ticket_with_them_gives_them(ask: Ask) -> None:
    hp = defaults()
    value = ask(hp)
    assert value == pytest.approx(registered(ask).default)

    searching = study(optuna.samplers.RandomSampler(seed=1))
    searching.enqueue_trial(hp.stored)
    ticket = hyperparameters(searching.ask())
    assert ask(ticket) == value
    assert ticket.stored == hp.stored


@pytest.mark.parametrize(
    ("ask", "nearest"),
    [
        (lambda hp: hp.Int("x", 1, 10, step=3, default=6), 7),
        (lambda hp: hp.Int("x", 1, 10, default=64), 10),
        (lambda hp: hp.Int("x", 2, 32, step=2, sampling="log", default=9), 8),
        (lambda hp: hp.Float("x", 0, 1, default=-3), 0.0),
        (lambda hp: hp.Float("x", 0.0, 0.6, step=0.1, default=0.6), 0.5),
        (lambda hp: hp.Float("x", 1, 8, sampling="reverse_log", default=9), 8.0),
    ],
)
def test_a_default_that_cannot_be_drawn_moves_to_the_nearest_value(ask: Ask, nearest: float) -> None:
    assert ask(defaults()) == nearest


def test_a_mirrored_number_is_dense_at_the_upper_end() -> None:
    ask = SPANS["float, reverse log"]
    trial = optuna.trial.FixedTrial({"x": 1e-5})
    assert ask(hyperparameters(trial)) == 0.1


def test_a_fixed_value_is_not_stored() -> None:
    hp = hyperparameters(optuna.trial.FixedTrial({}))

    assert hp.Fixed("epochs", 3) == 3
    assert (hp.values, hp.stored) == ({"epochs": 3}, {})


def test_a_step_that_is_none_is_refused() -> None:
    with pytest.raises(ModelError, match=r"`step` must be above 0; hyperparameter 'x' has step=0\."):
        defaults().Float("x", 0, 1, step=0)


def test_choices_that_change_from_trial_to_trial_are_refused_with_a_way_out() -> None:
    searching = study(optuna.samplers.RandomSampler(seed=1))
    hyperparameters(searching.ask()).Choice("kernel", [3, 5])

    with pytest.raises(ModelError, match=r"'kernel' could not be drawn: .*conditional_scope"):
        hyperparameters(searching.ask()).Choice("kernel", [3, 5, 7])


def test_the_stored_name_has_every_condition_and_fits_into_the_table() -> None:
    hp = keras_tuner.HyperParameters()
    hp.Choice("kind", ["mlp", "cnn"])
    hp.Boolean("deep", parent_name="kind", parent_values=["mlp", "cnn"])
    with hp.conditional_scope("kind", ["mlp", "cnn"]), hp.conditional_scope("deep", False):
        hp.Int("units", 1, 2)
    assert [stored_name(known) for known in hp.space] == [
        "kind",
        "deep [kind=mlp|cnn]",
        "units [kind=mlp|cnn, deep=False]",
    ]

    hp.Choice("city", [f"place {number}" for number in range(100)])
    for last in (50, 51):
        hp.Int("x", 1, 2, parent_name="city", parent_values=[f"place {number}" for number in range(last)])
    names = [stored_name(known) for known in hp.space[-2:]]
    assert len(set(names)) == 2
    assert all(name.startswith("x [") and len(name) <= 512 for name in names)


@st.composite
def numbers(draw: st.DrawFn) -> Ask:
    """Any Int or Float that KerasTuner takes."""
    whole, sampling = draw(st.booleans()), draw(st.sampled_from(["linear", "log", "reverse_log"]))
    smallest = -50 if sampling == "linear" else 1
    low = draw(st.integers(smallest, 50) if whole else st.floats(smallest if smallest < 0 else 1e-6, 50))
    width = draw(st.integers(0, 60) if whole else st.floats(0, 60))
    least = 1e-2 if sampling == "linear" else 1.05
    step = draw(st.none() | (st.integers(1 if sampling == "linear" else 2, 9) if whole else st.floats(least, 9)))
    arguments = {"min_value": low, "max_value": low + width, "step": step, "sampling": sampling}
    kind = "Int" if whole else "Float"
    return lambda hp: getattr(hp, kind)("x", **arguments)


@given(numbers(), st.integers(0, 1000))
def test_any_number_is_one_of_keras_tuners_and_comes_back(ask: Ask, seed: int) -> None:
    trial = study(optuna.samplers.RandomSampler(seed=seed)).ask()
    value = ask(hyperparameters(trial))

    original = registered(ask)
    assert isinstance(original, kinds.Int | kinds.Float)
    assert ask(hyperparameters(optuna.trial.FixedTrial(trial.params))) == value
    if original.step is None:
        assert original.min_value <= value <= original.max_value
    else:
        assert value in [type(value)(listed) for listed in original.values]
    at_rest = defaults()
    assert ask(at_rest) == ask(hyperparameters(optuna.trial.FixedTrial(at_rest.stored)))
