"""What the types refuse in a specification, as sentences for users."""

from __future__ import annotations

import re
from typing import Any, get_args

from pydantic import BaseModel

from ..storage.mistakes import nearest

_INTERNAL = ("entries", "code")
"""Settings that nobody writes: `tune` makes them itself."""

_PLAIN = {
    "tuple": "a list",
    "list": "a list",
    "dictionary": "a table",
    "integer": "a whole number",
    "number": "a number",
    "string": "a text",
    "boolean": "true or false",
}
"""What pydantic calls a type, and what a study file does."""


def explained(detail: Any, model: type[BaseModel]) -> str:
    """One of pydantic's errors as rule, value, way out.

    Args:
        detail: of ``ValidationError.errors()``.
        model: what was validated.
    """
    where = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"There is no setting `{where}`. {nearest(str(detail['loc'][-1]), _names_at(model, detail['loc'][:-1]))}"
    if detail["type"] == "literal_error":
        valid = re.findall(r"'([^']+)'", detail["ctx"]["expected"])
        return f"`{where}` must be a known name; got {detail['input']!r}. {nearest(str(detail['input']), valid)}"
    if where == "study" and detail["type"] == "string_pattern_mismatch":
        return f"`study` must be a name without / and \\; got {detail['input']!r}. It is that of a folder, too."
    if where == "search.timeout":
        rule = "must be a time above zero: a number of seconds in a file, as an option also 90s, 8m or 2h"
        return f"`{where}` {rule}; got {detail['input']!r}."
    if detail["type"] == "missing" and isinstance(detail["loc"][-1], int):
        listed = ".".join(str(part) for part in detail["loc"][:-1])
        return f"`{listed}` must have {detail['loc'][-1] + 1} values; got {detail['input']!r}. Add what is missing."
    rule = re.sub(r"^Input should be a valid (\w+).*", r"must be a valid \1", detail["msg"])
    for theirs, ours in _PLAIN.items():
        rule = rule.replace(f"a valid {theirs}", ours)
    rule = re.sub(r"^Input should be", "must be", rule)
    return f"`{where}` {rule}; got {detail['input']!r}."


def _names_at(model: Any, location: tuple[Any, ...]) -> list[str]:
    for part in location:
        annotation = model.model_fields[part].annotation
        model = annotation if hasattr(annotation, "model_fields") else get_args(annotation)[0]
    return [name for name in model.model_fields if name not in _INTERNAL]
