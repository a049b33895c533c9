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
    told = note(
        "Candidates were trained again with seeds that the search did not use, the same for all, and compared pair by "
        "pair: same seed, same fold. Of many noisy numbers the smallest is too small; these are not."
    )
    return "<h3>How the winner was chosen</h3>" + table(head, rows) + told


def folds(search: Search) -> str:
    """The folds as a drawing in text."""
    if not search.folds:
        return ""
    return "<h3>Folds</h3>" + f'<div class="wide"><pre>{escape(chr(10).join(search.folds))}</pre></div>'


def _candidate(one: Mapping[str, Any]) -> Sequence[str]:
    fresh = one["fresh"]
    n_parameters = one["n_parameters"]
    return (
        str(one["trial"]),
        number(one["search_value"], 6),
        number(fmean(fresh), 6) if fresh else UNKNOWN,
        number(stdev(fresh), 6) if len(fresh) > 1 else UNKNOWN,
        number(one["behind"], 2),
        number(one["behind_se"], 2),
        UNKNOWN if n_parameters is None else f"{n_parameters:,}",
        str(one["epochs"]),
    )
