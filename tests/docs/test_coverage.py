"""Nothing public goes undocumented: commands, and the sections of a study file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer.main

from .pages import Page, pages


def public_commands() -> list[str]:
    """Every command with the words that call it, hidden ones and those below them left out."""
    from greentune.tuning.cli import app

    def below(words: str, command: Any) -> Iterator[str]:
        yield words
        for name, child in sorted(getattr(command, "commands", {}).items()):
            if not child.hidden:
                yield from below(f"{words} {name}", child)

    return list(below("tune", typer.main.get_command(app)))


def undocumented(commands: list[str], texts: list[str]) -> list[str]:
    """Commands that stand nowhere as whole words, by either name of the program."""
    everything = "\n".join(texts)
    return [command for command in commands if not re.search(rf"\b(?:green)?{re.escape(command)}(?![\w-])", everything)]


def text_of(page: Page) -> str:
    return page.path.read_text(encoding="utf-8")


def test_every_public_command_is_documented() -> None:
    assert undocumented(public_commands(), [text_of(page) for page in pages()]) == []


def test_an_undocumented_command_is_seen() -> None:
    assert undocumented(["tune", "tune fold", "tune work"], ["`greentune folds`; tune worker"]) == [
        "tune fold",
        "tune work",
    ]


def test_hidden_commands_are_not_asked_for() -> None:
    assert not {"tune work", "tune deliver", "tune judge"} & set(public_commands())


def test_every_section_of_a_study_file_is_explained() -> None:
    from pydantic import BaseModel

    from greentune.tuning.spec import StudySpec

    sections = [
        name
        for name, field in StudySpec.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    ]
    everything = "\n".join(text_of(page) for page in pages())
    assert {"data", "search", "validation", "training", "run", "winner", "final"} <= set(sections)
    assert [name for name in sections if f"[{name}]" not in everything] == []
