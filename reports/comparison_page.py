"""comparison.html: several models on the same test windows, for a colleague who was not there; one file, no scripts."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from . import plots
from .markup import bullets, figure, note, paragraph, section, table
from .stylesheet import CSS
from .wording import NAMES, UNKNOWN, interval, number, percent, probability, setting


def render(content: Mapping[str, Any]) -> str:
    """The page as text; everything that comes from outside is escaped.

    Args:
        content: of ``comparison.json``: `ComparisonTable.to_json` with ``name``, ``created``, ``data`` (title and text
            a line), ``problems``, ``facts`` (sentences on what was done) and ``versions``.
    """
    rows, references = content["rows"], content["references"]
    places = [place for place, row in enumerate(rows) if row["name"] == content["best"]]
    lines = [cells(row, content) for row in (*rows, *references)]
    errors, differences = (
        table(titles, half, winner=places[0] if places else None) for titles, half in in_two(head(content), lines)
    )
    entries = [(row["name"], row["builder"], _settings(row["parameters"])) for row in rows]
    sections = (
        section(
            "Errors",
            errors,
            figure(_picture(content), "RMSE on the test part with intervals", ""),
            "<h3>Against persistence and against the best</h3>",
            differences,
            *(note(text) for text in _explained(content)),
            bullets(content["problems"]),
        ),
        section("The entries", table(("name", "builder", "parameters"), entries, words=True)),
        section("The data", table(("", ""), content["data"], words=True)),
        section("How it was compared", bullets(content["facts"]), "<h3>Limits</h3>", bullets(_LIMITS)),
    )
    versions = " · ".join(f"{name} {version}" for name, version in content["versions"].items())
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(content["name"])}</title>
<style>{CSS}</style>
</head>
<body>
<main>
<header>
<h1>{escape(_headline(content))}</h1>
<p>{escape(content["name"])} · {escape(content["created"])}</p>
</header>
{paragraph(content["verdict"])}
{"".join(sections)}
<footer>{escape(versions)}</footer>
</main>
</body>
</html>
"""


_LIMITS = (
    (
        "The best was picked on the test part, so its own figure flatters a little, and the more entries, the more. "
        "Only windows that nobody has looked at yet would say what it is worth."
    ),
    "p values and intervals are those of each pair alone: among many entries some look different by luck.",
    "One test period, one place: another year or another plant may give another order.",
)


def head(content: Mapping[str, Any]) -> tuple[str, ...]:
    """The titles of the columns that `cells` fills; ``parameters`` are the weights of a model."""
    unit, best = content["unit"], content["best"] or "the best"
    between = f"{percent(content['level'])} interval"
    return (
        "",
        "parameters",
        "val_loss",
        "val_mse",
        f"RMSE ({unit})",
        between,
        "± seeds",
        "R²",
        "skill",
        between,
        f"behind {best} ({unit})",
        between,
        "p",
    )


def cells(row: Mapping[str, Any], content: Mapping[str, Any]) -> tuple[str, ...]:
    """A line of the table; an empty text stands where a column does not apply to the row."""
    model = row["builder"] is not None
    best = row["name"] == content["best"]
    return (
        str(row["name"]) if model else NAMES.get(row["name"], row["name"]),
        number(row["n_parameters"]) if model else "",
        number(row["val_loss"], 5) if model else "",
        number(row["val_mse"], 5) if model else "",
        number(row["rmse"]),
        interval(row["rmse_ci"]),
        "" if row["rmse_sd"] is None else number(row["rmse_sd"]),
        number(row["r2"]),
        percent(row["skill"], 1),
        interval(row["skill_ci"], lambda share: percent(share, 1)),
        "" if best else number(row["behind"]),
        interval(row["behind_ci"]),
        "" if best else probability(row["p_value"]).removeprefix("p ").removeprefix("= "),
    )


def in_two(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[tuple[Sequence[str], list[Sequence[str]]]]:
    """The table as two narrow ones, errors and differences, each with the names; empty columns are left out."""
    for columns in (range(1, _ERRORS), range(_ERRORS, len(titles))):
        kept = [0, *(column for column in columns if any(row[column] for row in rows))]
        yield [titles[column] for column in kept], [[row[column] for column in kept] for row in rows]


_ERRORS = 8
"""Columns up to R²."""


def _headline(content: Mapping[str, Any]) -> str:
    named = [row for row in content["rows"] if row["name"] == content["best"]]
    if not named:
        return "Nothing could be compared"
    (best,) = named
    ends = interval(best["rmse_ci"])
    between = f"; {percent(content['level'])} interval {ends}" if ends else ""
    what = f"{best['name']} has the smallest error of {len(content['rows'])}"
    better = [row for row in content["references"] if (row["behind"] or 0.0) < 0]
    first = min(better, key=lambda row: row["rmse"], default=None)
    but = "" if first is None else f"; {NAMES.get(first['name'], first['name'])} has a smaller one"
    return f"{what}: RMSE {number(best['rmse'])}\u00a0{content['unit']} on the test part{between}{but}"


def _explained(content: Mapping[str, Any]) -> Sequence[str]:
    """What the columns are."""
    level, best = percent(content["level"]), content["best"] or "the best"
    several = any(row["n_seeds"] > 1 for row in content["rows"])
    seeds = "One training each: what another seed would change is in no interval."
    if several:
        seeds = (
            "RMSE, R² and skill are over all windows and all seeds: the root of the mean squared error of both. "
            "Intervals say what other windows would give with these seeds; ± is the standard deviation of the RMSE "
            "between seeds."
        )
    validation = (
        f"val_loss and val_mse are of the validation part, in scaled units{', means over the seeds' if several else ''}"
        ". val_loss holds the L1/L2 penalty and is in the loss of each builder (Huber in advanced_lstm), so only "
        "val_mse, the squared error of the forecast alone, compares."
    )
    intervals = (
        f"Intervals ({level}): circular block bootstrap, {content['resamples']:,} resamples of blocks of "
        f"{content['block_windows']:,} windows, because neighbouring errors resemble each other. Behind {best}: "
        "difference of the RMSE, both drawn together, window by window and seed by seed. p is that of the "
        "Diebold-Mariano test that the two are equally good."
    )
    skill = "Skill is 1 − RMSE / RMSE of persistence, on the windows where that is known."
    return (f"{content['n_windows']:,} windows, the same for all. {seeds}", validation, intervals, skill)


def _settings(parameters: Mapping[str, Any]) -> str:
    """Parameters as they would be typed; those of the members of an ensemble in brackets."""
    texts = (
        f"{name} ({_settings(value)})" if isinstance(value, Mapping) else f"{name} = {setting(value)}"
        for name, value in parameters.items()
    )
    return ", ".join(texts) or UNKNOWN


def _picture(content: Mapping[str, Any]) -> bytes | None:
    shown = [row for row in (*content["rows"], *content["references"]) if row["rmse"] is not None]
    if not shown:
        return None
    stream = io.BytesIO()
    plots.intervals(
        [NAMES.get(row["name"], row["name"]) if row["builder"] is None else row["name"] for row in shown],
        [row["rmse"] for row in shown],
        [None if row["rmse_ci"] is None else tuple(row["rmse_ci"]) for row in shown],
        stream,
        label=f"RMSE ({content['unit']}), {percent(content['level'])} interval",
        n_models=sum(row["builder"] is not None for row in shown),
    )
    return stream.getvalue()
