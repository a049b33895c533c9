"""The parameters of a trial as people know them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from optuna.trial import FrozenTrial

from ..models import user_code
from .references import BUILDER
from .space import Space

DRAWN = "drawn"
"""User attribute of a trial: what the user's code drew, under its own names (of a HyperModel its ``hp.values``)."""


def parameters_of(trial: FrozenTrial, space: Space) -> dict[str, Any]:
    """What the study's space has drawn, decoded, and what the user's code has drawn, under its own names."""
    stored = space.decode(trial.params)
    if BUILDER in stored:
        stored[BUILDER] = user_code.shown(stored[BUILDER])
    drawn = trial.user_attrs.get(DRAWN)
    if drawn is None:
        return stored
    return {**{name: stored[name] for name in space.names if name in stored}, **drawn}


def parameter_names(trials: Iterable[FrozenTrial], space: Space) -> list[str]:
    """The names of all parameters: those of the space first, then the user's own as they appear."""
    found = dict.fromkeys(space.names)
    for trial in trials:
        found |= dict.fromkeys(parameters_of(trial, space))
    return list(found)
