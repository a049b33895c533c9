"""A folder that appears whole or not at all, and replaces an older one only when it is complete.

target.parent/
    target/                     the old one, untouched while the new one is written
    .target.new-HOST-PID/       the new one; renamed to `target` at the end, removed on any failure
    .target.old-HOST-PID/       the old one for the moment of the exchange; put back if that fails
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Gives an empty folder beside `target` to write into; when the block ends well, it takes the place of `target`.

    Whatever leaves the block by an exception removes the new folder (and parents made for it); the old one stays as
    it is. Remains of a process that was killed are cleared away first, and an old folder it had set aside is put back.

    Raises:
        OSError: as the file system gives it.
    """
    target = target.resolve()
    made = _make_parents(target.parent)
    new = target.with_name(f".{target.name}.new-{_owner()}")
    try:
        _clear_remains(target)
        new.mkdir()
        yield new
        _exchange(new, target)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        for parent in made:
            with contextlib.suppress(OSError):
                parent.rmdir()
        raise


def _exchange(new: Path, target: Path) -> None:
    if not target.exists():
        new.rename(target)
        return
    old = target.with_name(f".{target.name}.old-{_owner()}")
    target.rename(old)
    try:
        new.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _make_parents(folder: Path) -> list[Path]:
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _clear_remains(target: Path) -> None:
    for kind in ("old", "new"):
        prefix = f".{target.name}.{kind}-{socket.gethostname()}-"
        for path in target.parent.iterdir():
            if not path.name.startswith(prefix) or _alive(path.name.removeprefix(prefix)):
                continue
            if kind == "old" and not target.exists():
                path.rename(target)
            else:
                shutil.rmtree(path, ignore_errors=True)


def _owner() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


def _alive(pid: str) -> bool:
    if not pid.isdigit():
        return True
    if int(pid) == os.getpid():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
