"""Values of numpy, paths, dates and tuples turned into plain JSON that never holds NaN."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np


def plain(value: object) -> Any:
    """The JSON twin of a value.

    NaN and ±inf become ``None`` (JSON has no word for them), times become ISO 8601, tuples, sets and
    arrays become lists, numpy scalars become Python's, and whatever else stands there becomes its ``str``.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, np.generic):
        return None if isinstance(value, np.datetime64) and np.isnat(value) else plain(_scalar(value))
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value), key=str)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    return str(value)


def _scalar(value: np.generic) -> object:
    if isinstance(value, np.datetime64):
        return str(np.datetime_as_string(value, unit="s")) + "Z"
    return value.item()


def to_text(value: object) -> str:
    """Indented JSON with a final newline, as it stands in the files of a bundle."""
    return json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
