"""Run as a program, twice: trials that keep their state and are cut short, then the same trials going on.

``first`` trains every case whole, then again until it is interrupted, the last one by SIGKILL; ``second`` goes on with
all of them in a new process. Results are printed as JSON, whose floats keep their bits; weights as a digest.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from greentune.objectives import training
from greentune.objectives.checkpoint import Checkpointer
from greentune.objectives.holdout import holdout
from greentune.objectives.training import FitResult, FitSettings
from tests.tiny import tiny_dataset

EPOCHS, KILL_AFTER = 12, 7
PARAMETERS: dict[str, object] = {"lstm_units": [3, 2], "dropout_rate": 0.2, "learning_rate": 0.03, "l1": 0.0, "l2": 0.0}
SETTINGS: dict[str, Any] = {"epochs": EPOCHS, "batch_size": 20, "seed": 7, "patience": 10, "reduce_lr_patience": 2}
CASES: list[dict[str, Any]] = [{"gathered": True}, {}]


class Killed(Exception):
    """Cuts a training short."""


def told(result: FitResult) -> dict[str, Any]:
    """All of a result but the clock."""
    weights = hashlib.sha256(b"".join(array.tobytes() for array in result.best_weights))
    return {
        "history": {name: values for name, values in result.history.items() if name != "seconds"},
        "seconds": len(result.history["seconds"]),
        "best_value": result.best_value,
        "best_epoch": result.best_epoch,
        "best_weights": weights.hexdigest(),
        "kinds": sorted({f"{array.dtype} {array.ndim}" for array in result.best_weights}),
        "n_parameters": result.n_parameters,
        "stopped": result.stopped,
    }


def trial(path: Path | None, *, ends: BaseException | int | None = None, gathered: bool = False, **changes: Any) -> Any:
    """Trains, from the state in `path` where there is one; `ends` is what happens after some epochs, if anything."""
    heard: list[int] = []

    def listener(epoch: int, values: dict[str, float]) -> None:
        heard.append(epoch)
        if epoch == KILL_AFTER and isinstance(ends, int):
            os.kill(os.getpid(), ends)
        elif epoch == KILL_AFTER and ends is not None:
            raise ends

    checkpointer = None
    if path is not None:
        checkpointer = Checkpointer(path, every=1, identity="it")
        checkpointer.resume_from([path])
    in_memory = training.IN_MEMORY_BYTES
    training.IN_MEMORY_BYTES = 0 if gathered else in_memory
    try:
        settings = FitSettings(**{**SETTINGS, **changes})
        result = holdout("stacked_lstm", PARAMETERS, tiny_dataset(), settings, [listener], checkpointer)
    except Killed:
        return None
    finally:
        training.IN_MEMORY_BYTES = in_memory
    return {**told(result.fit), "values": result.values, "heard": heard}


def main() -> None:
    """Arguments: ``first`` or ``second``, and a folder for the states."""
    act, folder = sys.argv[1], Path(sys.argv[2])
    paths = [folder / f"{number}.npz" for number in range(len(CASES))]
    if act == "second":
        json.dump([trial(path, **case) for path, case in zip(paths, CASES, strict=True)], sys.stdout)
        return
    json.dump([trial(None, **case) for case in CASES], sys.stdout)
    sys.stdout.flush()
    for path, case in zip(paths[:-1], CASES[:-1], strict=True):
        trial(path, ends=Killed(), **case)
    trial(paths[-1], ends=signal.SIGKILL, **CASES[-1])


if __name__ == "__main__":
    main()
