"""The reference in `docs/`: written from the code, up to date, and whole."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

from greentune.tuning.schema import INTERNAL, section_models
from greentune.tuning.spec import StudySpec

from .house import ROOT
from .test_commands import commands

REFERENCE = ROOT / "docs" / "reference"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["commands.md", "specification.md"])
def test_the_reference_is_up_to_date(generator: ModuleType, name: str) -> None:
    written = (REFERENCE / name).read_text(encoding="utf-8")
    assert written == generator.pages()[name], "`make docs` brings it up to date"


def test_there_is_no_page_that_nothing_writes(generator: ModuleType) -> None:
    assert {path.name for path in REFERENCE.iterdir()} == set(generator.pages())


def test_every_public_command_stands_there_with_all_its_options() -> None:
    sections = {
        section.partition("\n")[0]: section
        for section in (REFERENCE / "commands.md").read_text(encoding="utf-8").split("\n## ")
    }
    for words, command in commands():
        assert (words in sections) is not command.hidden, words
        for parameter in [] if command.hidden else command.params:
            written = parameter.opts if parameter.param_type_name == "option" else [parameter.name.upper()]
            assert [name for name in written if f"`{name}`" not in sections[words]] == [], words


def test_every_setting_stands_there() -> None:
    sections = {
        section.partition("\n")[0].strip("`[]"): section
        for section in (REFERENCE / "specification.md").read_text(encoding="utf-8").split("\n## ")
    }
    for name, model in section_models().items():
        assert [field for field in model.model_fields if f"| `{field}` |" not in sections[name]] == [], name
    top = [field for field in StudySpec.model_fields if field not in (*section_models(), *INTERNAL)]
    assert [field for field in top if f"| `{field}` |" not in sections["Top of the file"]] == []


def test_no_cell_breaks_its_table() -> None:
    for path in REFERENCE.iterdir():
        columns = 0
        for line in path.read_text(encoding="utf-8").splitlines():
            cells = line.replace("\\|", "").count("|") if line.startswith("|") else 0
            assert cells in (0, columns) or not columns, line
            columns = cells
