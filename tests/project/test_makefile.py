"""`make` on a fresh machine: which Python it takes, what a broken installation leaves. A script plays Python."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from .house import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

# Answers every question well, notes what pip is asked to install, and ends as PIP_ENDS says.
PYTHON = """#!/bin/sh
case "$*" in
    *"pip"*" install "*) echo "$*" >>"$NOTES"; exit "${PIP_ENDS:-0}";;
esac
"""


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """An environment that has a Python and a `greentune`, and nothing installed by make yet."""
    folder = tmp_path / "venv"
    (folder / "bin").mkdir(parents=True)
    for name, text in {"python": PYTHON, "greentune": '#!/bin/sh\necho "greentune $*"\n'}.items():
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    return folder


def make(target: str, venv: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """The repository's own Makefile with variables of make; PIP_ENDS is the exit code of pip's stand-in."""
    outer = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    environment = {**outer, "NOTES": str(venv.parent / "notes"), "PIP_ENDS": variables.pop("PIP_ENDS", "0")}
    words = [f"{name}={value}" for name, value in {"VENV": str(venv), **variables}.items()]
    return subprocess.run(
        ["make", target, *words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )


def installations(venv: Path) -> list[str]:
    notes = venv.parent / "notes"
    return notes.read_text().splitlines() if notes.exists() else []


def test_tune_installs_once_and_passes_the_arguments(venv: Path) -> None:
    first = make("tune", venv, ARGS="--sampler grid --epochs 2")
    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines()[-1] == "greentune --sampler grid --epochs 2"
    assert make("tune", venv).stdout == "greentune \n"
    assert [re.search(r"-c (\S+) -e (\S+)", line).groups() for line in installations(venv)] == [
        ("constraints.txt", ".")
    ]


def test_an_installation_that_broke_off_is_taken_up_again(venv: Path) -> None:
    broken = make("tune", venv, PIP_ENDS="1")
    assert broken.returncode == 2
    assert "greentune \n" not in broken.stdout
    assert make("tune", venv).returncode == 0
    assert len(installations(venv)) == 2


def test_a_failed_renewal_is_not_taken_for_an_installation(venv: Path) -> None:
    stamp = venv / ".greentune-run"
    assert make("tune", venv).returncode == 0
    os.utime(stamp, (0, 0))  # older than pyproject.toml
    assert make("tune", venv, PIP_ENDS="1").returncode == 2
    assert not stamp.exists()


def test_the_developers_environment_serves_for_running(venv: Path) -> None:
    assert make(str(venv / ".greentune-dev"), venv).returncode == 0
    assert make("tune", venv).returncode == 0
    assert [line.split()[-1] for line in installations(venv)] == [".[dev]"]


def test_a_python_that_does_not_fit_is_one_clear_message(tmp_path: Path) -> None:
    old = tmp_path / "python3.8"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    ended = make("tune", tmp_path / "venv", PYTHON=str(old))
    assert ended.returncode == 2
    assert "needs Python 3.11, 3.12 or 3.13" in ended.stderr
    assert "make tune PYTHON=" in ended.stderr


def test_a_python_without_venv_is_one_clear_message(tmp_path: Path) -> None:
    bare = tmp_path / "python3.11"
    bare.write_text('#!/bin/sh\ncase "$*" in *ensurepip*) exit 1;; esac\n')
    bare.chmod(0o755)
    ended = make("tune", tmp_path / "venv", PYTHON=str(bare))
    assert ended.returncode == 2
    assert "python3-venv" in ended.stderr
