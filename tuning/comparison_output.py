"""What a comparison leaves behind, and how it looks in a terminal."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..reports.comparison import ComparisonTable, flat_rows
from ..reports.comparison_page import cells, head, in_two, render
from ..reports.model_info import versions
from ..reports.wording import UNKNOWN, horizon
from ..storage.mistakes import Mistake
from . import table

RESULT, TABLE, PAGE = "comparison.json", "comparison.csv", "comparison.html"


def described(
    compared: ComparisonTable,
    *,
    name: str,
    data: Mapping[str, Any],
    basis: Mapping[str, Any],
    facts: Sequence[str],
    problems: Sequence[str] = (),
    **more: Any,
) -> dict[str, Any]:
    """The content of ``comparison.json``: the table, and all else that the page says.

    Args:
        data: of the data set, as `Dataset.describe` and ``model_info.json`` have them.
        basis: what the table rests on, by which it is known again.
        facts: sentences on what was done; problems: on what went wrong.
        more: further entries.
    """
    part = (data.get("parts") or {}).get("test") or {}
    first, last = part.get("first_target"), part.get("last_target")
    ends = [str(time)[:16].replace("T", " ") for time in (first, last) if time]
    period = f"{' to '.join(ends)} UTC" if ends else "times are not known"
    ahead = horizon(data.get("steps_ahead") or (), data.get("step_seconds")) or UNKNOWN
    shown = {
        "source": data.get("source"),
        "target": f"{data.get('target') or 'y of the arrays'} ({compared.unit})",
        "forecast": ahead,
        "test part": f"{compared.n_windows:,} windows, {period}",
        "fingerprint": data.get("fingerprint"),
        "attribution": data.get("attribution"),
    }
    return {
        "name": name,
        "created": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        **compared.to_json(),
        "data": [[title, str(value)] for title, value in shown.items() if value],
        "facts": list(facts),
        "problems": list(problems),
        "versions": versions(),
        "basis": dict(basis),
        **more,
    }


def write(folder: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """Write table, page and, last, ``comparison.json``; each is replaced only by a whole one.

    Returns:
        the content with the places of the files.

    Raises:
        Mistake: the folder or the disk does not take them.
    """
    placed = {**content, "table": str(folder / TABLE), "page": str(folder / PAGE)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        table.write_csv(folder / TABLE, flat_rows(content))
        _write(folder / PAGE, render(content))
        _write(folder / RESULT, json.dumps(placed, indent=2) + "\n")
    except OSError as error:
        raise Mistake(
            f"The comparison must be written whole; {folder} does not take it: {error.strerror or error}. Free some "
            "space or use another --out."
        ) from error
    return placed


def earlier(folder: Path, basis: Mapping[str, Any]) -> dict[str, Any] | None:
    """What an earlier run wrote, if it is still there and rests on the same trainings."""
    try:
        found: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    there = all((folder / name).is_file() for name in (TABLE, PAGE))
    return found if there and found.get("basis") == basis else None


def lines(content: Mapping[str, Any]) -> list[str]:
    """The table for a terminal, what it says, and where the files are."""
    n = len(content["rows"])
    rows = [cells(row, content) for row in (*content["rows"], *content["references"])]
    return [
        f"comparison {content['name']}: {n} entries on {content['n_windows']:,} test windows",
        *(line for titles, half in in_two(head(content), rows) for line in ("", *_aligned(titles, half))),
        "",
        content["verdict"],
        *content["problems"],
        f"table    {content['table']}",
        f"page     {content['page']}",
    ]


def _aligned(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns side by side, the first one to the left."""
    shown = [[cell.replace("\u00a0", " ") for cell in row] for row in (titles, *rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*shown, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]).rstrip()
        for row in shown
    ]


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
