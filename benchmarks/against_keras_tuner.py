"""greentune against KerasTuner: the same HyperModel, data, epochs and seeds, searched by both on the packaged farm.

    python benchmarks/against_keras_tuner.py --out runs/against-keras-tuner --repetitions 3 --trials 20

In each repetition everybody searches once, one after the other, with a seed of its own for searcher and trainings, and
with an empty folder for JAX' compiled programs (``--warm`` goes on with that of the run before). Every process that
trains has one core and one thread; ``--threads 2`` gives both to those of KerasTuner. It can be interrupted and goes
on. Figures go to standard output as a table and to ``results.json`` in the folder. At the end a few trials of greentune
are trained once more by KerasTuner, and its own image models are drawn and trained through our adapter.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF
from typing import Any

import optuna
import pandas as pd
from optuna.trial import TrialState

from greentune.objectives.runtime import worker_environment
from greentune.storage.dataspec import sample_spec
from greentune.storage.rdb import open_storage
from greentune.storage.sample import sample_file
from greentune.tuning import tune

HERE = Path(__file__).resolve().parent
HYPERMODEL = f"{HERE / 'farm_hypermodel.py'}:FarmModel"
WORKERS = {"greentune": 2, "greentune-1": 1}
CONTENDERS = (*WORKERS, "random", "bayesian", "bayesian-10", "hyperband")
"""``bayesian`` begins with three random trials a hyperparameter, KerasTuner's default: of twenty trials that is all.

``bayesian-10`` begins with ten, as TPE does."""
BATCH_SIZE = 64
SAME_POINTS = 3


def main() -> None:
    """Run what is missing, then print the table."""
    given = arguments()
    given.out.mkdir(parents=True, exist_ok=True)
    results = given.out / "results.json"
    rows: list[dict[str, Any]] = json.loads(results.read_text(encoding="utf-8")) if results.exists() else []
    data = data_of(given.out.resolve(), given.rows)
    for repetition in range(given.first, given.first + given.repetitions):
        for name in given.contenders:
            label = f"{name}{' warm' if given.warm else ''}{f' {given.threads} threads' if given.threads > 1 else ''}"
            if any(row["label"] == label and row["repetition"] == repetition for row in rows):
                continue
            row = {"label": label, "repetition": repetition, "load_before": os.getloadavg()}
            ran, used = search_of_ours if name in WORKERS else search_of_theirs, cpu_seconds()
            row |= ran(given, name, repetition, data)
            row |= {"load_after": os.getloadavg(), "cpu_seconds": cpu_seconds() - used}
            rows.append(row)
            results.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
            sys.stdout.write(f"{line(row)}\n")
            sys.stdout.flush()
    if given.checks:
        sys.stdout.write("".join(f"{each}\n" for each in (*same_numbers(given, data), *applications(given))))


def arguments() -> argparse.Namespace:
    """What the command asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/against-keras-tuner"))
    parser.add_argument("--first", type=int, default=0, help="seed of the first repetition")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--rows", type=int, default=8000, help="of the farm, from its beginning; 0: all")
    parser.add_argument("--threads", type=int, default=1, help="of KerasTuner's process; one is pinned to a core")
    parser.add_argument(
        "--iterations", type=int, default=3, help="of Hyperband: of 36 epochs each where the most are 6"
    )
    parser.add_argument("--warm", action="store_true", help="with the compiled programs of the run before")
    parser.add_argument("--contenders", nargs="*", default=list(CONTENDERS), choices=CONTENDERS)
    parser.add_argument("--checks", action=argparse.BooleanOptionalAction, default=True)
    return parser.parse_args()


def data_of(out: Path, rows: int) -> dict[str, Any]:
    """The packaged farm three hours ahead, or its first rows."""
    spec = sample_spec()
    if rows:
        path = out / f"farm-{rows}.csv"
        with sample_file("la_haute_borne") as packaged:
            pd.read_csv(packaged).head(rows).to_csv(path, index=False)
        spec = spec.model_copy(update={"path": str(path)})
    return spec.model_dump(mode="json")


def search_of_ours(given: argparse.Namespace, name: str, repetition: int, data: dict[str, Any]) -> dict[str, Any]:
    """The whole of `tune`, and how long each of its parts took."""
    folder = emptied(given, name, repetition)
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    began = time.time()
    result = tune(
        {
            "study": "search",
            "seed": repetition,
            "backend": "jax",
            "hypermodel": HYPERMODEL,
            "data": data,
            "search": {"sampler": "tpe", "pruner": "median", "trials": given.trials},
            "training": {"epochs": given.epochs, "batch_size": BATCH_SIZE, "decay": 0.0},
            "winner": {"rule": "best", "top": 3, "fresh_seeds": 3 if WORKERS[name] > 1 else 0},
            "final": {"epochs": given.epochs},
        },
        out=folder / "run",
        workers=WORKERS[name],
        quiet=True,
    )
    seconds = time.time() - began
    storage = open_storage(folder / "run" / "greentune.db")
    trials = optuna.load_study(study_name="search", storage=storage).get_trials(deepcopy=False)
    ended = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    first, last = span(trials)
    fresh = (0.0, 0.0)
    if "search.fresh" in optuna.get_all_study_names(storage):
        fresh = span(optuna.load_study(study_name="search.fresh", storage=storage).get_trials(deepcopy=False))
    best = min((t for t in trials if t.state is TrialState.COMPLETE), key=lambda t: t.value or 0.0)
    return {
        "best": best.value,
        "best_values": best.user_attrs["drawn"],
        "first_values": trials[0].user_attrs["drawn"],
        "values": [t.value for t in ended],
        "trials": len(ended),
        "pruned": sum(t.state is TrialState.PRUNED for t in ended),
        "failed": sum(t.state is TrialState.FAIL for t in trials),
        "epochs": sum(len(t.intermediate_values) for t in ended),
        "search_seconds": last - first,
        "before_seconds": first - began,
        "fresh_seconds": fresh[1] - fresh[0],
        "rest_seconds": seconds - (last - began) - (fresh[1] - fresh[0]),
        "seconds": seconds,
        "trial_seconds": sum(t.user_attrs.get("seconds", 0.0) for t in ended),
        "winner": None if result.delivered is None else result.delivered["trial"],
    }


def search_of_theirs(given: argparse.Namespace, name: str, repetition: int, data: dict[str, Any]) -> dict[str, Any]:
    """One of KerasTuner's tuners in a process of its own."""
    folder = emptied(given, name, repetition)
    request = {"tuner": name, "data": data, "trials": given.trials, "seed": repetition}
    return in_a_process(given, folder, request, threads=given.threads)


def in_a_process(given: argparse.Namespace, folder: Path, request: dict[str, Any], *, threads: int) -> dict[str, Any]:
    """What `keras_tuner_search` answers, in the environment of our workers."""
    settings = worker_environment("jax", threads=threads, cache=folder / "cache")
    of_all = {
        "hypermodel": HYPERMODEL,
        "epochs": given.epochs,
        "iterations": given.iterations,
        "batch_size": BATCH_SIZE,
        "threads": threads,
        "folder": str(folder),
    }
    command = [sys.executable, "-P", str(HERE / "keras_tuner_search.py"), json.dumps({**of_all, **request})]
    with (folder / "log").open("w", encoding="utf-8") as log:
        began = time.perf_counter()
        child = subprocess.run(
            command, env=os.environ | settings, stdout=subprocess.PIPE, stderr=log, text=True, check=False
        )
    if child.returncode:
        raise SystemExit(f"{command[2]} ended by {child.returncode}; see {folder / 'log'}.")
    answer: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
    return answer | {"seconds": time.perf_counter() - began}


def cpu_seconds() -> float:
    """What this process and its children that have ended took of the cores: other work on them counts less in it."""
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, (RUSAGE_SELF, RUSAGE_CHILDREN)))


def emptied(given: argparse.Namespace, name: str, repetition: int) -> Path:
    """The folder of a run, without what an earlier attempt left there; warm, with the programs of the run before."""
    folder = given.out.resolve() / f"{name}-{repetition}-{given.threads}"
    for path in folder.glob("*") if folder.is_dir() else ():
        if not (given.warm and path.name == "cache"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    folder.mkdir(exist_ok=True)
    return folder


def span(trials: Sequence[optuna.trial.FrozenTrial]) -> tuple[float, float]:
    """First start and last end, in seconds since 1970."""
    starts = [t.datetime_start.timestamp() for t in trials if t.datetime_start is not None]
    ends = [t.datetime_complete.timestamp() for t in trials if t.datetime_complete is not None]
    return (min(starts), max(ends)) if starts and ends else (0.0, 0.0)


def same_numbers(given: argparse.Namespace, data: dict[str, Any]) -> list[str]:
    """A few trials of the first search, trained once more by KerasTuner."""
    database = given.out / f"greentune-{given.first}-{given.threads}" / "run" / "greentune.db"
    if not database.exists():
        return []
    trials = optuna.load_study(study_name="search", storage=open_storage(database)).get_trials(deepcopy=False)
    chosen = [t for t in trials if t.state is TrialState.COMPLETE][:SAME_POINTS]
    points = [t.user_attrs["drawn"] for t in chosen]
    request = {"tuner": "same", "data": data, "trials": 1, "seed": given.first, "points": points}
    answer = in_a_process(given, emptied(given, "same", given.first), request, threads=1)
    lines = []
    for trial, curve in zip(chosen, answer["curves"], strict=True):
        ours = [trial.intermediate_values[epoch] for epoch in sorted(trial.intermediate_values)]
        equal = ours == curve and trial.value == min(curve)
        told = "the same bits" if equal else f"differs: {ours} and {curve}"
        lines.append(f"trial {trial.number} of greentune, trained by KerasTuner: {told}; value {trial.value!r}")
    return lines


def applications(given: argparse.Namespace) -> list[str]:
    """Which of KerasTuner's image models ran."""
    folder = emptied(given, "applications", 0)
    answer = in_a_process(given, folder, {"tuner": "applications", "seed": 0, "draws": 2}, threads=given.threads)
    return [
        f"{row['model']}: {row.get('parameters')} parameters, {row['seconds']} s, "
        f"{row.get('raised') or 'trained, loss ' + format(row['loss'], '.3f')}"
        for row in answer["applications"]
    ]


def line(row: dict[str, Any]) -> str:
    """One row of the table."""
    parts = "".join(
        f"  {name} {row[key]:.0f}" for name, key in (("fresh", "fresh_seconds"), ("rest", "rest_seconds")) if key in row
    )
    loads = f"load {row['load_before'][0]:.1f} → {row['load_after'][0]:.1f}"
    return (
        f"{row['label']:20} {row['repetition']}  best {row['best']:.6f}  trials {row['trials']:2d}"
        f" (pruned {row.get('pruned', 0)}, failed {row['failed']})  epochs {row['epochs']:3d}"
        f"  search {row['search_seconds']:.1f} s  whole {row['seconds']:.1f} s"
        f" (before {row['before_seconds']:.1f}{parts})  cpu {row.get('cpu_seconds', 0):.0f} s  {loads}"
    )


if __name__ == "__main__":
    main()
