"""How far forecasts are from what was observed: numpy in, numbers out.

Every function takes ``observed`` and ``forecast`` of one shape, (n,) or (n, n_outputs), in one unit; all
elements count alike. The edges are the same everywhere:

* an observed NaN is a gap: the pair is left out;
* a forecast that is NaN or infinite where the observation is known gives ``None``: a model that answers nonsense
  now and then must not be judged by its good hours;
* no pair at all gives ``None``; so does a result that is not finite.

``None`` rather than NaN, because the numbers go into JSON.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

MAPE_FLOOR = 0.01
"""Share of the capacity below which an hour does not count in MAPE (night, calm)."""

Metrics = dict[str, float | None]


def rmse(observed: ArrayLike, forecast: ArrayLike) -> float | None:
    """Root of the mean squared error, in the unit of the series."""
    error = _errors(observed, forecast)
    return None if error is None else _finite(np.sqrt(np.mean(np.square(error))))


def mae(observed: ArrayLike, forecast: ArrayLike) -> float | None:
    """Mean absolute error, in the unit of the series."""
    error = _errors(observed, forecast)
    return None if error is None else _finite(np.mean(np.abs(error)))


def bias(observed: ArrayLike, forecast: ArrayLike) -> float | None:
    """Mean of forecast − observed, in the unit of the series: positive when the forecast is too high."""
    error = _errors(observed, forecast)
    return None if error is None else _finite(np.mean(error))


def r2(observed: ArrayLike, forecast: ArrayLike) -> float | None:
    """1 − squared error / variance of the observations (pooled over outputs); ``None`` when these are constant."""
    known, error = _pairs(observed, forecast)
    if error is None or np.ptp(known) == 0:
        return None
    spread = np.sum(np.square(known - known.mean()))
    # Values that differ by less than 1e-154 have squares of zero.
    return _finite(1.0 - np.sum(np.square(error)) / spread) if spread > 0 else None


def nrmse(observed: ArrayLike, forecast: ArrayLike, capacity: float | None) -> float | None:
    """RMSE as a fraction of the capacity (in the same unit); ``None`` when the capacity is unknown or not positive."""
    error = rmse(observed, forecast)
    if error is None or capacity is None or not capacity > 0:
        return None
    return _finite(error / capacity)


def mape(observed: ArrayLike, forecast: ArrayLike, floor: float) -> tuple[float | None, int]:
    """Mean absolute error as a percentage of the observation, over the hours where |observed| ≥ ``floor``.

    Args:
        floor: in the unit of the series, included; see `mape_floor`. Observations of exactly zero never count.

    Returns:
        the percentage (``None`` when no hour reaches the floor) and how many known hours were left out.
    """
    known, error = _pairs(observed, forecast)
    size = np.abs(known)
    counts = (size >= floor) & (size > 0)
    n_left_out = int(known.size - np.count_nonzero(counts))
    if error is None or not counts.any():
        return None, n_left_out
    return _finite(100.0 * np.mean(np.abs(error[counts]) / size[counts])), n_left_out


def mape_floor(observed: ArrayLike, capacity: float | None) -> float:
    """1 % of the capacity, or of the largest |observed| where the capacity is unknown; 0 when nothing is known."""
    if capacity is not None and capacity > 0:
        return MAPE_FLOOR * capacity
    known = _known(observed)
    return MAPE_FLOOR * float(np.abs(known).max()) if known.size else 0.0


def skill(error: float | None, reference_error: float | None) -> float | None:
    """1 − RMSE / RMSE of the reference: 1 is perfect, 0 no better than the reference, negative worse.

    ``None`` when one of them is unknown or the reference makes no error at all. Both must come from the same rows.
    """
    if error is None or reference_error is None or not reference_error > 0:
        return None
    return _finite(1.0 - error / reference_error)


def measure(
    observed: ArrayLike, forecast: ArrayLike, *, capacity: float | None = None, floor: float | None = None
) -> Metrics:
    """All metrics of one forecast.

    Args:
        observed, forecast: (n,) or (n, n_outputs), in one unit.
        capacity: in the same unit, for ``nrmse`` and the floor of ``mape``.
        floor: of ``mape``, where it must be the same for several selections of rows; computed when ``None``.

    Returns:
        ``n`` (pairs compared), ``rmse``, ``mae``, ``bias``, ``r2``, ``nrmse`` (fraction), ``mape`` (%) and ``mape_n``
        (hours that ``mape`` leaves out because almost nothing was produced).
    """
    percentage, n_left_out = mape(observed, forecast, mape_floor(observed, capacity) if floor is None else floor)
    return {
        "n": int(_known(observed).size),
        "rmse": rmse(observed, forecast),
        "mae": mae(observed, forecast),
        "r2": r2(observed, forecast),
        "mape": percentage,
        "mape_n": n_left_out,
        "bias": bias(observed, forecast),
        "nrmse": nrmse(observed, forecast, capacity),
    }


def _known(observed: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(observed, dtype=np.float64).ravel()
    return values[np.isfinite(values)]


def _pairs(observed: ArrayLike, forecast: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """The known observations and forecast − observed there; the error is ``None`` when it cannot be judged."""
    seen = np.asarray(observed, dtype=np.float64)
    said = np.asarray(forecast, dtype=np.float64)
    if seen.shape != said.shape:
        raise ValueError(f"`observed` and `forecast` must have one shape; got {seen.shape} and {said.shape}.")
    known = np.isfinite(seen)
    values, answers = seen[known], said[known]
    if values.size == 0 or not np.isfinite(answers).all():
        return values, None
    return values, answers - values


def _errors(observed: ArrayLike, forecast: ArrayLike) -> NDArray[np.float64] | None:
    return _pairs(observed, forecast)[1]


def _finite(value: float | np.floating) -> float | None:
    return float(value) if np.isfinite(value) else None
