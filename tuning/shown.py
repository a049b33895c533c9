"""The parameters of a trial as people know them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

from ..models import user_code
from .references import BUILDER, searched_builders
from .space import Space

if TYPE_CHECKING:
    from .spec import StudySpec

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


def searched_space(study: optuna.Study, spec: StudySpec) -> dict[str, Any]:
    """What was searched, in the notation of a study file: what is declared, and what the trials' own code drew from."""
    found = {name: entry for name, entry in spec.space.items() if name != BUILDER}
    if BUILDER in spec.space:
        found[BUILDER] = [user_code.shown(key) for key in searched_builders(spec.space)]
    for trial in study.get_trials(deepcopy=False):
        for name, distribution in trial.distributions.items():
            if name not in spec.space:
                found[name] = _entry(distribution, found.get(name))
    return found


def _entry(distribution: BaseDistribution, earlier: Any) -> Any:
    """A distribution as choices or a range; joined with the earlier one of that name, which may have been another."""
    if isinstance(distribution, CategoricalDistribution):
        known = earlier if isinstance(earlier, list) else []
        return [*known, *(choice for choice in distribution.choices if choice not in known)]
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    before = earlier if isinstance(earlier, dict) else {"low": distribution.low, "high": distribution.high}
    step = None if distribution.step == 1 and isinstance(distribution, IntDistribution) else distribution.step
    return {
        "low": min(before["low"], distribution.low),
        "high": max(before["high"], distribution.high),
        **({} if step is None else {"step": step}),
        **({"log": True} if distribution.log else {}),
    }
