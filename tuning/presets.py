"""Where a study begins before the user's file and options: the default search, or one of the presets by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..models.registry import builder_keys, get_builder
from ..storage.dataspec import sample_spec
from ..storage.mistakes import nearest
from .objective_names import settled

COMPARE = "compare"
"""The list of entries in a study file; it is for `tune compare`, see :mod:`.comparison_spec`."""

DEFAULT_TIMEOUT_SECONDS = 300.0
"""How long plain `tune` searches the packaged wind farm; with fresh seeds and retraining it takes some 9 minutes."""

DEFAULT_DECAY = 0.4
"""Share of the epochs over which the learning rate falls, in searches other than the documented grid."""

DOCUMENTED_GRID: dict[str, Any] = {
    "builder": "stacked_lstm",
    "parameters": {"l1": 0.01, "l2": 0.01},
    "space": {
        "lstm_units": [[32, 16], [50, 25], [64, 32], [128, 64]],
        "dropout_rate": [0.1, 0.2, 0.3],
        "learning_rate": [0.001, 0.0005, 0.0001],
        "batch_size": [16, 32, 64],
    },
    "search": {"sampler": "grid", "pruner": "none", "metric": "val_loss"},
    "training": {"epochs": 30, "shuffle": True},
    "winner": {"rule": "best", "fresh_seeds": 0},
    "final": {"refit": "train"},
}
"""R11 as documented: 108 points, 30 epochs, no callbacks, no pruning, Keras' default shuffling, smallest val_loss; its
winner is retrained as in R5."""

QUICK: dict[str, Any] = {
    "search": {"trials": 8, "timeout": 60.0},
    "training": {"epochs": 4},
    "winner": {"rule": "best", "fresh_seeds": 0},
    "final": {"epochs": 4},
}
"""A first look in a minute or two on the packaged farm: does all of it run on these data? Its figures prove little."""

THOROUGH: dict[str, Any] = {
    "search": {"trials": 100, "until_no_gain": 30},
    "validation": {"method": "expanding", "n_splits": 5, "seeds": 3},
    "training": {"epochs": 40},
    "winner": {"rule": "ensemble", "top": 5, "fresh_seeds": 3},
}
"""For a forecaster that goes to work; hours on a few cores. The pruner stays the usual one, median, which with folds
works between them too, so most of the hundred trials end early. The mean of several models was the most accurate
forecast of the packaged farm."""

PRESET = "preset"
"""The key at the top of a study file. It is no setting of a study: what stands in the database are its settings."""
PRESETS: dict[str, dict[str, Any]] = {"documented": DOCUMENTED_GRID, "quick": QUICK, "thorough": THOROUGH}


def preset_mistakes(asked: Mapping[str, Any]) -> list[str]:
    """What is wrong with the name of the preset, as a sentence."""
    name = asked.get(PRESET)
    if name is None or (isinstance(name, str) and name in PRESETS):
        return []
    return [f"`{PRESET}` must be a known name; got {name!r}. {nearest(str(name), tuple(PRESETS))}"]


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Merge nested tables, later ones winning; `space` and `parameters` are replaced whole."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            below = merged.get(name)
            if isinstance(value, Mapping) and isinstance(below, Mapping) and name not in ("space", "parameters"):
                merged[name] = merge(below, value)
            else:
                merged[name] = value
    return merged


def _decay(training: Any) -> float:
    """The rate falls at the end, unless the user lowers it in another way."""
    lowered = isinstance(training, Mapping) and training.get("reduce_lr_patience") is not None
    return 0.0 if lowered else DEFAULT_DECAY


def _table(asked: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A section; empty where it is none, which the types refuse later."""
    section = asked.get(name)
    return section if isinstance(section, Mapping) else {}


def _named(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The preset that is asked for, without what the user fixes, searches or counts in another way; {} for none."""
    name = asked.get(PRESET)
    preset = PRESETS.get(name, {}) if isinstance(name, str) else {}
    fitted = {name: value for name, value in preset.items() if name != "builder"}  # of `documented` it is the usual one
    ours = asked.get("hypermodel") is None and asked.get("builder", DOCUMENTED_GRID["builder"]) in builder_keys()
    for section, other in (("space", "parameters"), ("parameters", "space")):
        if section in preset and not ours:
            del fitted[section]  # of the user's own model nobody here knows the parameters
        elif section in preset:
            taken = _table(asked, other)
            fitted[section] = {name: value for name, value in preset[section].items() if name not in taken}
    search = asked.get("search")
    if isinstance(search, Mapping) and search.get("sampler") == "grid" and "search" in preset:
        # A grid is worked off whole, whatever a preset says of numbers of trials.
        fitted["search"] = {name: value for name, value in preset["search"].items() if name != "trials"}
    return fitted


def with_preset(config: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Put presets under the user's file and options.

    The one that `preset` names. The packaged wind farm when no data are named; the documented grid when a grid is asked
    for without a space and with no other builder; otherwise the builder's own search space. A name that is unknown
    stays in the tables, for :func:`.spec.parse_spec` to refuse together with all other mistakes.
    """
    asked = merge(config, options)
    preset = _named(asked)
    left_out = (COMPARE,) if preset_mistakes(asked) else (COMPARE, PRESET)
    told = {name: value for name, value in asked.items() if name not in left_out}
    if asked.get("objective_function") is not None:  # no data, no model: nothing of ours to begin with but how long
        budget = {n: value for n, value in preset.get("search", {}).items() if n in ("trials", "timeout")}
        return merge({"search": {"metric": "value", **budget}}, told)
    said = merge(preset, asked)
    layers: list[Mapping[str, Any]] = []
    data = said.get("data", {})
    packaged = isinstance(data, Mapping) and "path" not in data
    if packaged:
        layers.append({"data": sample_spec().model_dump(mode="json")})
    search = said.get("search", {})
    sampler = search.get("sampler") if isinstance(search, Mapping) else None
    key = said.get("builder", "stacked_lstm")
    users = said.get("hypermodel") is not None
    if sampler == "grid" and "space" not in said and key == DOCUMENTED_GRID["builder"] and not users:
        layers.append(DOCUMENTED_GRID)
    else:
        if "space" not in said and key in builder_keys() and not users:
            fixed = _table(said, "parameters")
            space = {name: entry for name, entry in get_builder(key).space.items() if name not in fixed}
            layers.append({"space": space})
        if sampler == "grid":
            layers.append({"search": {"pruner": "none"}})
        else:
            layers.append({"training": {"decay": _decay(said.get("training"))}})
        if sampler != "grid" and packaged and isinstance(search, Mapping) and not {"trials", "timeout"} & search.keys():
            layers.append({"search": {"timeout": DEFAULT_TIMEOUT_SECONDS}})
    objectives = settled(asked.get("search", {}))
    minimised = {"search": objectives} if objectives else {}
    return merge(*layers, preset, minimised, told)
