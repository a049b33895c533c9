from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from greentune.reports import significance
from greentune.reports.significance import (
    MIN_WINDOWS,
    N_RESAMPLES,
    DieboldMariano,
    block_length,
    diebold_mariano,
    difference_interval,
    error_intervals,
    skill_interval,
)

WEEK = 168


def autoregressive(random: np.random.Generator, shape: tuple[int, int], memory: float) -> np.ndarray:
    """(series, n) of an AR(1) process with variance 1: each value is `memory` times the one before, plus noise."""
    n_before = 100
    noise = random.standard_normal((shape[0], shape[1] + n_before)) * np.sqrt(1 - memory**2)
    values = np.empty_like(noise)
    values[:, 0] = noise[:, 0]
    for i in range(1, values.shape[1]):
        values[:, i] = memory * values[:, i - 1] + noise[:, i]
    return values[:, n_before:]


def column(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)[:, None]


@pytest.mark.parametrize(
    ("n", "seconds", "longest_step", "expected"),
    [
        (2600, 3600.0, 3, 168),  # a week of hours
        (9000, 900.0, 4, 672),  # a week of quarters of an hour
        (400, 86_400.0, 1, 7),  # a week of days
        (400, 86_400.0, 10, 20),  # twice the steps ahead
        (600, 3600.0, 3, 60),  # at least ten blocks
        (2500, None, 1, 50),  # arrays without times: √n
        (1_000_000, 3600.0, 3, 2000),  # at most five hundred blocks
        (0, None, 1, 1),
        (5, 3600.0, 3, 1),
    ],
)
def test_block_length(n: int, seconds: float | None, longest_step: int, expected: int) -> None:
    assert block_length(n, step_seconds=seconds, longest_step=longest_step) == expected


def test_resampled_sums_are_those_of_the_drawn_windows() -> None:
    """Against the plain way: gather the windows of each resample, add them up."""
    n, block = 47, 4
    columns = np.random.default_rng(0).random((n, 2))
    sums, n_blocks = significance._resampled(columns, block)
    random = np.random.Generator(np.random.PCG64(significance._SEED))
    starts = random.integers(n, size=(N_RESAMPLES, n // block + 1))
    for resample in (0, 1, 1999):
        rows = np.concatenate([np.arange(start, start + block) for start in starts[resample]])[:n] % n
        assert sums[resample] == pytest.approx(columns[rows].sum(axis=0))
    assert n_blocks == n / block


@given(arrays(np.float64, 40, elements=st.floats(0.0, 10.0)), st.integers(1, 4))
def test_equal_weights_are_kept_by_every_resample(values: np.ndarray, block: int) -> None:
    sums, _ = significance._resampled(np.column_stack([np.ones(40), values]), block)
    assert (sums[:, 0] == 40).all()
    assert sums[:, 1].min() >= 40 * values.min() - 1e-9
    assert sums[:, 1].max() <= 40 * values.max() + 1e-9


def test_errors_of_one_size_have_no_width() -> None:
    signs = np.resize([1.0, -1.0], 100)
    rmse, mae = error_intervals(column(np.zeros(100)), column(2.0 * signs), 5)
    assert rmse == pytest.approx((2.0, 2.0))
    assert mae == pytest.approx((2.0, 2.0))


def test_independent_errors_give_the_interval_of_the_books() -> None:
    """Mean absolute error of 4,000 independent normal errors: √(2/π) ± 1.96 √((1 − 2/π) / n)."""
    errors = np.random.default_rng(4).standard_normal(4000)
    _, mae = error_intervals(column(np.zeros(4000)), column(errors), 8)
    assert mae is not None
    half = 1.96 * np.sqrt((1 - 2 / np.pi) / 4000)
    assert (mae[1] - mae[0]) / 2 == pytest.approx(half, rel=0.1)
    assert sum(mae) / 2 == pytest.approx(np.abs(errors).mean(), abs=0.1 * half)


@pytest.mark.parametrize("memory", [0.0, 0.8, 0.95])
def test_intervals_cover_the_truth_about_as_often_as_they_say(memory: float) -> None:
    n = 2000
    errors = autoregressive(np.random.default_rng(1), (200, n), memory)
    block = block_length(n, step_seconds=3600.0, longest_step=3)
    zeros = column(np.zeros(n))
    found = [error_intervals(zeros, column(series), block)[0] for series in errors]
    assert 0.90 <= np.mean([one is not None and one[0] <= 1.0 <= one[1] for one in found]) <= 0.99


def test_single_windows_would_promise_too_much() -> None:
    """The mutation: with blocks of one window the same errors are covered far too seldom."""
    n = 400
    errors = autoregressive(np.random.default_rng(1), (100, n), 0.95)
    found = [error_intervals(column(np.zeros(n)), column(series), 1)[0] for series in errors]
    assert np.mean([one is not None and one[0] <= 1.0 <= one[1] for one in found]) < 0.6


def test_interval_of_the_skill_covers_it() -> None:
    """Errors of 0.8 against errors of 1 that move together: the skill is 0.2."""
    n, memory = 1500, 0.7
    random = np.random.default_rng(2)
    common, own, other = (autoregressive(random, (150, n), memory) for _ in range(3))
    model, baseline = 0.8 * (0.9 * common + np.sqrt(0.19) * own), 0.9 * common + np.sqrt(0.19) * other
    block = block_length(n, step_seconds=3600.0, longest_step=3)
    zeros = column(np.zeros(n))
    found = [skill_interval(zeros, column(a), column(b), block) for a, b in zip(model, baseline, strict=True)]
    assert 0.89 <= np.mean([one is not None and one[0] <= 0.2 <= one[1] for one in found]) <= 0.99


def test_model_and_baseline_are_drawn_together() -> None:
    """Errors that are always half as large: whatever is drawn, the skill is a half."""
    errors = autoregressive(np.random.default_rng(3), (1, 500), 0.9)[0]
    assert skill_interval(column(np.zeros(500)), column(errors / 2), column(errors), 24) == pytest.approx((0.5, 0.5))


def test_same_figures_come_back() -> None:
    errors = column(np.random.default_rng(5).standard_normal(300))
    assert error_intervals(np.zeros((300, 1)), errors, 20) == error_intervals(np.zeros((300, 1)), errors, 20)


@pytest.mark.parametrize(("n", "memory"), [(300, 0.0), (300, 0.7), (1500, 0.9)])
def test_equally_good_forecasts_differ_significantly_about_one_time_in_twenty(n: int, memory: float) -> None:
    random = np.random.default_rng(6)
    first, second = (autoregressive(random, (600, n), memory) for _ in range(2))
    zeros = column(np.zeros(n))
    p_values = [
        diebold_mariano(zeros, column(a), column(b), 3).p_value or 0.0 for a, b in zip(first, second, strict=True)
    ]
    assert 0.025 <= np.mean(np.array(p_values) < 0.05) <= 0.09


@pytest.mark.parametrize(("better", "sign"), [(0.8, 1.0), (1.25, -1.0)])
def test_a_better_forecast_is_found_and_the_sign_says_which(better: float, sign: float) -> None:
    n = 1000
    random = np.random.default_rng(7)
    model, baseline = better * autoregressive(random, (100, n), 0.7), autoregressive(random, (100, n), 0.7)
    zeros = column(np.zeros(n))
    tests = [diebold_mariano(zeros, column(a), column(b), 3) for a, b in zip(model, baseline, strict=True)]
    found = [one.p_value is not None and one.p_value < 0.05 and sign * (one.statistic or 0) > 0 for one in tests]
    assert np.mean(found) > 0.9


def test_statistic_of_alternating_losses_in_closed_form() -> None:
    """One lag on losses 1, 3, 1, 3 …: autocovariances 1 and −(n − 1) / n, the variance 1 − (n − 1) / n = 1 / n."""
    n = 40
    losses = np.resize([1.0, 3.0], n)
    assert significance._newey_west(losses, 1) == pytest.approx(1.0 / n)
    assert significance._newey_west(losses, 0) == pytest.approx(1.0)


def test_statistic_is_the_documented_one() -> None:
    """Mean over its standard error, √ of the correction for the lags, two sides of Student's t."""
    from scipy.stats import t

    n, steps = 120, 20
    random = np.random.default_rng(8)
    observed, forecast, baseline = (random.standard_normal((n, 2)) for _ in range(3))
    difference = ((baseline - observed) ** 2 - (forecast - observed) ** 2).mean(axis=1)
    centred = difference - difference.mean()
    lags = max(steps - 1, int(np.ceil(1.3 * np.sqrt(n))))
    variance = np.mean(centred**2) + 2 * sum(
        (1 - lag / (lags + 1)) * np.sum(centred[lag:] * centred[:-lag]) / n for lag in range(1, lags + 1)
    )
    h = lags + 1
    statistic = difference.mean() / np.sqrt(variance / n) * np.sqrt((n + 1 - 2 * h + h * (h - 1) / n) / n)
    found = diebold_mariano(observed, forecast, baseline, steps)
    assert found.statistic == pytest.approx(statistic)
    assert found.p_value == pytest.approx(2 * t.sf(abs(statistic), n - 1))


def test_identical_forecasts_are_equally_good() -> None:
    values = np.random.default_rng(9).standard_normal((100, 1))
    assert diebold_mariano(np.zeros((100, 1)), values, values, 3) == DieboldMariano(0.0, 1.0)
    assert skill_interval(np.zeros((100, 1)), values, values, 5) == (0.0, 0.0)


def test_a_difference_that_never_varies_cannot_be_tested() -> None:
    zeros = np.zeros((100, 1))
    assert diebold_mariano(zeros, zeros + 0.1, zeros + 0.3, 1) == DieboldMariano(None, None)


def test_too_few_windows_give_nothing() -> None:
    values = np.random.default_rng(10).standard_normal((MIN_WINDOWS - 1, 1))
    zeros = np.zeros_like(values)
    assert error_intervals(zeros, values, 3) == (None, None)
    assert skill_interval(zeros, values, values + 1, 3) is None
    assert diebold_mariano(zeros, values, values + 1, 1) == DieboldMariano(None, None)
    assert error_intervals(np.zeros((0, 1)), np.zeros((0, 1)), 1) == (None, None)


def test_fewer_windows_than_two_horizons_cannot_be_tested() -> None:
    random = np.random.default_rng(11)
    observed, forecast, baseline = (random.standard_normal((60, 1)) for _ in range(3))
    assert diebold_mariano(observed, forecast, baseline, 30).p_value is None
    assert diebold_mariano(observed, forecast, baseline, 29).p_value is not None


def test_unknown_values_of_a_baseline_are_left_out_for_both() -> None:
    random = np.random.default_rng(12)
    observed, forecast, baseline = (random.standard_normal((200, 1)) for _ in range(3))
    holed, wild = baseline.copy(), forecast.copy()
    holed[20:60] = np.nan
    wild[20:60] = 1e6
    kept = np.r_[0:20, 60:200]
    without = [values[kept] for values in (observed, forecast, baseline)]
    assert diebold_mariano(observed, wild, holed, 3) == diebold_mariano(*without, 3)
    assert skill_interval(observed, wild, holed, 10) == skill_interval(*without, 10)


def test_a_baseline_that_knows_hardly_anything_gives_nothing() -> None:
    observed = np.random.default_rng(13).standard_normal((200, 1))
    baseline = np.full((200, 1), np.nan)
    baseline[:10] = 0.0
    assert skill_interval(observed, observed * 0.5, baseline, 10) is None
    assert diebold_mariano(observed, observed * 0.5, baseline, 3) == DieboldMariano(None, None)


def test_a_model_that_answers_nan_gets_nothing() -> None:
    observed = np.random.default_rng(14).standard_normal((200, 1))
    forecast = observed * 0.5
    forecast[7] = np.nan
    assert error_intervals(observed, forecast, 10) == (None, None)
    assert skill_interval(observed, forecast, observed * 0, 10) is None
    assert diebold_mariano(observed, forecast, observed * 0, 3).p_value is None


def test_unknown_observations_are_left_out() -> None:
    random = np.random.default_rng(15)
    observed, forecast = (random.standard_normal((200, 2)) for _ in range(2))
    holed = observed.copy()
    holed[:50] = np.nan
    assert error_intervals(holed, forecast, 10) == error_intervals(observed[50:], forecast[50:], 10)


def test_a_perfect_baseline_has_no_skill_to_measure() -> None:
    observed = np.random.default_rng(16).standard_normal((200, 1))
    assert skill_interval(observed, observed + 1.0, observed, 10) is None


def test_difference_of_two_forecasts_is_drawn_window_by_window() -> None:
    random = np.random.default_rng(3)
    observed, error = column(random.standard_normal(500)), column(random.standard_normal(500))
    assert difference_interval(observed, observed + error, observed + error, 20) == (0.0, 0.0)
    ends = difference_interval(observed, observed + 1.1 * error, observed + error, 20)
    assert ends is not None
    alone, _ = error_intervals(observed, observed + error, 20)
    assert alone is not None
    assert ends == pytest.approx((0.1 * alone[0], 0.1 * alone[1])), "what makes a window hard for both cancels out"
    assert difference_interval(observed[:10], observed[:10], observed[:10], 2) is None
    gap = np.where(np.arange(500)[:, None] < 100, np.nan, observed + error)
    rest = difference_interval(observed[100:], observed[100:], (observed + error)[100:], 20)
    assert difference_interval(observed, observed, gap, 20) == rest
