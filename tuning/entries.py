"""The entries of a comparison as they stand in a specification: builders with their parameters, each under a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ..models.contract import ModelError
from ..models.registry import complete, get_builder
from ..storage.mistakes import nearest
from .checks import TRAINING_PARAMETERS
from .references import is_users

ENTRY = "entry"
"""Parameter of the points of a comparison: the name of the entry that is trained."""
DEFAULT_BUILDER = "stacked_lstm"


class EntrySpec(BaseModel):
    """What a name in a comparison stands for: a builder, and its parameters (batch size and lookback among them)."""

    model_config = ConfigDict(frozen=True)

    builder: str = DEFAULT_BUILDER
    parameters: dict[str, Any] = Field(default_factory=dict)


def entry_mistakes(raw: Mapping[str, Any]) -> list[str]:
    """Check the entries of a specification by the builders' own rules; a sentence for each mistake."""
    entries, search, data = raw.get("entries"), raw.get("search"), raw.get("data")
    if not isinstance(search, Mapping) or search.get("sampler") != "points":
        return ["`entries` are made by `tune compare` of the list [[compare]]. Write that, and start `tune compare`."]
    groups = data.get("feature_groups") if isinstance(data, Mapping) else None
    known = list(groups) if isinstance(groups, Mapping) else []
    found = []
    for name, entry in entries.items() if isinstance(entries, Mapping) else ():
        if isinstance(entry, Mapping) and isinstance(entry.get("parameters"), Mapping):
            sentences = _refused(str(entry.get("builder")), entry["parameters"], known)
            found += [f"Entry '{name}': {sentence}" for sentence in sentences]
    return found


def _refused(builder: str, parameters: Mapping[str, Any], groups: Sequence[str]) -> list[str]:
    if is_users(builder):  # its parameters are looked at with its code
        return []
    found = []
    try:
        complete(get_builder(builder), {n: v for n, v in parameters.items() if n not in TRAINING_PARAMETERS})
    except ModelError as error:
        found += error.mistakes
    for name in ("batch_size", "lookback"):
        value = parameters.get(name, 1)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            found.append(f"`{name}` must be a whole number of at least 1; got {value!r}.")
    seen = parameters.get("feature_groups", [])
    if not isinstance(seen, list | tuple):
        return [*found, f"`feature_groups` must be a list of groups of [data.feature_groups]; got {seen!r}."]
    return found + [
        f"`feature_groups` must name groups of [data.feature_groups]; got '{group}'. {nearest(str(group), groups)}"
        for group in seen
        if group not in groups
    ]
