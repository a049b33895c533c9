"""report.html: one file, no scripts, nothing fetched, for a colleague who was not there."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from . import page_choice
from .content import TOGETHER, DataFacts, ReportContent, Search, TrialRow, Winner
from .layout import BundleError
from .markup import bullets, command, figure, note, paragraph, section, table
from .page_metrics import cards, metrics
from .page_pareto import pareto
from .stylesheet import CSS
from .wording import UNKNOWN, duration, headline, horizon, lost_to, number, plural, setting, steps, varied

_N_TRIALS = 10
_PARTS = {"train": "training", "val": "validation", TOGETHER: "training and validation", "test": "test"}
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
    best = content.evaluation.get("best_baseline")
    verdict = "" if best is None else f" <small>{escape(best['sentence'])}</small>"
    tone = {True: "" if lost_to(content.evaluation) else "good", False: "bad", None: ""}[beats]
    sections = (
        section(
            "Forecast",
            figure(content.figures.get("forecast"), "Observed, forecast and persistence", content.forecast_caption),
        ),
        section("Against what anybody could forecast", metrics(content)),
        section("Errors", _errors(content)),
        section(
            "The model",
            _winner(content),
            figure(content.figures.get("curves"), "Training curves", _curves(content.winner)),
        ),
        pareto(content),
        "" if content.search is None else section("The search", _search(content.search, content.data.unit)),
        section("The data", _data(content.data)),
        section(
            "How it was validated, and limits", bullets(content.validation), "<h3>Limits</h3>", bullets(content.limits)
        ),
        section("How to use it", *(command(what, line) for what, line in content.commands)),
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
<h1 class="{tone}">{escape(found)}{verdict}</h1>
<p>{escape(content.title)} · {escape(content.created)}</p>
</header>
{cards(content.evaluation)}
{"".join(sections)}
<footer>{escape(_versions(content))}</footer>
</main>
</body>
</html>
"""


def _curves(winner: Winner) -> str:
    if winner.members:
        return f"Training of the first member, trial {winner.members[0].number}."
    return "Training of the exported model; its weights are those of the marked epoch."


def _errors(content: ReportContent) -> str:
    caption = "Residual = observed − forecast. Straight line in the Q-Q plot: normally distributed."
    return (
        paragraph(content.residual_reading)
        + figure(
            content.figures.get("residuals"),
            "Residuals: distribution, normal Q-Q, against the forecast, over time",
            caption,
        )
        + figure(content.figures.get("scatter"), "Forecast against observation", "", narrow=True)
    )


def _winner(content: ReportContent) -> str:
    winner = content.winner
    n_parameters = f"{winner.n_parameters:,} parameters"
    if winner.members:
        facts = [f"The mean of the forecasts of {len(winner.members)} models with {n_parameters} together"]
    else:
        facts = [f"Builder {winner.builder} with {n_parameters}"]
    if winner.trial_number is not None:
        facts.append(f"from trial {winner.trial_number}")
    if winner.backend is not None:
        facts.append(f"trained on {winner.backend}")
    if winner.epochs_trained is not None and winner.best_epoch is not None:
        facts.append(f"{plural(winner.epochs_trained, 'epoch')}, the best was number {winner.best_epoch + 1}")
    if winner.monitor is not None and winner.best_value is not None:
        facts.append(f"{winner.monitor} {number(winner.best_value, 5)} there")
    rows = [(name, setting(value)) for name, value in winner.parameters.items()]
    parameters = table(("hyperparameter", "value"), rows, words=True)
    if winner.members:
        metric = "value" if content.search is None else content.search.monitor
        parameters = _trials(winner.members, f"{metric} in the search", content.data.unit)
    return paragraph(f"{', '.join(facts)}.") + bullets(winner.notes) + parameters


def _search(search: Search, unit: str) -> str:
    counts = ", ".join(f"{count:,} {state}" for state, count in search.counts.items())
    how = (
        f"Study {search.study}: sampler {search.sampler}, pruner {search.pruner}, seed {search.seed}, "
        f"judged by {search.monitor}."
    )
    workers = "" if search.workers is None else f" with {search.workers} worker{'s' if search.workers != 1 else ''}"
    took = "" if search.seconds is None else f" in {duration(search.seconds)}{workers}"
    return (
        paragraph(how)
        + paragraph(f"Trials: {counts}{took}.")
        + bullets(search.notes)
        + _trials(search.best_trials[:_N_TRIALS], search.monitor, unit)
        + page_choice.choice(search)
        + page_choice.folds(search, unit)
        + _space(search.space)
    )


def _trials(trials: Sequence[TrialRow], monitor: str, unit: str) -> str:
    if not trials:
        return note("No trial was completed.")
    names, same = varied([row.parameters for row in trials])
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
    return table(head, rows) + (note(f"The same in all of these: {', '.join(same)}.") if same else "")


def _space(space: Mapping[str, object]) -> str:
    if not space:
        return ""
    rows = [(name, setting(dict(value) if isinstance(value, Mapping) else value)) for name, value in space.items()]
    values = table(("parameter", "values"), rows, words=True)
    return f"<details><summary>What was searched</summary>{values}</details>"


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
        table(("", ""), facts, words=True)
        + "<h3>Parts</h3>"
        + table(("part", "windows", "left out for holes", "first target", "last target"), parts)
        + _across_borders(data)
        + f"<details><summary>The {len(data.features)} features and what each is</summary>"
        + table(("feature", "what the model sees of it"), data.features, words=True)
        + "</details>"
        + bullets(data.notes)
        + (note(data.attribution) if data.attribution else "")
    )


def _across_borders(data: DataFacts) -> str:
    if any(part.name == TOGETHER for part in data.parts):
        return note("Training and validation were learnt together, with the windows across the border between them.")
    return note("Windows across a border belong to no part.") if data.first else ""


def _versions(content: ReportContent) -> str:
    return " · ".join(f"{name} {version}" for name, version in content.versions.items())
