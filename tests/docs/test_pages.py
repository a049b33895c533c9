"""Every page of the documentation does what it says: its blocks run in order in one folder.

Pages that train models take long: `make long` runs them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from .pages import RUN, SHOWN, WRITTEN, Page, documentation
from .sandbox import Sandbox

LONG = {
    "docs/tutorial.md",
    "docs/how-to/grid.md",
    "docs/how-to/keras-tuner.md",
    "docs/how-to/many-machines.md",
    "docs/how-to/own-model.md",
    "docs/how-to/recover.md",
}

SHOWN_COMMANDS = {
    "docs/how-to/many-machines.md": "a PostgreSQL server, other machines, Ray, Slurm and Kubernetes",
    "docs/how-to/recover.md": "a database server that is away, tables of another version, a full disk",
}
"""Pages with commands that no test can run, and what these would need."""


def parameter(page: Page) -> object:
    return pytest.param(page, id=page.name, marks=[pytest.mark.slow, pytest.mark.long] if page.name in LONG else [])


@pytest.mark.parametrize("page", [parameter(page) for page in documentation() if page.is_run])
def test_page_runs_from_its_first_block_to_its_last(page: Page, tmp_path: Path) -> None:
    took = Sandbox(tmp_path / "reader", tmp_path / "tools").run_page(page.blocks)
    print(page.name, sum(took.values()), took)  # noqa: T201 (`pytest -rP` shows how long each block takes)
    assert len(took) == sum(block.is_run for block in page.blocks)


def test_every_block_is_run_written_or_known_to_be_shown() -> None:
    unknown = [
        f"{block} `{block.language}`"
        for page in documentation()
        for block in page.blocks
        if not block.is_printed
        and (block.language not in {*RUN, *WRITTEN, *SHOWN} or (block.file and block.language not in WRITTEN))
    ]
    assert unknown == []


def test_commands_that_are_only_shown_stand_on_the_listed_pages() -> None:
    shown = {page.name for page in documentation() if any(block.language == "console" for block in page.blocks)}
    assert shown == set(SHOWN_COMMANDS)


def test_what_is_printed_follows_the_block_that_prints_it() -> None:
    astray = [
        str(block)
        for page in documentation()
        for before, block in zip((None, *page.blocks), page.blocks, strict=False)
        if block.is_printed and (before is None or not before.is_run)
    ]
    assert astray == []


def test_no_command_hides_in_a_block_of_text() -> None:
    hidden = [
        f"{block}: {line}"
        for page in documentation()
        if not page.name.startswith("docs/reference/")  # how a command is called, not a call
        for block in page.blocks
        if block.language == "text" and not block.is_printed
        for line in block.content.splitlines()
        if line.startswith(("$ ", "tune ", "greentune ", "python ", "make ", "export "))
    ]
    assert hidden == []


def test_listed_pages_exist() -> None:
    run = {page.name for page in documentation() if page.is_run}
    assert run >= LONG


def test_every_settings_fragment_is_a_part_of_a_valid_study() -> None:
    """TOML without a file name shows a few settings; they must be ones that a study takes."""
    import tomllib

    from greentune.storage.mistakes import Mistake
    from greentune.tuning.presets import with_preset
    from greentune.tuning.spec import parse_spec

    refused = []
    for page in documentation():
        for block in page.blocks:
            if block.language == "toml" and block.file is None:
                try:
                    parse_spec(with_preset({}, tomllib.loads(block.content)))
                except (Mistake, tomllib.TOMLDecodeError) as mistake:
                    refused.append(f"{block}: {mistake}")
    assert refused == []
