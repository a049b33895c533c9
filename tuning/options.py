"""The options of the command line that say what a specification says, and how they become one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from ..storage.mistakes import Mistake

_SEARCH, _TRIALS, _RUN, _RAY = "Search", "Trials", "Run", "Ray (an extra of greentune: ray)"

ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", help="Study file (TOML). Options win over it.")]
BuilderOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="stacked_lstm, advanced_lstm, or your own: FILE.py:NAME, MODULE:NAME. [default: stacked_lstm]",
        rich_help_panel=_SEARCH,
    ),
]
SamplerOption = Annotated[
    str | None,
    typer.Option(
        help="tpe, random, qmc or grid. grid alone is the documented search of 108 points. [default: tpe]",
        rich_help_panel=_SEARCH,
    ),
]
PrunerOption = Annotated[
    str | None,
    typer.Option(
        help="none, median, hyperband, asha or patient. [default: median; grid: none]", rich_help_panel=_SEARCH
    ),
]
MetricOption = Annotated[
    str | None,
    typer.Option(help="val_mse, val_mae, or val_loss (with the penalty). [default: val_mse]", rich_help_panel=_SEARCH),
]
TrialsOption = Annotated[
    int | None,
    typer.Option(
        help="How many; more of an existing study adds the difference. [default: 40; grid: all]",
        rich_help_panel=_SEARCH,
    ),
]
TimeoutOption = Annotated[
    str | None,
    typer.Option(
        help="No new trial after this time: seconds, or 90s, 8m, 2h. [default: none; packaged farm: 5m]",
        rich_help_panel=_SEARCH,
    ),
]
EpochsOption = Annotated[
    int | None,
    typer.Option(
        help="Most epochs of a trial of the search. [default: 20; documented grid: 30]", rich_help_panel=_SEARCH
    ),
]
FinalEpochsOption = Annotated[
    int | None,
    typer.Option(
        help="Most epochs of the winner's retraining after the search. [default: 100]", rich_help_panel=_SEARCH
    ),
]
SeedOption = Annotated[
    int | None, typer.Option(help="Everything random follows from it. [default: 0]", rich_help_panel=_SEARCH)
]
BackendOption = Annotated[
    str | None,
    typer.Option(
        help="auto, jax or tensorflow. auto: JAX on a CPU, TensorFlow on a GPU. [default: auto]",
        rich_help_panel=_SEARCH,
    ),
]

WorkersOption = Annotated[
    int | None, typer.Option(help="Processes side by side. Default: one a GPU, or one a core.", rich_help_panel=_RUN)
]
GpusOption = Annotated[
    str | None,
    typer.Option("--gpus", help="GPUs to use, comma-separated: 0,2. Default: all.", rich_help_panel=_RUN),
]
WorkersPerGpuOption = Annotated[
    int,
    typer.Option(
        "--workers-per-gpu", help="Workers that share a GPU, each with a part of its memory.", rich_help_panel=_RUN
    ),
]
OutageOption = Annotated[
    str | None,
    typer.Option(
        "--outage",
        help="How long the database may be away before a worker gives up: 30s, 10m. [default: 10m]",
        rich_help_panel=_RUN,
    ),
]
ArtifactsOption = Annotated[
    Path | None,
    typer.Option(
        "--artifacts",
        help="Folder for checkpoints and models, seen by all hosts. Default: OUT/STUDY/artifacts.",
        rich_help_panel=_RUN,
    ),
]


class Launcher(Enum):
    """Who places the workers."""

    LOCAL = "local"
    RAY = "ray"


LauncherOption = Annotated[
    Launcher, typer.Option("--launcher", help="Who places the workers: this machine or Ray.", rich_help_panel=_RAY)
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        help="Of the Ray cluster: auto, HOST:PORT, or local to start one on this machine. [default: local]",
        rich_help_panel=_RAY,
    ),
]
GpusPerWorkerOption = Annotated[
    float, typer.Option("--gpus-per-worker", help="GPUs of a worker on Ray; 0.5 shares one.", rich_help_panel=_RAY)
]

UntilNoGainOption = Annotated[
    int | None,
    typer.Option(
        "--until-no-gain",
        help="Begin no new trial after so many without a gain larger than the noise.",
        rich_help_panel=_SEARCH,
    ),
]
WorkerSecondsOption = Annotated[
    str | None,
    typer.Option(
        "--worker-time",
        help="No new trial after so much time of all workers together: 90m, 40h. [default: none]",
        rich_help_panel=_SEARCH,
    ),
]
PrecisionOption = Annotated[
    str | None,
    typer.Option(
        help="float32, mixed_float16 or mixed_bfloat16, the latter for GPUs. [default: float32]",
        rich_help_panel=_SEARCH,
    ),
]
RetriesOption = Annotated[
    int | None,
    typer.Option(help="How often a trial that raised an error is tried again. [default: 1]", rich_help_panel=_TRIALS),
]
OomOption = Annotated[
    str | None,
    typer.Option(
        "--oom",
        help="Out of memory: fail, or retry once with half the batch and added gradients. [default: fail]",
        rich_help_panel=_TRIALS,
    ),
]
TrialTimeoutOption = Annotated[
    str | None,
    typer.Option("--trial-timeout", help="Longest time of a trial: 90s, 20m. [default: none]", rich_help_panel=_TRIALS),
]
MemoryLimitOption = Annotated[
    int | None,
    typer.Option(
        "--memory-limit",
        help="Resident memory in MiB at which a worker is replaced. [default: none]",
        rich_help_panel=_TRIALS,
    ),
]
RecycleAfterOption = Annotated[
    int | None,
    typer.Option(
        "--recycle-after", help="Trials after which a worker is replaced. [default: 50]", rich_help_panel=_TRIALS
    ),
]
CheckpointEveryOption = Annotated[
    int | None,
    typer.Option(
        "--checkpoint-every",
        help="Epochs between checkpoints of a running trial; 0: none. [default: 5]",
        rich_help_panel=_TRIALS,
    ),
]
KeepBestOption = Annotated[
    int | None,
    typer.Option(
        "--keep-best",
        help="How many of the best trials keep their trained model. [default: 5]",
        rich_help_panel=_TRIALS,
    ),
]
StudyOption = Annotated[
    str | None,
    typer.Option(
        "--study", help="Name of the study. [default: data, sampler and a digest of the rest]", rich_help_panel=_RUN
    ),
]
AllStudiesOption = Annotated[
    str | None, typer.Option("--study", help="Name of the study. [default: all]", rich_help_panel=_RUN)
]
NewestStudyOption = Annotated[
    str | None, typer.Option("--study", help="Name of the study. [default: the newest]", rich_help_panel=_RUN)
]
OneStudyOption = Annotated[
    str | None, typer.Option("--study", help="Name of the study. [default: the only one]", rich_help_panel=_RUN)
]
StorageOption = Annotated[
    str | None,
    typer.Option(
        "--storage",
        help="Database URL, SQLite file, or @FILE with the URL in its first line. Default: GREENTUNE_STORAGE, else the "
        "file named in GREENTUNE_STORAGE_FILE, else greentune.db in the folder of runs.",
        rich_help_panel=_RUN,
    ),
]
OutOption = Annotated[
    Path, typer.Option("--out", help="Folder of runs; results go to OUT/STUDY.", rich_help_panel=_RUN)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.", rich_help_panel=_RUN)]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.", rich_help_panel=_RUN)]

_SPLIT = ("features", "known_ahead", "circular", "objectives", "directions")
_DURATIONS = ("timeout", "trial_timeout", "worker_seconds")


def as_tables(given: Mapping[str, Any]) -> dict[str, Any]:
    """Turn options into the nested tables of a study file; options that were not given are left out.

    Args:
        given: values by dotted name, ``{"data.horizon": 3, "search.sampler": "grid", "seed": None}``.
    """
    tables: dict[str, Any] = {}
    for name, value in given.items():
        if value is None or value == []:
            continue
        section, _, key = name.rpartition(".")
        (tables.setdefault(section, {}) if section else tables)[key] = _read(key, value)
    return tables


def _read(key: str, value: Any) -> Any:
    if key in _SPLIT:
        return [item.strip() for text in value for item in text.split(",") if item.strip()]
    return parse_duration(value) if key in _DURATIONS else value


def parse_duration(text: str) -> float | str:
    """Seconds of ``90``, ``90s``, ``8m`` or ``2h``; anything else as it is, for the specification to refuse."""
    factor = {"s": 1.0, "m": 60.0, "h": 3600.0}.get(text[-1:].lower())
    try:
        return float(text) if factor is None else float(text[:-1]) * factor
    except ValueError:
        return text


def parse_gpus(text: str | None) -> tuple[str, ...] | None:
    """``0,2`` as devices; None: all."""
    return None if text is None else tuple(name.strip() for name in text.split(",") if name.strip())


def duration_of(option: str, text: str | None) -> float | None:
    """The seconds that an option names; None where it is not given.

    Raises:
        Mistake: it is no time.
    """
    if text is None:
        return None
    seconds = parse_duration(text)
    if not isinstance(seconds, float) or not 0 <= seconds < float("inf"):
        raise Mistake(f"`{option}` must be a time: seconds, or 30s, 10m, 1h; got {text!r}.")
    return seconds


def allow_outage(text: str | None) -> None:
    """Put how long the database may be away into the environment, for this process and its workers."""
    seconds = duration_of("--outage", text)
    if seconds is not None:
        os.environ["GREENTUNE_OUTAGE_SECONDS"] = str(seconds)
