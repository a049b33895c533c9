"""The declared search space: choices and ranges, read from TOML, sampled by Optuna, enumerated for a grid.

The notation, in TOML:

    lstm_units    = [[64, 32], [32]]                     # choices; lists are stored as labels ("64-32")
    learning_rate = { low = 1e-4, high = 1e-2, log = true }
    dropout_rate  = { low = 0.0, high = 0.5, step = 0.1 }
    dense_units   = { low = 8, high = 64 }               # both ends whole: an integer range, ends included
    huber_delta   = { low = 0.1, high = 1.0, when = { loss = "huber" } }
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..models.suggests import Suggests
from ..storage.mistakes import nearest

Scalar = None | bool | int | float | str
Point = dict[str, Any]
"""Parameter values by name, as a builder takes them: lists are lists, not labels."""

_RANGE_KEYS = ("low", "high", "step", "log", "when")
_CHOICE_KEYS = ("choices", "when")


@dataclass(frozen=True)
class Choices:
    """One of several values. Lists become labels, because Optuna stores scalars only."""

    name: str
    values: tuple[Any, ...]
    when: Mapping[str, tuple[Scalar, ...]] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[Scalar, ...]:
        return tuple(label(value) for value in self.values)

    def suggest(self, trial: Suggests) -> Any:
        return self.values[self.labels.index(trial.suggest_categorical(self.name, self.labels))]

    def grid(self) -> tuple[Any, ...]:
        return self.values

    @property
    def ends(self) -> tuple[Any, ...]:
        """Values that hold if all do: every choice."""
        return self.values

    def holds(self, value: Any) -> bool:
        """Whether it is one of the choices."""
        return label(value) in self.labels

    @property
    def rule(self) -> str:
        """What a value must be, as a noun phrase."""
        return f"one of {', '.join(map(str, self.labels))}"


@dataclass(frozen=True)
class Range:
    """A range with both ends included; of whole numbers when both ends are."""

    name: str
    low: float
    high: float
    step: float | None = None
    log: bool = False
    when: Mapping[str, tuple[Scalar, ...]] = field(default_factory=dict)

    @property
    def integer(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int) and not isinstance(self.step, float)

    def suggest(self, trial: Suggests) -> Any:
        if self.integer:
            return trial.suggest_int(self.name, int(self.low), int(self.high), step=int(self.step or 1), log=self.log)
        return self.rounded(trial.suggest_float(self.name, self.low, self.high, step=self.step, log=self.log))

    def rounded(self, value: float) -> float:
        """The value without the dust of repeated steps: 0.3, not 0.30000000000000004."""
        return value if self.step is None else round(value, 12)

    @property
    def ends(self) -> tuple[Any, ...]:
        """Values that hold if all do: both ends."""
        return (self.low, self.high)

    def holds(self, value: Any) -> bool:
        """Whether it lies in the range, on one of its steps."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        step = self.step or (1 if self.integer else None)
        return step is None or abs((value - self.low) / step - round((value - self.low) / step)) < 1e-8

    @property
    def rule(self) -> str:
        """What a value must be, as a noun phrase."""
        kind = "a whole number" if self.integer else "a number"
        steps = "" if self.step is None else f" in steps of {self.step}"
        return f"{kind} from {self.low} to {self.high}{steps}"

    def grid(self) -> tuple[Any, ...]:
        if self.integer:
            return tuple(range(int(self.low), int(self.high) + 1, int(self.step or 1)))
        if self.step is None:
            raise ValueError(f"a grid needs a step in the range of `{self.name}`")
        count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
        return tuple(round(self.low + i * self.step, 12) for i in range(count))


@dataclass(frozen=True)
class Space:
    """Declared parameters in an order in which every condition names an earlier one."""

    parameters: tuple[Choices | Range, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(parameter.name for parameter in self.parameters)

    def sample(self, trial: Suggests) -> Point:
        """Draw a point; a parameter whose condition does not hold is not drawn and not in the point."""
        point: Point = {}
        for parameter in self.parameters:
            if _active(parameter, point):
                point[parameter.name] = parameter.suggest(trial)
        return point

    def decode(self, stored: Mapping[str, Scalar]) -> Point:
        """The point of a trial as a builder takes it, from what the database stores."""
        point: Point = dict(stored)
        for parameter in self.parameters:
            if parameter.name not in point:
                continue
            if isinstance(parameter, Choices):
                point[parameter.name] = parameter.values[parameter.labels.index(point[parameter.name])]
            else:
                point[parameter.name] = parameter.rounded(point[parameter.name])
        return point

    def grid(self) -> Iterator[Point]:
        """Every combination once, the last parameter varying fastest; inactive parameters do not multiply."""
        seen: set[str] = set()
        for combination in itertools.product(*(parameter.grid() for parameter in self.parameters)):
            point: Point = {}
            for parameter, value in zip(self.parameters, combination, strict=True):
                if _active(parameter, point):
                    point[parameter.name] = value
            key = point_key(point)
            if key not in seen:
                seen.add(key)
                yield point


def label(value: Any) -> Scalar:
    """The scalar under which a value stands in the database: ``[64, 32]`` → ``"64-32"``."""
    if isinstance(value, list | tuple):
        return "-".join(str(label(item)) for item in value)
    return value  # type: ignore[no-any-return]


def labels(point: Mapping[str, Any]) -> dict[str, Scalar]:
    """The point as the database stores it."""
    return {name: label(value) for name, value in point.items()}


def point_key(point: Mapping[str, Any]) -> str:
    """The canonical key of a point: the same whatever the order of its names."""
    return json.dumps(labels(point), sort_keys=True, separators=(",", ":"))


def parse_space(raw: Mapping[str, Any]) -> tuple[Space, list[str]]:
    """Read a space from its TOML notation.

    Returns:
        the space of all parameters that are right, and one sentence for each that is wrong.
    """
    mistakes: list[str] = []
    parameters: dict[str, Choices | Range] = {}
    for name, entry in raw.items():
        parameter = _parse_entry(name, entry, mistakes)
        if parameter is not None:
            parameters[name] = parameter
    _check_conditions(raw, parameters, mistakes)
    return Space(_in_order(parameters, mistakes)), mistakes


def _parse_entry(name: str, entry: Any, mistakes: list[str]) -> Choices | Range | None:
    if isinstance(entry, list | tuple):
        return _parse_choices(name, {"choices": list(entry)}, mistakes)
    if not isinstance(entry, Mapping):
        mistakes.append(
            f"`space.{name}` must be a list of choices or a table with low and high; got {entry!r}. "
            f"A fixed value belongs under [parameters]."
        )
        return None
    valid = _CHOICE_KEYS if "choices" in entry else _RANGE_KEYS
    unknown = [key for key in entry if key not in valid]
    mistakes += [f"`space.{name}` has no key '{key}'. {nearest(key, valid)}" for key in unknown]
    if unknown:
        return None
    return _parse_choices(name, entry, mistakes) if "choices" in entry else _parse_range(name, entry, mistakes)


def _parse_choices(name: str, entry: Mapping[str, Any], mistakes: list[str]) -> Choices | None:
    values = entry["choices"]
    if not isinstance(values, list | tuple) or not values:
        mistakes.append(f"`space.{name}` needs at least one choice; got {values!r}. List its values, e.g. [16, 32].")
        return None
    shown = [label(value) for value in values]
    if any(not isinstance(item, bool | int | float | str | None) for item in shown):
        mistakes.append(f"`space.{name}` may hold numbers, texts, booleans and lists of them; got {values!r}.")
        return None
    kinds = {_kind(value) for value in values}
    if len(kinds) > 1:
        mistakes.append(
            f"The choices of `space.{name}` must be of one type; got {', '.join(sorted(kinds))} in {values!r}. "
            "Write all of them alike."
        )
        return None
    twice = [item for i, item in enumerate(shown) if item in shown[:i]]
    if twice:
        mistakes.append(f"The choices of `space.{name}` must differ; got {twice[0]!r} twice. Remove one.")
        return None
    return Choices(name, tuple(values), _parse_when(name, entry, mistakes))


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return {str: "text", list: "list", tuple: "list", type(None): "nothing"}.get(type(value), type(value).__name__)


def _parse_range(name: str, entry: Mapping[str, Any], mistakes: list[str]) -> Range | None:
    found = len(mistakes)
    low, high, step, log = entry.get("low"), entry.get("high"), entry.get("step"), entry.get("log", False)
    for key, value in (("low", low), ("high", high), ("step", step)):
        if key == "step" and value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            mistakes.append(f"`space.{name}.{key}` must be a number; got {value!r}. Give both low and high, or a list.")
    if not isinstance(log, bool):
        mistakes.append(f"`space.{name}.log` must be true or false; got {log!r}.")
    if len(mistakes) > found:
        return None
    assert low is not None
    assert high is not None
    if low > high:
        mistakes.append(f"`space.{name}` needs low ≤ high; got low={low}, high={high}. Swap them.")
    if log and low <= 0:
        mistakes.append(f"`space.{name}` with log=true needs low > 0; got low={low}. Raise low or drop log.")
    if step is not None and step <= 0:
        mistakes.append(f"`space.{name}.step` must be positive; got {step}.")
    if step is not None and log:
        mistakes.append(f"`space.{name}` may have step or log, not both. Drop one of the two.")
    if len(mistakes) > found:
        return None
    return Range(name, low, high, step, log, _parse_when(name, entry, mistakes))


def _parse_when(name: str, entry: Mapping[str, Any], mistakes: list[str]) -> dict[str, tuple[Scalar, ...]]:
    when = entry.get("when", {})
    if not isinstance(when, Mapping):
        mistakes.append(f'`space.{name}.when` must be a table such as {{ loss = "huber" }}; got {when!r}.')
        return {}
    return {
        other: tuple(label(value) for value in wanted) if isinstance(wanted, list | tuple) else (label(wanted),)
        for other, wanted in when.items()
    }


def _check_conditions(raw: Mapping[str, Any], parameters: Mapping[str, Choices | Range], mistakes: list[str]) -> None:
    for name, parameter in parameters.items():
        for other, wanted in parameter.when.items():
            if other not in raw:
                mistakes.append(
                    f"`space.{name}.when` names '{other}', which is not searched. {nearest(other, list(raw))}"
                )
                continue
            target = parameters.get(other)
            if not isinstance(target, Choices):
                continue
            mistakes += [
                f"`space.{name}.when` waits for {other} = {value!r}, which is none of its choices "
                f"{list(target.labels)}. Use one of them."
                for value in wanted
                if value not in target.labels
            ]


def _in_order(parameters: Mapping[str, Choices | Range], mistakes: list[str]) -> tuple[Choices | Range, ...]:
    """Conditions after what they look at; the given order otherwise."""
    ordered: dict[str, Choices | Range] = {}
    waiting = dict(parameters)
    while waiting:
        ready = [n for n, p in waiting.items() if all(o in ordered or o not in parameters for o in p.when)]
        if not ready:
            mistakes.append(
                f"The conditions of {', '.join(f'`space.{n}`' for n in waiting)} wait for each other. Drop one."
            )
            break
        ordered[ready[0]] = waiting.pop(ready[0])
    return tuple(ordered.values())


def _active(parameter: Choices | Range, point: Mapping[str, Any]) -> bool:
    return all(other in point and label(point[other]) in wanted for other, wanted in parameter.when.items())
