"""Writes the reference, `docs/reference/`, from the code: `make docs`. A test fails when it is not up to date."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import typer.main

from greentune.models.registry import builder_keys, get_builder
from greentune.tuning.cli import app
from greentune.tuning.explanations import explanations, summary
from greentune.tuning.init_file import toml_value
from greentune.tuning.presets import PRESETS
from greentune.tuning.schema import INTERNAL, section_models, study_schema
from greentune.tuning.spec import StudySpec

FOLDER = Path(__file__).resolve().parent / "reference"
MADE = "Made by `make docs` from the code; changes belong there."
_INTRODUCTION = (
    "The README has an example; `tune init` writes a file with all of it, and `tune schema` is the same for editors. "
    "The same names hold in `tune({...})` of Python."
)
_LAYERS = (
    "A study is what a preset says, under what the file says, under what the options say. A dash means that there is "
    "no default; what holds then stands in the explanation."
)
_KINDS = {str: "text", int: "whole number", float: "number", Path: "path"}
_DEFAULT = re.compile(r"\s*\[default: (?P<value>.*)\]$")


def pages() -> dict[str, str]:
    """The reference by name of file."""
    return {"specification.md": specification(), "commands.md": commands()}


def specification() -> str:
    """Every setting of a study file."""
    schema = study_schema()
    top = {name: body for name, body in schema["properties"].items() if name not in (*section_models(), "compare")}
    defaults = StudySpec(study="x").model_dump(mode="json")
    lines = [
        "# Specification of a study",
        "",
        f"{MADE} {_INTRODUCTION}",
        "",
        _LAYERS,
        "",
        "## Top of the file",
        "",
        *_settings({"preset": "", **explanations(StudySpec)}, top, {**defaults, "study": None}),
    ]
    for name, model in section_models().items():
        section = schema["$defs"][model.__name__]["properties"]
        lines += ["", f"## `[{name}]`", "", summary(model), ""]
        lines += _settings(explanations(model), section, defaults[name])
    return "\n".join([*lines, *_space(), *_models(), *_compare(schema), *_presets()]) + "\n"


def commands() -> str:
    """Every public command with its arguments and options."""
    root = typer.main.get_command(app)
    lines = ["# Commands", "", f"{MADE} `greentune` is another name of `tune`. Every command has `--help`, too.", ""]
    public = [("tune", root)]
    public += [(f"tune {name}", child) for name, child in root.commands.items() if not child.hidden]
    lines += [f"- [`{words}`](#{words.replace(' ', '-')})" for words, _ in public]
    for words, command in public:
        kinds = get_type_hints(inspect.unwrap(command.callback))
        lines += ["", f"## {words}", "", *_prose(command.help or ""), "", "```text", _usage(words, command), "```"]
        for panel, parameters in _panels(command).items():
            lines += ["", f"### {panel}", "", "| | default | |", "|---|---|---|"]
            lines += [_parameter(parameter, kinds[parameter.name]) for parameter in parameters]
    return "\n".join(lines) + "\n"


def _settings(told: Mapping[str, str], schema: Mapping[str, Any], defaults: Mapping[str, Any]) -> Iterator[str]:
    yield "| setting | type | default | |"
    yield "|---|---|---|---|"
    for name in dict.fromkeys([*told, *schema]):
        if name in schema and name not in INTERNAL:
            default = defaults.get(name)
            shown = "–" if default is None else f"`{toml_value(default)}`"
            yield _row(f"`{name}`", _type(schema[name]), shown, schema[name].get("description", told.get(name, "")))


def _type(schema: Mapping[str, Any]) -> str:
    """What a value must be, in words."""
    if "enum" in schema:
        return ", ".join(f"`{toml_value(value)}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    kind = schema.get("type")
    if kind in ("integer", "number"):
        bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
        said = [f"{sign} {schema[name]:g}" for name, sign in bounds.items() if name in schema]
        said = [text.replace("2.14748e+09", "2³¹") for text in said]
        return " ".join(["whole number" if kind == "integer" else "number", ", ".join(said)]).strip()
    if kind == "array" and "prefixItems" in schema:
        return f"list of {len(schema['prefixItems'])} {_plural(_type(schema['prefixItems'][0]))}"
    if kind == "array":
        inside = schema.get("items", {})
        return f"list of {_plural(_type(inside))}" if inside else "list"
    return {"string": "text", "boolean": "true or false", "object": "table"}.get(str(kind), "any")


def _plural(kind: str) -> str:
    return {"text": "texts", "number": "numbers", "whole number": "whole numbers", "table": "tables"}.get(kind, kind)


def _row(*cells: str) -> str:
    return f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |"


def _space() -> Iterator[str]:
    yield from ("", "## `[space]`", "")
    yield (
        "What is searched: parameters of the model, `batch_size`, `lookback` and `feature_groups`, each with one of "
        "these. A space of your own replaces the default one as a whole."
    )
    yield from ("", "| notation | |", "|---|---|")
    yield _row("`lstm_units = [[64, 32], [32]]`", "Choices, all of one type.")
    yield _row("`{ low = 1e-4, high = 1e-2, log = true }`", "A range, both ends included, by orders of magnitude.")
    yield _row("`{ low = 0.0, high = 0.5, step = 0.1 }`", "A range in steps; a grid needs them.")
    yield _row("`{ low = 8, high = 64 }`", "Both ends whole: whole numbers.")
    yield _row('`{ choices = [8, 16], when = { loss = "huber" } }`', "Only where another parameter has this value.")
    yield _row('`{ low = 0.5, high = 5.0, when = { optimizer = ["sgd"] } }`', "Or one of these values.")


def _models() -> Iterator[str]:
    yield from ("", "## Models", "", "Fixed under `[parameters]` or searched under `[space]`.")
    for key in builder_keys():
        builder = get_builder(key)
        yield from ("", f"### `{key}`", "", "| parameter | must be | default | searched by default | |")
        yield "|---|---|---|---|---|"
        for name, parameter in builder.parameters.items():
            default = "none" if parameter.default is None else parameter.default
            searched = f"`{toml_value(builder.space[name])}`" if name in builder.space else "–"
            yield _row(f"`{name}`", parameter.rule, f"`{toml_value(default)}`", searched, parameter.description)
        for name in builder.space:
            if name not in builder.parameters:
                yield _row(
                    f"`{name}`", "see `[training]` and `[data]`", "–", f"`{toml_value(builder.space[name])}`", ""
                )


def _compare(schema: Mapping[str, Any]) -> Iterator[str]:
    compare = schema["properties"]["compare"]
    yield from ("", "## `[[compare]]`", "", f"{compare['description']} One table each.", "")
    inside = compare["items"]["properties"]
    yield from _settings({}, inside, {name: body.get("default") for name, body in inside.items()})


def _presets() -> Iterator[str]:
    yield from ("", "## Presets", "", '`preset = "NAME"` at the top of the file, or `--preset NAME`.')
    for name, tables in PRESETS.items():
        yield from ("", f"### `{name}`", "", "| setting | value |", "|---|---|")
        for section, value in tables.items():
            inside = value.items() if isinstance(value, Mapping) else ()
            yield from (_row(f"`{section}.{key}`", f"`{toml_value(each)}`") for key, each in inside)
            if not inside:
                yield _row(f"`{section}`", f"`{toml_value(value)}`")


def _prose(text: str) -> list[str]:
    """Paragraphs, each on one line."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n")).splitlines()


def _usage(words: str, command: Any) -> str:
    said = [words, *(["[OPTIONS]"] if _options(command) else [])]
    for argument in _arguments(command):
        name = argument.name.upper() + ("…" if argument.nargs == -1 else "")
        said.append(name if argument.required else f"[{name}]")
    return " ".join(said)


def _arguments(command: Any) -> list[Any]:
    return [parameter for parameter in command.params if parameter.param_type_name == "argument"]


def _options(command: Any) -> list[Any]:
    return [p for p in command.params if p.param_type_name == "option" and not p.hidden]


def _panels(command: Any) -> dict[str, list[Any]]:
    """Arguments, then options by the heading under which `--help` shows them."""
    found: dict[str, list[Any]] = {}
    for argument in _arguments(command):
        found.setdefault("Arguments", []).append(argument)
    for option in _options(command):
        found.setdefault(option.rich_help_panel or "Options", []).append(option)
    return found


def _parameter(parameter: Any, kind: Any) -> str:
    text = parameter.help or ""
    said = _DEFAULT.search(text)
    if said is not None:
        text, default = text[: said.start()], said["value"]
    elif parameter.required:
        default = "required"
    else:
        default = _default(parameter)
    return _row(_names(parameter, kind), default, text)


def _names(parameter: Any, kind: Any) -> str:
    """How it is written: names, and what comes behind them.

    Args:
        kind: annotation of the parameter in the command's function.
    """
    if parameter.param_type_name == "argument":
        return f"`{parameter.name.upper()}`"
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    kinds = [each for each in (get_args(kind) or (kind,)) if each is not type(None)]
    several = get_origin(kinds[0]) is list
    value = get_args(kinds[0])[0] if several else kinds[0]
    if value is bool:
        return names
    said = " or ".join(each.value for each in value) if issubclass(value, Enum) else _KINDS[value]
    return f"{names} {said}" + (", may be repeated" if several else "")


def _default(parameter: Any) -> str:
    value = getattr(parameter.default, "value", parameter.default)
    if value is None or value is False or value == []:
        return ""
    if value is True:
        return f"`{parameter.opts[0]}`"
    return f"`{value}`"


def main() -> None:
    """Write all pages."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
