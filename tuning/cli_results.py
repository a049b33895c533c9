"""Commands on results: `tune export`, `tune predict`, and the hidden `tune deliver`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..storage.mistakes import Mistake
from . import options as o
from . import options_judging as j
from .cli_shared import EXIT_INTERRUPTED, EXIT_MISTAKE, existing, say, silent


def export(
    study: o.NewestStudyOption = None,
    storage: o.StorageOption = None,
    out: o.OutOption = Path("runs"),
    trial: Annotated[int | None, typer.Option(help="Number of the trial. Default: the winner.")] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(help="Folder of the bundle; its report is FOLDER.html. Default: OUT/STUDY/bundle, report.html."),
    ] = None,
    winner: j.WinnerOption = None,
    top: j.TopOption = None,
    fresh_seeds: j.FreshSeedsOption = None,
    final_epochs: o.FinalEpochsOption = None,
    workers: o.WorkersOption = None,
    as_json: o.JsonOption = False,
    quiet: o.QuietOption = False,
) -> None:
    """Retrain the winner of a study (default: the newest) or another trial, evaluate it, write bundle and report."""
    import optuna

    from ..objectives.audit import Audit
    from . import queue, records, table
    from .finishing import finish
    from .machine import Machines
    from .opening import Opened, writable
    from .spec import with_end
    from .summary import delivered_lines

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    database, url = existing(storage, out)
    found = records.load_study(database, study)
    spec = records.read_spec(found)
    if spec.objective_function is not None:
        raise Mistake(
            f"The study '{spec.study}' is that of an objective function: it has no model to export. Its trials are in "
            f"{table.write_table(found, spec, writable(out / spec.study))}."
        )
    if any(option is not None for option in (winner, top, fresh_seeds, final_epochs)):
        choice = {"rule": winner, "top": top, "fresh_seeds": fresh_seeds}
        spec = with_end(spec, winner=choice, final={"epochs": final_epochs})
        records.write_spec(found, spec)
    target = None if bundle is None else bundle.resolve()
    folder = writable(out / spec.study)
    table.write_table(found, spec, folder)
    unchanged = queue.Reconciled(0, 0, 0)
    opened = Opened(found, database, url, spec, folder, created=False, told=0, changed=unchanged, audit=Audit(()))
    tell = silent if quiet else say
    tell(
        f"study {spec.study}: {'the winner' if trial is None else f'trial {trial}'}, then test part, bundle and report"
    )
    delivered = finish(opened, Machines(workers=workers), trial=trial, bundle=target, quiet=quiet, say=tell)
    if delivered is None:
        raise typer.Exit(EXIT_INTERRUPTED)
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

    if out is not None and not out.parent.is_dir():
        raise Mistake(
            f"`--out` must lie in a folder that exists; there is none at {out.parent}. Make it, or use another."
        )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    forecaster = Forecaster.load(bundle)
    frame = forecaster.predict(series)
    if as_json:
        forecasts = json.loads(frame.to_json(orient="records", date_format="iso"))
        print(json.dumps({"bundle": str(bundle), "unit": forecaster.unit, "forecasts": forecasts}))
    if out is None:
        if not as_json:
            frame.to_csv(sys.stdout, index=False)
        return
    try:
        frame.to_csv(out, index=False)
    except OSError as error:
        raise Mistake(f"`--out` must be a file that can be written; {out} cannot: {error.strerror or error}.") from None
    if not as_json:
        last = f"{frame['target_time'].iloc[-1]:%Y-%m-%d %H:%M} UTC"
        print(f"{len(frame)} forecasts in {forecaster.unit}, the last for {last}, written to {out}")


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
