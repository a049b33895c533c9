"""Imports between our folders point downwards, and the command line stays light."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest

from .house import FOLDERS, ROOT, Import, Module, imports, modules

# Who may import whom. Every folder may also say what is wrong in the one way there is: `storage.mistakes`.
MAY_IMPORT = {
    "tuning": {"reports", "objectives", "models", "storage"},
    "reports": {"models", "storage"},
    "objectives": {"models", "storage"},
    "models": set(),
    "storage": set(),
}
EVERYBODY = "greentune.storage.mistakes"
HEAVY = {"keras", "tensorflow", "jax"}
DISTRIBUTIONS = {"sklearn": "scikit-learn"}  # import name → distribution, where they differ by more than `_` and `-`

MODULES = modules()
IMPORTS = tuple(found for module in MODULES for found in imports(module))
NAMES = {module.name: module for module in MODULES}


def wrong_ways(found: Import) -> str | None:
    """Why an import may not be, or None."""
    parts = found.target.split(".")
    if parts[0] in FOLDERS:
        return "by the folder's bare name, which exists only in this checkout"
    if parts[0] != "greentune":
        return None
    if not found.relative:
        return "absolutely; between our folders imports are relative"
    if len(parts) < 2 or parts[1] not in FOLDERS:
        return "what is in none of our folders"
    if found.target == EVERYBODY or found.target.startswith(f"{EVERYBODY}."):
        return None
    if parts[1] == found.importer.folder or parts[1] in MAY_IMPORT[found.importer.folder]:
        return None
    return (
        f"upwards: {found.importer.folder} may import {sorted(MAY_IMPORT[found.importer.folder]) or 'nothing of ours'}"
    )


def test_imports_between_folders_point_downwards() -> None:
    wrong = [f"{found} {why}" for found in IMPORTS if (why := wrong_ways(found))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("folder", "code", "allowed"),
    [
        ("tuning", "from ..reports.page import write_report", True),
        ("tuning", "from . import spec", True),
        ("models", "from ..storage.mistakes import Mistake", True),
        ("models", "from ..storage import mistakes", True),
        ("models", "from ..storage.datasets import Dataset", False),
        ("storage", "def late():\n    from ..tuning.spec import StudySpec", False),
        ("reports", "from ..objectives.training import FitResult", False),
        ("reports", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..tuning import spec", False),
        ("objectives", "import greentune.models", False),
        ("objectives", "from storage.datasets import Dataset", False),
        ("objectives", "from storagetools import x", True),
    ],
)
def test_the_direction_check_sees(folder: str, code: str, *, allowed: bool) -> None:
    module = Module(f"greentune.{folder}.invented", ROOT / folder / "invented.py", ast.parse(code))
    assert all(wrong_ways(found) is None for found in imports(module)) is allowed


def loaded_with(start: Module) -> dict[str, Module]:
    """Our modules that importing one loads too, itself and the packages on the way included."""
    loaded: dict[str, Module] = {}
    waiting = [start.name]
    while waiting:
        parts = waiting.pop().split(".")
        for length in range(2, len(parts) + 1):
            name = ".".join(parts[:length])
            if name not in NAMES or name in loaded:
                continue
            loaded[name] = NAMES[name]
            waiting += [found.target for found in imports(NAMES[name]) if not found.lazy and not found.typing_only]
    return loaded


@pytest.mark.parametrize("name", [module.name for module in MODULES if module.folder == "tuning"])
def test_tuning_module_loads_without_keras(name: str) -> None:
    heavy = [
        str(found)
        for module in loaded_with(NAMES[name]).values()
        for found in imports(module)
        if not found.lazy and not found.typing_only and found.target.split(".")[0] in HEAVY
    ]
    assert not heavy, f"{name} loads a backend before its environment is set:\n" + "\n".join(heavy)


def test_every_imported_library_is_a_declared_dependency() -> None:
    project = tomllib.loads(Path(ROOT, "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    declared = {re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0] for requirement in requirements}
    own = {*sys.stdlib_module_names, "greentune"}

    def distribution(found: Import) -> str:
        top = found.target.split(".")[0]
        return DISTRIBUTIONS.get(top, top.replace("_", "-"))

    missing = [
        str(found) for found in IMPORTS if found.target.split(".")[0] not in own and distribution(found) not in declared
    ]
    assert not missing, "not in pyproject.toml:\n" + "\n".join(missing)
