"""The options of the command line on study files: what they begin with."""

from __future__ import annotations

from typing import Annotated

import typer

PresetOption = Annotated[
    str | None,
    typer.Option(
        "--preset",
        help="Settings to begin with: quick (a first look), documented (the grid of 108 points) or thorough (folds, "
        "seeds, an ensemble). File and options win over it. [default: none]",
    ),
]
