"""The command line: every command documented, and quick before it does anything."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from .house import ROOT

HELP_SECONDS = 0.7
TRIES = 5  # the best one counts: the machine may be busy

LOADED_BY_HELP = """
import sys
sys.argv = ["tune", "--help"]
from greentune.tuning.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
import json
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
"""


def commands() -> list[tuple[str, Any]]:
    """Every command with the words that call it (`tune`, `tune status`, …), hidden ones too."""
    from greentune.tuning.cli import app

    def below(words: str, command: Any) -> Iterator[tuple[str, Any]]:
        yield words, command
        for name, child in sorted(getattr(command, "commands", {}).items()):
            yield from below(f"{words} {name}", child)

    return list(below("tune", typer.main.get_command(app)))


def test_every_command_has_help() -> None:
    assert [words for words, command in commands() if not (command.help or "").strip()] == []


def test_every_option_has_help() -> None:
    silent = [
        f"{words} {parameter.opts[0]}"
        for words, command in commands()
        for parameter in command.params
        if not (getattr(parameter, "help", None) or "").strip()
    ]
    assert silent == []


def test_every_command_stands_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [words for words, _ in commands() if words not in readme] == []


def test_there_are_the_commands_of_the_main_job() -> None:
    wanted = {"tune", "tune status", "tune export", "tune predict", "tune prepare", "tune dashboard"}
    assert wanted <= {words for words, _ in commands()}


def test_help_does_not_load_the_heavy_libraries() -> None:
    ended = subprocess.run([sys.executable, "-c", LOADED_BY_HELP], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    loaded = set(json.loads(ended.stderr.splitlines()[-1]))
    heavy = {"keras", "tensorflow", "jax", "sklearn", "pandas", "matplotlib", "scipy", "pyarrow", "keras_tuner"}
    assert loaded & heavy == set()


@pytest.mark.parametrize("words", [["--help"], ["--version"]], ids=["help", "version"])
def test_help_and_version_are_quick(words: list[str]) -> None:
    best = float("inf")
    for _ in range(TRIES):
        started = time.perf_counter()
        ended = subprocess.run(
            [sys.executable, "-m", "greentune.tuning", *words],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "COLUMNS": "120"},
        )
        best = min(best, time.perf_counter() - started)
        assert ended.returncode == 0, ended.stderr
        if best < HELP_SECONDS:
            break
    assert best < HELP_SECONDS


@pytest.mark.parametrize("words", [words for words, _ in commands()])
def test_help_shows_every_text_whole(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rich would take `[default: 40]` for a markup of its own and leave it out."""
    from greentune.tuning.cli import app

    monkeypatch.setenv("TERMINAL_WIDTH", "600")
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 600)
    shown = CliRunner().invoke(app, [*words.split()[1:], "--help"]).output
    plain = " ".join(re.sub(r"[│╭╮╰╯─]", " ", shown).split())
    texts = [parameter.help for parameter in dict(commands())[words].params]
    assert [text for text in texts if " ".join(text.split()) not in plain] == []
