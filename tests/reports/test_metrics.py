from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from greentune.reports import metrics

FINITE = st.floats(-1e6, 1e6, allow_nan=False)
SERIES = arrays.arrays(np.float64, st.integers(1, 30), elements=FINITE)


def test_closed_forms() -> None:
    observed, forecast = np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.0, 2.0, 2.0, 2.0])
    assert metrics.rmse(observed, forecast) == pytest.approx(math.sqrt(6 / 4))
    assert metrics.mae(observed, forecast) == pytest.approx(1.0)
    assert metrics.bias(observed, forecast) == pytest.approx(-0.5)
    assert metrics.r2(observed, forecast) == pytest.approx(1 - 6 / 5)
    assert metrics.nrmse(observed, forecast, 10.0) == pytest.approx(math.sqrt(1.5) / 10)


def test_perfect_forecast_of_a_linear_series() -> None:
    observed = np.linspace(0, 5, 11)
    assert metrics.measure(observed, observed, capacity=5.0) == {
        "n": 11, "rmse": 0.0, "mae": 0.0, "r2": 1.0, "mape": 0.0, "mape_n": 1, "bias": 0.0, "nrmse": 0.0,
    }  # fmt: skip


def test_mean_forecast_explains_nothing() -> None:
    observed = np.array([1.0, 4.0, 7.0])
    assert metrics.r2(observed, np.full(3, 4.0)) == pytest.approx(0.0)


def test_outputs_are_pooled() -> None:
    observed, forecast = np.zeros((2, 2)), np.array([[0.0, 2.0], [0.0, 0.0]])
    assert metrics.rmse(observed, forecast) == pytest.approx(1.0)


def test_constant_observations_have_no_r2() -> None:
    assert metrics.r2(np.full(5, 0.1), np.arange(5.0)) is None


def test_nothing_observed_gives_none() -> None:
    for observed in (np.empty(0), np.full(3, np.nan)):
        values = metrics.measure(observed, np.zeros(observed.shape), capacity=1.0)
        assert values.pop("n") == 0
        assert values.pop("mape_n") == 0
        assert set(values.values()) == {None}


def test_observed_gaps_are_left_out() -> None:
    assert metrics.rmse([1.0, np.nan, 3.0], [1.0, 99.0, 5.0]) == pytest.approx(math.sqrt(2))


@pytest.mark.parametrize("nonsense", [np.nan, np.inf, -np.inf])
def test_a_forecast_that_is_not_finite_is_not_judged_by_its_good_hours(nonsense: float) -> None:
    values = metrics.measure([1.0, 2.0], [1.0, nonsense], capacity=4.0)
    assert [values[name] for name in ("rmse", "mae", "r2", "mape", "bias", "nrmse")] == [None] * 6


def test_nonsense_in_a_gap_does_not_matter() -> None:
    assert metrics.mae([1.0, np.nan], [2.0, np.nan]) == pytest.approx(1.0)


def test_overflow_is_none_not_inf() -> None:
    with np.errstate(over="ignore"):
        assert metrics.rmse([0.0], [1e200]) is None


def test_mape_leaves_out_hours_below_one_percent_of_the_capacity() -> None:
    observed, forecast = [0.0, 0.0999, 0.1, -2.0], [5.0, 5.0, 0.2, -1.0]
    floor = metrics.mape_floor(observed, 10.0)
    assert floor == pytest.approx(0.1)
    assert metrics.mape(observed, forecast, floor) == (pytest.approx((100 + 50) / 2), 2)


def test_mape_floor_without_capacity_is_one_percent_of_the_largest_size() -> None:
    assert metrics.mape_floor([1.0, -50.0, np.nan], None) == pytest.approx(0.5)
    assert metrics.mape_floor([np.nan], None) == 0.0


def test_mape_of_a_dead_calm_is_none() -> None:
    assert metrics.mape([0.0, 0.0], [1.0, 1.0], 0.0) == (None, 2)


@pytest.mark.parametrize("capacity", [None, 0.0, -1.0, np.nan])
def test_nrmse_without_a_positive_capacity_is_none(capacity: float | None) -> None:
    assert metrics.nrmse([1.0], [2.0], capacity) is None


@pytest.mark.parametrize(
    ("error", "reference", "expected"),
    [(1.0, 2.0, 0.5), (2.0, 1.0, -1.0), (0.0, 1.0, 1.0), (1.0, 0.0, None), (None, 1.0, None), (1.0, None, None)],
)
def test_skill(error: float | None, reference: float | None, expected: float | None) -> None:
    assert metrics.skill(error, reference) == expected


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="one shape"):
        metrics.rmse([1.0, 2.0], [[1.0], [2.0]])


@given(SERIES, FINITE)
def test_shifting_a_forecast_shifts_its_bias(observed: np.ndarray, shift: float) -> None:
    assert metrics.bias(observed, observed + shift) == pytest.approx(shift, abs=1e-6)


@given(SERIES, SERIES)
def test_rmse_is_never_below_mae_and_json_never_holds_nan(one: np.ndarray, other: np.ndarray) -> None:
    n = min(one.size, other.size)
    values = metrics.measure(one[:n], other[:n], capacity=3.0)
    json.dumps(values, allow_nan=False)
    assert values["rmse"] is not None
    assert values["mae"] is not None
    assert values["rmse"] >= values["mae"] * (1 - 1e-9) - 1e-100  # squares below 1e-308 vanish
