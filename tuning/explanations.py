"""What each setting means, in a sentence: read from the ``Attributes:`` of the docstrings, where alone it stands."""

from __future__ import annotations

import inspect
import re

from pydantic import BaseModel

_ENTRY = re.compile(r"([a-z_0-9, ]+):\s+(.*)")


def explanations(model: type[BaseModel]) -> dict[str, str]:
    """Setting → explanation, in the order of the docstring and without its markup."""
    lines = (inspect.getdoc(model) or "").splitlines()
    if "Attributes:" not in lines:
        return {}
    found: dict[str, str] = {}
    names: list[str] = []
    for line in lines[lines.index("Attributes:") + 1 :]:
        if line and not line.startswith("    "):
            break
        begun = _ENTRY.fullmatch(line.strip()) if not line.startswith("     ") else None
        if begun is not None:
            names = [name.strip() for name in begun.group(1).split(",")]
            found |= dict.fromkeys(names, begun.group(2))
        elif line.strip():
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return {name: _plain(text) for name, text in found.items()}


def summary(model: type[BaseModel]) -> str:
    """What the whole section is, in the first sentences of its docstring."""
    return _plain(" ".join((inspect.getdoc(model) or "").split("\n\n")[0].split()))


def _plain(text: str) -> str:
    """A whole sentence without references to modules; code in single backticks, as in Markdown."""
    text = re.sub(r"\s*\(see :mod:`[^`]*`\)", "", text).replace("``", "`").rstrip()
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith(".") else ".")
