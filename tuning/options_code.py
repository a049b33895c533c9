"""The options of the command line that name code of the user."""

from __future__ import annotations

from typing import Annotated

import typer

_SEARCH, _RUN = "Search", "Run"

HypermodelOption = Annotated[
    str | None,
    typer.Option(
        "--hypermodel",
        help="A HyperModel of KerasTuner instead, or its build(hp): FILE.py:NAME.",
        rich_help_panel=_SEARCH,
    ),
]
ObjectiveFunctionOption = Annotated[
    str | None,
    typer.Option(
        "--objective-function",
        help="Any Optuna objective(trial) instead: FILE.py:NAME. Then there are no data and no winner.",
        rich_help_panel=_SEARCH,
    ),
]
DirectionOption = Annotated[
    list[str] | None,
    typer.Option(
        "--direction",
        help="minimize or maximize, for each value of an objective function. [default: minimize]",
        rich_help_panel=_SEARCH,
    ),
]
AcceptCodeOption = Annotated[
    bool,
    typer.Option(
        "--accept-code", help="Go on though your code has changed since the study began.", rich_help_panel=_RUN
    ),
]
