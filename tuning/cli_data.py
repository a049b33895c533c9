"""Commands on data: `tune folds`, `tune prepare`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..storage.mistakes import Mistake
from . import options as o
from . import options_data as d
from . import options_judging as j
from . import options_study as s
from .cli_shared import EXIT_MISTAKE, specification


@d.with_data
def folds(
    config: o.ConfigOption = None,
    preset: s.PresetOption = None,
    data: d.Given = d.NOTHING,
    validation: j.ValidationOption = None,
    splits: j.SplitsOption = None,
    as_json: o.JsonOption = False,
) -> None:
    """Draw the folds on which the trials of a study are judged, and check the data for leaks; nothing is trained.

    A proven leak ends with exit code 2, as it does in a study.
    """
    raw = specification(
        config,
        {
            "preset": preset,
            **data,
            "validation.method": validation,
            "validation.n_splits": splits,
        },
    )
    from ..objectives.audit import audit
    from ..objectives.fold_drawing import draw
    from .folds import cuts_of, folds_of
    from .look_over import read
    from .presets import with_preset

    mistakes: list[str] = []
    spec, source = read(with_preset({}, raw), mistakes)
    if spec is None or source is None or mistakes:
        raise Mistake(mistakes or "An objective function has no data, so there are no folds to draw.")
    found = folds_of(source, spec.validation)
    checked = audit(source.dataset, [cut.dataset for cut in cuts_of(source, spec.validation)])
    if as_json:
        ranges = [
            {
                "fold": fold.number,
                "train": [fold.train.start, fold.train.stop],
                "val": [fold.val.start, fold.val.stop],
                "model_of": fold.fitted,
            }
            for fold in found
        ]
        print(json.dumps({"samples": source.n_samples, "folds": ranges, "audit": checked.to_json()}, indent=2))
    else:
        print("\n".join(draw(found, source.n_samples, times=source.sample_times)))
        print()
        print("\n".join(checked.lines()))
    if checked.leaks:
        raise typer.Exit(EXIT_MISTAKE)


def prepare(
    series: Annotated[str, typer.Argument(help="Series (CSV, .csv.gz, Parquet).")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the six arrays.")],
    config: o.ConfigOption = None,
    target: d.TargetOption = None,
    timestamp: d.TimestampOption = None,
    timezone: d.TimezoneOption = None,
    unit: d.UnitOption = None,
    capacity: d.CapacityOption = None,
    features: d.FeaturesOption = None,
    known_ahead: d.KnownAheadOption = None,
    known_ahead_beyond: d.KnownAheadBeyondOption = None,
    circular: d.CircularOption = None,
    lookback: d.LookbackOption = None,
    horizon: d.HorizonOption = None,
    outputs: d.OutputsOption = None,
    scaling: d.ScalingOption = None,
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
            "data.known_ahead_beyond": known_ahead_beyond,
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
