"""The pictures of a report, drawn with matplotlib's Figure (no pyplot, no window, no global state).

Colours are those of Okabe and Ito, which colour-blind readers tell apart; every line also differs in its dash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .pareto import Panel as ParetoPanel
from .plot_data import Panel, Stretch, curve_panels, with_breaks
from .residuals import histogram, normal_quantiles
from .residuals import residuals as residuals_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Target = Path | IO[bytes]
"""Where a PNG goes: a file or an open stream."""

BLUE, ORANGE, GREEN, VERMILION, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#6B7280"
_LINES = ((BLUE, "-"), (ORANGE, "--"), (GREEN, ":"))
_STYLE = {
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E5E7EB",
    "legend.frameon": False,
    "legend.fontsize": 10,
    "savefig.dpi": 130,
}


def curves(history: Mapping[str, Sequence[float]], path: Target, *, best_epoch: int | None = None) -> None:
    """The training curves R7, 2 × 2: loss, MAE, learning rate, gradient norms (or seconds an epoch, and says so).

    Args:
        history: one value an epoch by name.
        best_epoch: 0-based, marked in every panel.
    """
    with _style():
        figure = _figure(11, 7.5)
        for axes, panel in zip(figure.subplots(2, 2).flat, curve_panels(history), strict=True):
            _curve(axes, panel, best_epoch)
        _save(figure, path)


def residuals(
    observed: NDArray[np.float64],
    forecast: NDArray[np.float64],
    path: Target,
    *,
    unit: str,
    times: NDArray[np.datetime64] | None = None,
) -> None:
    """The residuals R10, 2 × 2: histogram (50 bins), normal Q-Q, against the forecast, over time.

    Args:
        observed, forecast: (n,) or (n, n_outputs) in `unit`; all outputs together.
        times: target times of the same shape; window numbers where they are unknown.
    """
    values = residuals_of(observed, forecast)
    order = np.broadcast_to(np.arange(values.shape[0]).reshape(-1, *[1] * (values.ndim - 1)), values.shape)
    with _style():
        figure = _figure(11, 7.5)
        (top_left, top_right), (bottom_left, bottom_right) = figure.subplots(2, 2)
        _histogram(top_left, values, unit)
        _quantiles(top_right, values, unit)
        _cloud(bottom_left, np.asarray(forecast).ravel(), values.ravel())
        bottom_left.axhline(0, color=GREY, linewidth=1)
        bottom_left.set(title="Against the forecast", xlabel=f"forecast ({unit})", ylabel=f"residual ({unit})")
        where = order.ravel() if times is None else np.asarray(times).ravel()
        _cloud(bottom_right, where, values.ravel())
        bottom_right.axhline(0, color=GREY, linewidth=1)
        bottom_right.set(
            title="Over time", ylabel=f"residual ({unit})", xlabel="window" if times is None else "target time (UTC)"
        )
        if times is not None:
            _dates(bottom_right)
        _save(figure, path)


def forecast(stretch: Stretch, path: Target, *, unit: str, title: str = "") -> None:
    """Observed and forecast production, and persistence, over a stretch (`plot_data.legible_stretch`)."""
    with _style():
        figure = _figure(11, 4.2)
        axes = figure.subplots()
        drawn: list[tuple[str, NDArray[np.float64], dict[str, Any]]] = [
            ("observed", stretch.observed, {"color": "#111827", "linewidth": 1.8}),
            ("forecast", stretch.forecast, {"color": BLUE, "linewidth": 1.8, "linestyle": "--"}),
        ]
        if stretch.persistence is not None:
            drawn.append(("persistence", stretch.persistence, {"color": ORANGE, "linewidth": 1.3, "linestyle": ":"}))
        for label, values, look in drawn:
            if stretch.times is None:
                axes.plot(stretch.first + np.arange(values.size), values, label=label, **look)
            else:
                axes.plot(*with_breaks(stretch.times, values), label=label, **look)
        axes.set(
            ylabel=f"power ({unit})" if unit.endswith("W") else unit,
            xlabel="window" if stretch.times is None else "target time (UTC)",
        )
        if stretch.times is not None:
            _dates(axes)
        axes.set_title(title)
        axes.margins(x=0.01)
        axes.legend(ncols=3, loc="lower left", bbox_to_anchor=(0.0, 1.0))
        _save(figure, path)


def scatter(observed: NDArray[np.float64], forecast: NDArray[np.float64], path: Target, *, unit: str) -> None:
    """Forecast against observation, with the line on which a perfect forecast would lie."""
    seen, said = np.asarray(observed).ravel(), np.asarray(forecast).ravel()
    with _style():
        figure = _figure(5.2, 5)
        axes = figure.subplots()
        _cloud(axes, seen, said)
        known = np.concatenate([seen[np.isfinite(seen)], said[np.isfinite(said)]])
        ends = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
        axes.plot(ends, ends, color=VERMILION, linewidth=1.3, linestyle="--", label="perfect")
        axes.set(title="Forecast against observation", xlabel=f"observed ({unit})", ylabel=f"forecast ({unit})")
        axes.set_aspect("equal", adjustable="datalim")
        axes.legend(loc="upper left")
        _save(figure, path)


def pareto(panels: Sequence[ParetoPanel], path: Target) -> None:
    """The error against each other objective: all trials, those on the Pareto front as a line, the winner.

    Args:
        panels: see `pareto.panels`.
    """
    with _style():
        figure = _figure(5.8 * len(panels) + 1.5, 4.2)
        for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False).flat, panels, strict=True):
            _front(axes, panel)
        _save(figure, path)


def _front(axes: Axes, panel: ParetoPanel) -> None:
    order = np.argsort(panel.x[panel.front], kind="stable")
    along, error = panel.x[panel.front][order], panel.y[panel.front][order]
    axes.plot(panel.x[~panel.front], panel.y[~panel.front], "o", color=GREY, alpha=0.6, markersize=5, label="trial")
    if panel.line:
        axes.plot(along, error, "--", color=BLUE, linewidth=1.3, drawstyle="steps-post")
    axes.plot(along, error, "s", color=BLUE, markersize=6, label="Pareto front")
    axes.plot(panel.x[panel.winner], panel.y[panel.winner], "*", color=VERMILION, markersize=15, label=panel.mark)
    axes.set(xlabel=panel.x_label, ylabel=panel.y_label)
    if panel.log:
        axes.set_xscale("log")
    axes.legend()


def intervals(
    names: Sequence[str],
    values: Sequence[float],
    between: Sequence[tuple[float, float] | None],
    path: Target,
    *,
    label: str,
    n_models: int,
) -> None:
    """A dot a name, the first one at the top, each on the line of its interval where that is known.

    Args:
        n_models: the first so many are models; what follows are baselines, in grey.
    """
    with _style():
        figure = _figure(11, 1.3 + 0.42 * len(names))
        axes = figure.subplots()
        for place, (value, ends) in enumerate(zip(values, between, strict=True)):
            colour, marker = (BLUE, "o") if place < n_models else (GREY, "s")
            if ends is not None:
                axes.plot(ends, (place, place), color=colour, linewidth=2.2, solid_capstyle="butt")
            axes.plot([value], [place], marker, color=colour, markersize=8)
        axes.set_yticks(range(len(names)), names, parse_math=False)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlabel(label, parse_math=False)
        axes.grid(visible=False, axis="y")
        _save(figure, path)


def _curve(axes: Axes, panel: Panel, best_epoch: int | None) -> None:
    from matplotlib.ticker import MaxNLocator

    n_epochs = max((line.values.size for line in panel.lines), default=0)
    marker = "o" if n_epochs <= 3 else None
    for line, (colour, dash) in zip(panel.lines, _LINES, strict=False):
        epochs = np.arange(1, line.values.size + 1)
        axes.plot(epochs, line.values, dash, color=colour, label=line.label, linewidth=1.8, marker=marker)
    if panel.lines and panel.log:
        axes.set_yscale("log")
    if panel.lines and best_epoch is not None and 0 <= best_epoch < n_epochs:
        axes.axvline(best_epoch + 1, color=GREY, linewidth=1, linestyle="-.", label=f"best epoch ({best_epoch + 1})")
    if panel.lines:
        axes.legend()
    if panel.note:
        axes.text(
            1.0,
            1.02 if panel.lines else 0.5,
            panel.note,
            transform=axes.transAxes,
            ha="right",
            va="bottom",
            color=GREY,
            fontsize=10,
        )
    axes.set(title=panel.title, xlabel="epoch", ylabel=panel.y_label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _histogram(axes: Axes, values: NDArray[np.float64], unit: str) -> None:
    bins = histogram(values)
    axes.stairs(bins.counts, bins.edges, fill=True, color=BLUE, alpha=0.75)
    along = np.linspace(bins.edges[0], bins.edges[-1], 200)
    axes.plot(along, bins.normal_curve(along), color=VERMILION, linewidth=1.5, linestyle="--", label="normal")
    axes.axvline(0, color=GREY, linewidth=1)
    axes.set(title="Distribution", xlabel=f"residual: observed − forecast ({unit})", ylabel="count")
    axes.legend()


def _quantiles(axes: Axes, values: NDArray[np.float64], unit: str) -> None:
    plot = normal_quantiles(values)
    axes.plot(plot.theoretical, plot.ordered, "o", color=BLUE, markersize=3, alpha=0.5, rasterized=True)
    if plot.theoretical.size:
        ends = np.array([plot.theoretical[0], plot.theoretical[-1]])
        axes.plot(
            ends, plot.intercept + plot.slope * ends, color=VERMILION, linewidth=1.5, linestyle="--", label="normal"
        )
        axes.legend()
    axes.set(title="Normal Q-Q", xlabel="standard normal quantile", ylabel=f"residual ({unit})")


def _cloud(axes: Axes, x: NDArray[Any], y: NDArray[np.float64]) -> None:
    size = 3 if y.size > 1000 else 9
    axes.scatter(x, y, s=size, color=BLUE, alpha=0.35, linewidths=0, rasterized=True)


def _dates(axes: Axes) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=4, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def _style() -> AbstractContextManager[None]:
    import matplotlib

    return matplotlib.rc_context(_STYLE)  # type: ignore[arg-type]


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: Target) -> None:
    # No software or date in the file: the same numbers give the same bytes.
    figure.savefig(path, format="png", metadata={"Software": None})
