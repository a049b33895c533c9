"""The text of a study file: what was settled for a series, and every other setting with its default, commented out."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..models.registry import get_builder
from ..storage.overview import Overview
from . import guesses
from .explanations import explanations, summary
from .presets import PRESETS
from .schema import INTERNAL, NAME, section_models
from .spec import StudySpec

WIDTH = 118
_POINTS = "points"  # of the search: made by `tune` itself, as the entries are

_EXAMPLES: dict[str, Any] = {
    "hypermodel": "model.py:MyHyperModel",
    "objective_function": "objective.py:objective",
    "search.objectives": ["rmse", "n_params"],
    "search.trials": 40,
    "search.timeout": 1800.0,
    "search.worker_seconds": 36000.0,
    "search.until_no_gain": 15,
    "search.start_from": "STUDY",
    "search.directions": ["minimize"],
    "validation.validation_size": 2000,
    "validation.step": 2000,
    "validation.train_size": 8000,
    "validation.gap": 48,
    "training.patience": 5,
    "training.reduce_lr_patience": 3,
    "run.trial_timeout": 3600.0,
    "run.memory_limit_mb": 4000,
}
"""Shown for settings that have no default, because TOML has no way to say "none"."""


@dataclass(frozen=True, eq=False)
class Content:
    """What a study file is made of.

    Attributes:
        data: the settings of the section ``data`` that are not commented out.
        spec: the whole specification that they give, for the defaults of everything else.
        assumed: what nobody said, a sentence each.
        file: name of the study file.
    """

    series: Overview
    guess: guesses.Guess
    data: Mapping[str, Any]
    spec: StudySpec
    assumed: tuple[str, ...]
    file: str


def study_file(content: Content, *, with_schema: bool) -> str:
    """The file as text; every line of it that begins with ``#`` and a name is a setting that can be taken in."""
    lines = [f"#:schema ./{NAME}"] if with_schema else []
    lines += [*_header(content), "", *_top(content)]
    shown = _shown(content)
    for section, model in section_models().items():
        lines += ["", *_comment(summary(model)), f"[{section}]"]
        told = explanations(model)
        active = content.data if section == "data" else {}
        for name in model.model_fields:
            if (section, name) != ("search", _POINTS):
                dotted = f"{section}.{name}"
                text = _notes(content).get(dotted, told.get(name, ""))
                lines += _setting(name, active.get(name, shown.get(dotted)), text, active=name in active)
        if section == "data":
            lines += ["", *_parameters(content), "", *_space(content)]
    return "\n".join([*lines, "", *_compare()]) + "\n"


def step_text(seconds: float) -> str:
    """A time in the largest unit that gives a short number: ``15 min``, ``1 h``, ``3 days``."""
    for unit, size in (("day", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size and (seconds / size * 4).is_integer():
            count = seconds / size
            return f"{count:g} {unit}{'s' if unit == 'day' and count != 1 else ''}"
    return f"{seconds:g} s"


def toml_value(value: Any) -> str:
    """A value in TOML's notation, on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(name)} = {toml_value(item)}" for name, item in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    return repr(value)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else toml_value(name)


def _setting(name: str, value: Any, text: str, *, active: bool) -> list[str]:
    if value is None:
        return []
    line = f"{'' if active else '#'}{_key(name)} = {toml_value(value)}"
    text = _one_line(text)
    if not text or len(line) + 4 + len(text) <= WIDTH:
        return [f"{line}  # {text}" if text else line]
    return [*_comment(text), line]


def _one_line(text: str) -> str:
    """Names of columns may hold anything; a comment may not."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def _comment(text: str) -> list[str]:
    wrapped = textwrap.wrap(_one_line(text), WIDTH - 2, break_long_words=False, break_on_hyphens=False)
    return [f"# {line}" for line in wrapped]


def _header(content: Content) -> Iterator[str]:
    series = content.series
    first, last = (np.datetime_as_string(time, unit="m").replace("T", " ") for time in series.times[[0, -1]])
    yield from _comment(
        f"A study of {series.source}, begun with `tune init`. A line such as `#seed = 0` is a setting with its "
        "default, or with an example where there is none: take the # away and change it."
    )
    yield "#"
    file = _one_line(content.file)
    yield f"#     tune folds --config {file}    draws its folds and checks the data; trains nothing"
    yield f"#     tune --config {file}          searches, chooses, retrains, evaluates, exports"
    yield "#"
    yield from _comment(
        f"times: column {toml_value(series.timestamp)}, a row every {step_text(series.step_seconds)}, {first} to "
        f"{last} UTC, {series.span_days:.0f} days"
    )
    missing = np.isnan(series.column(content.spec.data.target or "").values).sum()
    yield from _comment(
        f"rows: {len(series.times):,}; {series.rows_missing:,} missing"
        + (f" (at most {series.longest_gap:,} in a row)" if series.rows_missing else "")
        + f", {missing:,} without the target. Windows that touch a gap are left out."
    )
    if series.texts:
        yield from _comment(f"columns of text, not used: {', '.join(map(toml_value, series.texts))}")
    if series.decimal_commas:
        listed = ", ".join(map(toml_value, series.decimal_commas))
        yield from _comment(f"columns with decimal commas, not used; write decimals with a point: {listed}")
    for sentence in content.assumed:
        yield from _comment(f"assumed: {sentence}")


def _top(content: Content) -> Iterator[str]:
    told, sections = explanations(StudySpec), section_models()
    yield from _setting(
        "preset", "quick", f"Settings to begin with: {', '.join(PRESETS)}. Default: none.", active=False
    )
    for name in StudySpec.model_fields:
        if name not in sections and name not in ("parameters", "space", *INTERNAL):
            value = _name_of(content) if name == "study" else getattr(content.spec, name)
            example = _EXAMPLES.get(name) if value in (None, ()) else value
            yield from _setting(name, example, told.get(name, ""), active=False)


def _name_of(content: Content) -> str:
    stem = re.sub(r"\.(csv|gz|parquet|pq)\b", "", content.series.source)
    ahead = step_text(content.spec.data.horizon * content.series.step_seconds).replace(" ", "")
    return re.sub(r"[^\w-]+", "-", f"{stem}-{ahead}")


def _shown(content: Content) -> dict[str, Any]:
    """Defaults and, where there are none, examples by dotted name."""
    found: dict[str, Any] = {}
    examples = {**_EXAMPLES, **_data_examples(content)}
    for section, values in content.spec.model_dump(mode="json").items():
        for name, value in values.items() if isinstance(values, dict) else ():
            dotted = f"{section}.{name}"
            found[dotted] = examples.get(dotted) if value in (None, [], {}) else value
            if found[dotted] is None and value is not None:
                found[dotted] = value
    return found


def _data_examples(content: Content) -> dict[str, Any]:
    """What the data section would hold for this series, where it has no default."""
    series, data = content.series, content.spec.data
    rows = len(series.times)
    val, test = (np.datetime_as_string(series.times[int(rows * share)], unit="D") for share in (0.7, 0.85))
    features = [name for name in series.names if name != data.target and name not in content.guess.left_out]
    weather = [name for name in features if name in (*content.guess.weather, *content.guess.forecasts)]
    groups = {"weather": weather} if weather else {"others": features} if features else {"clock": list(data.calendar)}
    top = series.column(data.target or "").high
    return {
        "data.capacity": float(f"{top:.3g}") if top > 0 else 1.0,
        "data.features": features,
        "data.feature_groups": groups if all(groups.values()) else {},
        "data.val_start": str(val),
        "data.test_start": str(test),
    }


def _notes(content: Content) -> dict[str, str]:
    """What is said of a setting of the data in the place of its general explanation, because of this series."""
    series, data, guess = content.series, content.spec.data, content.guess
    target = data.target or ""
    step, top = series.step_seconds, series.column(target).high
    ahead = "Forecasts of the weather for the target hour, known when the forecast is made."
    measured = [name for name in guess.weather if name not in (*data.known_ahead, *guess.reanalysis)]
    if measured:
        ahead += (
            f" {', '.join(measured)} may be measured. Measured weather is NOT known ahead: naming it here lets the "
            "model look into the future, and its figures will not hold."
        )
    if guess.reanalysis:
        ahead += (
            f" {', '.join(guess.reanalysis)} is of a reanalysis, which is computed afterwards: it can stand in for a "
            "forecast to try things out."
        )
    capacity = f"Of the plant, in {data.unit}, for errors relative to it. The largest value of the target is {top:g}."
    notes = {
        "data.path": "Counts from the folder of this file; a folder means ready arrays.",
        "data.lookback": f"Steps in a window: {step_text(data.lookback * step)}.",
        "data.horizon": f"Steps ahead: {step_text(data.horizon * step)}.",
        "data.known_ahead": ahead,
        "data.capacity": capacity,
    }
    if "day_of_year" not in data.calendar:
        notes["data.calendar"] = (
            f"As sine and cosine; day_of_year, the season, needs two years of data or more (here "
            f"{series.span_days:.0f} days)."
        )
    if guesses.is_dark_at_night(series, target):
        notes["data.target"] = (
            f"It is zero in {guesses.dark_hours(series, target)} hours of nearly every day, as at night. These "
            "hours are easy and flatter all figures: compare with the baselines, not with other plants. The hour in "
            "the calendar tells a model of them."
        )
    return notes


def _parameters(content: Content) -> Iterator[str]:
    yield from _comment(
        f"Parameters of the model ({content.spec.builder}) that are fixed; what is fixed is not searched. Every model "
        "has its own."
    )
    yield "[parameters]"
    for name, parameter in get_builder(content.spec.builder).parameters.items():
        text = f"{parameter.description[:1].upper()}{parameter.description[1:]}: {parameter.rule}."
        yield from _setting(name, "none" if parameter.default is None else parameter.default, text, active=False)


def _space(content: Content) -> Iterator[str]:
    yield from _comment(
        "What is searched: a list of choices, or a range { low, high, step or log }, each with a condition `when` if "
        "need be. Commented out is the default space; a table of your own, [space] with it, replaces it as a whole."
    )
    yield "#[space]"
    for name, entry in content.spec.space.items():
        yield from _setting(name, entry, "", active=False)


def _compare() -> Iterator[str]:
    yield from _comment("For `tune compare`: two entries or more. Without any it takes the four documented ones.")
    for name, units in (("Small", [16]), ("Large", [64, 32])):
        yield "#[[compare]]"
        yield from _setting("name", name, "", active=False)
        yield from _setting("builder", "stacked_lstm", "", active=False)
        yield from _setting("parameters", {"lstm_units": units, "l1": 0.0, "l2": 1e-5}, "", active=False)
