"""The files of the repository: their length, what they may not call, what they may not betray."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from .house import FOLDERS, ROOT

LONGEST = 350  # lines; beyond: what is the file's second idea?


def pieces(*patterns: str) -> str:
    """One of several patterns, written with blanks inside so that this file does not hold what it looks for."""
    return "|".join(pattern.replace(" ", "") for pattern in patterns)


# Gone in Optuna 6, or running whatever stands in a file, or hiding a refusal.
FORBIDDEN = re.compile(
    r"optuna\.terminator|optuna_integration|RetryFailedTrialCallback|failed_trial_callback"
    r"|pickle\.load|allow_pickle\s*=\s*True|safe_mode\s*=\s*False"
)
UNFINISHED = re.compile(rf"\b({pieces('TO DO', 'FIX ME', 'XX X', 'NotImplemented Error')})\b")
SWALLOWED = re.compile(r"^\s*except(\s+Exception)?\s*:\s*$", re.MULTILINE)
REGISTRIES = re.compile(pieces(r"py pi\.org", "python hosted", r"registry\. npm", r"deb\. debian"))
MACHINE_PATHS = re.compile(r"(?<![\w.~$}])/(?:tmp|root|home|Users)/[A-Za-z][\w.-]*/")


def tracked(*suffixes: str, new: bool = True) -> list[Path]:
    """Files that git knows, and new ones that it would take, with one of the suffixes (none: all)."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: there is no list of the project's files")
    # `safe.directory`: a checkout may belong to somebody else, as in containers.
    git = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached"]
    git += ["--others", "--exclude-standard"] if new else []
    listing = subprocess.run(git, cwd=ROOT, capture_output=True, check=True)
    paths = [ROOT / os.fsdecode(name) for name in listing.stdout.split(b"\0") if name]
    return [path for path in paths if path.is_file() and (not suffixes or path.suffix in suffixes)]


def texts() -> list[tuple[Path, str]]:
    found = []
    for path in tracked():
        try:
            found.append((path, path.read_text(encoding="utf-8")))
        except UnicodeDecodeError:
            continue  # data or pictures
    return found


def places(pattern: re.Pattern[str], files: list[tuple[Path, str]]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, found.start()) + 1}: {found.group().strip()}"
        for path, text in files
        for found in pattern.finditer(text)
    ]


def ours() -> list[tuple[Path, str]]:
    return [
        (path, text) for path, text in texts() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in FOLDERS
    ]


def test_the_top_level_has_only_the_agreed_folders() -> None:
    agreed = {*FOLDERS, "tests", "docs", "benchmarks", "examples", ".ci"}
    there = {path.relative_to(ROOT).parts[0] for path in tracked(new=False) if path.parent != ROOT}  # users have theirs
    assert there <= agreed


def test_no_python_file_has_a_second_idea() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in tracked(".py")
    }
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}


@pytest.mark.parametrize("pattern", [FORBIDDEN, UNFINISHED, SWALLOWED], ids=["forbidden", "unfinished", "swallowed"])
def test_our_code_is_free_of(pattern: re.Pattern[str]) -> None:
    assert places(pattern, ours()) == []


@pytest.mark.parametrize("pattern", [REGISTRIES, MACHINE_PATHS], ids=["registries", "machine-paths"])
def test_no_file_names(pattern: re.Pattern[str]) -> None:
    files = [(path, text) for path, text in texts() if path.suffix != ".csv"]
    assert places(pattern, files) == []


def test_no_file_names_this_very_checkout() -> None:
    if len(ROOT.parts) < 3:
        pytest.skip(f"{ROOT} is too common a text")
    assert places(re.compile(re.escape(str(ROOT)) + r"\b"), texts()) == []


def test_every_test_file_asserts_something() -> None:
    says = re.compile(r"assert|raises|check_|pytest\.fail")
    silent = [
        path.name for path in tracked(".py") if path.name.startswith("test_") and not says.search(path.read_text())
    ]
    assert silent == []


def test_the_readme_names_both_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make tune" in readme
    assert "make test" in readme


def test_every_make_target_is_explained() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", text, re.MULTILINE)) - {"help", "view"}
    explained = set(re.findall(r'@echo "make ([a-z-]+) ', text))
    assert {"tune", "test", "check"} <= targets
    assert targets == explained


def test_the_ci_script_can_be_run() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_constraints_are_names_and_versions_only() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9A-Za-z.+]+", pin)] == []
    names = [re.sub(r"[-_.]+", "-", pin.split("==")[0].lower()) for pin in pins]
    assert len(names) == len(set(names))
    assert "greentune" not in names
