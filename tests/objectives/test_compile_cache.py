"""The folder of compiled programs stays sound, and makes a second process faster."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from greentune.objectives import compile_cache
from greentune.objectives.compile_cache import default_cache, prepare_cache
from greentune.objectives.runtime import worker_environment

PROGRAM = zlib.compress(os.urandom(1000))


def entry(folder: Path, name: str, content: bytes, *, modified: float) -> Path:
    path = folder / f"{name}-cache"
    path.write_bytes(content)
    os.utime(path, (modified, modified))
    return path


def test_the_folder_lies_in_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    folder = default_cache()

    assert folder is not None
    assert folder.is_dir()
    assert folder.parent == tmp_path / "greentune"
    assert default_cache() == folder


def test_another_cpu_has_another_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    here = default_cache()
    monkeypatch.setattr(compile_cache, "_cpu_kind", lambda: "another")

    assert default_cache() != here


def test_a_cache_home_that_cannot_be_written_is_no_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    assert default_cache() is None


@pytest.mark.parametrize("broken", [PROGRAM[:500], b"", b"\x78\x9c" + b"\xff" * 50])
def test_what_a_killed_process_left_is_removed(tmp_path: Path, broken: bytes) -> None:
    left = entry(tmp_path, "left", broken, modified=1000.0)
    whole = entry(tmp_path, "whole", PROGRAM, modified=1000.0)

    assert prepare_cache(tmp_path)

    assert (left.exists(), whole.exists()) == (False, True)


def test_entries_of_another_compression_are_left_alone(tmp_path: Path) -> None:
    zstandard = entry(tmp_path, "other", b"\x28\xb5\x2f\xfd" + b"\x00" * 50, modified=1000.0)

    assert prepare_cache(tmp_path)

    assert zstandard.exists()


def test_the_oldest_entries_go_first(tmp_path: Path) -> None:
    oldest, middle, newest = (
        entry(tmp_path, name, PROGRAM, modified=modified) for name, modified in (("a", 10.0), ("b", 20.0), ("c", 30.0))
    )

    assert prepare_cache(tmp_path, max_bytes=2 * len(PROGRAM))

    assert [path.exists() for path in (oldest, middle, newest)] == [False, True, True]


@pytest.mark.slow
def test_a_second_process_finds_the_programs_of_the_first(tmp_path: Path) -> None:
    code = "import jax; print(float(jax.jit(lambda x: (x ** 3).sum())(jax.numpy.arange(7.0))))"
    environment = {**os.environ, **worker_environment("jax", cache=tmp_path)}

    def run() -> tuple[str, set[str]]:
        finished = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        return finished.stdout, {path.name for path in tmp_path.glob("*-cache")}

    printed, programs = run()

    assert printed == "441.0\n"
    assert programs
    assert run() == (printed, programs)
