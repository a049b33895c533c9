"""The options of the command line on how trials are judged and how the winner is chosen."""

from __future__ import annotations

from typing import Annotated

import typer

_JUDGING = "Validation and winner"

ObjectiveOption = Annotated[
    list[str] | None,
    typer.Option(
        "--objective",
        help="What shall be small; several give a Pareto front: an error (rmse, mse, mae, loss) first, then n_params, "
        "latency. [default: the metric]",
        rich_help_panel="Search",
    ),
]
ValidationOption = Annotated[
    str | None,
    typer.Option(
        help="holdout, expanding or sliding windows, or documented. [default: holdout]", rich_help_panel=_JUDGING
    ),
]
SplitsOption = Annotated[
    int | None, typer.Option("--splits", help="Folds of the validation. [default: 5]", rich_help_panel=_JUDGING)
]
SeedsOption = Annotated[
    int | None,
    typer.Option(help="Most repeats of a promising trial with other seeds. [default: 1]", rich_help_panel=_JUDGING),
]
WinnerOption = Annotated[
    str | None,
    typer.Option(
        "--winner",
        help="one-se (the simplest that is as good as the best), best, or ensemble. [default: one-se]",
        rich_help_panel=_JUDGING,
    ),
]
TopOption = Annotated[
    int | None,
    typer.Option("--top", help="Candidates for the winner. [default: 3]", rich_help_panel=_JUDGING),
]
FreshSeedsOption = Annotated[
    int | None,
    typer.Option(
        "--fresh-seeds",
        help="Seeds with which candidates are judged again; 0: the search decides. [default: 3; grid: 0]",
        rich_help_panel=_JUDGING,
    ),
]
RefitOption = Annotated[
    str | None,
    typer.Option(
        "--refit",
        help="all: the winner learns from the validation part, too; train: it stops early on it. "
        "[default: all; grid: train]",
        rich_help_panel=_JUDGING,
    ),
]
