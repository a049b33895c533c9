"""The note of a study on the dashboard: what is searched, how far it is, the best so far, where the report is."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import optuna
import optuna_dashboard

from ..models import user_code
from . import records
from .snapshot import Snapshot, take_snapshot
from .wording import counted

REPORT_PATH = "/report/"
"""Where :mod:`.dashboard` serves the reports; the name of the study follows."""

YOURS = "\n\n---\n\n**Your remarks.** What you write below this line stays; everything above it is renewed."
"""The border in the note. Users edit notes in the browser, and what they wrote must outlive our next version.

No name of a study or file can hold it: they stand in code spans, which have no line breaks."""


def refresh_note(study: optuna.Study) -> None:
    """Write the note of the study if it says anything new, and keep what users have added to it.

    A note has a version, which an open editor in a browser must know to save: an unchanged note gets no new one.
    """
    before = optuna_dashboard.get_note(study)
    note = f"{note_text(study)}{YOURS}\n\n{_remarks(before)}".rstrip()
    if note != before.rstrip():
        optuna_dashboard.save_note(study, note)


def note_text(study: optuna.Study) -> str:
    """Our part of the note, in Markdown. Nothing of the database's address is in it."""
    tables, snapshot = records.read_tables(study), take_snapshot(study)
    return "\n\n".join(
        [
            f"## {_code(study.study_name)}",
            _counts(tables["search"], snapshot),
            *_report(study, tables),
            _best(snapshot),
            "### The search",
            _table(("setting", "value"), _settings(tables)),
            "### The space",
            _space(tables["space"]),
        ]
    )


def report_file(attributes: Mapping[str, Any]) -> Path | None:
    """The report in the folder of the study, or the page of a comparison; None where this machine sees none.

    Args:
        attributes: the user attributes of the study.
    """
    folder = attributes.get(records.FOLDER)
    if not isinstance(folder, str) or not Path(folder).is_absolute():
        return None
    pages = [Path(folder) / name for name in ("comparison.html", "report.html")]
    return next((page for page in pages if page.is_file() and not page.is_symlink()), None)


def _remarks(before: str) -> str:
    """What users wrote: below the border, or all of a note that was there before ours."""
    _ours, border, below = before.partition(YOURS)
    return (below if border else before).strip()


def _counts(search: Mapping[str, Any], snapshot: Snapshot) -> str:
    planned = "all points of the grid" if search.get("trials") is None else search["trials"]
    words = [f"{getattr(snapshot, name)} {name}" for name in ("done", "running", "waiting", "pruned", "failed")]
    if snapshot.requeued:
        words.append(f"{snapshot.requeued} went back to the queue")
    return f"Trials: {', '.join(words)}; planned: {planned}."


def _best(snapshot: Snapshot) -> str:
    best = snapshot.best
    if best is None:
        return "No trial is complete yet."
    rows = [] if best.rmse is None else [("validation RMSE", _code(f"{best.rmse:.4f} {snapshot.unit}"))]
    rows += [(_code(snapshot.metric), _code(f"{best.value:.6g}"))]
    rows += [(_code(name), _value(value)) for name, value in best.parameters.items()]
    return f"### Best so far: trial {best.number}\n\n" + _table(("what", "value"), rows)


def _report(study: optuna.Study, tables: Mapping[str, Any]) -> list[str]:
    """Where the report is; of an objective function there is none."""
    attributes, name = study.user_attrs, study.study_name
    here, page = report_file(attributes) is not None, f"{REPORT_PATH}{quote(name, safe='')}"
    if tables.get("objective_function") is not None:
        return []
    if tables.get("entries"):
        return [f"[The table]({page})." if here else f"The table is not here. It comes with {_code('tune compare')}."]
    if here:
        return [f"[Report on the winner]({page}): errors in the unit, baselines, residuals."]
    return [f"The report on the winner is not here. It comes with {_code(f'tune export --study {shlex.quote(name)}')}."]


def _space(space: Mapping[str, Any]) -> str:
    if not space:
        return "What is searched the study's own code says while it runs."
    return _table(("parameter", "from"), [(_code(name), _entry(entry)) for name, entry in space.items()])


def _settings(tables: Mapping[str, Any]) -> list[tuple[str, str]]:
    data, search = tables["data"], tables["search"]
    code = {name: tables[name] for name in ("hypermodel", "objective_function") if tables.get(name)}
    forecasts = {
        "data": data["path"].rstrip("/").rsplit("/", 1)[-1],
        "target": data.get("target"),
        "horizon": counted(data["horizon"], "step"),
        "lookback": counted(data["lookback"], "step"),
    }
    known = {
        **({} if "objective_function" in code else forecasts),
        **{name: user_code.shown(reference) for name, reference in code.items()},
        "builder": None if tables.get("entries") or code else user_code.shown(tables.get("builder", "")),
        "entries": ", ".join(tables.get("entries") or ()) or None,
        "sampler": search.get("sampler"),
        "pruner": search.get("pruner"),
        "metric": search.get("metric"),
        "objectives": ", ".join(search.get("objectives") or ()) or None,
    }
    return [(name, _value(value)) for name, value in known.items() if value is not None]


def _entry(entry: Any) -> str:
    """One parameter of the space: its choices, or both ends of its range with step, scale and condition."""
    if not isinstance(entry, Mapping):
        return ", ".join(_value(choice) for choice in entry) if isinstance(entry, list) else _value(entry)
    if "choices" in entry:
        words = ", ".join(_value(choice) for choice in entry["choices"])
    else:
        words = f"{_value(entry.get('low'))} to {_value(entry.get('high'))}"
    if entry.get("step") is not None:
        words += f" by {_value(entry['step'])}"
    if entry.get("log"):
        words += ", logarithmic"
    return words if not entry.get("when") else f"{words}, when {_value(entry['when'])}"


def _table(head: tuple[str, str], rows: Iterable[tuple[str, str]]) -> str:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (head, (":---", ":---"), *rows)]
    return "\n".join(f"| {left} | {right} |" for left, right in cells)


def _value(value: Any) -> str:
    return _code(f"{value:.4g}" if isinstance(value, float) else str(value))


def _code(text: str) -> str:
    """Any text as a code span, in which Markdown knows no links, no HTML and no emphasis.

    Line breaks and what cannot be printed become spaces.
    """
    plain = "".join(letter if letter.isprintable() else " " for letter in text).strip()
    if not plain:
        return "–"
    longest = max((len(run) for run in re.findall("`+", plain)), default=0)
    fence, pad = "`" * (longest + 1), " " if "`" in (plain[0], plain[-1]) else ""
    return f"{fence}{pad}{plain}{pad}{fence}"
