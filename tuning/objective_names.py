"""The objectives of a study by name: an error, which decides, and what else shall be small.

    rmse, mse → val_mse     mae → val_mae     loss → val_loss (with the penalty)     the first; its metric is stored
    n_params                number of all weights of the model                       further ones, in any order
    latency                 milliseconds for one forecast of one window              (see objectives/latency.py)

The smallest MSE has the smallest RMSE, so both mean the same search. Several objectives make an ordinary Optuna study
of as many directions. No trial of it is pruned: a curve of errors does not say that a small model is hopeless.
What needs one number looks at the error: trials worth another seed, models kept, `until_no_gain`, the winner's rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

Objective = Literal["rmse", "mse", "mae", "loss", "n_params", "latency"]

METRICS = {"rmse": "val_mse", "mse": "val_mse", "mae": "val_mae", "loss": "val_loss"}
"""Errors, and the metric by which each is judged."""

_COLUMNS = {"n_params": "n_params", "latency": "latency_ms"}


def settled(search: Any) -> dict[str, Any]:
    """What objectives settle where the search section says nothing of its own: the metric, and that nothing is pruned.

    Args:
        search: the section, in which types may still be wrong.
    """
    names = _names(search)
    found: dict[str, Any] = {"metric": METRICS[names[0]]} if names and names[0] in METRICS else {}
    return found | ({"pruner": "none"} if len(names) > 1 else {})


def value_names(metric: str, objectives: Sequence[str], directions: Sequence[str] = ()) -> tuple[str, ...]:
    """What the values of a trial are, in their order: ``("val_mse", "n_params", "latency_ms")``.

    Args:
        directions: of an objective function, whose values have numbers where there are several.
    """
    if len(directions) > 1:
        return tuple(f"{metric}_{number}" for number in range(len(directions)))
    return (metric, *(_COLUMNS[name] for name in objectives[1:]))


def objective_mistakes(search: Any) -> list[str]:
    """What of the objectives does not go together; unknown names are the types' own business.

    Args:
        search: the section, in which types may still be wrong.
    """
    names, errors = _names(search), ", ".join(METRICS)
    found = [
        f"`search.objectives` must name each objective once; got {name} {names.count(name)} times. Leave one out."
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    asked = [name for name in dict.fromkeys(names) if name in METRICS]
    if len(asked) > 1:
        found.append(
            f"`search.objectives` must hold one error; got {' and '.join(asked)}, which measure the same forecasts. "
            "Keep the one that decides."
        )
    if names and names[0] in _COLUMNS:
        way_out = f"Put {asked[0]} first." if asked else f"Put one of {errors} before it."
        found.append(
            f"`search.objectives` must begin with an error, which chooses the epoch and the winner; got {names[0]}. "
            f"{way_out}"
        )
    metric, pruner = (search.get(name) if names else None for name in ("metric", "pruner"))
    if names and names[0] in METRICS and metric in METRICS.values() and metric != METRICS[names[0]]:
        found.append(
            f"`search.metric` must fit the first objective: {names[0]} is judged by {METRICS[names[0]]}; got {metric}. "
            "Leave the metric out, or begin with another error."
        )
    if len(names) > 1 and pruner not in (None, "none"):
        found.append(
            f"`search.pruner` must be none with several objectives, because a curve of errors judges one of them only; "
            f"got {pruner!r}. Leave the pruner out."
        )
    return found


def _names(search: Any) -> list[str]:
    objectives = search.get("objectives") if isinstance(search, Mapping) else None
    return [name for name in objectives if isinstance(name, str)] if isinstance(objectives, list | tuple) else []
