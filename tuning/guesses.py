"""What the columns of a series probably mean, by their names and values. A guess is said, and may be wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..storage.overview import Column, Overview

UNITS = {
    "w": "W", "kw": "kW", "mw": "MW", "gw": "GW", "wh": "Wh", "kwh": "kWh", "mwh": "MWh", "gwh": "GWh",
}  # fmt: skip
YEARS_FOR_A_SEASON = 2.0
"""Below it the day of the year tells a model which month it looks at rather than what the season does."""

_PRODUCTION = {
    "power", "production", "generation", "generated", "output", "energy", "yield", "feedin", "infeed",
    "leistung", "erzeugung", "einspeisung", "puissance", "potencia", "potenza",
}  # fmt: skip
_PLANT = {"wind", "solar", "pv", "hydro"}
_NOT_A_TARGET = {
    "capacity", "installed", "available", "rated", "nominal", "setpoint", "limit", "curtailment", "price", "factor",
    "std", "min", "max", "reactive", "consumption", "flag", "status",
    "density", "voltage", "current", "frequency",
}  # fmt: skip
_FORECAST = {
    "forecast", "forecasted", "fcst", "fc", "predicted", "prediction", "nwp", "gfs", "ecmwf", "icon", "arome", "hrrr",
}  # fmt: skip
_REANALYSIS = {"era5", "merra", "merra2", "reanalysis"}
_WEATHER = {
    "wind", "windspeed", "ws", "gust", "direction", "wd", "u10", "v10", "u100", "v100", "weather", "visibility",
    "temp", "temperature", "t2m", "pressure", "humidity", "dew", "dewpoint", "precipitation", "rain", "snow",
    "cloud", "clouds", "cloudcover", "sunshine", "radiation", "irradiance", "irradiation", "ghi", "dni", "dhi", "gti",
    "ssrd",
}  # fmt: skip
_DIRECTION = {"deg", "degree", "degrees", "direction", "dir", "winddirection", "bearing", "heading", "azimuth", "wd"}
_NO_DIRECTION = {"c", "f", "k", "temp", "temperature", "lat", "lon", "latitude", "longitude", "pitch", "tilt"}
_MOST_MISSING = 0.2
_DARK_HOURS = 4


@dataclass(frozen=True)
class Guess:
    """What the series probably is.

    Attributes:
        targets: columns that may be the target, the likeliest first; empty where no name says so.
        certain: whether the first of `targets` is the only plausible one.
        forecasts: columns that are called forecasts: known ahead.
        weather: other columns of weather; measured, so not known ahead, unless the user knows better.
        reanalysis: those of `weather` that a reanalysis computed afterwards.
        circular: columns in degrees round the compass.
        left_out: columns of numbers that no model should see, each with the reason.
    """

    targets: tuple[str, ...]
    certain: bool
    forecasts: tuple[str, ...]
    weather: tuple[str, ...]
    reanalysis: tuple[str, ...]
    circular: tuple[str, ...]
    left_out: dict[str, str]


def words(name: str) -> tuple[str, ...]:
    """The words of a column's name in small letters: ``PowerKW`` → ``power``, ``kw``."""
    parted = re.sub(r"(?<=[a-z]{2})(?=[A-Z])", " ", name)
    return tuple(word for word in re.split(r"[^a-z0-9]+", parted.lower()) if word)


def unit_of(name: str) -> str | None:
    """The unit in a column's name, if there is one of power or energy."""
    found = [UNITS[word] for word in words(name) if word in UNITS and word != "w"]
    return found[-1] if found else ("W" if words(name)[-1:] == ("w",) else None)


def guess(series: Overview) -> Guess:
    """Guess what the columns mean."""
    left_out = {column.name: reason for column in series.columns if (reason := _reason(series, column)) is not None}
    usable = [column for column in series.columns if column.name not in left_out]
    names = [column.name for column in usable]
    targets, certain = _targets(names)
    forecasts = tuple(name for name in names if _FORECAST & set(words(name)))
    weather = tuple(
        name
        for name in names
        if name not in forecasts and name not in targets and (_WEATHER | _REANALYSIS) & set(words(name))
    )
    return Guess(
        targets=targets,
        certain=certain,
        forecasts=forecasts,
        weather=weather,
        reanalysis=tuple(name for name in weather if _REANALYSIS & set(words(name))),
        circular=tuple(column.name for column in usable if _is_direction(column, names)),
        left_out=left_out,
    )


def lookback_of(series: Overview) -> int:
    """Steps of a day, within bounds: a recurrent network does not see far, and a short series has few windows."""
    day = 14 if series.step_seconds >= 86400 else max(8, min(96, round(86400 / series.step_seconds)))
    return min(day, max(4, len(series.times) // 20))


def horizon_of(step_seconds: float) -> int:
    """An hour, or a step where steps are longer."""
    return max(1, round(3600 / step_seconds))


def calendar_of(series: Overview) -> tuple[str, ...]:
    """Clock and season, as far as the series is fine and long enough for them."""
    hour = ("hour",) if series.step_seconds < 86400 / 2 else ()
    return (*hour, "day_of_year") if series.span_days >= YEARS_FOR_A_SEASON * 365.25 else hour


def dark_hours(series: Overview, target: str) -> int:
    """Hours of the day (UTC) in which the target is practically always zero."""
    values, top = series.column(target).values, series.column(target).high
    if top <= 0 or series.step_seconds > 3600:
        return 0
    hours = (series.times.astype("datetime64[h]") - series.times.astype("datetime64[D]")).astype(int)
    dark = 0
    for hour in range(24):
        seen = values[hours == hour]
        seen = seen[~np.isnan(seen)]
        dark += bool(len(seen) and (np.abs(seen) <= 0.005 * top).mean() >= 0.9)
    return dark


def is_dark_at_night(series: Overview, target: str) -> bool:
    """Whether the target looks like that of a solar plant."""
    return dark_hours(series, target) >= _DARK_HOURS


def _reason(series: Overview, column: Column) -> str | None:
    if column.unusable is not None:
        return column.unusable
    if column.share_missing > _MOST_MISSING:
        return f"{100 * column.share_missing:.0f} % of its values are missing, and windows with a gap are left out"
    if series.is_counter(column):
        return "it only numbers the rows"
    if column.low == column.high:
        return f"it is {column.low:g} in every row"
    return None


def _targets(names: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """Columns named like production, the likeliest first; else the only one that is no weather."""
    scores = {name: _likeness(set(words(name)), unit_of(name)) for name in names}
    ranked = sorted((name for name in names if scores[name] > 0), key=lambda name: -scores[name])
    if ranked:
        return tuple(ranked), len(ranked) == 1 or scores[ranked[0]] > scores[ranked[1]] + 1
    others = [name for name in names if not (_WEATHER | _FORECAST | _REANALYSIS | _NOT_A_TARGET) & set(words(name))]
    candidates = others if len(names) > 1 else list(names)
    return tuple(candidates[:1]) if len(candidates) == 1 else (), len(candidates) == 1


def _likeness(said: set[str], unit: str | None) -> int:
    if said & (_FORECAST | _REANALYSIS | _NOT_A_TARGET):
        return 0
    named = bool(said & _PRODUCTION) or {"feed", "in"} <= said
    if not named and unit is None:
        return 0
    return 2 * named + 2 * (unit is not None) + bool(said & _PLANT)


def _is_direction(column: Column, names: Sequence[str]) -> bool:
    said = set(words(column.name))
    if not said & _DIRECTION or said & _NO_DIRECTION or {f"{column.name}_sin", f"{column.name}_cos"} & set(names):
        return False
    return column.low >= 0 and 270 < column.high <= 360
