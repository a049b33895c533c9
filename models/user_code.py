"""Code of users, by reference: found, imported under a private name, watched for changes, and blamed in its own words.

    path/to/file.py:build        a name in a file; the file's folder comes first on the path, as for `python file.py`
    package.module:build         a name in a module; the folder in which the command was given comes first
    wind_models                  an entry point of the group `greentune.builders`, from an installed package

What is imported here runs: only processes that train call `load`, never the command line or a supervisor.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Collection, Iterable, Mapping
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from ..storage.mistakes import nearest
from .contract import ModelError

ENTRY_POINTS = "greentune.builders"

_OURS = Path(__file__).resolve().parent.parent
_NOT_USERS = (
    *(_OURS / folder for folder in ("tuning", "models", "objectives", "storage", "reports")),
    Path(sys.prefix).resolve(),
    Path(traceback.__file__).resolve().parent,  # the standard library
)
"""Folders that may lie below a user's folder, and whose files are nevertheless not the user's to edit."""


_loading = 0


def is_reference(name: str) -> bool:
    """Whether a name stands for code of a user's file or module: it has a colon, or is a file."""
    return ":" in name or name.endswith(".py")


def entry_points() -> tuple[str, ...]:
    """The names that installed packages offer."""
    return tuple(sorted(point.name for point in metadata.entry_points(group=ENTRY_POINTS)))


def shown(reference: str) -> str:
    """The reference without the folders of this machine, for reports and bundles."""
    place, colon, name = reference.rpartition(":")
    return f"{Path(place).name}:{name}" if colon and place.endswith(".py") else reference


def reference_mistakes(reference: str, setting: str) -> list[str]:
    """What can be seen of a reference without importing anything.

    Args:
        setting: where it stands, for the sentences.
    """
    place, colon, name = reference.rpartition(":")
    if reference.endswith(".py"):
        return [f"`{setting}` must name what is to be called; got the file {reference}. Write {reference}:NAME."]
    if not colon:
        return []
    if not place or not name.isidentifier():
        return [f"`{setting}` must be FILE.py:NAME or MODULE:NAME; got {reference!r}. NAME is that of the function."]
    file = Path(place).expanduser()
    if place.endswith(".py") and not file.is_file():
        others = [path.name for path in file.parent.glob("*.py")] if file.parent.is_dir() else []
        return [f"`{setting}` must name a file that exists; there is none at {file}. {nearest(file.name, others)}"]
    if not place.endswith(".py") and ("/" in place or not all(part.isidentifier() for part in place.split("."))):
        return [f"`{setting}` must be FILE.py:NAME or MODULE:NAME; got {reference!r}. A file ends in .py."]
    return []


def reference_to(value: object, setting: str) -> str:
    """The reference by which other processes find a function or class that stands in a file.

    Raises:
        ModelError: it stands in no file, or not at its top.
    """
    name = str(getattr(value, "__qualname__", type(value).__name__))
    try:
        file = Path(inspect.getsourcefile(cast(Any, value)) or "").resolve()
    except TypeError:
        file = Path()
    if not file.is_file() or file.suffix != ".py" or not name.isidentifier():
        raise ModelError(
            f"`{setting}` must stand in a file, at its top, because other processes import it; {name} does not. Write "
            f"it into a file (in a notebook: %%writefile my_model.py) and give 'my_model.py:{name.split('.')[-1]}'."
        )
    return f"{file}:{name}"


def is_loading() -> bool:
    """Whether code of a user is being imported in this process."""
    return _loading > 0


def root_of(reference: str, folder: Path) -> Path:
    """The folder that comes first on the path: that of the file, or `folder`, where the command was given."""
    place = reference.rpartition(":")[0]
    return Path(place).expanduser().resolve().parent if place.endswith(".py") else folder.resolve()


def load(reference: str, root: Path) -> object:
    """Import what a reference names. It is executed.

    Args:
        root: comes first on the path, and stays there: imports within the user's functions need it too.

    Raises:
        ModelError: there is no such module or name, or its import raises: with the user's own traceback.
    """
    if str(root) not in sys.path[:1]:
        sys.path.insert(0, str(root))
    place, _, name = reference.rpartition(":")
    global _loading  # noqa: PLW0603 (what is imported may ask, see `is_loading`)
    _loading += 1
    try:
        if not place:
            return _entry_point(reference)
        module = _from_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except ModelError:
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and (place == error.name or place.startswith(f"{error.name}.")):
            found = [path.stem for path in root.glob("*.py")] + [p.parent.name for p in root.glob("*/__init__.py")]
            raise ModelError(
                f"There is no module '{error.name}' in {root} or among the installed packages. "
                f"{nearest(error.name, found)}"
            ) from error
        raise _import_failed(reference, error, root) from error
    except Exception as error:  # whatever the user's code raises is the user's to see
        raise _import_failed(reference, error, root) from error
    finally:
        _loading -= 1
    if not hasattr(module, name):
        public = [each for each in vars(module) if not each.startswith("_") and callable(getattr(module, each))]
        raise ModelError(f"{shown(reference)}: there is no '{name}' in {place}. {nearest(name, public)}")
    return getattr(module, name)


def sources(references: Iterable[str], folder: Path) -> dict[str, str]:
    """The user's source files that are imported now, with a digest of each.

    Args:
        references: of the code; what lies below their folders is the user's, but for environments.
        folder: where the command was given.

    Returns:
        whole path → digest.
    """
    roots = {root_of(reference, folder) for reference in references}
    files = {Path(file) for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))}
    there = {file.resolve() for file in files if any(_is_users(file, root) for root in roots)}
    mine = sorted(file for file in there if file.is_file())  # a module may come out of an archive
    return {str(file): _digest(file) for file in mine}


def changed(files: Mapping[str, str], folder: Path) -> list[str]:
    """What has become of source files since their digests were taken: ``build.py (edited)``, ``b.py (gone)``.

    Args:
        files: whole path → digest.
        folder: below which they are named by their relative paths.
    """
    found = []
    for name, digest in files.items():
        file = Path(name)
        told = file.relative_to(folder) if file.is_relative_to(folder) else file
        if not file.is_file():
            found.append(f"{told} (gone)")
        elif _digest(file) != digest:
            found.append(f"{told} (edited)")
    return found


def user_traceback(error: BaseException, roots: Collection[Path]) -> str:
    """The traceback of an error with the user's own frames only; all of the last ones where none is the user's."""
    told = traceback.TracebackException.from_exception(error)
    each: traceback.TracebackException | None = told
    while each is not None:
        mine = [frame for frame in each.stack if any(_is_users(Path(frame.filename), root) for root in roots)]
        says_itself = getattr(each, "filename", None) is not None  # a SyntaxError names file and line
        each.stack = traceback.StackSummary.from_list(mine or ([] if says_itself else each.stack[-3:]))
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)
    return "".join(told.format()).rstrip()


def _from_file(file: Path) -> ModuleType:
    name = f"greentune_user_{hashlib.sha256(str(file).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    location = importlib.util.spec_from_file_location(name, file)
    if location is None or location.loader is None or not file.is_file():
        raise ModelError(f"There is no Python file at {file}. Correct the path.")
    module = importlib.util.module_from_spec(location)
    sys.modules[name] = module  # before it runs: dataclasses and pickles look their module up
    try:
        location.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _entry_point(name: str) -> object:
    for point in metadata.entry_points(group=ENTRY_POINTS):
        if point.name == name:
            return point.load()
    raise ModelError(f"No installed package offers '{name}' as `{ENTRY_POINTS}`. {nearest(name, entry_points())}")


def _import_failed(reference: str, error: Exception, root: Path) -> ModelError:
    return ModelError(f"{shown(reference)} cannot be imported:\n{user_traceback(error, [root])}")


def _is_users(file: Path, root: Path) -> bool:
    """Whether a file lies below the user's folder, and not in an environment or in greentune there."""
    if file.suffix != ".py":  # <frozen importlib…>, <string>
        return False
    file = file.resolve()
    if not file.is_relative_to(root) or {"site-packages", "dist-packages"} & set(file.parts):
        return False
    # Below the user's folder only: a user's code may itself stand below the prefix of Python, as in some containers.
    return not any(root in place.parents and file.is_relative_to(place) for place in _NOT_USERS)


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]
