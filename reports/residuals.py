"""Residuals of a forecast and what their four pictures rest on: numpy in, numbers out.

A residual is observed − forecast, in the unit of the series: positive where more was produced than was said. (The
``bias`` of the metrics is the mean of forecast − observed, so it has the other sign.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

N_BINS = 50

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Histogram:
    """Counts of residuals: `edges` (n_bins + 1,), `counts` (n_bins,); mean and standard deviation of all of them."""

    edges: Values
    counts: NDArray[np.int64]
    mean: float
    deviation: float

    def normal_curve(self, at: Values) -> Values:
        """Counts a bin of the normal distribution with this mean and deviation; zeros for constant residuals."""
        if self.deviation == 0:
            return np.zeros_like(at)
        width = self.edges[1] - self.edges[0]
        z = (at - self.mean) / self.deviation
        return np.asarray(self.counts.sum() * width * np.exp(-0.5 * z**2) / (self.deviation * np.sqrt(2 * np.pi)))


@dataclass(frozen=True)
class NormalQuantiles:
    """A normal Q-Q plot: ``theoretical`` (standard normal) against ``ordered`` residuals, both (n,), and a line.

    The line passes through the quartiles: unlike least squares it does not bend after the tails that it is to judge.
    """

    theoretical: Values
    ordered: Values
    slope: float
    intercept: float


@dataclass(frozen=True)
class ResidualSummary:
    """The figures a reading rests on.

    Attributes:
        n: residuals; mean, deviation: in the unit.
        skewness, excess_kurtosis: 0 for a normal distribution; ``None`` when all residuals are equal.
        spread_ratio: standard deviation in the upper third of the forecasts over that in the lower third; 1 = even.
        lag: how many rows lie between the residuals that are compared.
        memory: correlation of residuals `lag` rows apart; near 0 = nothing left to learn there. Errors of forecasts h
            steps ahead overlap when they are less than h rows apart and resemble each other whatever the model.
    """

    n: int
    mean: float
    deviation: float
    skewness: float | None
    excess_kurtosis: float | None
    spread_ratio: float | None
    lag: int
    memory: float | None


def residuals(observed: ArrayLike, forecast: ArrayLike) -> Values:
    """Observed − forecast, of their common shape; NaN where one of them is not finite."""
    seen = np.asarray(observed, dtype=np.float64)
    said = np.asarray(forecast, dtype=np.float64)
    if seen.shape != said.shape:
        raise ValueError(f"`observed` and `forecast` must have one shape; got {seen.shape} and {said.shape}.")
    known = np.isfinite(seen) & np.isfinite(said)
    return np.where(known, np.where(known, seen, 0.0) - np.where(known, said, 0.0), np.nan)


def histogram(values: Values, n_bins: int = N_BINS) -> Histogram:
    """Counts over `n_bins` equal bins from the smallest to the largest residual (both included); NaN is left out.

    Residuals that are all equal get bins of width 1 around them, none at all the bins of [0, 1].
    """
    known = _known(values)
    counts, edges = np.histogram(known, bins=n_bins)
    mean = float(known.mean()) if known.size else 0.0
    return Histogram(edges.astype(np.float64), counts.astype(np.int64), mean, _deviation(known))


def normal_quantiles(values: Values) -> NormalQuantiles:
    """The normal Q-Q plot of the residuals, at Filliben's median positions [1]_; NaN is left out.

    .. [1] J. J. Filliben, Technometrics 17, 111 (1975): the positions of `scipy.stats.probplot`.
    """
    from scipy.special import ndtri

    ordered = np.sort(_known(values))
    n = ordered.size
    if n == 0:
        return NormalQuantiles(np.empty(0), np.empty(0), 0.0, 0.0)
    last = 0.5 ** (1.0 / n)
    positions = (np.arange(1, n + 1) - 0.3175) / (n + 0.365)
    positions[-1] = last
    positions[0] = 1.0 - last
    theoretical = np.asarray(ndtri(positions), dtype=np.float64)
    low, high = np.quantile(ordered, [0.25, 0.75])
    slope = float(high - low) / float(ndtri(0.75) - ndtri(0.25))
    return NormalQuantiles(theoretical, ordered, slope, float(low + high) / 2.0)


def summarise(values: Values, forecast: Values, *, lag: int = 1) -> ResidualSummary:
    """The figures of `ResidualSummary`.

    Args:
        values: (n,) or (n, n_outputs) residuals in time order, NaN where unknown; of several outputs all count, and
            each is compared with its own of `lag` rows before, its mean taken out.
        forecast: of the same shape and unit.
        lag: rows between compared residuals, ≥ 1; the steps ahead of the forecast.
    """
    answered = np.asarray(values, dtype=np.float64)
    present = np.isfinite(answered)
    known = answered[present]
    deviation = _deviation(known)
    if known.size == 0 or deviation == 0:
        mean = float(known.mean()) if known.size else 0.0
        return ResidualSummary(int(known.size), mean, deviation, None, None, None, lag, None)
    z = (known - known.mean()) / deviation
    both = present[lag:] & present[:-lag]
    centred = answered - np.where(present, answered, 0.0).sum(axis=0) / np.maximum(present.sum(axis=0), 1)
    return ResidualSummary(
        n=int(known.size),
        mean=float(known.mean()),
        deviation=deviation,
        skewness=float(np.mean(z**3)),
        excess_kurtosis=float(np.mean(z**4) - 3.0),
        spread_ratio=_spread_ratio(known, np.asarray(forecast, dtype=np.float64)[present]),
        lag=lag,
        memory=_correlation(centred[:-lag][both], centred[lag:][both]),
    )


def reading(summary: ResidualSummary, unit: str) -> str:
    """The residual plots in a sentence or two, each claim with its figure."""
    if summary.n == 0:
        return "There are no residuals to read."
    if summary.skewness is None or summary.excess_kurtosis is None:
        return f"All residuals are the same, {summary.mean:+.3f} {unit}."
    centre = (
        f"The forecast is on average {abs(summary.mean):.3f} {unit} too {'low' if summary.mean > 0 else 'high'}"
        if abs(summary.mean) > 0.1 * summary.deviation
        else f"The forecast is nearly unbiased (mean residual {summary.mean:+.3f} {unit})"
    )
    tails = (
        "large misses are more frequent than a normal distribution would have it (excess kurtosis "
        f"{summary.excess_kurtosis:.1f})"
        if summary.excess_kurtosis > 1
        else f"the tails are about those of a normal distribution (excess kurtosis {summary.excess_kurtosis:.1f})"
    )
    more = []
    if summary.spread_ratio is not None and not 0.67 <= summary.spread_ratio <= 1.5:
        where = "high" if summary.spread_ratio > 1 else "low"
        ratio = max(summary.spread_ratio, 1 / summary.spread_ratio)
        more.append(f"errors are {ratio:.1f} times as wide where the forecast is {where}")
    if summary.memory is not None and summary.memory > 0.3:
        apart = "neighbouring errors" if summary.lag == 1 else f"errors {summary.lag} steps apart"
        more.append(f"{apart} resemble each other (correlation {summary.memory:.2f}): there is more to learn")
    rest = f" {more[0][0].upper()}{'; '.join(more)[1:]}." if more else ""
    return f"{centre}; {tails}.{rest}"


def _known(values: Values) -> Values:
    flat = np.asarray(values, dtype=np.float64).ravel()
    return flat[np.isfinite(flat)]


def _deviation(known: Values) -> float:
    return float(known.std()) if known.size and np.ptp(known) > 0 else 0.0


def _spread_ratio(known: Values, forecast: Values) -> float | None:
    if known.size < 30:
        return None
    low, high = np.quantile(forecast, [1 / 3, 2 / 3])
    lower, upper = _deviation(known[forecast <= low]), _deviation(known[forecast >= high])
    return upper / lower if lower > 0 and upper > 0 else None


def _correlation(left: Values, right: Values) -> float | None:
    if left.size < 3 or np.ptp(left) == 0 or np.ptp(right) == 0:
        return None
    return float(np.corrcoef(left, right)[0, 1])
