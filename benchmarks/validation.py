"""Holdout against five expanding folds, and what pruning saves: the same search on the packaged farm, several times.

    python benchmarks/validation.py --out runs/validation --repetitions 3 --trials 20

Each repetition has a seed of its own, for the sampler and for the trainings. It can be interrupted and goes on. Figures
go to standard output as a table and to ``results.json`` in the folder.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from greentune.storage.rdb import open_storage
from greentune.tuning import tune

VARIANTS: dict[str, dict[str, Any]] = {
    "holdout": {"search": {"pruner": "none"}},
    "folds": {"search": {"pruner": "none"}, "validation": {"method": "expanding"}},
    "folds, pruned": {"search": {"pruner": "median"}, "validation": {"method": "expanding"}},
}


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/validation"))
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--sampler", default="tpe")
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
    given = parser.parse_args()
    rows = []
    for repetition in range(given.repetitions):
        for name in given.variants:
            tables = {
                **VARIANTS[name],
                "study": f"{name.replace(', ', '-')}-{repetition}",
                "seed": repetition,
                "training": {"epochs": given.epochs},
                "winner": {"rule": "best", "top": 3, "fresh_seeds": 3},
            }
            tables["search"] = {**tables["search"], "sampler": given.sampler, "trials": given.trials}
            result = tune(tables, out=given.out, workers=given.workers)
            rows.append({"variant": name, "repetition": repetition, **figures(result.to_json(), given.out)})
            given.out.joinpath("results.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
            sys.stdout.write(f"{line(rows[-1])}\n")


def figures(result: dict[str, Any], out: Path) -> dict[str, Any]:
    """Search value of the best trial, its fresh value, the winner's, test error, epochs and seconds of the search."""
    storage = open_storage(out / "greentune.db")
    study = optuna.load_study(study_name=result["study"], storage=storage)
    trials = study.get_trials(deepcopy=False)
    ended = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    first = min(result["choice"]["candidates"], key=lambda c: c["search_value"])
    winner = next(c for c in result["choice"]["candidates"] if c["trial"] == result["trial"])
    return {
        "search_value": first["search_value"],
        "fresh_value": first["value"],
        "optimism_percent": result["choice"]["optimism_percent"],
        "winner": result["trial"],
        "winner_fresh": winner["value"],
        "winner_values": winner["fresh"],
        "test_rmse": result["test"]["rmse"],
        "epochs": sum(len(t.intermediate_values) for t in ended),
        "pruned": sum(t.state is TrialState.PRUNED for t in ended),
        "trial_seconds": sum(t.user_attrs.get("seconds", 0.0) for t in ended),
    }


def line(row: dict[str, Any]) -> str:
    """One row of the table."""
    return (
        f"{row['variant']:14} {row['repetition']}  search {row['search_value']:.6f}  fresh {row['fresh_value']:.6f}  "
        f"optimism {row['optimism_percent']:5.2f} %  winner {row['winner_fresh']:.6f}  test {row['test_rmse']:.4f}  "
        f"epochs {row['epochs']:5d}  pruned {row['pruned']:2d}  {row['trial_seconds']:.0f} s"
    )


if __name__ == "__main__":
    main()
