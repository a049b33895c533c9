"""Several objectives as a report shows them: every complete trial with its values, and what the picture draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SPREAD = 20.0
"""Largest over smallest value from which an axis is logarithmic."""


@dataclass(frozen=True)
class Judged:
    """A complete trial.

    Attributes:
        values: in the order of `Pareto.names`.
        rmse: of the validation part, in the unit of the data.
        front: whether no other trial is better in everything.
        winner: whether it was exported.
    """

    number: int
    values: tuple[float, ...]
    rmse: float | None
    parameters: Mapping[str, object]
    front: bool
    winner: bool


@dataclass(frozen=True)
class Pareto:
    """What was minimised, and what it came to.

    Attributes:
        names: of the values: the metric, which is the error, then the other objectives.
        trials: all complete ones, the smallest error first.
        asked: whether somebody asked for the exported trial, instead of a rule that chose it.
    """

    names: tuple[str, ...]
    trials: tuple[Judged, ...]
    asked: bool = False

    @property
    def mark(self) -> str:
        """What the exported trial is called."""
        return "exported" if self.asked else "winner"

    @property
    def front(self) -> tuple[Judged, ...]:
        """The trials on the front, the smallest error first."""
        return tuple(trial for trial in self.trials if trial.front)


@dataclass(frozen=True)
class Panel:
    """The error against one other objective.

    Attributes:
        x, y: (n,) the other objective and the error of all trials.
        front, winner: (n,) bool.
        line: whether the front is a line in this panel: with three objectives it is a surface, seen from the side.
        log: whether the x axis is logarithmic.
        mark: what the exported trial is called.
    """

    x_label: str
    y_label: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    front: NDArray[np.bool_]
    winner: NDArray[np.bool_]
    line: bool
    log: bool
    mark: str = "winner"


def panels(pareto: Pareto, unit: str) -> list[Panel]:
    """One panel for each objective behind the error.

    The error is the RMSE in `unit` where it puts the trials into the same order as the metric does, which the front was
    found with; otherwise it is the metric.
    """
    trials = pareto.trials
    rmse = [trial.rmse for trial in trials if trial.rmse is not None]
    in_unit = len(rmse) == len(trials) and rmse == sorted(rmse)
    errors = np.array(rmse if in_unit else [trial.values[0] for trial in trials], dtype=np.float64)
    found = []
    for place, name in enumerate(pareto.names[1:], start=1):
        x = np.array([trial.values[place] for trial in trials], dtype=np.float64)
        found.append(
            Panel(
                x_label=label(name),
                y_label=f"validation RMSE ({unit})" if in_unit else label(pareto.names[0]),
                x=x,
                y=errors,
                front=np.array([trial.front for trial in trials], dtype=bool),
                winner=np.array([trial.winner for trial in trials], dtype=bool),
                line=len(pareto.names) == 2,
                log=bool(x.size and x.min() > 0 and x.max() / x.min() >= SPREAD),
                mark=pareto.mark,
            )
        )
    return found


def label(name: str) -> str:
    """The name of a value for readers."""
    return {"n_params": "weights", "latency_ms": "latency (ms)"}.get(name, name)
