from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from greentune.reports.folder_swap import whole_folder


def write(target: Path, text: str) -> None:
    with whole_folder(target) as new:
        (new / "file").write_text(text)


def test_folder_appears_with_its_parents(tmp_path: Path) -> None:
    write(tmp_path / "a" / "b", "one")
    assert (tmp_path / "a" / "b" / "file").read_text() == "one"


def test_old_folder_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    write(tmp_path / "a", "one")
    write(tmp_path / "a", "two")
    assert (tmp_path / "a" / "file").read_text() == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, SystemExit])
def test_failure_leaves_the_old_folder_alone_and_nothing_behind(tmp_path: Path, error: type[BaseException]) -> None:
    write(tmp_path / "a", "one")

    def fail() -> None:
        with whole_folder(tmp_path / "a") as new:
            (new / "file").write_text("two")
            raise error

    with pytest.raises(error):
        fail()
    assert (tmp_path / "a" / "file").read_text() == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_failure_removes_parents_that_were_made_for_it(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no"), whole_folder(tmp_path / "a" / "b" / "c"):
        raise OSError("no")
    assert list(tmp_path.iterdir()) == []


def test_old_folder_is_put_back_when_the_exchange_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a", "one")
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if ".new-" in self.name:
            raise OSError("exchange fails")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="exchange"):
        write(tmp_path / "a", "two")
    assert (tmp_path / "a" / "file").read_text() == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_remains_of_a_killed_writer_are_cleared_and_its_old_folder_comes_back(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for kind in ("new", "old"):
        (tmp_path / f".a.{kind}-{socket.gethostname()}-{dead.pid}").mkdir()
    (tmp_path / f".a.old-{socket.gethostname()}-{dead.pid}" / "file").write_text("one")
    with pytest.raises(OSError, match="no"), whole_folder(tmp_path / "a"):
        raise OSError("no")
    assert (tmp_path / "a" / "file").read_text() == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_another_writer_at_work_is_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / f".a.new-{socket.gethostname()}-{os.getppid()}"
    elsewhere = tmp_path / ".a.new-another.host-1"
    for path in (mine, elsewhere):
        path.mkdir()
    write(tmp_path / "a", "one")
    assert mine.is_dir()
    assert elsewhere.is_dir()


def test_a_link_to_a_folder_is_followed(tmp_path: Path) -> None:
    write(tmp_path / "real", "one")
    (tmp_path / "latest").symlink_to("real")
    write(tmp_path / "latest", "two")
    assert (tmp_path / "latest").is_symlink()
    assert (tmp_path / "real" / "file").read_text() == "two"
