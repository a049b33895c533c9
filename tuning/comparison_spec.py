"""From what `tune compare` is asked for to a specification: a study whose points are entries × seeds.

In a study file an entry is a table of the list ``compare``:

    [[compare]]
    name = "Small"
    builder = "stacked_lstm"                                        # the default
    parameters = { lstm_units = [16], l2 = 1e-5, batch_size = 64 }  # the builder's and batch_size, lookback …

Without any, the entries are the four documented ones (R13).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..storage.dataspec import sample_spec
from ..storage.mistakes import nearest
from .entries import DEFAULT_BUILDER, ENTRY
from .objective_names import settled
from .point import SEED, repeat_seeds
from .presets import COMPARE, PRESET, merge, preset_mistakes

KEEP_ALL = 100_000
"""Trials that keep their trained model: all, because all are judged on the test part at the end."""
LARGEST_SEED = 2**31 - 1

_PENALTY = {"l1": 0.01, "l2": 0.01}
DOCUMENTED: tuple[dict[str, Any], ...] = (
    {"name": "Simple", "builder": "stacked_lstm", "parameters": {"lstm_units": [32], **_PENALTY}},
    {"name": "Deep", "builder": "stacked_lstm", "parameters": {"lstm_units": [64, 32, 16], **_PENALTY}},
    {"name": "Wide", "builder": "stacked_lstm", "parameters": {"lstm_units": [128, 64], **_PENALTY}},
    {"name": "Advanced", "builder": "advanced_lstm", "parameters": dict(_PENALTY)},
)
"""R13; everything else of them is the builders' default, which is R2 and R3."""
_TRAINING = {"epochs": 50, "batch_size": 32, "shuffle": True, "patience": 15, "reduce_lr_patience": 8}
"""R13 with the callbacks of R4."""
_KEYS = ("name", "builder", "parameters")
_OF_A_SEARCH = ("builder", "parameters", "space", "search", "validation", "winner", "final", "entries", COMPARE, PRESET)
"""What a study file says of a search; of it a comparison takes the metric and its own list."""


def comparison_tables(asked: Mapping[str, Any], *, seeds: int, name: str | None) -> tuple[dict[str, Any], list[str]]:
    """The specification of a comparison as nested tables.

    Args:
        asked: a study file and options over it. Of the file count ``study``, ``seed``, ``backend``, the sections
            ``data``, ``training`` and ``run``, ``search.metric`` and ``compare``.
        seeds: how many each entry is trained with, the same for all.
        name: of the comparison; None: that of the file with ``-compare`` behind it, or else data and a digest.

    Returns:
        the tables, and what is wrong with the entries and with `seeds`. The documented entries stand in for a list that
        cannot be used, so that the rest can be checked too.
    """
    entries, mistakes = read_entries(asked.get(COMPARE, DOCUMENTED))
    mistakes += preset_mistakes(asked)
    if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 1:
        mistakes.append(f"`seeds` must be a whole number of at least 1; got {seeds!r}.")
        seeds = 1
    if len(entries) < 2:
        entries, _ = read_entries(DOCUMENTED)
    data, search, run, first = (asked.get(key, {}) for key in ("data", "search", "run", "seed"))
    packaged = isinstance(data, Mapping) and "path" not in data
    chosen = {"metric": "val_loss", **settled(search), **(search if isinstance(search, Mapping) else {})}
    kept = {**run, "keep_best": KEEP_ALL} if isinstance(run, Mapping) else run
    numbers = repeat_seeds(first if isinstance(first, int) else 0, seeds)
    tables = merge(
        {"data": sample_spec().model_dump(mode="json")} if packaged else {},
        {"training": _usual_training(asked.get("training"))},
        {key: value for key, value in asked.items() if key not in _OF_A_SEARCH},
        {
            "study": name or (f"{asked['study']}-compare" if asked.get("study") else None),
            "entries": entries,
            "space": {ENTRY: list(entries), SEED: {"low": 0, "high": LARGEST_SEED}},
            "search": {
                "sampler": "points",
                "pruner": "none",
                "metric": chosen["metric"],
                "points": [{ENTRY: entry, SEED: number} for number in numbers for entry in entries],
            },
            "run": kept,
            "winner": {"rule": "best", "fresh_seeds": 0},
            "final": {"refit": "train"},
        },
    )
    return tables, mistakes


def _usual_training(asked: Any) -> dict[str, Any]:
    """What the user does not say; who has the learning rate fall does not want it lowered on plateaus as well."""
    falls = isinstance(asked, Mapping) and asked.get("decay")
    return {name: value for name, value in _TRAINING.items() if not (falls and name == "reduce_lr_patience")}


def read_entries(listed: Any) -> tuple[dict[str, Any], list[str]]:
    """The entries by name as they stand in a specification, and a sentence for each mistake in the list."""
    if not isinstance(listed, list | tuple) or not all(isinstance(table, Mapping) for table in listed):
        return {}, ['`compare` must be a list of tables: [[compare]], below it name = "Small"; see the README.']
    entries: dict[str, Any] = {}
    mistakes = _names_twice(listed)
    if len(listed) < 2:
        mistakes.append(f"`compare` must list at least two entries; it lists {len(listed)}. Add another.")
    for place, table in enumerate(listed, start=1):
        name = table.get("name")
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            mistakes.append(f"Entry {place} of `compare` must have a name in one line; got {name!r}. Give it one.")
            continue
        mistakes += [f"Entry '{name}' has no '{key}'. {nearest(key, _KEYS)}" for key in table if key not in _KEYS]
        builder, parameters = table.get("builder", DEFAULT_BUILDER), table.get("parameters", {})
        if not isinstance(builder, str):
            mistakes.append(f"The builder of entry '{name}' must be the key of a model; got {builder!r}.")
        elif not isinstance(parameters, Mapping):
            mistakes.append(f"The parameters of entry '{name}' must be a table, {{ l2 = 1e-5 }}; got {parameters!r}.")
        else:
            entries.setdefault(name, {"builder": builder, "parameters": dict(parameters)})
    return entries, mistakes


def _names_twice(listed: Sequence[Mapping[str, Any]]) -> list[str]:
    names = [table.get("name") for table in listed]
    twice = dict.fromkeys(name for name in names if isinstance(name, str) and names.count(name) > 1)
    return [f"The entries of `compare` must have different names; got '{name}' twice. Rename one." for name in twice]
