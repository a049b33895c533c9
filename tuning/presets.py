"""Where a study begins before the user's file and options: the default search, and the documented grid (R11)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..models.registry import builder_keys, get_builder
from ..storage.dataspec import sample_spec
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


def with_preset(config: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Put a preset under the user's file and options.

    The packaged wind farm when no data are named; the documented grid when a grid is asked for without a space and
    with no other builder; otherwise the builder's own search space.
    """
    asked = merge(config, options)
    if asked.get("objective_function") is not None:  # no data, no model: nothing of ours to begin with
        return merge({"search": {"metric": "value"}}, asked)
    layers: list[Mapping[str, Any]] = []
    data = asked.get("data", {})
    packaged = isinstance(data, Mapping) and "path" not in data
    if packaged:
        layers.append({"data": sample_spec().model_dump(mode="json")})
    search = asked.get("search", {})
    sampler = search.get("sampler") if isinstance(search, Mapping) else None
    key = asked.get("builder", "stacked_lstm")
    users = asked.get("hypermodel") is not None
    if sampler == "grid" and "space" not in asked and key == DOCUMENTED_GRID["builder"] and not users:
        layers.append(DOCUMENTED_GRID)
    else:
        if "space" not in asked and key in builder_keys() and not users:
            fixed = asked.get("parameters", {})
            space = {name: entry for name, entry in get_builder(key).space.items() if name not in fixed}
            layers.append({"space": space})
        if sampler == "grid":
            layers.append({"search": {"pruner": "none"}})
        else:
            layers.append({"training": {"decay": _decay(asked.get("training"))}})
        if sampler != "grid" and packaged and isinstance(search, Mapping) and not {"trials", "timeout"} & search.keys():
            layers.append({"search": {"timeout": DEFAULT_TIMEOUT_SECONDS}})
    minimised = {"search": settled(search)} if settled(search) else {}
    return merge(*layers, minimised, {name: value for name, value in asked.items() if name != COMPARE})
