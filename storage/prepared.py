"""What `tune prepare` writes beside the six arrays, so that unit, scalers, times and baselines are not lost.

FOLDER/dataset.json          specification (without the path), scalers, names, step, counts
FOLDER/series/target.npy     (n_rows,) float64 in the unit, NaN in gaps
FOLDER/series/times.npy      (n_rows,) int64, nanoseconds since 1970 UTC
FOLDER/series/origins_*.npy  (n,) int64, row of the last lookback step of each window
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import Arrays
from .dataspec import DataError, DataSpec, parse_spec
from .npy import open_npy
from .parts import PART_NAMES
from .scaling import LinearScaler
from .windows import target_rows

DESCRIPTION = "dataset.json"
SERIES_FILES = ("series/target.npy", "series/times.npy", *(f"series/origins_{part}.npy" for part in PART_NAMES))
_FORMAT = 1
_AGAIN = "Make the folder again with `tune prepare`."


@dataclass(frozen=True, eq=False)
class Prepared:
    """The series behind prepared arrays; the attributes are those of `Dataset`.

    Attributes:
        spec: of the series; its path is empty.
        x_scaler: of the features.
        y_scaler: of the target.
        feature_names: in the order of the last axis of X.
        step_seconds: between two rows of the series.
        target: (n_rows,) float64 in `spec.unit`, NaN in gaps.
        times: (n_rows,) datetime64[ns] UTC.
        origins: part → (n,) int64.
        counts: rows, missing rows, windows left out.
        notes: sentences for the report.
    """

    spec: DataSpec
    x_scaler: LinearScaler
    y_scaler: LinearScaler
    feature_names: tuple[str, ...]
    step_seconds: float
    target: np.ndarray
    times: np.ndarray
    origins: dict[str, np.ndarray]
    counts: dict[str, int]
    notes: tuple[str, ...]


def is_prepared(folder: Path) -> bool:
    """Whether `tune prepare` made this folder."""
    return (folder / DESCRIPTION).is_file()


def write_prepared(folder: Path, prepared: Prepared) -> None:
    """Write everything but the six arrays into an existing folder."""
    (folder / "series").mkdir()
    np.save(folder / "series/target.npy", prepared.target)
    np.save(folder / "series/times.npy", prepared.times.astype("datetime64[ns]").astype(np.int64))
    for part in PART_NAMES:
        np.save(folder / f"series/origins_{part}.npy", prepared.origins[part])
    content = {
        "format": _FORMAT,
        # Without the path: the same series prepared on two machines gives the same bytes.
        "spec": prepared.spec.model_dump(mode="json", exclude={"path", "trust_scaler"}),
        "x_scaler": prepared.x_scaler.to_json(),
        "y_scaler": prepared.y_scaler.to_json(),
        "feature_names": list(prepared.feature_names),
        "step_seconds": prepared.step_seconds,
        "counts": prepared.counts,
        "notes": list(prepared.notes),
    }
    (folder / DESCRIPTION).write_text(json.dumps(content, indent=1), encoding="utf-8")


def read_prepared(folder: Path) -> Prepared:
    """The way back from `write_prepared`.

    Raises:
        DataError: a file is missing, damaged, or of a later version.
    """
    content = read_description(folder)
    missing = [name for name in SERIES_FILES if not (folder / name).is_file()]
    if missing:
        raise DataError(f"The prepared folder {folder.name} lacks {', '.join(missing)}. {_AGAIN}")
    loaded = {name: np.array(open_npy(folder / name)) for name in SERIES_FILES}
    if any(array.ndim != 1 for array in loaded.values()) or len(loaded[SERIES_FILES[0]]) != len(
        loaded[SERIES_FILES[1]]
    ):
        raise DataError(f"The files in {folder.name}/series must be lists of numbers that fit each other. {_AGAIN}")
    try:
        return Prepared(
            spec=parse_spec({**content["spec"], "path": ""}),
            x_scaler=LinearScaler.from_json(content["x_scaler"]),
            y_scaler=LinearScaler.from_json(content["y_scaler"]),
            feature_names=tuple(str(name) for name in content["feature_names"]),
            step_seconds=float(content["step_seconds"]),
            target=loaded["series/target.npy"].astype(np.float64),
            times=loaded["series/times.npy"].astype(np.int64).astype("datetime64[ns]"),
            origins={part: loaded[f"series/origins_{part}.npy"].astype(np.int64) for part in PART_NAMES},
            counts={str(name): int(count) for name, count in content["counts"].items()},
            notes=tuple(str(note) for note in content["notes"]),
        )
    except (KeyError, TypeError, AttributeError, DataError) as error:
        raise DataError(
            f"{DESCRIPTION} in {folder.name} is not as `tune prepare` wrote it ({error}). {_AGAIN}"
        ) from error


def read_description(folder: Path) -> Mapping[str, Any]:
    """The content of ``dataset.json``.

    Raises:
        DataError: it is no JSON of ours.
    """
    try:
        content = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{DESCRIPTION} in {folder.name} cannot be read: {error}. {_AGAIN}") from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise DataError(
            f"{DESCRIPTION} in {folder.name} must be of format {_FORMAT}; it is of another program or version. {_AGAIN}"
        )
    return content


def disagreements(prepared: Prepared, arrays: Arrays) -> list[str]:
    """What differs between the arrays and the series they were made of; metrics in units would be wrong."""
    found = []
    steps = prepared.spec.steps_ahead
    for part in PART_NAMES:
        x, y, origins = arrays.inputs[part], arrays.targets[part], prepared.origins[part]
        shape = (len(origins), prepared.spec.lookback, len(prepared.feature_names))
        if x.shape != shape or y.shape != (len(origins), len(steps)):
            found.append(f"X_{part}.npy and y_{part}.npy are {x.shape} and {y.shape}; {DESCRIPTION} says {shape}.")
            continue
        rows = target_rows(origins, steps)
        if rows.min() < 0 or rows.max() >= len(prepared.target):
            found.append(f"series/origins_{part}.npy points outside of the series.")
        elif not np.allclose(prepared.y_scaler.transform(prepared.target[rows]), y, rtol=1e-5, atol=1e-5):
            found.append(f"y_{part}.npy is not the target in series/target.npy.")
    return [f"{mistake} {_AGAIN} To use other arrays, remove {DESCRIPTION}." for mistake in found]
