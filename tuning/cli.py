"""The command `tune`: options → one call → print. Everything heavy is imported in the command that needs it."""

from __future__ import annotations

import gc
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..storage.mistakes import Mistake
from . import options as o

EXIT_NO_WINNER, EXIT_MISTAKE, EXIT_INTERRUPTED = 1, 2, 130

app = typer.Typer(
    help="Find, prove and deliver the best Keras model that forecasts a renewable-energy series.",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
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
def run(
    context: typer.Context,
    config: o.ConfigOption = None,
    data: o.DataOption = None,
    target: o.TargetOption = None,
    timestamp: o.TimestampOption = None,
    timezone: o.TimezoneOption = None,
    unit: o.UnitOption = None,
    capacity: o.CapacityOption = None,
    features: o.FeaturesOption = None,
    known_ahead: o.KnownAheadOption = None,
    circular: o.CircularOption = None,
    lookback: o.LookbackOption = None,
    horizon: o.HorizonOption = None,
    outputs: o.OutputsOption = None,
    scaling: o.ScalingOption = None,
    trust_scaler: o.TrustScalerOption = None,
    builder: o.BuilderOption = None,
    sampler: o.SamplerOption = None,
    pruner: o.PrunerOption = None,
    metric: o.MetricOption = None,
    trials: o.TrialsOption = None,
    timeout: o.TimeoutOption = None,
    epochs: o.EpochsOption = None,
    final_epochs: o.FinalEpochsOption = None,
    seed: o.SeedOption = None,
    backend: o.BackendOption = None,
    workers: o.WorkersOption = None,
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
    raw = _specification(
        config,
        {
            "study": study,
            "seed": seed,
            "backend": backend,
            "builder": builder,
            "data.path": data,
            "data.target": target,
            "data.timestamp": timestamp,
            "data.timezone": timezone,
            "data.unit": unit,
            "data.capacity": capacity,
            "data.features": features,
            "data.known_ahead": known_ahead,
            "data.circular": circular,
            "data.lookback": lookback,
            "data.horizon": horizon,
            "data.outputs": outputs,
            "data.scaling": scaling,
            "data.trust_scaler": trust_scaler,
            "search.sampler": sampler,
            "search.pruner": pruner,
            "search.metric": metric,
            "search.trials": trials,
            "search.timeout": timeout,
            "training.epochs": epochs,
            "final.epochs": final_epochs,
        },
    )
    from . import study as studies
    from .summary import summary

    result = studies.tune(raw, storage=storage, out=out, workers=workers, quiet=quiet)
    print(json.dumps(result.to_json(), indent=2) if as_json else summary(result))
    if result.interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)
    if result.delivered is None:
        raise typer.Exit(EXIT_NO_WINNER)


@app.command()
def status(
    study: o.StudyOption = None,
    storage: o.StorageOption = None,
    out: o.OutOption = Path("runs"),
    as_json: o.JsonOption = False,
) -> None:
    """Show studies: trials by state, the best so far, who works on what."""
    from . import records
    from .snapshot import take_snapshot
    from .summary import status_lines

    database = _existing(storage, out)
    names = records.study_names(database) if study is None else [study]
    found = [records.load_study(database, name) for name in names] or [records.load_study(database, None)]
    snapshots = [take_snapshot(each) for each in found]
    if as_json:
        print(json.dumps([snapshot.to_json() for snapshot in snapshots], indent=2))
    else:
        print("\n".join(line for snapshot in snapshots for line in status_lines(snapshot)))


@app.command()
def export(
    study: o.StudyOption = None,
    storage: o.StorageOption = None,
    out: o.OutOption = Path("runs"),
    trial: Annotated[int | None, typer.Option(help="Number of the trial. Default: the best.")] = None,
    bundle: Annotated[Path | None, typer.Option(help="Folder of the bundle. Default: OUT/STUDY/bundle.")] = None,
    as_json: o.JsonOption = False,
    quiet: o.QuietOption = False,
) -> None:
    """Retrain a trial of a study (default: the best of the newest), evaluate it and write bundle and report."""
    from ..storage.rdb import storage_url
    from . import delivery, records
    from .study import writable
    from .summary import delivered_lines

    database = _existing(storage, out)
    found = records.load_study(database, study)
    spec = records.read_spec(found)
    url = storage_url(storage or out / records.DATABASE)
    target = None if bundle is None else bundle.resolve()
    delivered = delivery.deliver_in_child(
        spec, url, writable(out / spec.study), trial=trial, bundle=target, say=_silent if quiet else _say
    )
    print(json.dumps(delivered, indent=2) if as_json else "\n".join(delivered_lines(delivered)))


@app.command()
def predict(
    bundle: Annotated[Path, typer.Argument(help="Folder of an exported bundle.")],
    series: Annotated[Path, typer.Argument(help="Series with the columns of the training series (CSV, Parquet).")],
    out: Annotated[
        Path | None, typer.Option("--out", help="CSV file for the forecasts. Default: standard output.")
    ] = None,
    as_json: o.JsonOption = False,
) -> None:
    """Forecast with a bundle from every hour of a series that has a full window behind it."""
    from ..reports.forecaster import Forecaster

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    forecaster = Forecaster.load(bundle)
    frame = forecaster.predict(series)
    if as_json:
        print(frame.to_json(orient="records", date_format="iso"))
    if out is None:
        if not as_json:
            frame.to_csv(sys.stdout, index=False)
        return
    try:
        frame.to_csv(out, index=False)
    except OSError as error:
        raise Mistake(f"`--out` must be a file that can be written; {out} cannot: {error.strerror}.") from None
    if not as_json:
        print(f"{len(frame)} forecasts in {forecaster.unit} written to {out}")


@app.command()
def prepare(
    series: Annotated[str, typer.Argument(help="Series (CSV, .csv.gz, Parquet).")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the six arrays.")],
    config: o.ConfigOption = None,
    target: o.TargetOption = None,
    timestamp: o.TimestampOption = None,
    timezone: o.TimezoneOption = None,
    unit: o.UnitOption = None,
    capacity: o.CapacityOption = None,
    features: o.FeaturesOption = None,
    known_ahead: o.KnownAheadOption = None,
    circular: o.CircularOption = None,
    lookback: o.LookbackOption = None,
    horizon: o.HorizonOption = None,
    outputs: o.OutputsOption = None,
    scaling: o.ScalingOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is in the folder.")] = False,
    as_json: o.JsonOption = False,
) -> None:
    """Turn a series into scaled arrays (X_train.npy … y_test.npy) that `tune --data FOLDER` reads."""
    raw = _specification(
        config,
        {
            "data.path": series,
            "data.target": target,
            "data.timestamp": timestamp,
            "data.timezone": timezone,
            "data.unit": unit,
            "data.capacity": capacity,
            "data.features": features,
            "data.known_ahead": known_ahead,
            "data.circular": circular,
            "data.lookback": lookback,
            "data.horizon": horizon,
            "data.outputs": outputs,
            "data.scaling": scaling,
        },
    )
    from ..storage.dataspec import parse_spec
    from ..storage.prepare import prepare_arrays

    if out.is_dir() and any(out.iterdir()) and not force:
        raise Mistake(f"`--out` must be a new or empty folder; {out} is not. Use another, or replace it with --force.")
    dataset = prepare_arrays(parse_spec(raw["data"]), out)
    described = dataset.describe()
    if as_json:
        print(json.dumps(described, indent=2, default=str))
        return
    for part in (dataset.train, dataset.val, dataset.test):
        print(f"{part.name}: X {part.windows.shape}, y {part.y.shape}")
    print(f"written to {out}; tune on it with: tune --data {out}")


@app.command()
def dashboard(
    storage: o.StorageOption = None,
    out: o.OutOption = Path("runs"),
    port: Annotated[int, typer.Option(help="Port on this machine.", min=1, max=65535)] = 8080,
) -> None:
    """Serve optuna-dashboard over the studies, for browsers on this machine only (127.0.0.1)."""
    database = _existing(storage, out)
    from optuna_dashboard import run_server

    print(f"http://127.0.0.1:{port}/dashboard  (Ctrl-C ends it)", file=sys.stderr)
    try:
        run_server(database, host="127.0.0.1", port=port)
    except OSError as error:
        raise Mistake(f"Port {port} cannot be used: {error.strerror}. Use another --port.") from None


@app.command(hidden=True)
def worker(
    study: Annotated[str, typer.Option(help="Name of the study; the database is in GREENTUNE_STORAGE.")],
    worker: Annotated[int, typer.Option(help="Number of this worker.")],
    parent: Annotated[int | None, typer.Option(help="Process id of the supervisor.")] = None,
    until: Annotated[float | None, typer.Option(help="Unix time after which no ticket is claimed.")] = None,
) -> None:
    """Work off tickets of a study until none is waiting. Started by the supervisor."""
    from .worker import work

    raise typer.Exit(work(study, worker=worker, parent=parent, until=until))


@app.command(hidden=True)
def deliver(
    study: Annotated[str, typer.Option(help="Name of the study; the database is in GREENTUNE_STORAGE.")],
    folder: Annotated[Path, typer.Option(help="Folder of the study.")],
    trial: Annotated[int | None, typer.Option(help="Number of the trial. Default: the best.")] = None,
    bundle: Annotated[Path | None, typer.Option(help="Folder of the bundle.")] = None,
) -> None:
    """Retrain and export the winner. Started by `tune` and `tune export`, to which it talks on standard output."""
    from .delivery import message
    from .winner import deliver as deliver_winner

    try:
        deliver_winner(study, folder, trial=trial, bundle=bundle)
    except Mistake as mistake:
        message(mistakes=mistake.mistakes)
        raise typer.Exit(EXIT_MISTAKE) from None


def _specification(config: Path | None, given: dict[str, Any]) -> dict[str, Any]:
    """The study file and the options over it, as one set of nested tables."""
    from .presets import merge
    from .spec import read_toml

    return merge({} if config is None else read_toml(config), o.as_tables(given))


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)


def _silent(_sentence: str) -> None:
    pass


def _existing(storage: str | None, out: Path) -> Any:
    from ..storage.rdb import open_storage
    from .records import DATABASE

    return open_storage(storage or out / DATABASE, create=False)
