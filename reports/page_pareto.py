"""The part of the page on several objectives: the trials among which one has to choose."""

from __future__ import annotations

from .content import ReportContent
from .markup import figure, note, paragraph, section, table
from .pareto import Judged, Pareto, label
from .wording import number, setting, varied

_N_TRIALS = 15


def pareto(content: ReportContent) -> str:
    """The section; nothing at all where there was one objective."""
    found = None if content.search is None else content.search.pareto
    if found is None:
        return ""
    return section(
        "Error against size and time",
        paragraph(_what(found)),
        figure(content.figures.get("pareto"), "Error against the other objectives", _CAPTION),
        _table(found, content.data.unit),
        *(note(text) for text in _notes(found)),
    )


_CAPTION = "Each point is a complete trial; what lies to the lower left is better."


def _what(found: Pareto) -> str:
    others = " and ".join(label(name) for name in found.names[1:])
    n, of = len(found.front), len(found.trials)
    are = "1 lies" if n == 1 else f"{n} lie"
    return (
        f"Minimised: {found.names[0]} and {others}. Of {of} complete trials {are} on the Pareto front: "
        "no other trial is at least as good in everything and better in something."
    )


def _table(found: Pareto, unit: str) -> str:
    shown = found.front[:_N_TRIALS]
    names, same = varied([trial.parameters for trial in shown])
    head = ("trial", f"validation RMSE ({unit})", *(label(name) for name in found.names), *names)
    rows = [
        (
            f"{trial.number}, {found.mark}" if trial.winner else str(trial.number),
            number(trial.rmse),
            number(trial.values[0], 5),
            *(_amount(value) for value in trial.values[1:]),
            *(_parameter(trial, name) for name in names),
        )
        for trial in shown
    ]
    winner = next((place for place, trial in enumerate(shown) if trial.winner), None)
    return table(head, rows, winner=winner) + (note(f"The same in all of these: {', '.join(same)}.") if same else "")


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value.is_integer() else number(value)


def _parameter(trial: Judged, name: str) -> str:
    return setting(trial.parameters[name]) if name in trial.parameters else ""


def _notes(found: Pareto) -> list[str]:
    notes = []
    left_out = len(found.front) - _N_TRIALS
    if left_out > 0:
        notes.append(f"The {left_out} with the largest errors are left out; trials.csv has them all.")
    if not any(trial.winner for trial in found.front):
        notes.append("The exported model does not lie on the front: it was asked for.")
    if "latency_ms" in found.names:
        notes.append(
            "Latency is the time of one forecast of one window, the fastest of a hundred, in the worker that trained "
            "the trial; it holds for that machine only, and changes a little from time to time."
        )
    return notes
