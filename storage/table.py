"""A file of rows and columns: CSV (also gzipped) or Parquet, told apart by their first bytes, not by their name."""

from __future__ import annotations

import csv
import gzip
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .dataspec import SAMPLE_PREFIX, DataError
from .mistakes import nearest
from .sample import SAMPLES, sample_file

if TYPE_CHECKING:
    import pandas as pd

_FIRST_BYTES = 65536
_FORMATS = "A series is CSV (also gzipped) or Parquet"


@dataclass(frozen=True, eq=False)
class Table:
    """Rows as they stand in a file.

    Attributes:
        frame: (n_rows, n_columns); its index numbers the rows from 0, blank lines of a file included.
        source: how messages call it.
        first_line: line of the file in which row 0 stands; None where there are no lines (Parquet, a frame).
    """

    frame: pd.DataFrame
    source: str
    first_line: int | None = None

    def where(self, position: int) -> str:
        """What a user looks for: ``line 7`` of a text, ``row 5`` of anything else (rows are counted from 0)."""
        row = int(self.frame.index[position])
        return f"row {row}" if self.first_line is None else f"line {row + self.first_line}"


@contextmanager
def located(path: str) -> Iterator[Path]:
    """The file or folder that `DataSpec.path` means, for as long as the context lasts.

    Raises:
        DataError: there is no such file, folder or sample.
    """
    if path.startswith(SAMPLE_PREFIX):
        name = path.removeprefix(SAMPLE_PREFIX)
        if name not in SAMPLES:
            raise DataError(f"There is no packaged series '{name}'. {nearest(name, tuple(SAMPLES))}")
        with sample_file(name) as file:
            yield file
        return
    yield _existing(path)


def read_table(path: Path) -> Table:
    """Read a file as it is; nothing is checked but that it is a table with at least two columns.

    Raises:
        DataError: it is neither CSV nor Parquet, is damaged, empty, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
        if not magic:
            raise DataError(f"{path.name} is empty. {_FORMATS} with a header, a column of times and a target.")
        if magic == b"PAR1":
            return _read_parquet(path)
        if magic == b"PK\x03\x04":
            raise DataError(f"{path.name} is a zip archive or an Excel workbook. {_FORMATS}: save the sheet as CSV.")
        return _read_csv(path, compressed=magic[:2] == b"\x1f\x8b")
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror or error}.") from error


def _existing(path: str) -> Path:
    if not path:
        raise DataError(
            "`path` of the data is empty. Give a file (series), a folder (arrays) or sample:la_haute_borne."
        )
    try:
        place = Path(path).expanduser()
        if place.exists():
            return place
        folder = place.parent
        if not folder.is_dir():
            raise DataError(f"No such file: {place}. Its folder does not exist either.")
        names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    except (OSError, RuntimeError) as error:  # RuntimeError: no such user's home
        raise DataError(f"{path} cannot be opened: {error}.") from error
    raise DataError(f"No such file: {place}. {nearest(place.name, names) if names else 'Its folder is empty.'}")


def _read_parquet(path: Path) -> Table:
    import pandas as pd
    import pyarrow as pa

    try:
        frame = pd.read_parquet(path)
    except (pa.ArrowException, ValueError) as error:
        raise DataError(
            f"{path.name} begins like Parquet but cannot be read: {_first_sentence(error)} Write it again."
        ) from error
    return frame_table(frame, path.name)


def frame_table(frame: pd.DataFrame, source: str) -> Table:
    """A frame as a table; an index of times becomes a column."""
    import pandas as pd

    if isinstance(frame.index, pd.DatetimeIndex):
        name = "timestamp" if frame.index.name is None else str(frame.index.name)
        frame = frame.rename_axis(index=name).reset_index(allow_duplicates=True)
    frame = frame.reset_index(drop=True)
    frame.columns = [str(name) for name in frame.columns]
    _check_header(list(frame.columns), source)
    return Table(frame, source)


def _read_csv(path: Path, *, compressed: bool) -> Table:
    import pandas as pd

    start = _first_bytes(path, compressed=compressed)
    if b"\0" in start:
        raise DataError(f"{path.name} is not a CSV: it holds binary data. {_FORMATS}.")
    encoding = "utf-8-sig" if _is_utf8(start) else "latin-1"
    header, separator = _header(start.decode(encoding, errors="replace"))
    _check_header(header, path.name)
    try:
        with warnings.catch_warnings():
            # Longer rows than the header would otherwise lose their last fields with no more than a warning.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                path,
                sep=separator,
                header=0,
                names=header,
                index_col=False,
                encoding=encoding,
                compression="gzip" if compressed else None,
                skip_blank_lines=False,
                low_memory=False,
            )
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(f"{path.name} is not a CSV that can be read: {_first_sentence(error)} {_FORMATS}.") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path.name} is a damaged gzip file: {_first_sentence(error)} Copy it again.") from error
    return Table(frame.dropna(how="all"), path.name, first_line=2)


def _first_bytes(path: Path, *, compressed: bool) -> bytes:
    if not compressed:
        with path.open("rb") as file:
            return file.read(_FIRST_BYTES)
    try:
        with gzip.open(path, "rb") as file:
            return file.read(_FIRST_BYTES)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path.name} is a damaged gzip file: {_first_sentence(error)} Copy it again.") from error


def _is_utf8(start: bytes) -> bool:
    try:
        # The last character may be cut in two: a few bytes less decide as well.
        start[: max(len(start) - 4, 0) if len(start) == _FIRST_BYTES else len(start)].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _header(text: str) -> tuple[list[str], str]:
    lines = text.splitlines()
    first = lines[0] if lines else ""
    separator = max((",", ";", "\t"), key=first.count)
    names = next(csv.reader([first], delimiter=separator), [])
    return [name.strip() for name in names], separator


def _check_header(names: list[str], source: str) -> None:
    if len(names) < 2:
        got = f"one column, '{names[0][:40]}'" if names else "no column"
        raise DataError(
            f"{source} is not a series: it must have a column of times and a target; got {got}. {_FORMATS}."
        )
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        listed = ", ".join(f"'{name}'" for name in repeated)
        raise DataError(
            f"{source} must name each column once; got {listed} more than once. Rename or remove the copies."
        )


def _first_sentence(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if text.endswith(".") else f"{text}."
