"""Commands on data and results: `tune export`, `tune predict`, `tune prepare`, and the hidden `tune deliver`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..storage.mistakes import Mistake
from . import options as o
from .cli_shared import EXIT_MISTAKE, existing, say, silent, specification


def export(
    study: o.NewestStudyOption = None,
    storage: o.StorageOption = None,
    out: o.OutOption = Path("runs"),
    trial: Annotated[int | None, typer.Option(help="Number of the trial. Default: the best.")] = None,
    bundle: Annotated[Path | None, typer.Option(help="Folder of the bundle. Default: OUT/STUDY/bundle.")] = None,
    as_json: o.JsonOption = False,
    quiet: o.QuietOption = False,
) -> None:
    """Retrain a trial of a study (default: the best of the newest), evaluate it and write bundle and report."""
    from ..storage.locks import file_lock
    from . import delivery, records, table
    from .opening import writable
    from .summary import delivered_lines

    database, url = existing(storage, out)
    found = records.load_study(database, study)
    spec = records.read_spec(found)
    target = None if bundle is None else bundle.resolve()
    folder = writable(out / spec.study)
    table.write_table(found, spec, folder)
    tell = silent if quiet else say
    what = "the best trial" if trial is None else f"trial {trial}"
    tell(
        f"study {spec.study}: retraining {what} for up to {spec.final.epochs} epochs, then test part, bundle and report"
    )
    with file_lock(folder / delivery.LOCK):  # `tune` may be at it, too
        delivered = delivery.deliver_in_child(spec, url, folder, trial=trial, bundle=target, say=tell)
    print(json.dumps(delivered, indent=2) if as_json else "\n".join(delivered_lines(delivered)))


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
    raw = specification(
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
