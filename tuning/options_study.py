"""The options of the command line on study files: what they begin with, where they lie."""

from __future__ import annotations

from pathlib import Path
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
StudyFileOption = Annotated[Path, typer.Option("--out", help="The study file that is written.")]
StepsAheadOption = Annotated[
    int | None, typer.Option("--horizon", help="Steps ahead to forecast. [default: an hour, one step at least]")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace a file that is there.")]
SchemaOption = Annotated[
    bool, typer.Option("--schema/--no-schema", help="Whether the JSON schema for editors is written beside it.")
]
TimedOption = Annotated[bool, typer.Option("--time/--no-time", help="Whether a few epochs are trained for the cost.")]
