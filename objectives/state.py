"""The state of a training between two epochs, and its way into one file and back. No Keras, no pickle."""

from __future__ import annotations

import itertools
import json
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

_FORMAT = 1
_SERIES = ("variables", "optimizer", "best_weights")
_drafts = itertools.count()


@dataclass(frozen=True, eq=False, kw_only=True)
class RandomState:
    """Where the two generators stand from which Keras draws outside a model.

    Attributes:
        python: (625,) uint32, the state of `random`.
        python_version: its layout.
        python_gauss: its second normal number in stock, if any.
        numpy: (624,) uint32, the state of NumPy's global Mersenne twister.
        numpy_position: of the next number in it.
        numpy_has_gauss: whether a second normal number is in stock (0 or 1).
        numpy_gauss: that number.
    """

    python: np.ndarray
    python_version: int
    python_gauss: float | None
    numpy: np.ndarray
    numpy_position: int
    numpy_has_gauss: int
    numpy_gauss: float

    @classmethod
    def now(cls) -> RandomState:
        """Reads both generators and draws nothing."""
        version, words, gauss = random.getstate()
        _, keys, position, has_gauss, cached = np.random.get_state()
        return cls(
            python=np.array(words, dtype=np.uint32),
            python_version=version,
            python_gauss=gauss,
            numpy=np.array(keys, dtype=np.uint32),
            numpy_position=int(position),
            numpy_has_gauss=int(has_gauss),
            numpy_gauss=float(cached),
        )

    def put_back(self) -> None:
        """Sets both generators."""
        random.setstate((self.python_version, tuple(self.python.tolist()), self.python_gauss))
        np.random.set_state(
            ("MT19937", self.numpy, self.numpy_position, self.numpy_has_gauss, self.numpy_gauss),
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainingState:
    """Everything from which a training goes on as if it had never been interrupted.

    Attributes:
        epochs_done: epochs that are wholly behind it.
        ended: whether nothing is left to train: all epochs are done, or patience is at its end.
        history: a value for each epoch done, by name.
        best_value: the smallest monitored value so far.
        best_epoch: the first epoch that had it, from 0.
        best_weights: the model's weights after that epoch.
        variables: of the model: weights, moving averages and the seeds of its layers.
        optimizer: its variables: step, learning rate, moments, accumulated gradients, loss scale.
        callbacks: what Keras' callbacks remember, by class and attribute.
        generators: of Python and NumPy.
    """

    epochs_done: int
    ended: bool
    history: Mapping[str, Sequence[float]]
    best_value: float
    best_epoch: int
    best_weights: Sequence[np.ndarray]
    variables: Sequence[np.ndarray]
    optimizer: Sequence[np.ndarray]
    callbacks: Mapping[str, Mapping[str, float | None]]
    generators: RandomState


def write_state(path: Path, state: TrainingState, identity: str) -> None:
    """Writes a state so that `path` holds the old one or the new one whole, at whatever moment the process is killed.

    Raises:
        OSError: if it cannot be written; then nothing is left behind.
        ValueError: the same, where NumPy trips over the half archive of a full disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A number of its own for each draft: a signal may interrupt one writing with another.
    draft = path.with_name(f".{path.name}.{os.getpid()}-{next(_drafts)}.draft")
    try:
        with draft.open("wb") as file:
            np.savez(file, allow_pickle=False, **_packed(state, identity))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def remove_drafts(path: Path) -> None:
    """Removes what killed processes left beside `path`."""
    for draft in path.parent.glob("*.draft"):
        if draft.name.startswith(f".{path.name}."):
            draft.unlink(missing_ok=True)


def read_state(path: Path, identity: str) -> TrainingState:
    """Reads a state.

    Raises:
        ValueError: if it belongs to another training or another version of the format.
        Exception: of any kind, if the file is damaged.
    """
    # Opened here, as NumPy leaves a file open in which it finds no whole archive.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        arrays = {name: np.asarray(archive[name]) for name in archive.files}
    facts = json.loads(arrays["facts"].tobytes())
    if facts["format"] != _FORMAT:
        raise ValueError(f"its format is {facts['format']!r}, this version of greentune reads {_FORMAT}")
    if facts["identity"] != identity:
        raise ValueError("it belongs to other parameters, data or settings")
    variables, optimizer, best_weights = (
        [arrays[f"{name}_{i}"] for i in range(facts["counts"][name])] for name in _SERIES
    )
    state = TrainingState(
        variables=variables,
        optimizer=optimizer,
        best_weights=best_weights,
        generators=RandomState(python=arrays["python"], numpy=arrays["numpy"], **facts["generators"]),
        **facts["state"],
    )
    if {len(values) for values in state.history.values()} != {state.epochs_done}:
        raise ValueError("its history does not have a value for each epoch")
    return state


def _packed(state: TrainingState, identity: str) -> dict[str, np.ndarray]:
    generators = asdict(state.generators)
    arrays = {name: generators.pop(name) for name in ("python", "numpy")}
    rest = ("epochs_done", "ended", "history", "best_value", "best_epoch", "callbacks")
    facts = {
        "format": _FORMAT,
        "identity": identity,
        "state": {name: getattr(state, name) for name in rest},
        "generators": generators,
        "counts": {name: len(getattr(state, name)) for name in _SERIES},
    }
    arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8)
    for name in _SERIES:
        arrays.update({f"{name}_{i}": _storable(array) for i, array in enumerate(getattr(state, name))})
    return arrays


def _storable(array: np.ndarray) -> np.ndarray:
    # NumPy has no name on disk for bfloat16 and the like; all their numbers are numbers of float32.
    return array.astype(np.float32) if array.dtype.kind == "V" else array
