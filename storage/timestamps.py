"""Times of a series: found, read, put on the UTC clock."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from .dataspec import DataError
from .grid import check_order

if TYPE_CHECKING:
    import pandas as pd

    from .table import Table

_OFFSET = r":\d{2}.*(?:Z|z|UTC|[+-]\d{2}(?::?\d{2})?)$"
_NUMBERED_DATE = re.compile(r"\d{1,2}([./-])\d{1,2}\1\d{4}(?:([ T])\d{1,2}:\d{2}(:\d{2})?)?")
_FOR_EXAMPLE = "Write times in ISO form, for example 2015-06-01T12:00:00Z"


def find_timestamp(table: Table) -> str:
    """The first column that reads as times.

    Raises:
        DataError: there is none.
    """
    import pandas as pd

    for name in table.frame.columns:
        column = table.frame[name]
        if pd.api.types.is_datetime64_any_dtype(column):
            return str(name)
        if _is_text(column) and column.notna().any() and _reads_as_times(_stripped(column.dropna())):
            return str(name)
    raise DataError(f"No column of {table.source} reads as times. {_FOR_EXAMPLE}, or name the column with `timestamp`.")


def _reads_as_times(texts: pd.Series[str]) -> bool:
    """Whether the first of them do; days such as 01.02.2015 read in two ways until a later row says which one holds."""
    if _parsed(texts.head(50)) is not None:
        return True
    return bool(_numbered_patterns(str(texts.iloc[0]))) and _parsed(texts) is not None


def utc_times(table: Table, name: str, timezone: str) -> np.ndarray:
    """(n_rows,) datetime64[ns] in UTC, strictly rising.

    Times without an offset are read by the clock of `timezone`; in the hour that it repeats in autumn the order of the
    rows decides.

    Raises:
        DataError: times that do not read, are mixed, unsorted, duplicated, or that daylight saving makes ambiguous.
    """
    times = _times(table, name)
    naive = times.dt.tz is None
    if naive:
        times = times.dt.tz_localize("UTC") if timezone == "UTC" else _localised(table, times, timezone)
    try:
        nanoseconds = times.dt.tz_convert("UTC").dt.tz_localize(None).dt.as_unit("ns").to_numpy()
    except ValueError as error:  # pandas' OutOfBoundsDatetime
        raise DataError(
            f"The times of {table.source} must lie between 1678 and 2262; got {times.min()} to {times.max()}. Correct "
            "them."
        ) from error
    check_order(table, nanoseconds, timezone if naive else None)
    return np.asarray(nanoseconds, dtype="datetime64[ns]")


def _times(table: Table, name: str) -> pd.Series[Any]:
    """The column as times: aware where the file gives an offset, naive where it does not."""
    import pandas as pd

    column = table.frame[name]
    if pd.api.types.is_datetime64_any_dtype(column):
        if column.isna().any():
            raise DataError(_unreadable(table, name, int(np.flatnonzero(column.isna())[0])))
        return column
    if not _is_text(column):
        raise DataError(
            f"Column '{name}' of {table.source} must hold times; got numbers such as {column.iloc[0]}. "
            f"{_FOR_EXAMPLE}, or name another column with `timestamp`."
        )
    texts = _stripped(column)
    with_offset = _has_offset(texts)
    if with_offset.any() and not with_offset.all():
        position = int(np.flatnonzero(~with_offset)[0])
        if _parsed(texts.iloc[[position]]) is not None:
            raise DataError(
                f"Either all times of {table.source} carry an offset to UTC or none; {table.where(position)} has none: "
                f"'{texts.iloc[position]}'. Write all of them in one way."
            )
    times = _parsed(texts)
    if times is None:
        raise DataError(_unreadable(table, name, _first_unreadable(texts)))
    return times


def _is_text(column: pd.Series[Any]) -> bool:
    import pandas as pd

    return bool(pd.api.types.is_object_dtype(column) or pd.api.types.is_string_dtype(column))


def _stripped(column: pd.Series[Any]) -> pd.Series[str]:
    return column.astype("string").str.strip()


def _has_offset(texts: pd.Series[str]) -> np.ndarray:
    return texts.str.contains(_OFFSET, regex=True).fillna(False).to_numpy(dtype=bool)


def _parsed(texts: pd.Series[str]) -> pd.Series[Any] | None:
    """Times, in UTC where all texts have an offset; None when a text does not read, or reads in two ways."""
    import pandas as pd

    if texts.isna().any():
        return None
    patterns = _numbered_patterns(str(texts.iloc[0]))
    aware = bool(_has_offset(texts).all())
    found = []
    for pattern in patterns or ("ISO8601",):
        try:
            found.append(pd.to_datetime(texts, format=pattern, utc=aware))
        except (ValueError, TypeError):
            continue
    # 01/02/2015 is one day in Lisbon and another in Boston: only what reads in one way is read.
    return found[0] if len(found) == 1 else None


def _numbered_patterns(text: str) -> tuple[str, ...]:
    """How to read times such as 31.12.2014 14:00 or 12/31/2014: day first or month first; () for any other text."""
    match = _NUMBERED_DATE.fullmatch(text)
    if match is None:
        return ()
    mark, between, seconds = match.groups()
    clock = "" if between is None else f"{between}%H:%M" + (":%S" if seconds else "")
    return (f"%d{mark}%m{mark}%Y{clock}", f"%m{mark}%d{mark}%Y{clock}")


def _first_unreadable(texts: pd.Series[str]) -> int:
    import pandas as pd

    for pattern in _numbered_patterns(str(texts.iloc[0])) or ("ISO8601",):
        bad = np.flatnonzero(pd.to_datetime(texts, format=pattern, errors="coerce", utc=True).isna())
        if bad.size:
            return int(bad[0])
    return 0


def _unreadable(table: Table, name: str, position: int) -> str:
    import pandas as pd

    value = table.frame[name].iloc[position]
    got = "nothing" if pd.isna(value) else f"'{value}'"
    return (
        f"Column '{name}' of {table.source} must hold a time in every row, readable in one way; "
        f"{table.where(position)} has {got}. {_FOR_EXAMPLE}."
    )


def _localised(table: Table, naive: pd.Series[Any], timezone: str) -> pd.Series[Any]:
    """Naive times as the clock of `timezone` showed them."""
    import pandas as pd

    try:
        localised: pd.Series[Any] = naive.dt.tz_localize(timezone, ambiguous="infer")
    except ValueError as error:
        # What stops pandas may be the order of the rows: outside of repeated hours the clock itself must rise.
        unclear = naive.dt.tz_localize(timezone, ambiguous="NaT", nonexistent="shift_forward").isna().to_numpy()
        clear = np.flatnonzero(~unclear)
        check_order(table, naive.to_numpy()[clear], timezone, positions=clear)
        any_side = np.ones(len(naive), dtype=bool)
        skipped = naive.dt.tz_localize(timezone, ambiguous=any_side, nonexistent="NaT").isna().to_numpy()
        if skipped.any():
            position = int(np.flatnonzero(skipped)[0])
            raise DataError(
                f"The clock of {timezone} skips {pd.Timestamp(naive.iloc[position])} (daylight saving begins), but "
                f"{table.where(position)} has this time. Is the series in UTC, or in another `timezone`?"
            ) from error
        position = int(np.flatnonzero(unclear)[0])
        raise DataError(
            f"The clock of {timezone} shows {pd.Timestamp(naive.iloc[position])} twice (daylight saving ends), and the "
            f"rows around {table.where(position)} do not say which one is meant. Write times in UTC or with their "
            "offset "
            "(+02:00)."
        ) from error
    return localised
