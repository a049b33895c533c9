"""What people say to a running study from any machine: pause, go on, stop, one more point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna

from ..storage import fleet
from ..storage.mistakes import Mistake, nearest
from ..storage.resilient import ResilientStorage
from . import queue, records
from .space import Choices, Point, Range, Space, label
from .spec import StudySpec


def resume(study: optuna.Study, storage: ResilientStorage) -> None:
    """Take back a pause or a stop, and put the tickets back that went with it.

    The time limit goes on through a pause. After a stop, or when it is over, it counts anew from the next claim.
    """
    attributes, now = study.user_attrs, fleet.now(storage)
    until = attributes.get(records.UNTIL)
    paused = attributes.get(records.CONTROL) in (records.PAUSE, records.PAUSE_NOW)
    if paused and not attributes.get(records.STOPPED) and (until is None or now < until):
        records.order(study, records.RUN)
    else:
        records.begin_run(study, now=now, timeout=None)
    spec = records.read_spec(study)
    queue.reconcile(study, storage, queue.plan(spec), spec.run)


def enqueue(study: optuna.Study, storage: ResilientStorage, assignments: Sequence[str]) -> tuple[Point, str]:
    """Put one point into the queue.

    Args:
        assignments: ``name=value``; a list as in TOML, ``lstm_units=[64, 32]``, or as its label, ``64-32``.

    Returns:
        the point, and what became of it: see :func:`.queue.enqueue`.

    Raises:
        Mistake: with every assignment that does not fit the space of the study.
    """
    spec = records.read_spec(study)
    space = spec.parsed_space()
    point, mistakes = _read(space, assignments)
    mistakes += _pointless(space, point)
    if not mistakes and spec.search.sampler != "tpe":
        mistakes = _missing(space, point, spec)
    if mistakes:
        raise Mistake(mistakes)
    ordered = {name: point[name] for name in space.names if name in point}
    return ordered, queue.enqueue(study, storage, ordered, spec.run)


def _read(space: Space, assignments: Sequence[str]) -> tuple[Point, list[str]]:
    known = {parameter.name: parameter for parameter in space.parameters}
    point: Point = {}
    mistakes: list[str] = []
    if not assignments:
        mistakes.append(f"Nothing to enqueue: name values as name=value. Searched: {', '.join(known)}.")
    for text in assignments:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals:
            mistakes.append(f"A point is given as name=value; got `{text}`. Searched: {', '.join(known)}.")
        elif name not in known:
            mistakes.append(f"`{name}` is not searched in this study. {nearest(name, list(known))}")
        elif name in point:
            mistakes.append(f"`{name}` is given twice. Give it once.")
        else:
            try:
                point[name] = _value(known[name], value.strip())
            except ValueError as error:
                mistakes.append(str(error))
    return point, mistakes


def _value(parameter: Choices | Range, text: str) -> Any:
    if isinstance(parameter, Choices):
        found = _literal(text)
        for value in parameter.values:
            if label(value) in (text, label(found)) and isinstance(value, bool) == isinstance(found, bool):
                return value
        shown = ", ".join(str(each) for each in parameter.labels)
        raise ValueError(
            f"`{parameter.name}` must be one of {shown}; got {text}. A new value comes with a larger space: start the "
            "study again with it."
        )
    number = _literal(text)
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise ValueError(
            f"`{parameter.name}` must be a number from {parameter.low} to {parameter.high}; got {text}. Write it as "
            "0.5 or 1e-3."
        )
    if not parameter.low <= number <= parameter.high:
        raise ValueError(
            f"`{parameter.name}` must lie in {parameter.low} … {parameter.high}; got {text}. A wider range comes with "
            "a larger space: start the study again with it."
        )
    if parameter.integer and number != int(number):
        raise ValueError(f"`{parameter.name}` must be a whole number; got {text}.")
    if parameter.step is not None:
        steps = (number - parameter.low) / parameter.step
        if abs(steps - round(steps)) > 1e-9:
            raise ValueError(f"`{parameter.name}` goes in steps of {parameter.step} from {parameter.low}; got {text}.")
    return int(number) if parameter.integer else float(number)


def _literal(text: str) -> Any:
    """A value as TOML writes it; anything else is text."""
    import tomllib

    try:
        return tomllib.loads(f"value = {text}")["value"]  # 0.5, 1e-3, true, "adam", [64, 32]
    except tomllib.TOMLDecodeError:
        return text


def _pointless(space: Space, point: Mapping[str, Any]) -> list[str]:
    """Values of parameters that are not searched together with the others of the point."""
    return [
        f"`{parameter.name}` is searched only where {other} is {' or '.join(map(str, wanted))}; got "
        f"{other}={label(point[other])}. Leave {parameter.name} out."
        for parameter in space.parameters
        if parameter.name in point
        for other, wanted in parameter.when.items()
        if other in point and label(point[other]) not in wanted
    ]


def _missing(space: Space, point: Mapping[str, Any], spec: StudySpec) -> list[str]:
    """Only TPE fills in what is left out; elsewhere a point must be whole."""
    drawn = _Given(point)
    space.sample(drawn)
    return [
        f"`{name}` is missing: the sampler {spec.search.sampler} has no values of its own to add. Give {name}=VALUE."
        for name in drawn.missing
    ]


class _Given:
    """Stands in for a trial: answers with the values that were given, and notes which were asked for and are not."""

    def __init__(self, point: Mapping[str, Any]) -> None:
        self._point = point
        self.missing: list[str] = []

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return label(self._given(name, choices[0]))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self._given(name, low))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return float(self._given(name, low))

    def _given(self, name: str, otherwise: Any) -> Any:
        if name not in self._point:
            self.missing.append(name)
        return self._point.get(name, otherwise)
