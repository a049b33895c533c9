"""The built wheel, outside the repository, next to a user's own `models` package."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from .house import FOLDERS, ROOT

pytestmark = pytest.mark.slow

# What a build reads; copied away, so that building leaves nothing in the checkout and takes nothing stale from it.
SOURCES = ("pyproject.toml", "README.md", "LICENSE", *FOLDERS)

# Run with `-I -S`: nothing is on the path but the standard library and what is put there.
BARE_NAMES = """
import importlib.util, sys
sys.path.insert(0, sys.argv[1])
print([name for name in sys.argv[2:] if importlib.util.find_spec(name)])
"""
SIDE_BY_SIDE = """
import importlib, sys
wheel, user, *libraries = sys.argv[1:]
sys.path[:0] = [user, wheel]
sys.path += libraries
import models
assert models.OWNER == "the user", models
for folder in ("tuning", "reports", "objectives", "models", "storage"):
    module = importlib.import_module(f"greentune.{folder}")
    assert module.__file__.startswith(wheel), module
assert sys.modules["models"] is models
"""
# A user's file beside a package `models` of the same user; `addsitedir` reads what an editable install has written.
BUILDER = """
import site, sys
from pathlib import Path
packages, code, user, reference, *libraries = sys.argv[1:]
site.addsitedir(packages)
sys.path += libraries
from greentune.models import user_code
found = user_code.load(reference, user_code.root_of(reference, Path.cwd()))
assert found() == "the user's own block", found()
import models.blocks.dense
ours = sys.modules["greentune.models"]
assert ours.__file__.startswith(code), ours
assert sys.modules["models"] is not ours
files = user_code.sources([reference], Path.cwd())
assert sorted(str(Path(name).relative_to(user)) for name in files) == [
    "build.py", "models/__init__.py", "models/blocks/__init__.py", "models/blocks/dense.py"
], files
"""
BUILD = """
from models.blocks.dense import OWNER

def build():
    from models.blocks import dense
    return dense.OWNER
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources, elsewhere."""
    tree = tmp_path_factory.mktemp("tree")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, tree / name)
    return tree


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    dist = tmp_path_factory.mktemp("dist")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--no-deps", "--no-build-isolation"]
    built = subprocess.run([*pip, "--wheel-dir", dist, tree], capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = dist.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps", "--no-index"]
    done = subprocess.run([*pip, "--target", target, wheel], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return target


def isolated(code: str, *arguments: object, cwd: Path) -> str:
    """Runs code in a Python without site-packages (so without our editable install), elsewhere."""
    command = [sys.executable, "-I", "-S", "-c", code, *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_wheel_holds_every_module_and_the_packaged_data(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        f"greentune/{path.relative_to(ROOT).as_posix()}"
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert expected - inside == set()


def test_wheel_holds_nothing_beside_greentune(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.startswith("greentune-")} == {"greentune"}


def test_bare_folder_names_are_not_importable(installed: Path, tmp_path: Path) -> None:
    assert isolated(BARE_NAMES, installed, *FOLDERS, cwd=tmp_path).strip() == "[]"


def test_the_bare_name_check_sees_a_bare_name(tmp_path: Path) -> None:
    (tmp_path / "site" / "models").mkdir(parents=True)
    (tmp_path / "site" / "models" / "__init__.py").touch()
    assert isolated(BARE_NAMES, tmp_path / "site", *FOLDERS, cwd=tmp_path).strip() == "['models']"


def test_works_beside_a_users_own_models_package(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "user" / "models").mkdir(parents=True)
    (tmp_path / "user" / "models" / "__init__.py").write_text('OWNER = "the user"\n')
    libraries = [entry for entry in sys.path if entry.endswith(("site-packages", "dist-packages"))]
    isolated(SIDE_BY_SIDE, installed, tmp_path / "user", *libraries, cwd=tmp_path)


@pytest.fixture
def user(tmp_path: Path) -> Path:
    """A user's folder: a file with a builder, and a package `models` with submodules."""
    folder = tmp_path / "user"
    (folder / "models" / "blocks").mkdir(parents=True)
    for name in ("models", "models/blocks"):
        (folder / name / "__init__.py").touch()
    (folder / "models" / "blocks" / "dense.py").write_text('OWNER = "the user\'s own block"\n')
    (folder / "build.py").write_text(BUILD)
    return folder


@pytest.fixture(scope="module")
def editable(tree: Path, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An editable install of the sources; after the wheel, which is built from the same ones."""
    target = tmp_path_factory.mktemp("editable")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps", "--no-index"]
    editable = [*pip, "--no-build-isolation", "--target", target, "--editable", tree]
    done = subprocess.run(editable, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return target


def from_users_code(packages: Path, code: Path, user: Path, reference: str, cwd: Path) -> None:
    """Loads a reference in a Python that has only these packages."""
    libraries = [entry for entry in sys.path if entry.endswith(("site-packages", "dist-packages"))]
    isolated(BUILDER, packages, code, user, reference, *libraries, cwd=cwd)


@pytest.mark.parametrize("where", ["user", "elsewhere"])
def test_users_builder_imports_its_own_models_package_beside_the_wheel(
    installed: Path, user: Path, tmp_path: Path, where: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    from_users_code(installed, installed, user, f"{user}/build.py:build", tmp_path / where)


def test_users_builder_imports_its_own_models_package_beside_an_editable_install(
    editable: Path, tree: Path, user: Path, tmp_path: Path
) -> None:
    from_users_code(editable, tree, user, f"{user}/build.py:build", tmp_path)


def test_module_of_the_users_folder_is_found_from_there(installed: Path, user: Path) -> None:
    from_users_code(installed, installed, user, "build:build", user)
