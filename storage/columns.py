"""Columns of numbers: which ones can be read as such, and what is wrong with those that cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from .table import Table


def looks_numeric(column: pd.Series[Any]) -> bool:
    """Numbers, or a text that is mostly numbers: then it was meant so, and its first bad value is worth a message."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column):
        return bool(column.notna().any())
    if pd.api.types.is_datetime64_any_dtype(column):
        return False
    given = column.dropna().astype("string")
    return bool(len(given) and pd.to_numeric(given, errors="coerce").notna().mean() >= 0.5)


def read_numbers(table: Table, name: str) -> tuple[np.ndarray, str | None]:
    """A column as numbers.

    Returns:
        (n_rows,) float64 with NaN in gaps, and what is wrong with it: values that are no numbers or infinite, no value
        at all. None where nothing is.
    """
    import pandas as pd

    column = table.frame[name]
    called = f"Column '{name}' of {table.source}"
    if pd.api.types.is_datetime64_any_dtype(column):
        return np.empty(0), f"{called} must hold numbers; it holds times. Leave it out of the features."
    read = pd.to_numeric(column if pd.api.types.is_numeric_dtype(column) else column.astype("string"), errors="coerce")
    values = read.to_numpy(dtype=np.float64, na_value=np.nan)
    bad = np.flatnonzero(np.isnan(values) & column.notna().to_numpy())
    if bad.size:
        value = str(column.iloc[int(bad[0])])
        comma = " Write decimals with a point." if "," in value else ""
        return values, (
            f"{called} must hold numbers; {table.where(int(bad[0]))} has '{value[:40]}' ({bad.size} in all). "
            f"Correct it, leave it blank for a gap, or leave the column out.{comma}"
        )
    infinite = np.flatnonzero(np.isinf(values))
    if infinite.size:
        return values, (
            f"{called} must be finite; {table.where(int(infinite[0]))} has {values[infinite[0]]} "
            f"({infinite.size} in all). Correct it or leave it blank for a gap."
        )
    if np.isnan(values).all():
        return values, f"{called} has no value at all, only gaps. Fill it or choose other columns."
    return values, None
