"""What a data set is: the file, its columns and what they mean, the windows, the split."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any, Literal
from zoneinfo import ZoneInfo, available_timezones

import pydantic

from .mistakes import Mistake, nearest

SAMPLE_PREFIX = "sample:"


class DataError(Mistake):
    """A series, arrays or a data specification that cannot be used as they are."""


class DataSpec(pydantic.BaseModel, frozen=True, extra="forbid"):
    """Everything that turns bytes on a disk into windows, targets and scalers.

    What a user must decide: the target with its unit, which columns are known ahead (a weather forecast is, a
    measurement is not), how many steps ahead to forecast, how many steps to look back.

    Attributes:
        path: a file is a series (CSV, gzipped CSV, Parquet), a folder is ready arrays, ``sample:NAME`` is packaged.
        timestamp: column of the times; not given: the first column that reads as times.
        timezone: IANA name of the clock by which times without an offset are read.
        target: column to forecast; a series needs one. Its own past is always a feature.
        unit: of the target.
        capacity: of the plant, in `unit`, for errors relative to it; not given: there are none.
        features: columns to learn from; not given: every other numeric column.
        known_ahead: features whose value at the target time is known when the forecast is made; they enter `horizon`
            steps ahead.
        known_ahead_beyond: steps after the target whose known-ahead values are features as well; a weather forecast
            does not end at the target, and the hours after it tell when the weather turns.
        circular: features in degrees; they enter as sine and cosine.
        calendar: features computed from the target time, as sine and cosine.
        feature_groups: names for groups of features (columns or fields of the calendar), so that a search can leave
            them out; a feature in no group is always seen.
        lookback: steps in a window, the step of the forecast's origin included.
        horizon: steps from the origin to the (last) target.
        outputs: ``last`` forecasts only the step `horizon`, ``all`` the steps 1 … `horizon`.
        split: shares of the rows for training, validation and test, in order of time.
        val_start: first time of the validation part; with `test_start` it replaces `split`.
        test_start: first time of the test part.
        scaling: ``minmax`` to 0 … 1 or ``standard`` to mean 0, deviation 1, by the rows of the training part.
        trust_scaler: arrays only: read ``y_train_scaler.pkl``, a pickle, which may run any code when it is read.
    """

    path: str = "sample:la_haute_borne"
    timestamp: str | None = None
    timezone: str = "UTC"
    target: str | None = None
    unit: str = "MW"
    capacity: float | None = None
    features: tuple[str, ...] | None = None
    known_ahead: tuple[str, ...] = ()
    known_ahead_beyond: int = 0
    circular: tuple[str, ...] = ()
    calendar: tuple[Literal["hour", "day_of_year"], ...] = ("hour", "day_of_year")
    feature_groups: Mapping[str, tuple[str, ...]] = pydantic.Field(default_factory=dict)
    lookback: int = 24
    horizon: int = 1
    outputs: Literal["last", "all"] = "last"
    split: tuple[float, float, float] = (0.7, 0.15, 0.15)
    val_start: str | None = None
    test_start: str | None = None
    scaling: Literal["minmax", "standard"] = "minmax"
    trust_scaler: bool = False

    @property
    def steps_ahead(self) -> tuple[int, ...]:
        """Steps from the origin to each output: ``(horizon,)`` or ``(1, …, horizon)``."""
        return (self.horizon,) if self.outputs == "last" else tuple(range(1, self.horizon + 1))

    @property
    def reach(self) -> int:
        """Steps from the origin to the farthest known-ahead value."""
        return self.horizon + self.known_ahead_beyond

    def mistakes(self) -> list[str]:
        """What is wrong with the specification whatever the data are; empty when nothing is."""
        found = [
            f"`{name}` must be at least 1; got {value}." for name, value in self._whole_numbers().items() if value < 1
        ]
        if self.capacity is not None and not (math.isfinite(self.capacity) and self.capacity > 0):
            found.append(f"`capacity` must be a positive number of {self.unit}; got {self.capacity}.")
        if not self.unit.strip():
            found.append("`unit` must name the unit of the target; got an empty text. For example: MW.")
        found += self._column_mistakes()
        if not timezone_exists(self.timezone):
            found.append(
                f"`timezone` must be an IANA name; got '{self.timezone}'. {nearest(self.timezone, _timezone_names())}"
            )
            return found if self.val_start or self.test_start else found + self._split_mistakes()
        return found + self._split_mistakes()

    def _whole_numbers(self) -> dict[str, int]:
        return {"lookback": self.lookback, "horizon": self.horizon}

    def _column_mistakes(self) -> list[str]:
        found = []
        if self.known_ahead_beyond < 0:
            found.append(f"`known_ahead_beyond` must be at least 0; got {self.known_ahead_beyond}.")
        if self.known_ahead_beyond > 0 and not self.known_ahead:
            found.append(
                f"`known_ahead_beyond` needs features that are known ahead; got {self.known_ahead_beyond} and none. "
                "Name them in `known_ahead`, or leave it out."
            )
        for field, names in (("features", self.features or ()), ("known_ahead", self.known_ahead)):
            repeated = sorted({name for name in names if names.count(name) > 1})
            found += [f"`{field}` names '{name}' more than once. Name it once." for name in repeated]
        for group, names in self.feature_groups.items():
            if not names or self.target in names:
                what = "must not be empty" if not names else f"must not hold the target '{self.target}'"
                found.append(f"`feature_groups.{group}` {what}. The target's own past is always seen; name features.")
        if self.target is not None and self.target in self.known_ahead:
            found.append(
                f"The target cannot be known ahead, that would leak the answer; got '{self.target}' in `known_ahead`. "
                "Take it out."
            )
        if self.target is not None and self.target in self.circular:
            found.append(
                f"The target cannot be circular; got '{self.target}' in `circular`. Forecast its sine and cosine "
                "instead."
            )
        return found

    def _split_mistakes(self) -> list[str]:
        if (self.val_start is None) != (self.test_start is None):
            given = "val_start" if self.test_start is None else "test_start"
            missing = "test_start" if self.test_start is None else "val_start"
            return [f"`val_start` and `test_start` come together; got only `{given}`. Add `{missing}`, or use `split`."]
        if self.val_start is not None and self.test_start is not None:
            return self._date_mistakes(self.val_start, self.test_start)
        finite = all(math.isfinite(share) for share in self.split)
        if finite and min(self.split) > 0 and abs(sum(self.split) - 1) <= 1e-6:
            return []
        mistake = (
            "`split` must be three positive shares (training, validation, test) that sum to 1; "
            f"got {list(self.split)} with sum {sum(self.split):g}. For example: [0.7, 0.15, 0.15]."
        )
        return [mistake]

    def _date_mistakes(self, val_start: str, test_start: str) -> list[str]:
        found = []
        for name, text in (("val_start", val_start), ("test_start", test_start)):
            try:
                instant(text, self.timezone)
            except ValueError:
                found.append(f"`{name}` must be a date in ISO form; got '{text}'. For example: 2015-06-01.")
        if not found and instant(val_start, self.timezone) >= instant(test_start, self.timezone):
            found.append(
                f"`val_start` must be before `test_start`; got {val_start} and {test_start}. Validation comes before "
                "the test."
            )
        return found


def parse_spec(values: Mapping[str, Any]) -> DataSpec:
    """A specification from loose values (TOML, JSON, options).

    Args:
        values: names and values of `DataSpec`'s fields.

    Returns:
        the specification; its own rules (`DataSpec.mistakes`) hold.

    Raises:
        DataError: unknown names, values of a wrong type, broken rules; all at once.
    """
    known = {name: value for name, value in values.items() if name in DataSpec.model_fields}
    found = [
        f"The data specification has no '{name}'. {nearest(name, tuple(DataSpec.model_fields))}"
        for name in values
        if name not in DataSpec.model_fields
    ]
    try:
        spec = DataSpec(**known)
    except pydantic.ValidationError as error:
        for detail in error.errors():
            where = ".".join(str(part) for part in detail["loc"])
            found.append(f"`{where}` of the data: {detail['msg']}; got {detail['input']!r}.")
        raise DataError(found) from error
    found += spec.mistakes()
    if found:
        raise DataError(found)
    return spec


def sample_spec() -> DataSpec:
    """The packaged wind farm, three hours ahead, with ERA5 in the place of a weather forecast.

    Without the day of the year: the training part is one and a half years long, and in it that feature tells a model
    which month it is looking at rather than what the season does.
    """
    return DataSpec(
        path="sample:la_haute_borne",
        timestamp="timestamp_utc",
        target="wind_power_mw",
        unit="MW",
        capacity=8.2,
        known_ahead=(
            "era5_wind_speed_100m_ms",
            "era5_wind_direction_100m_deg",
            "era5_temperature_2m_c",
            "era5_surface_pressure_hpa",
        ),
        circular=("wind_direction_deg", "era5_wind_direction_100m_deg"),
        calendar=("hour",),
        lookback=24,
        horizon=3,
    )


def instant(text: str, zone: str) -> datetime:
    """The moment that an ISO date or time means, in UTC; without an offset it is read by the clock of `zone`.

    Raises:
        ValueError: `text` is not a date in ISO form.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=_zone(zone))
    return moment.astimezone(UTC)


def _zone(name: str) -> tzinfo:
    # UTC must work on machines that carry no time zone database.
    return UTC if name == "UTC" else ZoneInfo(name)


def timezone_exists(name: str) -> bool:
    """Whether this machine knows the IANA name."""
    try:
        _zone(name)
    except (ValueError, OSError, KeyError):  # ZoneInfo: malformed key, a folder's name, not found
        return False
    return True


def _timezone_names() -> tuple[str, ...]:
    return tuple(sorted(available_timezones() | {"UTC"}))
