"""Results that could not be told because the database stayed away: kept in files, told at the next start."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from . import tickets
from .address import redact
from .resilient import ResilientStorage

_log = logging.getLogger("greentune.storage")


def keep(
    url: str,
    trial_id: int,
    state: TrialState,
    *,
    value: float | None,
    others: Sequence[float] = (),
    facts: Mapping[str, Any],
) -> Path:
    """Write a result to a file of this host.

    Args:
        url: of the database; only a digest of it is kept.
        others: values in further objectives.
    """
    folder = spool_folder(url)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{uuid.uuid4().hex}.json"
    draft = path.with_suffix(".draft")
    values = {"value": value, "others": list(others)}
    content = {"trial_id": trial_id, "state": state.name, **values, "facts": dict(facts)}
    draft.write_text(json.dumps(content), encoding="utf-8")
    draft.replace(path)
    return path


def replay(storage: ResilientStorage, url: str) -> int:
    """Tell every result that this host has kept for the database.

    A result whose ticket has meanwhile been given to somebody else is dropped, with a line in the log.

    Returns:
        how many were told.
    """
    told = 0
    for path in sorted(spool_folder(url).glob("*.json")):
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            state = TrialState[kept["state"]]
            values = {"value": kept["value"], "others": kept.get("others", ())}
            landed = tickets.finish(storage, kept["trial_id"], state, **values, facts=kept["facts"])
        except FileNotFoundError:
            continue  # somebody else is at it
        except (ValueError, KeyError, TypeError) as error:
            _log.warning("%s is no result and is left alone: %s", path, error)
            continue
        path.unlink(missing_ok=True)
        told += landed
        if not landed:
            _log.warning("A result that was kept during an outage came too late and was dropped: %s", kept)
    return told


def spool_folder(url: str) -> Path:
    """Where this user's results for a database wait: one folder a database, below ``XDG_STATE_HOME``."""
    base = Path(os.environ.get("XDG_STATE_HOME", ""))
    root = base if base.is_absolute() else Path.home() / ".local" / "state"
    return root / "greentune" / "spool" / hashlib.sha256(redact(url).encode()).hexdigest()[:16]
