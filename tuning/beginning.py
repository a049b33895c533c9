"""From a series to the study file that `tune init` writes: what is asked, what is assumed, the check of the result."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..storage.datasets import load_source
from ..storage.dataspec import SAMPLE_PREFIX, DataError, sample_spec
from ..storage.mistakes import nearest
from ..storage.overview import Overview, overview
from ..storage.table import located, read_table
from . import guesses
from .init_file import Content, step_text, study_file
from .presets import with_preset
from .spec import parse_spec
from .study_data import data_of

Ask = Callable[[str, str, Callable[[str], str | None]], str]
"""A question, the answer to take for an empty one, and a check that says what is wrong with an answer; the answer."""

NONE = "none"


@dataclass(frozen=True)
class Begun:
    """A study file that works.

    Attributes:
        text: of the file.
        data: the settings of the section ``data`` that stand in it.
        assumed: what nobody said, a sentence each.
    """

    text: str
    data: dict[str, Any]
    assumed: tuple[str, ...]


def begin(series: str | None, out: Path, asked: Mapping[str, Any], *, ask: Ask | None, with_schema: bool) -> Begun:
    """Look at a series, ask or assume what its columns mean, and make the study file of it.

    Args:
        series: a file, or ``sample:NAME``; None: the packaged wind farm.
        out: where the file will lie; its ``data.path`` counts from there.
        asked: settings of the data that the user gave.
        ask: puts questions to a person; None: nobody is there, so the likeliest is assumed.
        with_schema: whether the schema lies beside the file.

    Raises:
        Mistake: the series cannot be used as it is, or what was asked for does not fit it.
    """
    path = series or sample_spec().path
    with located(path) as place:
        if place.is_dir():
            raise DataError(
                f"A study file is made from a series (CSV, Parquet); {path} is a folder. For a folder of ready arrays "
                f"`tune --data {path}` needs no columns."
            )
        found = overview(
            read_table(place), timestamp=asked.get("timestamp"), timezone=str(asked.get("timezone", "UTC"))
        )
    assumed: list[str] = []
    if path == sample_spec().path:
        data = {**_packaged(), **asked}
        guessed = guesses.guess(found)
    else:
        guessed = guesses.guess(found)
        data = _settings(found, guessed, asked, ask, assumed)
    written = {"path": written_path(path, out), **data}
    loaded = {"data": {**data, "path": path}}
    spec = parse_spec(with_preset({}, loaded))
    load_source(data_of(spec))
    content = Content(series=found, guess=guessed, data=written, spec=spec, assumed=tuple(assumed), file=out.name)
    return Begun(study_file(content, with_schema=with_schema), written, tuple(assumed))


def written_path(series: str, out: Path) -> str:
    """The path of a series as it stands in a study file: from the file's folder, unless it was given from the root."""
    if series.startswith(SAMPLE_PREFIX):
        return series
    given, folder = Path(series).expanduser(), Path(os.path.abspath(out.parent))  # noqa: PTH100 - links stay links
    if given.is_absolute() and not given.is_relative_to(folder):
        return str(given)
    return Path(os.path.relpath(given, folder)).as_posix()


def _packaged() -> dict[str, Any]:
    known = sample_spec()
    names = ("timestamp", "target", "unit", "capacity", "known_ahead", "circular", "calendar", "lookback", "horizon")
    values = {name: getattr(known, name) for name in names}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _settings(
    found: Overview, guessed: guesses.Guess, asked: Mapping[str, Any], ask: Ask | None, assumed: list[str]
) -> dict[str, Any]:
    """The section ``data`` of a user's own series, without its path."""
    target = _target(found, guessed, asked.get("target"), ask, assumed)
    horizon = _horizon(found, asked.get("horizon"), ask, assumed)
    others = [name for name in found.names if name != target]
    left_out = [column.name for column in found.columns if column.name in guessed.left_out and column.name != target]
    data: dict[str, Any] = {"timestamp": found.timestamp}
    if "timezone" in asked:
        data["timezone"] = asked["timezone"]
    data["target"] = target
    unit = guesses.unit_of(target)
    if unit is None:
        unit = "MW"
        assumed.append(f"The name '{target}' says no unit: MW is assumed. Set `unit` in the file if it is another.")
    data["unit"] = unit
    if left_out:
        data["features"] = [name for name in others if name not in left_out]
        assumed += [f"'{name}' is left out of the features: {guessed.left_out[name]}" for name in left_out]
    data["known_ahead"] = _known_ahead(
        [name for name in others if name not in left_out], guessed, asked.get("known_ahead"), ask, assumed
    )
    data["circular"] = [name for name in guessed.circular if name != target]
    data["calendar"] = list(guesses.calendar_of(found))
    data["lookback"] = guesses.lookback_of(found)
    data["horizon"] = horizon
    return data


def _target(found: Overview, guessed: guesses.Guess, asked: str | None, ask: Ask | None, assumed: list[str]) -> str:
    def refused(name: str) -> str | None:
        if name in found.names:
            return None
        if name in found.decimal_commas:
            return f"Column '{name}' must hold numbers; it has decimal commas. Write decimals with a point."
        broken = [column.unusable for column in found.columns if column.name == name and column.unusable]
        if broken:
            return broken[0]
        return f"`target` must be a column of numbers of {found.source}; got '{name}'. {nearest(name, found.names)}"

    if asked is not None:
        if (mistake := refused(asked)) is not None:
            raise DataError(mistake)
        return asked
    if found.decimal_commas:
        raise DataError(
            f"Numbers must have a decimal point; those of {', '.join(map(repr, found.decimal_commas))} in "
            f"{found.source} have a comma, so they read as text. Write them with a point, or go on without them by "
            "naming the --target."
        )
    if guessed.targets and guessed.certain:
        assumed.append(f"The target is '{guessed.targets[0]}', the likeliest by its name; --target names another.")
        return guessed.targets[0]
    if ask is not None:
        listed = ", ".join(found.names)
        return ask(f"Columns of numbers: {listed}\nColumn to forecast", (*guessed.targets, "")[0], refused)
    if guessed.targets:
        listed = ", ".join(f"'{name}'" for name in guessed.targets)
        assumed.append(f"The target is '{guessed.targets[0]}', the first of {listed}; --target names another.")
        return guessed.targets[0]
    raise DataError(
        f"`target` must name the column to forecast; the names of {found.source} do not say which it is. "
        f"Use --target with one of: {', '.join(found.names)}."
    )


def _horizon(found: Overview, asked: int | None, ask: Ask | None, assumed: list[str]) -> int:
    if asked is not None:
        return asked
    usual = guesses.horizon_of(found.step_seconds)
    if ask is not None:

        def refused(text: str) -> str | None:
            if text.isdecimal() and int(text) >= 1:
                return None
            return f"`horizon` must be a whole number of at least 1; got '{text}'."

        return int(ask(f"How many steps ahead (a step is {step_text(found.step_seconds)})", str(usual), refused))
    assumed.append(
        f"The horizon is {usual} step{'s' * (usual > 1)}, {step_text(usual * found.step_seconds)}; --horizon sets "
        "another."
    )
    return usual


def _known_ahead(
    features: Sequence[str], guessed: guesses.Guess, asked: Sequence[str] | None, ask: Ask | None, assumed: list[str]
) -> list[str]:
    if asked is not None:
        made = [name for name in asked if name in guessed.targets]
        if made:
            assumed.append(
                f"{', '.join(made)}: known ahead as asked for, though the name is one of production, which is measured "
                "afterwards. Take it out unless it is published before the target hour."
            )
        return list(asked)
    forecasts = [name for name in guessed.forecasts if name in features]
    weather = [name for name in guessed.weather if name in features]
    if ask is not None and forecasts + weather:

        def refused(text: str) -> str | None:
            unknown = [name for name in _listed(text) if name not in features]
            return f"There is no feature '{unknown[0]}'. {nearest(unknown[0], features)}" if unknown else None

        question = (
            f"Weather: {', '.join(forecasts + weather)}\nWhich of these are forecasts, known at the target hour when "
            "the forecast is made? Measured weather is not (comma-separated)"
        )
        return _listed(ask(question, ",".join(forecasts) or NONE, refused))
    if forecasts:
        assumed.append(f"Known ahead by their names: {', '.join(forecasts)}. Take out what is not forecast in advance.")
    if weather:
        assumed.append(
            f"Taken for measured, so not known ahead: {', '.join(weather)}. If some are forecasts, --known-ahead names "
            "them."
        )
    return forecasts


def _listed(text: str) -> list[str]:
    return [] if text.strip() in ("", NONE) else [name.strip() for name in text.split(",") if name.strip()]
