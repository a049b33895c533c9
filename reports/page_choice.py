"""How the winner was chosen, and the folds on which trials were judged: two parts of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from statistics import fmean, stdev
from typing import Any

from .content import Search
from .markup import note, table
from .wording import UNKNOWN, number


def choice(search: Search) -> str:
    """The candidates with their numbers of the search and with fresh seeds; nothing where there was one only."""
    if len(search.candidates) < 2:
        return ""
    head = (
        "trial",
        f"{search.monitor} in the search",
        "with fresh seeds",
        "± between seeds",
        "above the best (%)",
        "standard error (%)",
        "parameters",
        "epochs",
    )
    rows = [_candidate(one) for one in search.candidates]
    again = (
        "Candidates were trained again with seeds that the search did not use, the same for all. Of many noisy numbers "
        "the smallest is too small; these are not. "
    )
    told = (
        "Above the best: by how much a number is larger than the best one, in percent of that. The standard error is "
        "that of the differences pair by pair: same seed, same fold."
    )
    fresh = any(one["fresh"] for one in search.candidates)
    estimated = " A pruned trial's number in the search is an estimate." if any(map(_pruned, search.candidates)) else ""
    explained = f"{again if fresh else ''}{told}{estimated}"
    return "<h3>How the winner was chosen</h3>" + table(head, rows) + note(explained)


def folds(search: Search, unit: str) -> str:
    """The folds as a drawing in text, and what the winner came to on each where there were several."""
    if not search.folds:
        return ""
    drawing = f'<div class="wide"><pre>{escape(chr(10).join(search.folds))}</pre></div>'
    return f"<h3>Folds</h3>{drawing}{_of_winner(search, unit)}"


def _of_winner(search: Search, unit: str) -> str:
    if len({score["fold"] for score in search.winner_folds}) < 2:
        return ""
    head = ("fold", "trial", "seed", search.monitor, f"validation RMSE ({unit})", "best epoch", "epochs", "seconds")
    rows = [
        (
            str(score["fold"]),
            str(score["trial"]),
            str(score["seed"]),
            number(score.get(search.monitor), 5),
            number(score.get("val_rmse")),
            str(score["best_epoch"] + 1),
            str(score["epochs"]),
            number(score["seconds"], 1),
        )
        for score in search.winner_folds
    ]
    return note("What the winner came to on each fold, in the search:") + table(head, rows)


def _pruned(one: Mapping[str, Any]) -> bool:
    return bool(one.get("pruned"))


def _hundredths(value: float | None) -> str:
    return number(None if value is None else round(value, 2), 2)


def _candidate(one: Mapping[str, Any]) -> Sequence[str]:
    fresh = one["fresh"]
    n_parameters = one["n_parameters"]
    return (
        f"{one['trial']} (pruned)" if _pruned(one) else str(one["trial"]),
        number(one["search_value"], 6),
        number(fmean(fresh), 6) if fresh else UNKNOWN,
        number(stdev(fresh), 6) if len(fresh) > 1 else UNKNOWN,
        _hundredths(one["behind"]),
        _hundredths(one["behind_se"]),
        UNKNOWN if n_parameters is None else f"{n_parameters:,}",
        str(one["epochs"]),
    )
