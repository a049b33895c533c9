"""Points of one study in the space of another: what fits is taken, what nearly fits is moved, and all of it is told.

What a trial was trained with is more than what its study searched: fixed values and the builder's defaults count, too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..models.registry import builder_keys, get_builder
from .checks import TRAINING_PARAMETERS
from .point import SEED, declared, resolved
from .references import BUILDER
from .space import Choices, Point, Range, Space, label, labels, point_key
from .user_models import draws_itself

if TYPE_CHECKING:
    from .spec import StudySpec

_OPEN = object()
"""The value of a parameter that the sampler is to fill in."""


def mapped(
    points: Sequence[Mapping[str, Any]], old: StudySpec, new: StudySpec
) -> tuple[tuple[Point, ...], tuple[str, ...]]:
    """Points of the study `old` as points of the study `new`.

    A value outside a range goes to its nearest end or step; a number that is no choice to the nearest choice, where all
    choices are numbers; what fits nowhere is left to the sampler, and a parameter whose condition does not hold is left
    out. Points that become the same are one.

    Args:
        points: of `old`, decoded (lists, not labels).

    Returns:
        the points, maybe partial ones, in their order; and a sentence for each parameter that was not simply taken.
    """
    space, told = new.parsed_space(), _Told()
    usual = in_use(new, {})
    found: dict[str, Point] = {}
    for point in points:
        values = in_use(old, point)
        becomes = _in_space(space, values, told)
        if draws_itself(new):  # whether its code asks for these names, and takes these values, is seen when it runs
            mine = {**old.parameters, **{n: v for n, v in resolved(old, point).items() if n != SEED}}
            becomes |= {n: label(v) for n, v in mine.items() if n not in (*space.names, *TRAINING_PARAMETERS, BUILDER)}
        else:
            _tell_dropped(resolved(old, declared(old, point)), space, usual, told)
        if becomes:
            found.setdefault(point_key(becomes), becomes)
    if old.builder != new.builder and not {BUILDER} & {*old.space, *new.space} and not old.entries:
        told.say(BUILDER, f"{old.builder} there, {new.builder} here: parameters of the same name are taken")
    return tuple(found.values()), told.sentences()


def in_use(spec: StudySpec, point: Mapping[str, Any]) -> Point:
    """Everything that a trial of a study is trained with: its point, what the study fixes, the builder's defaults."""
    drawn = resolved(spec, point)
    key = str(drawn.get(BUILDER, spec.builder))
    defaults = {n: p.default for n, p in get_builder(key).parameters.items()} if key in builder_keys() else {}
    fixed: Point = {BUILDER: key, "batch_size": spec.training.batch_size}
    if spec.data.target is not None:  # ready arrays have a lookback of their own
        fixed["lookback"] = spec.data.lookback
    if spec.data.feature_groups:
        fixed["feature_groups"] = list(spec.data.feature_groups)  # who draws none sees all
    return {**defaults, **fixed, **spec.parameters, **drawn}


class _Told:
    """What became of values, by parameter, each said once."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, None]] = {}

    def say(self, name: str, what: str) -> None:
        self._found.setdefault(name, {})[what] = None

    def sentences(self) -> tuple[str, ...]:
        return tuple(f"{name}: {'; '.join(what)}" for name, what in self._found.items())


def _in_space(space: Space, values: Mapping[str, Any], told: _Told) -> Point:
    """The point of the space that is nearest to these values."""
    point: Point = {}
    unknown: set[str] = set()
    for parameter in space.parameters:
        name = parameter.name
        if not all(o in unknown or (o in point and label(point[o]) in wanted) for o, wanted in parameter.when.items()):
            continue
        if name not in values:
            told.say(name, "not known there, the sampler fills it in")
            unknown.add(name)
            continue
        value = values[name]
        near = _near_choice(parameter, value) if isinstance(parameter, Choices) else near_in(parameter, value)
        if near is _OPEN:
            told.say(name, f"{_shown(value)} is not {parameter.rule}, so the sampler fills it in")
            unknown.add(name)
            continue
        if not parameter.holds(value) and not _same_groups(name, near, value):
            told.say(name, f"{_shown(value)} is not {parameter.rule} and becomes {_shown(near)}")
        point[name] = near
    return point


def _near_choice(parameter: Choices, value: Any) -> Any:
    for choice in parameter.values:
        same = label(choice) == label(value) and isinstance(choice, bool) == isinstance(value, bool)
        if same or _same_groups(parameter.name, choice, value):
            return choice
    if _is_number(value) and all(_is_number(choice) for choice in parameter.values):
        return min(parameter.values, key=lambda choice: abs(choice - value))
    return _OPEN


def near_in(parameter: Range, value: Any) -> Any:
    """The number of the range that is nearest to a value; a mark of its own where the value is no number."""
    if not _is_number(value):
        return _OPEN
    inside = min(max(value, parameter.low), parameter.high)
    step = parameter.step or (1 if parameter.integer else None)
    if step is None:
        return float(inside)
    last = math.floor((parameter.high - parameter.low) / step + 1e-9)
    on_step = parameter.low + min(round((inside - parameter.low) / step), last) * step
    return int(on_step) if parameter.integer else float(round(on_step, 12))


def _tell_dropped(point: Mapping[str, Any], space: Space, usual: Mapping[str, Any], told: _Told) -> None:
    """What the old study searched and the new one does not, where it makes a difference."""
    for name, value in point.items():
        if name in space.names or name in (SEED, BUILDER):
            continue
        if name not in usual:
            told.say(name, "there is no such parameter here")
        elif label(usual[name]) != label(value) and not _same_groups(name, usual[name], value):
            told.say(name, f"{_shown(value)} becomes {_shown(usual[name])}, because it is not searched here")


def _same_groups(name: str, one: Any, other: Any) -> bool:
    """Groups of features mean the same in any order."""
    alike = isinstance(one, list | tuple) and isinstance(other, list | tuple)
    return alike and name == "feature_groups" and set(one) == set(other)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    shown = labels({"": value})[""]
    return f"{shown:.6g}" if isinstance(shown, float) else str(shown)
