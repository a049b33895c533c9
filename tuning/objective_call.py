"""A trial of a user's own objective function: called with the live trial, as Optuna does."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, SupportsFloat, cast

from ..models import user_code
from ..objectives.callbacks import NonFinite
from .live_trial import LiveTrial
from .spec import SpecError
from .user_models import load

if TYPE_CHECKING:
    from .spec import StudySpec


def call(spec: StudySpec, trial: LiveTrial) -> tuple[float, ...]:
    """The values that the user's function returns.

    Raises:
        NonFinite: one of them is NaN or infinite.
        SpecError: they are no numbers, or not as many as the study has directions.
        optuna.TrialPruned: the function has given the trial up.
    """
    assert spec.objective_function is not None
    function = cast(Callable[[LiveTrial], object], load(spec, spec.objective_function))
    returned = function(trial)
    several = isinstance(returned, Sequence) and not isinstance(returned, str)
    values = [_number(value) for value in (cast(Sequence[object], returned) if several else (returned,))]
    name, wanted = user_code.shown(spec.objective_function), max(1, len(spec.search.directions))
    found = tuple(value for value in values if value is not None)
    if len(found) != len(values) or len(found) != wanted:
        raise SpecError(
            f"{name} must return {'a number' if wanted == 1 else f'{wanted} numbers'}, as the study has {wanted} "
            f"direction{'s' * (wanted > 1)}; it returned {returned!r}. Give --direction once for each value."
        )
    for place, value in enumerate(found):
        if not math.isfinite(value):
            raise NonFinite(0, "value" if wanted == 1 else f"value {place}", value)
    return found


def _number(value: object) -> float | None:
    """The number, also of a library that has its own; None for anything else."""
    if isinstance(value, str | bool):
        return None
    try:
        return float(cast(SupportsFloat, value))
    except (TypeError, ValueError):
        return None
