"""The builders by their keys."""

from __future__ import annotations

from ..storage.mistakes import nearest
from .advanced_lstm import AdvancedLSTM
from .contract import Builder, ModelError, complete
from .stacked_lstm import StackedLSTM

__all__ = ["builder_keys", "complete", "get_builder"]

_BUILDERS: dict[str, Builder] = {builder.key: builder for builder in (StackedLSTM(), AdvancedLSTM())}


def builder_keys() -> tuple[str, ...]:
    """The keys of all builders, sorted."""
    return tuple(sorted(_BUILDERS))


def get_builder(key: str) -> Builder:
    """The builder with this key.

    Raises:
        ModelError: if there is none, with the nearest key.
    """
    if key not in _BUILDERS:
        raise ModelError(f"There is no model '{key}'. {nearest(key, builder_keys())}")
    return _BUILDERS[key]
