"""Keras models from parameters: no disk, no Optuna; Keras is imported when a model is built, not before."""

from __future__ import annotations

from .contract import Builder, ModelError, Parameter, complete
from .registry import builder_keys, get_builder

__all__ = ["Builder", "ModelError", "Parameter", "builder_keys", "complete", "get_builder"]
