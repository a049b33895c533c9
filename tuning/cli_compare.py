"""The command `tune compare`, and the hidden `tune judge`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..storage.mistakes import Mistake
from . import options as o
from . import options_data as d
from .cli_shared import EXIT_INTERRUPTED, EXIT_MISTAKE, EXIT_NO_WINNER, specification

_COMPARISON = "Comparison"

StudiesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--study", help="A delivered study; twice or more: these are compared instead.", rich_help_panel=_COMPARISON
    ),
]
NameOption = Annotated[
    str | None,
    typer.Option(
        "--name",
        help="Of the comparison and its folder. [default: data and a digest of the rest]",
        rich_help_panel=_COMPARISON,
    ),
]
SeedsOption = Annotated[
    int | None,
    typer.Option(
        "--seeds",
        help="How many each entry is trained with, the same for all. [default: 1]",
        rich_help_panel=_COMPARISON,
    ),
]
EpochsOption = Annotated[
    int | None, typer.Option("--epochs", help="Most epochs of a training. [default: 50]", rich_help_panel=_COMPARISON)
]
MetricOption = Annotated[
    str | None,
    typer.Option(
        "--metric",
        help="Chooses the best epoch: val_loss (with the penalty), val_mse or val_mae. [default: val_loss]",
        rich_help_panel=_COMPARISON,
    ),
]


@d.with_data
def compare(
    study: StudiesOption = None,
    config: o.ConfigOption = None,
    seeds: SeedsOption = None,
    epochs: EpochsOption = None,
    metric: MetricOption = None,
    name: NameOption = None,
    data: d.Given = d.NOTHING,
    seed: o.SeedOption = None,
    backend: o.BackendOption = None,
    precision: o.PrecisionOption = None,
    outage: o.OutageOption = None,
    workers: o.WorkersOption = None,
    gpus: o.GpusOption = None,
    workers_per_gpu: o.WorkersPerGpuOption = 1,
    artifacts: o.ArtifactsOption = None,
    storage: o.StorageOption = None,
    out: o.OutOption = Path("runs"),
    as_json: o.JsonOption = False,
    quiet: o.QuietOption = False,
) -> None:
    """Compare architectures on one split and the same seeds, or delivered studies: a table with intervals, a page.

    Without options: the four documented ones (Simple, Deep, Wide, Advanced) on the packaged wind farm. Others stand in
    the study file, a table `compare` each: name, builder, parameters. The same command again goes on; Ctrl-C loses
    nothing.
    """
    asked = specification(
        config,
        {
            "seed": seed,
            "backend": backend,
            **data,
            "search.metric": metric,
            "training.epochs": epochs,
            "training.precision": precision,
        },
    )
    from .comparing import compare as run
    from .machine import Machines

    o.allow_outage(outage)
    result = run(
        asked,
        studies=study or (),
        seeds=seeds,
        name=name,
        storage=storage,
        out=out,
        machines=Machines(workers=workers, gpus=o.parse_gpus(gpus), per_gpu=workers_per_gpu),
        artifacts=artifacts,
        quiet=quiet,
    )
    print(json.dumps(result.to_json(), indent=2) if as_json else "\n".join(result.lines()))
    if result.interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)
    if result.content is None:
        raise typer.Exit(EXIT_NO_WINNER)


def judge(
    study: Annotated[str, typer.Option(help="Name of the comparison; the database is in GREENTUNE_STORAGE.")],
    folder: Annotated[Path, typer.Option(help="Folder of the comparison.")],
) -> None:
    """Judge the trained models of a comparison on the test part. Started by `tune compare`."""
    from .delivery import message
    from .judging import judge as run

    try:
        run(study, folder)
    except Mistake as mistake:
        message(mistakes=mistake.mistakes)
        raise typer.Exit(EXIT_MISTAKE) from None
