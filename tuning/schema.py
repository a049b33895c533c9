"""The JSON schema of a study file, made from the specification: editors complete and check a file with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from ..models.contract import Parameter
from ..models.registry import builder_keys, get_builder
from .entries import EntrySpec
from .explanations import explanations, summary
from .presets import COMPARE, PRESET, PRESETS
from .sections import CodeSpec
from .spec import StudySpec

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TITLE = "greentune study file"
NAME = "greentune.schema.json"
"""How the file is called that lies beside a study file."""

INTERNAL = ("entries", "code")
"""Settings that `tune` and `tune compare` make; they are never written by hand."""

_SCALAR: dict[str, Any] = {"type": ["boolean", "number", "string"]}
_WHEN: dict[str, Any] = {
    "type": "object",
    "description": "Searched only where other parameters have these values: one value, or a list of them.",
    "additionalProperties": {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR}]},
}
_CHOICES: dict[str, Any] = {
    "type": "array",
    "description": "Choices, all of one type: numbers, texts, true and false, or lists.",
    "minItems": 1,
    "items": {"type": ["boolean", "number", "string", "array"]},
}
ENTRY: dict[str, Any] = {
    "description": "What is searched: a list of choices, a range, or choices under a condition.",
    "anyOf": [
        _CHOICES,
        {
            "type": "object",
            "description": "A range, both ends included; of whole numbers when both ends are.",
            "properties": {
                "low": {"type": "number", "description": "The lower end."},
                "high": {"type": "number", "description": "The upper end."},
                "step": {"type": "number", "exclusiveMinimum": 0, "description": "From one value to the next."},
                "log": {"type": "boolean", "description": "Whether it is searched by orders of magnitude."},
                "when": _WHEN,
            },
            "required": ["low", "high"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "description": "Choices under a condition.",
            "properties": {"choices": _CHOICES, "when": _WHEN},
            "required": ["choices"],
            "additionalProperties": False,
        },
    ],
}


def study_schema() -> dict[str, Any]:
    """The schema of what may stand in a study file, JSON Schema draft 2020-12.

    It knows names, types, bounds and what each setting means. What only the data or other settings can tell, such as
    whether a column exists, `tune` itself says.
    """
    raw = StudySpec.model_json_schema()
    sections = raw.pop("$defs")
    properties = {name: body for name, body in raw["properties"].items() if name not in INTERNAL}
    for made in (EntrySpec, CodeSpec):
        sections.pop(made.__name__, None)
    models: list[type[BaseModel]] = [StudySpec, *section_models().values()]
    for model in models:
        told = explanations(model)
        body = properties if model is StudySpec else sections[model.__name__]["properties"]
        for name, text in told.items():
            if name in body:
                body[name] = {**body[name], "description": text}
        if model is not StudySpec:
            sections[model.__name__]["description"] = summary(model)
    properties["builder"]["examples"] = list(builder_keys())
    properties["parameters"] = {**properties["parameters"], "properties": _parameters()}
    properties["space"] = {
        "type": "object",
        "description": properties["space"]["description"],
        "additionalProperties": {"$ref": "#/$defs/SpaceEntry"},
    }
    schema = {
        "$schema": DIALECT,
        "title": TITLE,
        "type": "object",
        "properties": {PRESET: _preset(), **properties, COMPARE: _compare()},
        "additionalProperties": False,
        "$defs": {**sections, "SpaceEntry": ENTRY},
    }
    cleaned: dict[str, Any] = _cleaned(schema)
    return {**cleaned, "title": TITLE}


def section_models() -> dict[str, type[BaseModel]]:
    """The sections of a study file by name, in the order of the specification."""
    found: dict[str, type[BaseModel]] = {}
    for name, field in StudySpec.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found[name] = kind
    return found


def builder_parameters() -> dict[str, dict[str, Parameter]]:
    """Parameter → builder → what that builder says of it."""
    found: dict[str, dict[str, Parameter]] = {}
    for key in builder_keys():
        for name, parameter in get_builder(key).parameters.items():
            found.setdefault(name, {})[key] = parameter
    return found


def _parameters() -> dict[str, Any]:
    """Every parameter of the builders that come along; a model of the user's own has others."""
    return {
        name: {"description": "; ".join(dict.fromkeys(f"{said.description} ({said.rule})" for said in by_key.values()))}
        for name, by_key in builder_parameters().items()
    }


def _preset() -> dict[str, Any]:
    return {
        "enum": list(PRESETS),
        "description": "Settings to begin with; what stands in the file and the options win over it.",
    }


def _compare() -> dict[str, Any]:
    return {
        "type": "array",
        "description": "What `tune compare` trains and compares: two entries or more.",
        "minItems": 2,
        "items": {
            "type": "object",
            "properties": {
                "name": {"type": "string", "minLength": 1, "description": "Of the entry, in one line."},
                "builder": {"type": "string", "default": EntrySpec().builder, "description": "Key of the model."},
                "parameters": {
                    "type": "object",
                    "description": "Of the builder; batch_size, lookback and feature_groups may stand among them.",
                    "additionalProperties": True,
                },
            },
            "required": ["name"],
            "additionalProperties": False,
        },
    }


def _cleaned(tree: Any, *, names: bool = False) -> Any:
    """Without pydantic's titles, and without null, which TOML does not have.

    Args:
        names: whether the keys of `tree` are names of settings, of which one may be called like a keyword.
    """
    if isinstance(tree, list):
        return [_cleaned(item) for item in tree]
    if not isinstance(tree, Mapping):
        return tree
    if names:
        return {key: _cleaned(value) for key, value in tree.items()}
    kept = {
        key: _cleaned(value, names=key in ("properties", "$defs"))
        for key, value in tree.items()
        if key != "title" and not (key == "default" and (value is None or value == {}))
    }
    left = [item for item in kept.get("anyOf", []) if item != {"type": "null"}]
    if "anyOf" in kept and len(left) < len(kept["anyOf"]):
        del kept["anyOf"]
        kept = {**left[0], **kept} if len(left) == 1 else {"anyOf": left, **kept}
    return kept
