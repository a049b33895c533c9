"""What the commands share: exit codes, where the database is, how sentences are said."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import options as o

if TYPE_CHECKING:
    from ..storage.resilient import ResilientStorage

EXIT_NO_WINNER, EXIT_MISTAKE, EXIT_INTERRUPTED = 1, 2, 130


def existing(
    storage: str | None, out: Path, *, outage: float | None = None, standing: bool = False
) -> tuple[ResilientStorage, str]:
    """The database that is there already, and its URL.

    Args:
        standing: for a worker that waits for studies: a database server without any may get its tables now.
        outage: seconds for which it may be away; None: as long as for workers.
    """
    from ..storage.address import find_storage, storage_url
    from ..storage.rdb import open_storage
    from .records import DATABASE

    url = storage_url(find_storage(storage) or out / DATABASE)
    create = standing and url.startswith("postgresql")
    return open_storage(url, create=create, outage=outage), url


def specification(config: Path | None, given: dict[str, Any]) -> dict[str, Any]:
    """The study file and the options over it, as one set of nested tables."""
    from .presets import merge
    from .spec import read_toml

    return merge({} if config is None else read_toml(config), o.as_tables(given))


def say(sentence: str) -> None:
    """To the person at the terminal."""
    print(sentence, file=sys.stderr)


def silent(_sentence: str) -> None:
    """To nobody."""
