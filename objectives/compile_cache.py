"""JAX' compiled programs on disk: where they lie, and how the folder stays sound when processes are killed."""

from __future__ import annotations

import hashlib
import os
import platform
import zlib
from importlib import metadata
from pathlib import Path

MAX_BYTES = 2 * 2**30
_MARKER = ".tidied"
_ZLIB_HEADER = 0x78


def default_cache() -> Path | None:
    """The folder of this user for this kind of CPU and this version of JAX, or None where it cannot be written to.

    Compiled programs hold machine code for the CPU that made them, so that a home directory shared by several machines
    needs one folder a kind.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        root = base if base.is_absolute() else Path.home() / ".cache"
    except RuntimeError:
        return None
    kind = hashlib.sha256(f"{_cpu_kind()} jax {metadata.version('jax')} {metadata.version('jaxlib')}".encode())
    folder = root / "greentune" / f"jax-{kind.hexdigest()[:16]}"
    return folder if prepare_cache(folder) else None


def prepare_cache(folder: Path, *, max_bytes: int = MAX_BYTES) -> bool:
    """Makes the folder, removes broken entries and, over `max_bytes`, the oldest ones.

    JAX writes an entry in place: a process killed meanwhile leaves half of one, which every later process fails to read
    and none replaces. Entries that are newer than the last visit are therefore checked.

    Returns:
        whether the folder can be written to.
    """
    marker = folder / _MARKER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        checked_until = marker.stat().st_mtime if marker.exists() else 0.0
        marker.touch()
        _tidy(folder, checked_until, max_bytes)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def _tidy(folder: Path, checked_until: float, max_bytes: int) -> None:
    total = 0
    for modified, size, path in sorted(_entries(folder), reverse=True):
        total += size
        # A clock may tick in seconds: look a little further back than the last visit.
        if total > max_bytes or (modified > checked_until - 2.0 and not _is_whole(path)):
            path.unlink(missing_ok=True)


def _entries(folder: Path) -> list[tuple[float, int, Path]]:
    entries = []
    for path in folder.glob("*-cache"):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        entries.append((status.st_mtime, status.st_size, path))
    return entries


def _is_whole(path: Path) -> bool:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return True
    if not content:
        return False
    if content[0] != _ZLIB_HEADER:
        return True
    stream = zlib.decompressobj()
    try:
        stream.decompress(content)
    except zlib.error:
        return False
    return stream.eof


def _cpu_kind() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    wanted = ("vendor_id", "cpu family", "model", "model name", "stepping", "flags", "Features", "CPU part")
    described = {line.partition(":")[0].strip(): line.partition(":")[2].strip() for line in lines}
    return platform.machine() + "".join(f"\n{name} {described[name]}" for name in wanted if name in described)
