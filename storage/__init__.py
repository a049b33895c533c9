"""Data sets and databases: what lies on disks. Imports nothing of ours and no Keras.

The names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .address import StorageError, redact
    from .datasets import Dataset, Part, fingerprint, load_dataset
    from .dataspec import DataError, DataSpec, parse_spec, sample_spec
    from .forecast import forecast_inputs
    from .mistakes import Mistake
    from .prepare import prepare_arrays
    from .rdb import open_storage
    from .scaling import LinearScaler
    from .windows import Windows

_HOMES = {
    "DataError": "dataspec",
    "DataSpec": "dataspec",
    "Dataset": "datasets",
    "LinearScaler": "scaling",
    "Mistake": "mistakes",
    "Part": "datasets",
    "StorageError": "address",
    "Windows": "windows",
    "fingerprint": "datasets",
    "forecast_inputs": "forecast",
    "load_dataset": "datasets",
    "open_storage": "rdb",
    "parse_spec": "dataspec",
    "prepare_arrays": "prepare",
    "redact": "address",
    "sample_spec": "dataspec",
}

__all__ = [
    "DataError",
    "DataSpec",
    "Dataset",
    "LinearScaler",
    "Mistake",
    "Part",
    "StorageError",
    "Windows",
    "fingerprint",
    "forecast_inputs",
    "load_dataset",
    "open_storage",
    "parse_spec",
    "prepare_arrays",
    "redact",
    "sample_spec",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
