from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from greentune.reports.residuals import histogram, normal_quantiles, reading, residuals, summarise

RANDOM = np.random.default_rng(0)


def test_sign_is_observed_minus_forecast() -> None:
    assert residuals([3.0, 1.0], [1.0, 2.0]).tolist() == [2.0, -1.0]


def test_unknown_values_stay_unknown() -> None:
    assert np.isnan(residuals([1.0, np.nan, 1.0], [np.inf, 1.0, 1.0])).tolist() == [True, True, False]


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="one shape"):
        residuals(np.zeros(3), np.zeros((3, 1)))


def test_histogram_has_fifty_bins_and_counts_each_known_residual_once() -> None:
    bins = histogram(np.append(RANDOM.normal(size=500), np.nan))
    assert len(bins.counts) == 50
    assert bins.edges.shape == (51,)
    assert bins.counts.sum() == 500


def test_normal_curve_covers_the_same_area_as_the_bars() -> None:
    bins = histogram(RANDOM.normal(2.0, 3.0, 5000))
    along = np.linspace(bins.edges[0], bins.edges[-1], 2000)
    area = np.trapezoid(bins.normal_curve(along), along)
    assert area == pytest.approx(5000 * np.diff(bins.edges)[0], rel=0.01)


@pytest.mark.parametrize("values", [np.empty(0), np.full(4, 0.1)])
def test_histogram_of_nothing_or_of_a_constant(values: np.ndarray) -> None:
    bins = histogram(values)
    assert bins.counts.sum() == values.size
    assert bins.normal_curve(bins.edges).tolist() == [0.0] * 51


def test_quantiles_are_those_of_scipy() -> None:
    values = RANDOM.normal(size=101)
    ours = normal_quantiles(values)
    theirs, ordered = stats.probplot(values, fit=False)
    assert ours.theoretical == pytest.approx(theirs)
    assert ours.ordered == pytest.approx(ordered)


def test_line_through_the_quartiles_gives_mean_and_deviation_of_a_normal_sample() -> None:
    exact = stats.norm(1.5, 2.0).ppf((np.arange(1, 2000) - 0.5) / 1999)
    plot = normal_quantiles(exact)
    assert plot.intercept == pytest.approx(1.5, abs=1e-3)
    assert plot.slope == pytest.approx(2.0, rel=1e-2)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_quantiles_of_a_handful(n: int) -> None:
    plot = normal_quantiles(np.arange(float(n)))
    assert np.isfinite(plot.theoretical).all()
    assert plot.ordered.size == n


def test_summary_sees_tails_spread_and_memory() -> None:
    forecast = np.tile(np.linspace(0.1, 10, 1000), 2)
    noise = stats.t(3).rvs(size=2000, random_state=1)
    summary = summarise(forecast * noise, forecast)
    assert summary.excess_kurtosis is not None
    assert summary.excess_kurtosis > 1
    assert summary.spread_ratio is not None
    assert summary.spread_ratio > 2
    text = reading(summary, "MW")
    assert "more frequent" in text
    assert "where the forecast is high" in text


def test_memory_is_taken_at_the_lag_of_the_horizon() -> None:
    white = RANDOM.normal(size=5000)
    overlapping = np.convolve(white, np.ones(3), mode="valid")  # what perfect 3-step forecasts leave
    forecast = np.zeros(overlapping.size)
    near, far = summarise(overlapping, forecast), summarise(overlapping, forecast, lag=3)
    assert near.memory == pytest.approx(2 / 3, abs=0.05)
    assert far.memory == pytest.approx(0.0, abs=0.05)
    assert "more to learn" in reading(near, "MW")
    assert "more to learn" not in reading(far, "MW")


def test_all_outputs_count_and_an_output_that_is_off_as_a_whole_has_no_memory() -> None:
    values = RANDOM.normal(size=(2000, 2)) + np.array([9.0, 0.0])
    values[5, 0] = np.nan
    summary = summarise(values, np.zeros(values.shape), lag=2)
    assert summary.n == 3999
    assert summary.mean == pytest.approx(4.5, abs=0.1)
    assert summary.memory == pytest.approx(0.0, abs=0.05)


def test_reading_of_a_biased_forecast_names_the_direction() -> None:
    values = RANDOM.normal(1.0, 1.0, 500)
    assert "too low" in reading(summarise(values, np.zeros(500)), "MW")
    assert "too high" in reading(summarise(-values, np.zeros(500)), "MW")


def test_reading_of_nothing_and_of_a_constant() -> None:
    assert reading(summarise(np.empty(0), np.empty(0)), "MW") == "There are no residuals to read."
    assert "+0.500 MW" in reading(summarise(np.full(9, 0.5), np.zeros(9)), "MW")
