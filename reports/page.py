"""report.html: one file, no scripts, nothing fetched, for a colleague who was not there."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from .content import DataFacts, ReportContent, Search, TrialRow, Winner
from .layout import BundleError
from .stylesheet import CSS
from .wording import NAMES, UNKNOWN, duration, headline, horizon, number, percent, setting, steps

_N_TRIALS = 10
_PARTS = {"train": "training", "val": "validation", "test": "test"}
_COUNTS = {
    "rows": "rows",
    "rows_missing": "rows missing in the file",
    "target_missing": "rows without target",
}


def write_report(path: Path, content: ReportContent) -> Path:
    """Writes the page; an older one is replaced only when the new one is complete.

    Raises:
        BundleError: the file cannot be written.
    """
    new = path.with_name(f".{path.name}.new-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(render(content), encoding="utf-8")
        new.replace(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise BundleError(
            f"The report must be written whole; {path} could not be: {error.strerror or error}. "
            "Free some space or choose another folder with --out, then run `tune export`."
        ) from error
    return path


def render(content: ReportContent) -> str:
    """The page as text. Everything that comes from outside is escaped."""
    found, beats = headline(content.evaluation, horizon(content.data.steps_ahead, content.data.step_seconds))
    tone = {True: "good", False: "bad", None: ""}[beats]
    sections = (
        _section(
            "Forecast", _figure(content, "forecast", "Observed, forecast and persistence", content.forecast_caption)
        ),
        _section("Against what anybody could forecast", _metrics(content)),
        _section("Errors", _errors(content)),
        _section("The model", _winner(content.winner), _figure(content, "curves", "Training curves", _CURVES)),
        "" if content.search is None else _section("The search", _search(content.search, content.data.unit)),
        _section("The data", _data(content.data)),
        _section(
            "How it was validated, and limits", _list(content.validation), "<h3>Limits</h3>", _list(content.limits)
        ),
        _section("How to use it", *(_command(what, line) for what, line in content.commands)),
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(content.title)}</title>
<style>{CSS}</style>
</head>
<body>
<main>
<header>
<h1 class="{tone}">{escape(found)}</h1>
<p>{escape(content.title)} · {escape(content.created)}</p>
</header>
{_cards(content.evaluation)}
{"".join(sections)}
<footer>{escape(_versions(content))}</footer>
</main>
</body>
</html>
"""


_CURVES = "Training of the exported model; its weights are those of the best epoch."


def _cards(evaluation: Mapping[str, Any]) -> str:
    metrics, unit = evaluation[evaluation["part"]], evaluation["units"]
    share = metrics.get("nrmse")
    rated = f", {percent(share, 1)} of the capacity" if share is not None else ""
    cards = (
        (number(metrics.get("rmse")), unit, f"RMSE: root of the mean squared error{rated}"),
        (number(metrics.get("mae")), unit, "MAE: mean absolute error"),
        (percent(metrics.get("skill"), 1), "", "skill: error saved against persistence"),
        (number(metrics.get("r2")), "", "R²: share of the variance explained"),
    )
    items = (
        f"<li><b>{escape(value)} <small>{escape(of)}</small></b><span>{escape(words)}</span></li>"
        for value, of, words in cards
    )
    return f'<ul class="cards">{"".join(items)}</ul>'


def _metrics(content: ReportContent) -> str:
    evaluation, unit = content.evaluation, content.evaluation["units"]
    head = (
        "",
        f"RMSE ({unit})",
        f"MAE ({unit})",
        f"bias ({unit})",
        "R²",
        "MAPE (%)",
        "of capacity",
        "skill against it",
    )
    rows = [("this model", *_metric_cells(evaluation[evaluation["part"]]), "")]
    for name, values in evaluation["baselines"].items():
        rows.append((NAMES.get(name, name), *_metric_cells(values), percent(values.get("skill"), 1)))
    parts = [_table(head, rows, winner=0)]
    if len(evaluation["per_output"]) > 1:
        parts += ["<h3>Step by step</h3>", _per_output(content)]
    left_out = evaluation[evaluation["part"]].get("mape_n")
    notes = [
        f"{evaluation['n_windows']:,} windows. Bias is forecast − observed.",
        "Persistence says that all stays as it is; same hour yesterday takes the youngest known value of that hour.",
        "Skill is 1 − RMSE / RMSE of the baseline, on the same windows.",
    ]
    if left_out:
        notes.append(
            f"MAPE leaves out {left_out:,} values of almost no production (below 1 % of the capacity or of the largest "
            "value)."
        )
    return "".join([*parts, _note(" ".join(notes)), *(_note(text) for text in evaluation["notes"])])


def _metric_cells(values: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        number(values.get("rmse")),
        number(values.get("mae")),
        number(values.get("bias")),
        number(values.get("r2")),
        number(values.get("mape"), 1),
        percent(values.get("nrmse"), 1),
    )


def _per_output(content: ReportContent) -> str:
    unit = content.evaluation["units"]
    head = ("", f"RMSE ({unit})", f"MAE ({unit})", f"bias ({unit})", "R²", f"persistence ({unit})", "skill")
    rows = [
        (
            f"output {row['output'] + 1}"
            if row["step_ahead"] is None
            else steps(row["step_ahead"], content.data.step_seconds),
            *(number(row.get(name)) for name in ("rmse", "mae", "bias", "r2", "persistence_rmse")),
            percent(row.get("skill"), 1),
        )
        for row in content.evaluation["per_output"]
    ]
    return _table(head, rows)


def _errors(content: ReportContent) -> str:
    caption = "Residual = observed − forecast. Straight line in the Q-Q plot: normally distributed."
    return (
        _paragraph(content.residual_reading)
        + _figure(content, "residuals", "Residuals: distribution, normal Q-Q, against the forecast, over time", caption)
        + _figure(content, "scatter", "Forecast against observation", "", narrow=True)
    )


def _winner(winner: Winner) -> str:
    facts = [f"Builder {winner.builder} with {winner.n_parameters:,} parameters"]
    if winner.trial_number is not None:
        facts.append(f"from trial {winner.trial_number}")
    if winner.backend is not None:
        facts.append(f"trained on {winner.backend}")
    if winner.epochs_trained is not None and winner.best_epoch is not None:
        facts.append(f"{winner.epochs_trained} epochs, the best was number {winner.best_epoch + 1}")
    if winner.monitor is not None and winner.best_value is not None:
        facts.append(f"{winner.monitor} {number(winner.best_value, 5)} there")
    rows = [(name, setting(value)) for name, value in winner.parameters.items()]
    return (
        _paragraph(f"{', '.join(facts)}.") + _list(winner.notes) + _table(("hyperparameter", "value"), rows, words=True)
    )


def _search(search: Search, unit: str) -> str:
    counts = ", ".join(f"{count:,} {state}" for state, count in search.counts.items())
    how = (
        f"Study {search.study}: sampler {search.sampler}, pruner {search.pruner}, seed {search.seed}, "
        f"judged by {search.monitor}."
    )
    workers = "" if search.workers is None else f" with {search.workers} worker{'s' if search.workers != 1 else ''}"
    took = "" if search.seconds is None else f" in {duration(search.seconds)}{workers}"
    return (
        _paragraph(how)
        + _paragraph(f"Trials: {counts}{took}.")
        + _list(search.notes)
        + _trials(search.best_trials[:_N_TRIALS], search.monitor, unit)
        + _space(search.space)
    )


def _trials(trials: Sequence[TrialRow], monitor: str, unit: str) -> str:
    if not trials:
        return _note("No trial was completed.")
    names, same = _varied(trials)
    head = ("trial", monitor, f"validation RMSE ({unit})", "seconds", *names)
    rows = [
        (
            str(row.number),
            number(row.value, 5),
            number(row.rmse),
            number(row.seconds, 1),
            *(setting(row.parameters[name]) if name in row.parameters else "" for name in names),
        )
        for row in trials
    ]
    return _table(head, rows) + (_note(f"The same in all of these: {', '.join(same)}.") if same else "")


def _varied(trials: Sequence[TrialRow]) -> tuple[list[str], list[str]]:
    """Parameters that differ between the trials of the table, and ``name = value`` of those that do not."""
    names = dict.fromkeys(name for row in trials for name in row.parameters)
    shown = {
        name: {setting(row.parameters[name]) if name in row.parameters else "" for row in trials} for name in names
    }
    varied = [name for name in names if len(shown[name]) > 1 or len(trials) == 1]
    return varied, [f"{name} = {shown[name].pop()}" for name in names if name not in varied]


def _space(space: Mapping[str, object]) -> str:
    if not space:
        return ""
    rows = [(name, setting(dict(value) if isinstance(value, Mapping) else value)) for name, value in space.items()]
    table = _table(("parameter", "values"), rows, words=True)
    return f"<details><summary>What was searched</summary>{table}</details>"


def _data(data: DataFacts) -> str:
    period = f"{data.first} to {data.last}" if data.first else "times are not known"
    ahead = horizon(data.steps_ahead, data.step_seconds) or "not known"
    facts = [
        ("source", data.source),
        ("period", period),
        ("target", f"{data.target or 'y of the arrays'} ({data.unit})"),
        ("capacity", UNKNOWN if data.capacity is None else f"{data.capacity:g} {data.unit}"),
        ("step", UNKNOWN if data.step_seconds is None else steps(1, data.step_seconds)),
        ("window", f"{steps(data.lookback, data.step_seconds)} back, {ahead}"),
        ("scaling", data.scaling),
        *((words, f"{data.counts[name]:,}") for name, words in _COUNTS.items() if name in data.counts),
        ("fingerprint", data.fingerprint),
    ]
    parts = [
        (
            _PARTS.get(part.name, part.name),
            f"{part.n_windows:,}",
            number(part.n_left_out),
            part.first or UNKNOWN,
            part.last or UNKNOWN,
        )
        for part in data.parts
    ]
    return (
        _table(("", ""), facts, words=True)
        + "<h3>Parts</h3>"
        + _table(("part", "windows", "left out for gaps", "first target", "last target"), parts)
        + f"<details><summary>The {len(data.features)} features and what each is</summary>"
        + _table(("feature", "what the model sees of it"), data.features, words=True)
        + "</details>"
        + _list(data.notes)
        + (_note(data.attribution) if data.attribution else "")
    )


def _versions(content: ReportContent) -> str:
    return " · ".join(f"{name} {version}" for name, version in content.versions.items())


def _section(title: str, *parts: str) -> str:
    return f"\n<section>\n<h2>{escape(title)}</h2>\n{''.join(parts)}\n</section>"


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'


def _list(texts: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f"<ul>{items}</ul>" if items else ""


def _command(what: str, line: str) -> str:
    return f"<p>{escape(what)}</p><pre><code>{escape(line)}</code></pre>"


def _figure(content: ReportContent, name: str, alternative: str, caption: str, *, narrow: bool = False) -> str:
    image = content.figures.get(name)
    if image is None:
        return _note(f"{alternative}: no picture.")
    data = base64.b64encode(image).decode("ascii")
    look = ' class="narrow"' if narrow else ""
    words = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    picture = f'<img alt="{escape(alternative)}" src="data:image/png;base64,{data}">'
    return f'<figure{look}><div class="wide">{picture}</div>{words}</figure>'


def _table(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, words: bool = False, winner: int | None = None
) -> str:
    """A table whose cells are escaped.

    Args:
        head: column titles; none where all are empty.
        rows: the first cell of each is its title.
        words: all cells to the left; otherwise all but the first column to the right, as numbers.
        winner: place of the row in bold.
    """
    top = f"<thead><tr>{''.join(f'<th>{escape(cell)}</th>' for cell in head)}</tr></thead>" if any(head) else ""
    lines = []
    for place, (first, *others) in enumerate(rows):
        look = ' class="winner"' if place == winner else ""
        cells = "".join(f"<td>{escape(str(cell))}</td>" for cell in others)
        lines.append(f'<tr{look}><th scope="row">{escape(str(first))}</th>{cells}</tr>')
    look = ' class="words"' if words else ""
    return f'<div class="wide"><table{look}>{top}<tbody>{"".join(lines)}</tbody></table></div>'
