"""Going on with a study in a larger space: new choices and wider ranges are added, nothing is taken away.

Optuna stores the place of a choice in its list, and refuses another list under the same name. So new choices go behind
the old ones, and the lists that stand in the trial table are replaced by the longer ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from optuna.distributions import CategoricalDistribution, distribution_to_json

from ..storage.resilient import ResilientStorage
from ..storage.tables import PARAMETERS, TRIALS
from .space import Choices, Range, Space, label, parse_space


def extended_space(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The space that holds all of the old one and all of the new one.

    Returns:
        the space in the notation of the study file, and a sentence for each parameter that is not merely larger.
    """
    refused = [f"`space.{name}` is no longer there" for name in old if name not in new]
    refused += [f"`space.{name}` is new" for name in new if name not in old]
    merged: dict[str, Any] = {}
    before, after = (parse_space({n: _unconditional(e) for n, e in space.items()})[0] for space in (old, new))
    known = {parameter.name: parameter for parameter in before.parameters}
    for parameter in after.parameters:
        earlier = known.get(parameter.name)
        if earlier is None:
            continue
        entry, reason = _extended(earlier, parameter, old[parameter.name], new[parameter.name])
        merged[parameter.name] = entry
        refused += [f"`space.{parameter.name}` {reason}"] if reason else []
    return {name: merged[name] for name in old if name in merged}, refused


def extend(storage: ResilientStorage, study_id: int, space: Space) -> None:
    """Make the lists of choices in the trial table those of the new space.

    Those of a parameter that has not grown now are looked at too: a worker may have written the old list just after an
    earlier extension.
    """
    written = {
        parameter.name: distribution_to_json(CategoricalDistribution(parameter.labels))
        for parameter in space.parameters
        if isinstance(parameter, Choices)
    }
    of_study = PARAMETERS.c.trial_id.in_(sa.select(TRIALS.c.trial_id).where(TRIALS.c.study_id == study_id))

    def work(connection: sa.Connection, _again: bool) -> None:
        for name, text in written.items():
            other = sa.and_(PARAMETERS.c.param_name == name, PARAMETERS.c.distribution_json != text)
            connection.execute(sa.update(PARAMETERS).where(of_study, other).values(distribution_json=text))

    storage.transaction(work)


def _extended(old: Choices | Range, new: Choices | Range, old_entry: Any, new_entry: Any) -> tuple[Any, str | None]:
    if _condition(old_entry) != _condition(new_entry):
        return old_entry, "has another condition"
    if isinstance(old, Choices) and isinstance(new, Choices):
        missing = [value for value in old.labels if value not in new.labels]
        if missing:
            return old_entry, f"lacks the choice {missing[0]!r}"
        values = [*old.values, *(value for value in new.values if label(value) not in old.labels)]
        return ({**old_entry, "choices": values} if isinstance(old_entry, Mapping) else values), None
    if isinstance(old, Range) and isinstance(new, Range):
        if (old.step, old.log, old.integer) != (new.step, new.log, new.integer):
            return old_entry, "has another step or scale"
        if new.low > old.low or new.high < old.high:
            return old_entry, f"is narrower than {old.low} to {old.high}"
        if old.step is not None and not _is_whole((old.low - new.low) / old.step):
            return old_entry, f"begins at {new.low}, from where steps of {old.step} miss the old values"
        return new_entry, None
    return old_entry, "was a range or a list and is now the other"


def _is_whole(number: float) -> bool:
    return abs(number - round(number)) < 1e-9


def _condition(entry: Any) -> Any:
    return entry.get("when") if isinstance(entry, Mapping) else None


def _unconditional(entry: Any) -> Any:
    return {key: value for key, value in entry.items() if key != "when"} if isinstance(entry, Mapping) else entry
