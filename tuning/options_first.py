"""The options of the command line on what a new study tries first."""

from __future__ import annotations

from typing import Annotated

import typer

_SEARCH = "Search"

StartFromOption = Annotated[
    str | None,
    typer.Option(
        "--start-from",
        help="A new study tries the best points of this study of the same database first.",
        rich_help_panel=_SEARCH,
    ),
]
StartBestOption = Annotated[
    int | None,
    typer.Option("--start-best", help="How many of its points. [default: 5]", rich_help_panel=_SEARCH),
]
