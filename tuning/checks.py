"""What types alone cannot see in a specification: names and values against builder and space, what a grid needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from ..models.contract import Builder, ModelError, complete, value_mistakes
from ..models.registry import builder_keys, get_builder
from ..storage.mistakes import nearest
from .objective_names import objective_mistakes
from .references import BUILDER, all_builders, is_users, reference_mistakes, runs_user_code, searched_builders
from .space import Choices, Range, Space, parse_space

USUAL_SPLITS = 5

_OF_WINDOWS = {
    "n_splits": USUAL_SPLITS,
    "borders": "count",
    "validation_size": None,
    "step": None,
    "train_size": None,
    "refit_every": 1,
}
"""Settings of the validation that only expanding and sliding windows have, and what they are where nothing is said."""

_TRIED = 2000

LISTS = ("grid", "points")
"""Samplers that propose nothing: all their points are known before."""

TRAINING_PARAMETERS = ("batch_size", "lookback", "feature_groups")
"""Names that may stand in a space beside the builder's own parameters."""


def search_mistakes(raw: Mapping[str, Any]) -> list[str]:
    """Check model, parameters and space of a specification whose types may still be wrong elsewhere.

    Returns:
        a sentence for each mistake; none for sections of a wrong type, which the types' own check names.
    """
    declared, fixed, key = raw.get("space", {}), raw.get("parameters", {}), raw.get("builder", "stacked_lstm")
    if not isinstance(declared, Mapping) or not isinstance(fixed, Mapping) or not isinstance(key, str):
        return []
    space, mistakes = parse_space(declared)
    if not declared and not runs_user_code(raw) and key in builder_keys():
        mistakes.append("`space` must name at least one parameter to search; got none.")
    if _setting(raw, "search", "sampler") == "grid":
        mistakes += _uncountable(space)
    mistakes += objective_mistakes(raw.get("search")) + _validation_mistakes(raw) + _point_mistakes(raw, space)
    mistakes += _first_mistakes(raw, space) + _twice(declared, fixed) + reference_mistakes(raw)
    if raw.get("hypermodel") is not None or raw.get("objective_function") is not None:
        return mistakes
    groups, known = _setting(raw, "data", "feature_groups") or {}, builder_keys()
    keys = searched_builders(declared) or [key]
    for each in keys:
        if each in known:
            found = builder_mistakes(get_builder(each), seen_from(each, space), fixed, groups)
            mistakes += [sentence for sentence in found if sentence not in mistakes]
        elif not is_users(each):
            mistakes.append(f"`builder` must be a known model; got '{each}'. {nearest(each, all_builders())}")
    return mistakes


def builder_mistakes(builder: Builder, space: Space, fixed: Mapping[str, Any], groups: Any = ()) -> list[str]:
    """What of a space and fixed parameters a builder does not take."""
    valid = [*builder.parameters, *TRAINING_PARAMETERS]
    unknown = [
        f"`space.{name}` is no parameter of '{builder.key}'. {nearest(name, valid)}"
        for name in space.names
        if name not in valid
    ]
    return unknown + _value_mistakes(builder, space, fixed, groups)


def seen_from(key: str, space: Space) -> Space:
    """The part of a space that is drawn where this builder was chosen, without what depends on the choice."""
    found = []
    for parameter in space.parameters:
        wanted = parameter.when.get(BUILDER, (key,))
        if parameter.name != BUILDER and key in wanted:
            when = {name: values for name, values in parameter.when.items() if name != BUILDER}
            found.append(replace(parameter, when=when))
    return Space(tuple(found))


def _twice(declared: Mapping[str, Any], fixed: Mapping[str, Any]) -> list[str]:
    return [
        f"`{name}` is both searched and fixed. Remove it from [space] or from [parameters]."
        for name in declared
        if name in fixed
    ]


def training_mistakes(raw: Mapping[str, Any]) -> list[str]:
    """What of the training section does not go together, in a study or a comparison."""
    decay = _setting(raw, "training", "decay")
    if isinstance(decay, int | float) and decay > 0 and _setting(raw, "training", "reduce_lr_patience") is not None:
        return ["`training.decay` and `training.reduce_lr_patience` both set the learning rate. Use one of them."]
    return []


def _setting(raw: Mapping[str, Any], section: str, name: str) -> Any:
    table = raw.get(section, {})
    return table.get(name) if isinstance(table, Mapping) else None


def _point_mistakes(raw: Mapping[str, Any], space: Space) -> list[str]:
    """A list of points needs the sampler `points`, and the other way round; each value must lie in the space."""
    sampler, points = _setting(raw, "search", "sampler"), _setting(raw, "search", "points")
    if (sampler == "points") != bool(points):
        return ["`search.points` and the sampler points come together. Give both, or neither."]
    return _outside("points", points, space, draws=runs_user_code(raw))


def _first_mistakes(raw: Mapping[str, Any], space: Space) -> list[str]:
    """What is tried first needs a sampler that proposes points; names and values must be those of the space."""
    sampler, first = _setting(raw, "search", "sampler"), _setting(raw, "search", "first")
    if sampler in LISTS:
        return [
            f"`search.{name}` goes before the points of a sampler; {sampler} has a list of its own. Leave one out."
            for name in ("first", "start_from")
            if _setting(raw, "search", name)
        ]
    return _outside("first", first, space, draws=runs_user_code(raw))


def _outside(setting: str, points: Any, space: Space, *, draws: bool = False) -> list[str]:
    """A sentence for each name of the points that the space does not know, and each value that lies outside.

    Args:
        draws: whether code of the user draws parameters whose names are not known here.
    """
    if not isinstance(points, list | tuple):
        return []
    known, found = {parameter.name: parameter for parameter in space.parameters}, []
    for number, point in enumerate(points):
        for name, value in point.items() if isinstance(point, Mapping) else ():
            parameter, where = known.get(name), f"`search.{setting}[{number}]"
            if parameter is None and not draws:
                found.append(f"{where}` names '{name}', which is not searched. {nearest(str(name), list(known))}")
            elif parameter is not None and not parameter.holds(value):
                found.append(f"{where}.{name}` must be {parameter.rule}; got {value!r}. Change it, or widen the space.")
    return found


def _validation_mistakes(raw: Mapping[str, Any]) -> list[str]:
    """What of the validation does not go together."""
    method, pruner = _setting(raw, "validation", "method"), _setting(raw, "search", "pruner")
    seeds = _setting(raw, "validation", "seeds") or 1
    found = []
    for name, usual in _OF_WINDOWS.items() if method in (None, "holdout", "documented") else ():
        given = _setting(raw, "validation", name)
        if given not in (None, usual):
            found.append(
                f"`validation.{name}` is of expanding and sliding windows; got {given} with {method or 'holdout'}. "
                "Leave it out, or use --validation expanding."
            )
    if (method not in (None, "holdout") or seeds != 1) and pruner in ("hyperband", "asha", "patient"):
        found.append(
            f"`search.pruner` must be median or none where a trial has several fits; got {pruner!r}. Median then works "
            "within a fold and between folds."
        )
    return found


def _uncountable(space: Space) -> list[str]:
    return [
        f"A grid needs countable values; `space.{p.name}` is a range without a step. Give it a step or a list."
        for p in space.parameters
        if isinstance(p, Range) and not p.integer and p.step is None
    ]


def _value_mistakes(builder: Builder, space: Space, fixed: Mapping[str, Any], groups: Any) -> list[str]:
    """Every choice and both ends of every range on the builder's own rules: one by one, then together."""
    own = {name: value for name, value in fixed.items() if name not in TRAINING_PARAMETERS}
    mistakes = value_mistakes(builder, own)
    for name, section in (("batch_size", "training"), ("lookback", "data")):
        if name in fixed:
            mistakes.append(f"`{name}` is no parameter of a model. Fix it as [{section}] {name}.")
    if "feature_groups" in fixed:
        mistakes.append("`feature_groups` is no parameter of a model. Leave features out with [data] features.")
    for parameter in space.parameters:
        if parameter.name == "feature_groups":
            mistakes += _group_mistakes(parameter, groups)
        for value in parameter.ends:
            if parameter.name in ("batch_size", "lookback"):
                mistakes += _count_mistakes(parameter.name, value)
            elif parameter.name in builder.parameters:
                mistakes += value_mistakes(builder, {parameter.name: value})
    return mistakes or _disagreements(builder, space, own)


def _disagreements(builder: Builder, space: Space, fixed: Mapping[str, Any]) -> list[str]:
    """What is wrong with values taken together, in the first `_TRIED` points of a grid of all choices and ends."""
    coarse = Space(tuple(Choices(p.name, tuple(p.ends), p.when) for p in space.parameters))
    found: dict[str, None] = {}
    for point in islice(coarse.grid(), _TRIED):
        chosen = {name: value for name, value in point.items() if name in builder.parameters}
        try:
            complete(builder, {**fixed, **chosen})
        except ModelError as error:
            found |= dict.fromkeys(error.mistakes)
    return list(found)


def _count_mistakes(name: str, value: Any) -> list[str]:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return []
    return [f"`{name}` must be a whole number of at least 1; got {value!r} in the space."]


def _group_mistakes(parameter: Choices | Range, groups: Any) -> list[str]:
    """Each choice is a list of groups that the data section names."""
    if isinstance(parameter, Range) or any(not isinstance(value, list | tuple) for value in parameter.values):
        return ["`space.feature_groups` must be choices of lists of groups, e.g. [[], ['weather']]."]
    known = list(groups) if isinstance(groups, Mapping) else []
    return [
        f"`space.feature_groups` must name groups of [data.feature_groups]; got '{name}'. {nearest(str(name), known)}"
        for name in dict.fromkeys(name for value in parameter.values for name in value)
        if name not in known
    ]
