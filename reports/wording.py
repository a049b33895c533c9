"""Findings and figures in words, as they stand on the page."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

NAMES = {
    "persistence": "persistence",
    "same_hour_yesterday": "same hour yesterday",
    "seasonal_naive": "same hour last week",
    "climatology": "climatology",
    "gradient_boosting": "gradient boosting",
}
EXPLAINED = {
    "persistence": "Persistence says that all stays as it is.",
    "same_hour_yesterday": "Same hour yesterday takes the youngest known value of that hour.",
    "seasonal_naive": "Same hour last week (seasonal naive) takes the youngest known value of that hour and weekday.",
    "climatology": (
        "Climatology is the mean of the hour of the day and month (UTC) over the rows before this part, from which the "
        "model may learn."
    ),
    "gradient_boosting": (
        "Gradient boosting (scikit-learn) saw the same windows, reduced to their newest steps and means, and learnt "
        "from the windows before this part."
    ),
}
"""Each baseline in one sentence."""
UNKNOWN = "–"
_BARELY = 0.02
_SIGNIFICANT = 0.05


def number(value: float | int | None, digits: int = 3) -> str:
    """A figure with a true minus sign; ``–`` where it is unknown, powers of ten where it is very large or small."""
    if value is None:
        return UNKNOWN
    if isinstance(value, int):
        return f"{value:,}".replace("-", "−")
    size = abs(value)
    shown = f"{value:.{digits}g}" if size and (size < 10 ** (-digits) or size >= 1e5) else f"{value:.{digits}f}"
    return shown.replace("-", "−")


def percent(share: float | None, digits: int = 0) -> str:
    """A share of one as a percentage."""
    return UNKNOWN if share is None else f"{100 * share:.{digits}f}\u00a0%".replace("-", "−")


def setting(value: object) -> str:
    """A hyperparameter as it would be typed: ``[64, 32]``, ``0.0005``, ``true``."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def varied(points: Sequence[Mapping[str, object]]) -> tuple[list[str], list[str]]:
    """Parameters that differ between the points of a table, and ``name = value`` of those that do not."""
    names = dict.fromkeys(name for point in points for name in point)
    shown = {name: {setting(point[name]) if name in point else "" for point in points} for name in names}
    differ = [name for name in names if len(shown[name]) > 1 or len(points) == 1]
    return differ, [f"{name} = {shown[name].pop()}" for name in names if name not in differ]


def duration(seconds: float | None) -> str:
    """``48 s``, ``7 min 12 s``, ``3 h 5 min``."""
    if seconds is None:
        return UNKNOWN
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def steps(count: int, step_seconds: float | None) -> str:
    """A number of steps as a time: ``3 hours``, ``45 minutes``; ``3 steps`` where the step is unknown."""
    if step_seconds is None:
        return plural(count, "step")
    seconds = count * step_seconds
    for size, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0 and not (name == "day" and seconds < 2 * size):
            return plural(int(seconds // size), name)
    return plural(int(seconds), "second") if seconds == int(seconds) else f"{seconds:g} seconds"


def horizon(steps_ahead: Sequence[int], step_seconds: float | None) -> str:
    """``3 hours ahead``, ``1 hour to 3 hours ahead``; empty for arrays, which do not say."""
    if not steps_ahead:
        return ""
    last = steps(steps_ahead[-1], step_seconds)
    return f"{last} ahead" if len(steps_ahead) == 1 else f"{steps(steps_ahead[0], step_seconds)} to {last} ahead"


def headline(evaluation: Mapping[str, Any], ahead: str) -> tuple[str, bool | None]:
    """What was found, in one sentence, and whether it beats persistence (``None`` when that cannot be known).

    It says how the model does against persistence, how sure that is, and which other baselines it loses to; whether it
    really differs from the best of them is the next sentence on the page (`verdict`).

    Args:
        evaluation: the content of ``metrics.json``.
        ahead: from `horizon`.
    """
    metrics, unit = evaluation[evaluation["part"]], evaluation["units"]
    rmse, skill = metrics.get("rmse"), metrics.get("skill")
    what = f"The forecast {ahead}" if ahead else "The forecast"
    if rmse is None:
        return f"{what} could not be judged: it is not finite somewhere, or nothing was observed.", None
    ci = interval(metrics.get("rmse_ci"))
    between = f"; 95\u00a0% interval {ci}" if ci else ""
    error = f"misses by {number(rmse)}\u00a0{unit} (RMSE{between}) on the test part"
    if skill is None:
        return f"{what} {error}; whether it beats persistence cannot be known from these data.", None
    less = f"it {error}, {percent(abs(skill), 0 if skill >= _BARELY else 1)}"
    if skill <= 0:
        return f"{what} does not beat persistence: {less} more than persistence does.", False
    barely = "barely " if skill < _BARELY else ""
    return f"{what} {barely}beats persistence{but_not(evaluation)}: {less} less than persistence does.", True


def lost_to(evaluation: Mapping[str, Any]) -> list[str]:
    """The baselines whose RMSE is smaller than the model's, on the values where they are known."""
    return [name for name, values in evaluation["baselines"].items() if (values.get("skill") or 0) < 0]


def but_not(evaluation: Mapping[str, Any]) -> str:
    """``, but not climatology or gradient boosting``: the baselines beside persistence that it loses to."""
    lost = [NAMES.get(name, name) for name in lost_to(evaluation) if name != "persistence"]
    return f", but not {' or '.join(', '.join(lost).rsplit(', ', 1))}" if lost else ""


def verdict(name: str, skill: float | None, p_value: float | None) -> str:
    """How the model does against the best baseline, in one sentence.

    Args:
        name: of the baseline.
        skill: of the model against it.
        p_value: of the test that both are equally good (Diebold-Mariano).
    """
    against = f"the best baseline, {NAMES.get(name, name)}"
    if skill is None:
        return f"How the model compares with {against}, cannot be known."
    size = f"{percent(abs(skill), 1)} {'less' if skill >= 0 else 'more'} RMSE"
    if p_value is None:
        return f"Whether the model really differs from {against} ({size}), cannot be tested on so few windows."
    tested = f"{size} (Diebold-Mariano, {probability(p_value)})"
    if p_value >= _SIGNIFICANT:
        return f"The model is neither significantly better nor worse than {against}: {tested}."
    return f"The model is significantly {'better' if skill > 0 else 'worse'} than {against}: {tested}."


def probability(p_value: float | None) -> str:
    """``p = 0.031``, ``p < 0.001``; ``–`` where it is unknown."""
    if p_value is None:
        return UNKNOWN
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def interval(ends: Sequence[float] | None, shown: Callable[[float], str] = number) -> str:
    """``0.713 to 0.799``; empty where it is unknown."""
    return "" if ends is None else f"{shown(ends[0])} to {shown(ends[1])}"


def plural(count: int, name: str) -> str:
    """``1 epoch``, ``16 epochs``."""
    return f"{count} {name}{'' if count == 1 else 's'}"
