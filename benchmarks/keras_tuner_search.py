"""One search of KerasTuner in a process of its own, for `against_keras_tuner`, which sets the environment before.

    python -P benchmarks/keras_tuner_search.py '{"tuner": "random", "data": {…}, …}'

The request is JSON, see `search`; the answer, JSON too, is the last line of standard output. With ``"tuner": "same"``
it trains given values instead of searching, and with ``"applications"`` KerasTuner's own image models.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

BEGAN = time.perf_counter()


def main() -> None:
    """Settle cores and threads, import Keras, do what is asked, answer."""
    from greentune.objectives.runtime import pin_to_core

    request = json.loads(sys.argv[1])
    if request["threads"] == 1:
        pin_to_core(0)
    done = {"same": same, "applications": applications}.get(request["tuner"], search)
    answer = done(request)
    answer["seconds"] = time.perf_counter() - BEGAN
    answer["tensorflow_imported"] = "tensorflow" in sys.modules
    answer["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(f"\n{json.dumps(answer)}\n")


def search(request: Mapping[str, Any]) -> dict[str, Any]:
    """Search with one of KerasTuner's tuners.

    Args:
        request: ``tuner`` (random, bayesian, bayesian-10, hyperband), ``data`` (a DataSpec), ``hypermodel``
            (FILE.py:NAME), ``trials``, ``epochs``, ``iterations`` of Hyperband, ``batch_size``, ``seed`` of the tuner
            and of each training, ``threads``, ``folder`` for what KerasTuner writes.
    """
    tuner, arguments = prepared(request)
    began = time.perf_counter()
    tuner.search(**arguments)
    seconds = time.perf_counter() - began
    trials = [tuner.oracle.trials[name] for name in tuner.oracle.start_order]
    done = [trial for trial in trials if trial.status == "COMPLETED"]
    best = min(done, key=lambda trial: trial.score)
    return {
        "best": best.score,
        "best_values": best.hyperparameters.values,
        "first_values": trials[0].hyperparameters.values,
        "values": [trial.score for trial in done],
        "trials": len(trials),
        "failed": len(trials) - len(done),
        "epochs": sum(_epochs(trial, request["epochs"]) for trial in trials),
        "search_seconds": seconds,
        "before_seconds": began - BEGAN,
    }


def same(request: Mapping[str, Any]) -> dict[str, Any]:
    """Train given values as KerasTuner does.

    Args:
        request: as for `search`, and ``points``: ``hp.values`` of each trial.

    Returns:
        for each point ``val_mse`` of every epoch.
    """
    from keras_tuner.engine.trial import Trial, TrialStatus

    tuner, arguments = prepared({**request, "tuner": "random"})
    tuner._populate_initial_space()
    curves = []
    for number, values in enumerate(request["points"]):
        hp = tuner.oracle.get_space()
        hp.values = dict(values)
        trial = Trial(hyperparameters=hp, trial_id=f"same-{number}", status=TrialStatus.RUNNING)
        tuner.oracle.trials[trial.trial_id] = trial
        tuner.on_trial_begin(trial)
        (history,) = tuner.run_trial(trial, **arguments)
        curves.append(history.history["val_mse"])
    return {"curves": curves}


def prepared(request: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A tuner, and the arguments of its search."""
    from greentune.models.user_code import load
    from greentune.storage.datasets import load_source
    from greentune.storage.dataspec import parse_spec

    data = load_source(parse_spec(request["data"])).dataset
    made: Any = load(request["hypermodel"], Path.cwd())
    hypermodel = made(input_shape=(data.lookback, data.n_features), n_outputs=data.n_outputs)
    import keras_tuner

    from greentune.objectives.runtime import set_seed

    class Seeded(keras_tuner.HyperModel):
        """Each training starts with the same seed, as in a study of greentune."""

        def build(self, hp: Any) -> Any:
            set_seed(request["seed"])
            return hypermodel.build(hp)

    kinds = {
        "random": (keras_tuner.RandomSearch, {"max_trials": request["trials"]}),
        "bayesian": (keras_tuner.BayesianOptimization, {"max_trials": request["trials"]}),
        "bayesian-10": (keras_tuner.BayesianOptimization, {"max_trials": request["trials"], "num_initial_points": 10}),
        "hyperband": (
            keras_tuner.Hyperband,
            {"max_epochs": request["epochs"], "hyperband_iterations": request["iterations"]},
        ),
    }
    kind, budget = kinds[request["tuner"]]
    tuner = kind(
        Seeded(),
        objective=keras_tuner.Objective("val_mse", "min"),
        seed=request["seed"] + 1,  # it takes 0 for no seed at all
        directory=tempfile.mkdtemp(dir=request["folder"]),
        project_name="search",
        **budget,
    )
    arguments = {
        "x": data.train.windows.array(),
        "y": data.train.y,
        "validation_data": (data.val.windows.array(), data.val.y),
        "epochs": request["epochs"],
        "batch_size": request["batch_size"],
        "verbose": 0,
    }
    return tuner, arguments


def applications(request: Mapping[str, Any]) -> dict[str, Any]:
    """Draw KerasTuner's image models from a trial of Optuna through our adapter, and train each for two batches.

    Returns:
        for each draw what was drawn, and the loss, or what it raised.
    """
    import keras_tuner.applications
    import numpy as np
    import optuna

    from greentune.models.keras_tuner import build, hyperparameters
    from greentune.objectives.runtime import set_seed

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    made = {
        "HyperResNet": keras_tuner.applications.HyperResNet(input_shape=(32, 32, 3), classes=3),
        "HyperXception": keras_tuner.applications.HyperXception(input_shape=(32, 32, 3), classes=3),
    }
    generator = np.random.default_rng(request["seed"])
    x = generator.random((8, 32, 32, 3), dtype=np.float32)
    y = np.eye(3, dtype=np.float32)[generator.integers(0, 3, 8)]
    rows = []
    for name, hypermodel in made.items():
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=request["seed"]))
        for _ in range(request["draws"]):
            began = time.perf_counter()
            set_seed(request["seed"])
            hp = hyperparameters(study.ask())
            row: dict[str, Any] = {"model": name}
            try:
                model = build(hypermodel, hp)
                row["parameters"] = model.count_params()
                row["loss"] = model.fit(x, y, batch_size=4, epochs=1, verbose=0).history["loss"][0]
            except Exception as error:  # noqa: BLE001 (a line of the output says so)
                row["raised"] = f"{type(error).__name__}: {error}"[:500]
            rows.append({**row, "values": hp.values, "seconds": round(time.perf_counter() - began, 1)})
            sys.stderr.write(f"{rows[-1]}\n")
    return {"applications": rows}


def _epochs(trial: Any, otherwise: int) -> int:
    values = trial.hyperparameters.values
    return int(values.get("tuner/epochs", otherwise) - values.get("tuner/initial_epoch", 0))


if __name__ == "__main__":
    os.environ.setdefault("KERAS_BACKEND", "jax")
    main()
