from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from greentune.storage.dataspec import DataError
from greentune.storage.table import frame_table, located, read_table

from .tiny_series import tiny_frame, write_csv


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet", "a.data"])
def test_every_format_gives_the_same_numbers(tmp_path: Path, name: str) -> None:
    frame, path = tiny_frame(), tmp_path / name
    if name.endswith("parquet"):
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    read = read_table(path).frame
    assert list(read.columns) == list(frame.columns)
    np.testing.assert_allclose(read["power"].to_numpy(), frame["power"].to_numpy(), rtol=1e-12)


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_are_seen(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "a.csv"
    tiny_frame().to_csv(path, index=False, sep=separator)
    assert list(read_table(path).frame.columns) == ["time", "power", "wind", "direction"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1"])
def test_byte_order_mark_and_latin_letters_are_read(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("énergie,b\n1,2\n".encode(encoding))
    assert list(read_table(path).frame.columns) == ["énergie", "b"]


def test_rows_are_called_by_their_line_also_after_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("time,power\n\na,1\n\n\nb,2\n", encoding="utf-8")
    table = read_table(path)
    assert [table.where(position) for position in range(len(table.frame))] == ["line 3", "line 6"]


def test_rows_of_a_frame_are_called_by_their_number() -> None:
    assert frame_table(tiny_frame(), "the frame").where(4) == "row 4"


def test_index_of_times_becomes_a_column() -> None:
    frame = tiny_frame().set_index(pd.date_range("2015", periods=60, freq="h"))
    assert "timestamp" in frame_table(frame.drop(columns="time"), "the frame").frame.columns


def test_sample_lies_on_the_disk_while_it_is_used() -> None:
    with located("sample:la_haute_borne") as file:
        assert file.read_bytes()[:2] == b"\x1f\x8b"


BROKEN: list[tuple[str, bytes, str]] = [
    ("empty.csv", b"", "empty.csv is empty"),
    ("image.csv", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "holds binary data"),
    ("sheet.csv", b"PK\x03\x04rest", "Excel workbook"),
    ("words.csv", b"just some words\nand more\n", "got one column, 'just some words'"),
    ("cut.parquet", b"PAR1 and no footer", "begins like Parquet but cannot be read"),
    ("cut.csv.gz", gzip.compress(b"time,power\n" * 9000)[:60], "damaged gzip file"),
    ("noise.csv.gz", b"\x1f\x8b" + bytes(range(64)), "damaged gzip file"),
    ("twice.csv", b"time,power,power\n1,2,3\n", "got 'power' more than once"),
    ("ragged.csv", b"time,power\n1,2\n1,2,3\n", "line 3"),
    ("wider.csv", b"time,power\n1,2,3\n1,2,3\n", "not a CSV that can be read"),
    ("quote.csv", b'time,power\n"1,2\n', "not a CSV that can be read"),
]


@pytest.mark.parametrize(("name", "content", "message"), BROKEN, ids=[name for name, _, _ in BROKEN])
def test_what_is_no_table_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("serie.csv", "Did you mean 'series.csv'?"),
        ("nowhere/series.csv", "Its folder does not exist"),
        ("sample:la_haute_born", "Did you mean 'la_haute_borne'?"),
        ("", "`path` of the data is empty"),
        ("~nobody-of-this-name/series.csv", "cannot be opened"),
        ("a" * 5000, "cannot be opened"),
    ],
)
def test_no_such_file_names_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str, message: str
) -> None:
    write_csv(tmp_path, tiny_frame())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught, located(asked):
        pass
    assert message in str(caught.value)
