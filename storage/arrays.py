"""Ready arrays: a folder with six ``.npy`` files, already cut into windows and scaled.

X is (n_windows, lookback, n_features), y is (n_windows,) or (n_windows, n_outputs). A scaler of y may lie in
``scalers/``, in the folder or beside it; it is a pickle and is read only when the user trusts it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .dataspec import DataError
from .mistakes import nearest
from .npy import first_not_finite, open_npy
from .parts import PART_NAMES
from .scaling import LinearScaler

FILES = tuple(f"{letter}_{part}.npy" for part in PART_NAMES for letter in ("X", "y"))
SCALER_FILE = "y_train_scaler.pkl"
_CUT = "Cut all parts in the same way; `tune prepare` does it from a series."


@dataclass(frozen=True, eq=False)
class Arrays:
    """The six arrays.

    Attributes:
        inputs: part → (n_windows, lookback, n_features), memory-mapped, any real type.
        targets: part → (n_windows, n_outputs) float32.
    """

    inputs: dict[str, np.ndarray]
    targets: dict[str, np.ndarray]


def read_arrays(folder: Path) -> Arrays:
    """Open the six files and check them against each other.

    Raises:
        DataError: every mistake that can be seen, all at once.
    """
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        there = sorted(entry.name for entry in folder.iterdir() if entry.is_file())
        close = "" if len(missing) > 1 or not there else f" {nearest(missing[0], there)}"
        raise DataError(
            f"A folder of arrays must hold {', '.join(FILES)}; {folder.name} lacks {', '.join(missing)}.{close} "
            "`tune prepare` makes such a folder from a series."
        )
    found: list[str] = []
    opened = {name: _opened(folder / name, found) for name in FILES}
    arrays = {name: array for name, array in opened.items() if array is not None}
    for name, array in arrays.items():
        found += _shape_mistakes(name, array)
    if not found:
        found += _agreement_mistakes(arrays)
    for name, array in arrays.items():
        bad = first_not_finite(array)
        if bad is not None:
            found.append(
                f"{name} must be finite in float32; at {list(bad[0])} it holds {bad[1]}. Leave out the windows that "
                "touch a gap."
            )
    if found:
        raise DataError(found)
    return Arrays(
        {part: arrays[f"X_{part}.npy"] for part in PART_NAMES},
        {part: _two_axes(np.array(arrays[f"y_{part}.npy"], dtype=np.float32)) for part in PART_NAMES},
    )


def scaler_path(folder: Path) -> Path | None:
    """Where the documented scaler of y lies; None where there is none."""
    for place in (folder / "scalers" / SCALER_FILE, folder.resolve().parent / "scalers" / SCALER_FILE):
        if place.is_file():
            return place
    return None


def read_trusted_scaler(path: Path, n_outputs: int) -> LinearScaler:
    """The documented scaler of y. Runs whatever code its pickle holds: only for files that the user trusts.

    Raises:
        DataError: the file is not a scaler, or one for another number of outputs.
    """
    import joblib

    try:
        loaded = joblib.load(path)
    except Exception as error:  # a pickle may raise anything at all
        raise DataError(
            f"{path.name} cannot be read ({type(error).__name__}: {error}). Save it again with joblib.dump, or do not "
            "trust it."
        ) from error
    scaler = LinearScaler.from_sklearn(loaded, path.name)
    if len(scaler.names) not in (1, n_outputs):
        raise DataError(
            f"{path.name} must scale one column or {n_outputs} (the outputs of y); it scales {len(scaler.names)}. Is "
            "it the scaler of X?"
        )
    return scaler


def _opened(path: Path, found: list[str]) -> np.ndarray | None:
    try:
        return open_npy(path)
    except DataError as error:
        found += error.mistakes
        return None


def _shape_mistakes(name: str, array: np.ndarray) -> list[str]:
    if name.startswith("X") and array.ndim != 3:
        return [f"{name} must have three axes (n_windows, lookback, n_features); its shape is {array.shape}. {_CUT}"]
    if name.startswith("y") and array.ndim not in (1, 2):
        return [f"{name} must be (n_windows,) or (n_windows, n_outputs); its shape is {array.shape}. {_CUT}"]
    return []


def _agreement_mistakes(arrays: dict[str, np.ndarray]) -> list[str]:
    found = []
    for part in PART_NAMES:
        x, y = arrays[f"X_{part}.npy"], arrays[f"y_{part}.npy"]
        if len(x) != len(y):
            found.append(
                f"X_{part}.npy and y_{part}.npy must have one row a window; they have {len(x)} and {len(y)}. Write "
                "both from the same windows."
            )
    x_train, outputs = arrays["X_train.npy"], _two_axes(arrays["y_train.npy"]).shape[1]
    for part in PART_NAMES[1:]:
        x, y = arrays[f"X_{part}.npy"], _two_axes(arrays[f"y_{part}.npy"])
        for axis, what in ((1, "lookback"), (2, "number of features")):
            if x.shape[axis] != x_train.shape[axis]:
                found.append(
                    f"The {what} must be the same in all parts; X_train.npy has {x_train.shape[axis]}, X_{part}.npy "
                    f"has {x.shape[axis]}. {_CUT}"
                )
        if y.shape[1] != outputs:
            found.append(
                f"The number of outputs must be the same in all parts; y_train.npy has {outputs}, y_{part}.npy has "
                f"{y.shape[1]}. {_CUT}"
            )
    return found


def _two_axes(y: np.ndarray) -> np.ndarray:
    return y if y.ndim == 2 else y[:, None]
