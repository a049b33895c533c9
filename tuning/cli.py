"""The command `tune`: options → one call → print. Everything heavy is imported in the command that needs it."""

from __future__ import annotations

import gc
import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..storage.mistakes import Mistake
from . import cli_compare, cli_data, cli_fleet, cli_results, cli_study
from . import options as o
from . import options_code as c
from . import options_data as d
from . import options_first as f
from . import options_judging as j
from . import options_study as s
from .cli_shared import EXIT_INTERRUPTED, EXIT_MISTAKE, EXIT_NO_WINNER, specification

app = typer.Typer(
    help="Find, prove and deliver the best Keras model that forecasts a renewable-energy series.",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # with Rich's own markup "[default: 40]" would be one, and vanish
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command; what the user can put right becomes sentences and exit code 2, never a traceback."""
    gc.set_threshold(100_000, 50, 50)  # importing makes objects that stay: looking for garbage among them takes a sixth
    try:
        app()
    except Mistake as mistake:
        _complain(mistake.mistakes)
        sys.exit(EXIT_MISTAKE)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _complain(
            [f"The system refused {error.filename or 'an operation'}: {error.strerror}. All finished trials are kept."]
        )
        sys.exit(EXIT_MISTAKE)


def _complain(mistakes: list[str]) -> None:
    if "--json" in sys.argv:
        print(json.dumps({"mistakes": mistakes}))
    numbered = len(mistakes) > 1
    if numbered:
        print(f"{len(mistakes)} mistakes:", file=sys.stderr)
    for number, sentence in enumerate(mistakes, start=1):
        print(f"  {number}. {sentence}" if numbered else f"Error: {sentence}", file=sys.stderr)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"greentune {version('greentune')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
@d.with_data
def run(
    context: typer.Context,
    config: o.ConfigOption = None,
    preset: s.PresetOption = None,
    data: d.Given = d.NOTHING,
    builder: o.BuilderOption = None,
    hypermodel: c.HypermodelOption = None,
    objective_function: c.ObjectiveFunctionOption = None,
    direction: c.DirectionOption = None,
    sampler: o.SamplerOption = None,
    pruner: o.PrunerOption = None,
    metric: o.MetricOption = None,
    objective: j.ObjectiveOption = None,
    validation: j.ValidationOption = None,
    splits: j.SplitsOption = None,
    seeds: j.SeedsOption = None,
    winner: j.WinnerOption = None,
    top: j.TopOption = None,
    fresh_seeds: j.FreshSeedsOption = None,
    refit: j.RefitOption = None,
    start_from: f.StartFromOption = None,
    start_best: f.StartBestOption = None,
    trials: o.TrialsOption = None,
    timeout: o.TimeoutOption = None,
    epochs: o.EpochsOption = None,
    final_epochs: o.FinalEpochsOption = None,
    seed: o.SeedOption = None,
    backend: o.BackendOption = None,
    worker_seconds: o.WorkerSecondsOption = None,
    until_no_gain: o.UntilNoGainOption = None,
    precision: o.PrecisionOption = None,
    retries: o.RetriesOption = None,
    oom: o.OomOption = None,
    trial_timeout: o.TrialTimeoutOption = None,
    memory_limit: o.MemoryLimitOption = None,
    recycle_after: o.RecycleAfterOption = None,
    checkpoint_every: o.CheckpointEveryOption = None,
    keep_best: o.KeepBestOption = None,
    outage: o.OutageOption = None,
    workers: o.WorkersOption = None,
    gpus: o.GpusOption = None,
    workers_per_gpu: o.WorkersPerGpuOption = 1,
    launcher: o.LauncherOption = o.Launcher.LOCAL,
    address: o.AddressOption = None,
    gpus_per_worker: o.GpusPerWorkerOption = 0.0,
    artifacts: o.ArtifactsOption = None,
    accept_code: c.AcceptCodeOption = False,
    study: o.StudyOption = None,
    storage: o.StorageOption = None,
    out: o.OutOption = Path("runs"),
    as_json: o.JsonOption = False,
    quiet: o.QuietOption = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Search, choose the winner, retrain it, evaluate it in MW against persistence and export it.

    Without any option: the packaged wind farm, three hours ahead, in some 8 minutes on 2 cores. The same command again
    goes on with the same study; Ctrl-C loses nothing.
    """
    if context.invoked_subcommand is not None:
        return
    raw = specification(
        config,
        {
            "preset": preset,
            "study": study,
            "seed": seed,
            "backend": backend,
            "builder": builder,
            "hypermodel": hypermodel,
            "objective_function": objective_function,
            "search.directions": direction,
            **data,
            "search.sampler": sampler,
            "search.pruner": pruner,
            "search.metric": metric,
            "search.objectives": objective,
            "validation.method": validation,
            "validation.n_splits": splits,
            "validation.seeds": seeds,
            "winner.rule": winner,
            "winner.top": top,
            "winner.fresh_seeds": fresh_seeds,
            "final.refit": refit,
            "search.start_from": start_from,
            "search.start_best": start_best,
            "search.trials": trials,
            "search.timeout": timeout,
            "search.worker_seconds": worker_seconds,
            "search.until_no_gain": until_no_gain,
            "training.epochs": epochs,
            "training.precision": precision,
            "run.retries": retries,
            "run.oom": oom,
            "run.trial_timeout": trial_timeout,
            "run.memory_limit_mb": memory_limit,
            "run.recycle_after": recycle_after,
            "run.checkpoint_every": checkpoint_every,
            "run.keep_best": keep_best,
            "final.epochs": final_epochs,
        },
    )
    from . import study as studies
    from .machine import Machines

    o.allow_outage(outage)
    machines = Machines(
        workers=workers,
        gpus=o.parse_gpus(gpus),
        per_gpu=workers_per_gpu,
        launcher=launcher.value,
        address=address,
        gpus_per_worker=gpus_per_worker,
    )
    result = studies.tune(
        raw, storage=storage, out=out, machines=machines, artifacts=artifacts, accept_code=accept_code, quiet=quiet
    )
    print(json.dumps(result.to_json(), indent=2) if as_json else result)
    if result.interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)
    if not result.succeeded:
        raise typer.Exit(EXIT_NO_WINNER)


for _command in (
    cli_study.init,
    cli_fleet.status,
    cli_fleet.submit,
    cli_fleet.worker,
    cli_fleet.pause,
    cli_fleet.resume,
    cli_fleet.stop,
    cli_fleet.enqueue,
    cli_results.export,
    cli_compare.compare,
    cli_results.predict,
    cli_data.folds,
    cli_data.prepare,
    cli_study.check,
    cli_study.schema,
    cli_fleet.dashboard,
):
    app.command()(_command)
app.command(hidden=True)(cli_fleet.work)
app.command(hidden=True)(cli_study.probe)
app.command(hidden=True)(cli_results.deliver)
app.command(hidden=True)(cli_compare.judge)
