"""From a series to the six arrays, for work outside of greentune or to cut the windows once."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from .arrays import SCALER_FILE
from .datasets import Dataset, load_dataset
from .dataspec import DataError, DataSpec
from .parts import PART_NAMES
from .prepared import Prepared, is_prepared, write_prepared
from .windows import Windows

_BLOCK_BYTES = 32 * 2**20


def prepare_arrays(spec: DataSpec, folder: Path) -> Dataset:
    """Write the six arrays of a series, its scalers, times and target; whole or not at all.

    A folder that an earlier run prepared is replaced; any other folder must be new or empty.

    Args:
        spec: of a series.
        folder: where to.

    Returns:
        the data set of the folder: the same windows, targets, unit and times as those of the series.

    Raises:
        DataError: the series cannot be used, is arrays already, or the folder cannot be written.
    """
    folder = Path(folder)
    dataset = load_dataset(spec)
    if dataset.kind != "series":
        raise DataError(f"{spec.path} holds arrays already. Give a series (CSV or Parquet).")
    try:
        with _replacing(folder) as fresh:
            _check_space(dataset, fresh)
            _write(dataset, fresh)
    except OSError as error:
        raise DataError(
            f"The arrays cannot be written to {folder}: {error.strerror or error}. Free space or choose another "
            "folder; nothing was changed."
        ) from error
    return load_dataset(DataSpec(path=str(folder)))


def _write(dataset: Dataset, folder: Path) -> None:
    import joblib

    assert dataset.target is not None
    assert dataset.times is not None
    assert dataset.step_seconds is not None
    assert dataset.x_scaler is not None
    assert dataset.y_scaler is not None
    origins = {}
    for name in PART_NAMES:
        part = dataset.part(name)
        assert part.origins is not None
        origins[name] = part.origins
        _write_windows(folder / f"X_{name}.npy", part.windows)
        np.save(folder / f"y_{name}.npy", part.y)
    attribution = dataset.describe()["attribution"]
    prepared = Prepared(
        spec=dataset.spec,
        x_scaler=dataset.x_scaler,
        y_scaler=dataset.y_scaler,
        feature_names=dataset.feature_names,
        step_seconds=dataset.step_seconds,
        target=dataset.target,
        times=dataset.times,
        origins=origins,
        counts=dataset.counts,
        notes=dataset.notes if attribution is None else (*dataset.notes, f"Data: {attribution}"),
    )
    write_prepared(folder, prepared)
    # For notebooks only: greentune itself reads the scalers of dataset.json.
    (folder / "scalers").mkdir()
    joblib.dump(dataset.y_scaler.to_sklearn(), folder / "scalers" / SCALER_FILE)


def _write_windows(path: Path, windows: Windows) -> None:
    """Block by block: the arrays may be larger than the memory."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=windows.shape)
    block = max(1, _BLOCK_BYTES // (4 * math.prod(windows.shape[1:])))
    for start in range(0, len(windows), block):
        array[start : start + block] = windows.take(slice(start, start + block))
    array.flush()


def _check_space(dataset: Dataset, folder: Path) -> None:
    # A memory-mapped file on a full disk dies with SIGBUS, not with an error: ask first.
    needed = sum(dataset.part(name).windows.nbytes + dataset.part(name).y.nbytes for name in PART_NAMES)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"The arrays need {needed / 2**20:.0f} MiB; the disk of {folder.parent} has {free / 2**20:.0f} MiB free. "
            "Choose another folder, or use the series itself: its windows take no space."
        )


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """A fresh folder beside the wanted one, which takes its place when the block ends well."""
    if folder.exists() and not (folder.is_dir() and (is_prepared(folder) or not any(folder.iterdir()))):
        raise DataError(f"{folder} exists and was not made by `tune prepare`. Choose a new or an empty folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = folder.with_name(f".{folder.name}.{os.getpid()}.new")
    fresh.mkdir()
    try:
        yield fresh
        if folder.exists():
            old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
            folder.rename(old)
            fresh.rename(folder)
            shutil.rmtree(old)
        else:
            fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
