"""The public surface, held: a name appears or goes on purpose, in `public_names.txt`."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from .house import FOLDERS

HELD = Path(__file__).with_name("public_names.txt")


def exported(folder: str) -> list[str]:
    return list(importlib.import_module(f"greentune.{folder}").__all__)


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_public_name_exists_once(folder: str) -> None:
    package = importlib.import_module(f"greentune.{folder}")
    names = exported(folder)
    assert len(names) == len(set(names))
    assert [name for name in names if not hasattr(package, name)] == []


def test_the_public_names_are_the_held_ones() -> None:
    now = sorted(f"greentune.{folder}.{name}" for folder in FOLDERS for name in exported(folder))
    held = HELD.read_text(encoding="utf-8").split()
    assert now == held, f"if this is wanted, {HELD.name} becomes:\n" + "\n".join(now)
