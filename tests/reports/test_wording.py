from __future__ import annotations

from typing import Any

import pytest

from greentune.reports.wording import (
    EXPLAINED,
    NAMES,
    duration,
    headline,
    horizon,
    interval,
    lost_to,
    number,
    percent,
    probability,
    setting,
    steps,
    varied,
    verdict,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.75649, "0.756"),
        (-0.05, "−0.050"),
        (0.0, "0.000"),
        (1e-5, "1e−05"),
        (123456.0, "1.23e+05"),
        (None, "–"),
        (1234, "1,234"),
    ],
)
def test_number(value: float | None, expected: str) -> None:
    assert number(value) == expected


def test_percent() -> None:
    assert percent(0.2734) == "27\u00a0%"
    assert percent(-0.0123, 1) == "−1.2\u00a0%"
    assert percent(None) == "–"


@pytest.mark.parametrize(
    ("value", "expected"),
    [([64, 32], "[64, 32]"), (0.0005, "0.0005"), (True, "true"), ("adam", "adam"), (None, "null"), (16, "16")],
)
def test_setting(value: object, expected: str) -> None:
    assert setting(value) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.4, "0 s"), (59.6, "1 min 0 s"), (432.0, "7 min 12 s"), (11_100.0, "3 h 5 min"), (None, "–")],
)
def test_duration(seconds: float | None, expected: str) -> None:
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("count", "seconds", "expected"),
    [
        (3, 3600.0, "3 hours"),
        (1, 3600.0, "1 hour"),
        (24, 3600.0, "24 hours"),
        (48, 3600.0, "2 days"),
        (3, 900.0, "45 minutes"),
        (1, 30.0, "30 seconds"),
        (3, None, "3 steps"),
    ],
)
def test_steps(count: int, seconds: float | None, expected: str) -> None:
    assert steps(count, seconds) == expected


def test_parameters_of_a_table_that_differ_and_those_that_do_not() -> None:
    points = [{"units": [4], "rate": 0.1, "loss": "mse"}, {"units": [8], "rate": 0.1}]
    assert varied(points) == (["units", "loss"], ["rate = 0.1"])
    assert varied(points[:1]) == (["units", "rate", "loss"], [])


def test_horizon() -> None:
    assert horizon((3,), 3600.0) == "3 hours ahead"
    assert horizon((1, 2, 3), 3600.0) == "1 hour to 3 hours ahead"
    assert horizon((), None) == ""


def evaluation(rmse: float | None, skill: float | None, yesterday: float = 0.5) -> dict[str, Any]:
    return {
        "part": "test",
        "units": "MW",
        "test": {"rmse": rmse, "skill": skill},
        "baselines": {"persistence": {"skill": skill}, "same_hour_yesterday": {"skill": yesterday}},
    }


@pytest.mark.parametrize(
    ("values", "says", "beats"),
    [
        (
            evaluation(0.756, 0.27),
            "beats persistence: it misses by 0.756\u00a0MW (RMSE) on the test part, 27\u00a0% less",
            True,
        ),
        (evaluation(1.03, 0.004), "barely beats persistence", True),
        (evaluation(1.2, -0.16), "does not beat persistence", False),
        (evaluation(1.2, 0.0), "does not beat persistence", False),
        (evaluation(0.9, 0.2, -0.1), "but not same hour yesterday", True),
        (evaluation(0.1, None), "cannot be known", None),
        (evaluation(None, None), "could not be judged", None),
    ],
)
def test_headline_says_plainly_whether_it_beats_persistence(
    values: dict[str, Any], says: str, beats: bool | None
) -> None:
    text, verdict = headline(values, "3 hours ahead")
    assert says in text
    assert verdict is beats


def test_headline_says_how_sure_the_error_is() -> None:
    values = evaluation(0.756, 0.27)
    values["test"]["rmse_ci"] = [0.71, 0.8]
    assert "0.756\u00a0MW (RMSE; 95\u00a0% interval 0.710 to 0.800) on the test part" in headline(values, "")[0]


def test_headline_says_when_gradient_boosting_is_better() -> None:
    values = evaluation(0.8, 0.25)
    values["baselines"]["gradient_boosting"] = {"skill": -0.02}
    text, beats = headline(values, "3 hours ahead")
    assert text.startswith("The forecast 3 hours ahead beats persistence, but not gradient boosting: it misses")
    assert beats is True
    assert lost_to(values) == ["gradient_boosting"]
    values["baselines"] |= {name: {"skill": -0.1} for name in ("same_hour_yesterday", "climatology")}
    assert ", but not same hour yesterday, gradient boosting or climatology: it" in headline(values, "")[0]


@pytest.mark.parametrize(
    ("skill", "p_value", "says"),
    [
        (0.031, 0.004, "significantly better than the best baseline, gradient boosting: 3.1\u00a0% less RMSE"),
        (-0.031, 0.0004, "significantly worse than the best baseline, gradient boosting: 3.1\u00a0% more RMSE"),
        (0.031, 0.0004, "(Diebold-Mariano, p < 0.001)"),
        (0.005, 0.41, "neither significantly better nor worse"),
        (-0.005, 0.05, "neither significantly better nor worse"),
        (0.2, None, "cannot be tested on so few windows"),
        (None, None, "cannot be known"),
    ],
)
def test_verdict(skill: float | None, p_value: float | None, says: str) -> None:
    assert says in verdict("gradient_boosting", skill, p_value)


@pytest.mark.parametrize(("value", "expected"), [(0.0312, "p = 0.031"), (0.0009, "p < 0.001"), (None, "–")])
def test_probability(value: float | None, expected: str) -> None:
    assert probability(value) == expected


def test_interval() -> None:
    assert interval([0.7126, 0.8]) == "0.713 to 0.800"
    assert interval(None) == ""


def test_every_baseline_is_explained_in_one_sentence() -> None:
    assert EXPLAINED.keys() == NAMES.keys()
    assert all(text.endswith(".") and ". " not in text for text in EXPLAINED.values())
