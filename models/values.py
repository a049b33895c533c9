"""The kinds of parameters: numbers, rates, lists of layer sizes, names and switches, each with its rule."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence

from .contract import Parameter


def number(
    name: str,
    default: float,
    description: str,
    *,
    low: float,
    low_included: bool = True,
    high: float | None = None,
) -> Parameter:
    """A finite number from `low` (included or not) to `high` (never included; None: no upper end)."""
    if high is None:
        rule = f"a finite number {'of at least' if low_included else 'above'} {low:g}"
    else:
        rule = f"a number in {'[' if low_included else '('}{low:g}, {high:g})"

    def read(value: object) -> float:
        return _number(value, low=low, low_included=low_included, high=high)

    return Parameter(name, default, rule, read, description)


def optional_number(name: str, description: str, *, above: float) -> Parameter:
    """A finite number above `above`, or None (also written ``"none"``, as TOML has no null) to do without."""

    def read(value: object) -> float | None:
        if value is None or value == "none":
            return None
        return _number(value, low=above, low_included=False, high=None)

    return Parameter(name, None, f"a finite number above {above:g}, or 'none'", read, description)


def layer_sizes(name: str, default: Sequence[int], description: str, *, may_be_empty: bool = False) -> Parameter:
    """A list of positive whole numbers, one a layer."""
    rule = f"a list of {'' if may_be_empty else 'one or more '}positive whole numbers, one a layer"

    def read(value: object) -> list[int]:
        sizes = [_positive_integer(item) for item in _sequence(value)]
        if not sizes and not may_be_empty:
            raise ValueError("no layer")
        return sizes

    return Parameter(name, list(default), rule, read, description)


def rates(name: str, default: Sequence[float], description: str) -> Parameter:
    """A rate in [0, 1) for every layer: a list with one a layer, or one number for all of them."""

    def read(value: object) -> list[float] | float:
        if isinstance(value, (list, tuple)):
            if not value:
                raise ValueError("no rate")
            return [_number(item, low=0.0, low_included=True, high=1.0) for item in value]
        return _number(value, low=0.0, low_included=True, high=1.0)

    rule = "a number in [0, 1) or a list of such numbers, one a layer"
    return Parameter(name, list(default), rule, read, description)


def choice(name: str, default: str, options: Sequence[str], description: str) -> Parameter:
    """One of a few names."""

    def read(value: object) -> str:
        if not isinstance(value, str) or value not in options:
            raise ValueError("not an option")
        return value

    return Parameter(name, default, f"one of {', '.join(options)}", read, description)


def switch(name: str, default: bool, description: str) -> Parameter:
    """True or false."""

    def read(value: object) -> bool:
        if not isinstance(value, bool):
            raise TypeError("not a truth value")
        return value

    return Parameter(name, default, "true or false", read, description)


def _number(value: object, *, low: float, low_included: bool, high: float | None) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError("not a number")
    read = float(value)
    too_low = read < low if low_included else read <= low
    if not math.isfinite(read) or too_low or (high is not None and read >= high):
        raise ValueError("out of range")
    return read


def _positive_integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError("not a whole number")
    if value < 1:
        raise ValueError("not positive")
    return int(value)


def _sequence(value: object) -> Sequence[object]:
    if not isinstance(value, (list, tuple)):
        raise TypeError("not a list")
    return value
