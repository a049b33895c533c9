"""What types alone cannot see in a specification: names and values against builder and space, what a grid needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..models.contract import Builder, ModelError
from ..models.registry import builder_keys, complete, get_builder
from ..storage.mistakes import nearest
from .space import Choices, Range, Space, parse_space

TRAINING_PARAMETERS = ("batch_size",)
"""Names that may stand in a space beside the builder's own parameters."""


def search_mistakes(raw: Mapping[str, Any]) -> list[str]:
    """Check builder, parameters and space of a specification whose types may still be wrong elsewhere.

    Returns:
        a sentence for each mistake; none for sections of a wrong type, which the types' own check names.
    """
    declared, fixed, key = raw.get("space", {}), raw.get("parameters", {}), raw.get("builder", "stacked_lstm")
    if not isinstance(declared, Mapping) or not isinstance(fixed, Mapping) or not isinstance(key, str):
        return []
    space, mistakes = parse_space(declared)
    if not declared:
        mistakes.append("`space` must name at least one parameter to search; got none.")
    if _sampler(raw) == "grid":
        mistakes += _uncountable(space)
    if key not in builder_keys():
        return [*mistakes, f"`builder` must be a known model; got '{key}'. {nearest(key, builder_keys())}"]
    builder = get_builder(key)
    mistakes += _name_mistakes(builder, declared, fixed)
    return mistakes + [sentence for sentence in _value_mistakes(builder, space, fixed) if sentence not in mistakes]


def _sampler(raw: Mapping[str, Any]) -> Any:
    search = raw.get("search", {})
    return search.get("sampler") if isinstance(search, Mapping) else None


def _uncountable(space: Space) -> list[str]:
    return [
        f"A grid needs countable values; `space.{p.name}` is a range without a step. Give it a step or a list."
        for p in space.parameters
        if isinstance(p, Range) and not p.integer and p.step is None
    ]


def _name_mistakes(builder: Builder, declared: Mapping[str, Any], fixed: Mapping[str, Any]) -> list[str]:
    valid = [*builder.parameters, *TRAINING_PARAMETERS]
    unknown = [
        f"`space.{name}` is no parameter of '{builder.key}'. {nearest(name, valid)}"
        for name in declared
        if name not in valid
    ]
    twice = [
        f"`{name}` is both searched and fixed. Remove it from [space] or from [parameters]."
        for name in declared
        if name in fixed
    ]
    return unknown + twice


def _value_mistakes(builder: Builder, space: Space, fixed: Mapping[str, Any]) -> list[str]:
    """Every choice and both ends of every range, tried on the builder's own rules."""
    mistakes = _refused(builder, {name: value for name, value in fixed.items() if name not in TRAINING_PARAMETERS})
    if "batch_size" in fixed:
        mistakes.append("`batch_size` is no parameter of a model. Fix it as [training] batch_size.")
    for parameter in space.parameters:
        ends = parameter.values if isinstance(parameter, Choices) else (parameter.low, parameter.high)
        for value in ends:
            if parameter.name == "batch_size":
                mistakes += _batch_size_mistakes(value)
            elif parameter.name in builder.parameters:
                mistakes += _refused(builder, {parameter.name: value})
    return mistakes


def _refused(builder: Builder, parameters: Mapping[str, Any]) -> list[str]:
    try:
        complete(builder, parameters)
    except ModelError as error:
        return error.mistakes
    return []


def _batch_size_mistakes(value: Any) -> list[str]:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return []
    return [f"`batch_size` must be a whole number of at least 1; got {value!r} in the space."]
