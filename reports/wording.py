"""Findings and figures in words, as they stand on the page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

NAMES = {"persistence": "persistence", "same_hour_yesterday": "same hour yesterday"}
UNKNOWN = "–"
_BARELY = 0.02


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
        return _plural(count, "step")
    seconds = count * step_seconds
    for size, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0 and not (name == "day" and seconds < 2 * size):
            return _plural(int(seconds // size), name)
    return _plural(int(seconds), "second") if seconds == int(seconds) else f"{seconds:g} seconds"


def horizon(steps_ahead: Sequence[int], step_seconds: float | None) -> str:
    """``3 hours ahead``, ``1 hour to 3 hours ahead``; empty for arrays, which do not say."""
    if not steps_ahead:
        return ""
    last = steps(steps_ahead[-1], step_seconds)
    return f"{last} ahead" if len(steps_ahead) == 1 else f"{steps(steps_ahead[0], step_seconds)} to {last} ahead"


def headline(evaluation: Mapping[str, Any], ahead: str) -> tuple[str, bool | None]:
    """What was found, in one sentence, and whether it beats persistence (``None`` when that cannot be known).

    Args:
        evaluation: the content of ``metrics.json``.
        ahead: from `horizon`.
    """
    metrics, unit = evaluation[evaluation["part"]], evaluation["units"]
    rmse, skill = metrics.get("rmse"), metrics.get("skill")
    what = f"The forecast {ahead}" if ahead else "The forecast"
    if rmse is None:
        return f"{what} could not be judged: it is not finite somewhere, or nothing was observed.", None
    error = f"misses by {number(rmse)}\u00a0{unit} (RMSE) on the test part"
    if skill is None:
        return f"{what} {error}; whether it beats persistence cannot be known from these data.", None
    lost = [
        name
        for name, values in evaluation["baselines"].items()
        if (values.get("skill") or 0) < 0 and name != "persistence"
    ]
    but = f", but not {' or '.join(NAMES.get(name, name) for name in lost)}" if lost else ""
    if skill <= 0:
        return f"{what} does not beat persistence: it {error}, {percent(-skill, 1)} more than persistence does.", False
    if skill < _BARELY:
        return (
            f"{what} barely beats persistence{but}: it {error}, {percent(skill, 1)} less than persistence does.",
            True,
        )
    return f"{what} beats persistence{but}: it {error}, {percent(skill)} less than persistence does.", True


def _plural(count: int, name: str) -> str:
    return f"{count} {name}{'' if count == 1 else 's'}"
