"""Trials with several values: their error, and those of which no other is better in everything (the Pareto front).

error │  a                a and c lie on the front, b does not: c is better in both. Where values are equal, none is
      │      b            better, and both lie on it.
      │     c
      └────────── n_params
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from optuna.trial import FrozenTrial, TrialState

from .shown import parameters_of

if TYPE_CHECKING:
    from .spec import StudySpec


def error_of(trial: FrozenTrial) -> float | None:
    """The number of a trial: its only value, or the first of several; None before it has a result."""
    return trial.values[0] if trial.values else None


def by_error(trial: FrozenTrial) -> tuple[bool, float, int]:
    """To sort by: the smallest error first, of equal ones the first trial; those without a number last."""
    error = error_of(trial)
    return error is None, error or 0.0, trial.number


def by_value(directions: Sequence[str]) -> Callable[[FrozenTrial], tuple[bool, float, int]]:
    """The same where a value may be to be large.

    Args:
        directions: ``minimize`` or ``maximize`` for each value; none: all are minimised. The first counts here.
    """

    def key(trial: FrozenTrial) -> tuple[bool, float, int]:
        unknown, value, number = by_error(trial)
        return unknown, -value if directions and directions[0] == "maximize" else value, number

    return key


def front(trials: Sequence[FrozenTrial], directions: Sequence[str] = ()) -> list[FrozenTrial]:
    """The COMPLETE trials on the Pareto front, the smallest error first.

    Args:
        trials: with one value each the front is the best.
        directions: ``minimize`` or ``maximize`` for each value; none: all are to be small.
    """
    signs = [-1.0 if direction == "maximize" else 1.0 for direction in directions]

    def values_of(trial: FrozenTrial) -> list[float]:
        return [s * value for s, value in zip(signs, trial.values, strict=True)] if signs else trial.values

    complete = [t for t in trials if t.state is TrialState.COMPLETE and t.values]
    found: list[FrozenTrial] = []
    # In this order only an earlier one can be better than a later one, and if any is, then one on the front.
    for trial in sorted(complete, key=lambda t: (values_of(t), t.number)):
        if not any(_better(values_of(other), values_of(trial)) for other in found):
            found.append(trial)
    return found


def named_values(trial: FrozenTrial, spec: StudySpec) -> dict[str, float | int]:
    """The values of a trial by the names of the objectives; numbers of weights are whole."""
    names = spec.search.value_names
    found = dict(zip(names, trial.values or (), strict=False))
    return {name: int(value) if name == "n_params" else value for name, value in found.items()}


def front_rows(trials: Sequence[FrozenTrial], spec: StudySpec) -> list[dict[str, Any]]:
    """The front in plain values, as in ``result.json``; ``rmse`` is the validation RMSE in the unit of the data."""
    space = spec.parsed_space()
    return [
        {
            "trial": trial.number,
            "values": named_values(trial, spec),
            "rmse": trial.user_attrs.get("values", {}).get("val_rmse"),
            "parameters": parameters_of(trial, space),
        }
        for trial in front(trials, spec.search.directions)
    ]


def _better(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and list(one) != list(other)
