"""What the plots show, prepared apart from drawing: numbers that tests can hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

STRETCH_ROWS = 240
"""Length of a legible stretch: ten days of hours."""


@dataclass(frozen=True)
class Line:
    """One curve over the epochs 1, 2, …; ``values`` hold NaN where nothing was measured."""

    label: str
    values: Values


@dataclass(frozen=True)
class Panel:
    """One of the four pictures of R7.

    Attributes:
        title, y_label: words; `lines`: what is drawn; empty when nothing was recorded.
        log: whether the vertical axis is logarithmic.
        note: said inside the panel, for instance that a figure was not recorded.
    """

    title: str
    y_label: str
    lines: tuple[Line, ...]
    log: bool = False
    note: str = ""


def curve_panels(history: Mapping[str, Sequence[float]]) -> tuple[Panel, Panel, Panel, Panel]:
    """The training curves R7: loss, MAE, learning rate, gradient norms.

    Gradient norms cost time and are recorded only when asked for; without them the fourth panel says so and shows the
    seconds of each epoch.

    Args:
        history: one value an epoch by name, as in `objectives.training.FitResult.history`.
    """
    loss = _lines(history, {"loss": "training", "val_loss": "validation", "val_mse": "validation, squared error alone"})
    if _same(history, "val_loss", "val_mse"):
        loss = loss[:2]
    rate = _lines(history, {"learning_rate": "learning rate"})
    return (
        Panel("Loss", "loss (scaled)", loss, log=_wide(loss)),
        Panel("Mean absolute error", "MAE (scaled)", _lines(history, {"mae": "training", "val_mae": "validation"})),
        Panel(
            "Learning rate",
            "learning rate",
            rate,
            log=_positive(rate),
            note="" if rate else "The learning rate was not recorded.",
        ),
        _fourth(history),
    )


@dataclass(frozen=True)
class Stretch:
    """Consecutive windows of one output: (k,) arrays in the unit; without `times` they are known by number."""

    first: int
    times: NDArray[np.datetime64] | None
    observed: Values
    forecast: Values
    persistence: Values | None


def legible_stretch(
    observed: Values,
    forecast: Values,
    persistence: Values | None,
    times: NDArray[np.datetime64] | None,
    *,
    n_rows: int = STRETCH_ROWS,
) -> Stretch:
    """The stretch whose error is nearest to that of the whole part: neither the best days nor the worst.

    Stretches without a hole in time are preferred; of equals the earliest is taken.

    Args:
        observed, forecast, persistence: (n,) in one unit.
        times: (n,) target times, ascending, or ``None``.
        n_rows: length of the stretch (all windows where there are fewer).
    """
    n = observed.shape[0]
    size = min(n, n_rows)
    if n == 0:
        return Stretch(0, times, observed, forecast, persistence)
    square = np.nan_to_num(np.square(observed - forecast), nan=0.0, posinf=0.0)
    total = np.concatenate([[0.0], np.cumsum(square)])
    starts = np.arange(0, n - size + 1, max(1, size // 10))
    errors = np.sqrt((total[starts + size] - total[starts]) / size)
    distance = np.abs(errors - np.sqrt(total[-1] / n))
    if times is not None and size > 1:
        spans = (times[starts + size - 1] - times[starts]).astype(np.int64)
        distance = np.where(spans <= spans.min(), distance, np.inf)
    first = int(starts[int(np.argmin(distance))])
    chosen = slice(first, first + size)
    return Stretch(
        first,
        None if times is None else times[chosen],
        observed[chosen],
        forecast[chosen],
        None if persistence is None else persistence[chosen],
    )


def with_breaks(times: NDArray[np.datetime64], values: Values) -> tuple[NDArray[np.datetime64], Values]:
    """A NaN inserted wherever more than the usual step lies between two times, so that no line is drawn over a gap."""
    if times.size < 3:
        return times, values
    steps = np.diff(times)
    holes = np.flatnonzero(steps > np.median(steps.astype(np.int64)).astype(steps.dtype)) + 1
    middle = times[holes - 1] + (times[holes] - times[holes - 1]) // 2
    return np.insert(times, holes, middle), np.insert(values, holes, np.nan)


def _lines(history: Mapping[str, Sequence[float]], names: Mapping[str, str]) -> tuple[Line, ...]:
    found = [
        Line(label, np.array([np.nan if value is None else value for value in history[name]], dtype=np.float64))
        for name, label in names.items()
        if name in history
    ]
    return tuple(line for line in found if line.values.size)


def _same(history: Mapping[str, Sequence[float]], one: str, other: str) -> bool:
    if one not in history or other not in history:
        return True
    return bool(np.allclose(list(history[one]), list(history[other]), rtol=1e-3))


def _positive(lines: tuple[Line, ...]) -> bool:
    """Whether a logarithmic axis has anything to show."""
    return any(bool((line.values > 0).any()) for line in lines)


def _wide(lines: tuple[Line, ...]) -> bool:
    values = np.concatenate([line.values for line in lines]) if lines else np.empty(0)
    known = values[np.isfinite(values)]
    return bool(known.size and known.min() > 0 and known.max() > 10 * known.min())


def _fourth(history: Mapping[str, Sequence[float]]) -> Panel:
    norms = _lines(history, {"gradient_norm": "mean norm of the gradient"})
    if norms:
        return Panel("Gradient norm", "norm", norms, log=_wide(norms))
    return Panel(
        "Seconds an epoch",
        "seconds",
        _lines(history, {"seconds": "seconds"}),
        note="Gradient norms were not recorded.",
    )
