"""Which code a specification names: a model of ours, or code of the user, by reference. Nothing is imported here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..models import user_code
from ..models.registry import builder_keys
from ..storage.mistakes import Mistake

BUILDER = "builder"
"""Parameter of a space or of a listed point that stands for the study's own builder."""

ALTERNATIVES = ("builder", "hypermodel", "objective_function")
"""What can be tuned; a study has one of them."""

_NEED_THE_SPACE = ("grid", "qmc")
"""Samplers that must know before the search which parameters there are."""


def all_builders() -> tuple[str, ...]:
    """Keys of our builders, and the names that installed packages offer."""
    return tuple(sorted({*builder_keys(), *user_code.entry_points()}))


def is_users(key: str) -> bool:
    """Whether a builder is code of the user."""
    if key in builder_keys():
        return False
    return user_code.is_reference(key) or key in user_code.entry_points()


def searched_builders(space: Mapping[str, Any]) -> list[str]:
    """The builders among which a space chooses."""
    entry = space.get(BUILDER, ())
    choices = entry.get("choices", ()) if isinstance(entry, Mapping) else entry
    return [str(choice) for choice in choices] if isinstance(choices, list | tuple) else []


def references(raw: Mapping[str, Any]) -> dict[str, str]:
    """Every reference to code of the user in a specification, by the setting in which it stands."""
    found = {name: raw.get(name) for name in ALTERNATIVES}
    space, entries = raw.get("space"), raw.get("entries")
    if isinstance(space, Mapping):
        found |= {f"space.builder[{n}]": key for n, key in enumerate(searched_builders(space))}
    if isinstance(entries, Mapping):
        given = {name: entry for name, entry in entries.items() if isinstance(entry, Mapping)}
        found |= {f"entries.{name}.builder": entry.get("builder") for name, entry in given.items()}
    return {
        setting: key
        for setting, key in found.items()
        if isinstance(key, str) and (setting in ALTERNATIVES[1:] or is_users(key))
    }


def runs_user_code(raw: Mapping[str, Any]) -> bool:
    """Whether any of it is code of the user."""
    return bool(references(raw))


def reference_mistakes(raw: Mapping[str, Any]) -> list[str]:
    """What is wrong with the references of a specification, as far as can be seen without importing them."""
    asked = [name for name in ALTERNATIVES if raw.get(name) is not None]
    found = []
    if len(asked) > 1:
        found.append(f"A study tunes one thing; got {' and '.join(f'`{name}`' for name in asked)}. Keep one of them.")
    for setting, reference in references(raw).items():
        if setting in ALTERNATIVES[1:] and not user_code.is_reference(reference):
            found.append(f"`{setting}` must be FILE.py:NAME or MODULE:NAME; got {reference!r}.")
        else:
            found += user_code.reference_mistakes(reference, setting)
    search, space, fixed = (raw.get(name) for name in ("search", "space", "parameters"))
    sampler = search.get("sampler") if isinstance(search, Mapping) else None
    itself = next((name for name in ALTERNATIVES[1:] if raw.get(name) is not None), None)
    if itself is not None and sampler in _NEED_THE_SPACE:
        found.append(
            f"`search.sampler` must be tpe or random with `{itself}`, which says what is searched only while it runs; "
            f"got {sampler!r}."
        )
    if itself == "objective_function" and (space or fixed):
        found.append("`objective_function` draws its parameters itself. Leave [space] and [parameters] out.")
    metric = search.get("metric") if isinstance(search, Mapping) else None
    if metric is not None and (metric == "value") != (itself == "objective_function"):
        found.append(
            "`search.metric` is value for an `objective_function`, and an error of forecasts otherwise; got "
            f"{metric!r}. Leave it out."
        )
    directions = search.get("directions") if isinstance(search, Mapping) else None
    if directions and itself != "objective_function":
        found.append("`search.directions` are those of an `objective_function`; everything else is minimised.")
    return found


def with_references(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The specification with a reference in place of each function or class that was given itself, from Python.

    Raises:
        Mistake: it stands in no file, or the code that is being imported calls for a search itself.
    """
    if user_code.is_loading():
        raise Mistake(
            "`tune` was called while the code of a study is imported. Put the call under `if __name__ == '__main__':`."
        )
    given = {name: raw[name] for name in ALTERNATIVES if callable(raw.get(name))}
    return {**raw, **{name: user_code.reference_to(value, name) for name, value in given.items()}}


def with_whole_paths(raw: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The specification with the whole path of every file of code.

    Args:
        folder: from which relative paths count.
    """
    found = dict(raw)
    for name in ALTERNATIVES:
        if isinstance(raw.get(name), str):
            found[name] = _whole(raw[name], folder)
    space, entries = raw.get("space"), raw.get("entries")
    if isinstance(space, Mapping) and searched_builders(space):
        entry = space[BUILDER]
        whole = [_whole(key, folder) for key in searched_builders(space)]
        found["space"] = {**space, BUILDER: {**entry, "choices": whole} if isinstance(entry, Mapping) else whole}
        for name, each in found["space"].items():
            if isinstance(each, Mapping) and isinstance(each.get("when"), Mapping) and BUILDER in each["when"]:
                keys = each["when"][BUILDER]
                keys = [_whole(key, folder) for key in (keys if isinstance(keys, list | tuple) else [keys])]
                found["space"][name] = {**each, "when": {**each["when"], BUILDER: keys}}
    if isinstance(entries, Mapping):
        found["entries"] = {
            name: {**entry, BUILDER: _whole(entry[BUILDER], folder)}
            if isinstance(entry, Mapping) and isinstance(entry.get(BUILDER), str)
            else entry
            for name, entry in entries.items()
        }
    return found


def _whole(reference: Any, folder: Path) -> Any:
    if not isinstance(reference, str):
        return reference
    place, colon, name = reference.rpartition(":")
    if not colon or not place.endswith(".py"):
        return reference
    return f"{(folder / Path(place).expanduser()).resolve()}:{name}"
