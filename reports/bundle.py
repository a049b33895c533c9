"""The exported winner: one folder that says all about itself, written whole or not at all."""

from __future__ import annotations

import contextlib
import logging
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import layout
from .baselines import baselines_of
from .bundle_readme import bundle_readme
from .evaluation import Evaluation
from .folder_swap import whole_folder
from .layout import BundleError
from .model_info import model_info
from .plain_json import to_text
from .saved_model import export_saved_model, saved_model_difference

if TYPE_CHECKING:
    from ..storage.datasets import Dataset
    from ..storage.scaling import LinearScaler

__all__ = ["BundleError", "check_folder", "unit_suffix", "write_bundle"]

_logger = logging.getLogger(__name__)
_FULL_BYTES = 2**20
"""Less room than this on the disk, and a failed write is put down to it."""


def write_bundle(
    folder: Path,
    *,
    model: Any,
    dataset: Dataset,
    evaluation: Evaluation,
    predicted: NDArray[np.floating],
    history: Mapping[str, Sequence[float]],
    parameters: Mapping[str, object],
    builder: str,
    study: Mapping[str, object],
    backend: str,
    fit: Mapping[str, object],
) -> Path:
    """Writes the bundle, or leaves everything as it was.

    An older bundle of that name is replaced only when the new one is complete; files of other hands in it are taken
    over. Before it is announced the SavedModel is loaded back and must agree with the model.

    Args:
        folder: where; new, empty, or an older bundle.
        model: the trained, compiled Keras model.
        evaluation, predicted: of the test part; `predicted` is (n, n_outputs) in ``dataset.unit``.
        history: one value an epoch by name.
        parameters: the winner's hyperparameters; `builder`: its key.
        study: plain values on the search.
        backend: ``jax`` or ``tensorflow``, on which the model was trained.
        fit: settings and outcome of the training; ``best_epoch`` (0-based) is marked in the curves.

    Returns:
        the folder, absolute.

    Raises:
        BundleError: the folder is something else, cannot be written, the disk is full, or the SavedModel disagrees.
    """
    check_folder(folder)
    information = model_info(
        model=model,
        dataset=dataset,
        history=history,
        parameters=parameters,
        builder=builder,
        study=study,
        backend=backend,
        fit=fit,
    )
    writers: dict[str, Callable[[Path], object]] = {
        layout.MODEL: model.save,
        layout.WEIGHTS: _weights,
        layout.ARCHITECTURE: lambda path: _write(path, _architecture(model) + "\n"),
        layout.SAVED_MODEL: lambda path: _saved_model(path, model, dataset, information),
        layout.SCALERS: lambda path: _write(path, to_text(scalers_json(dataset))),
        layout.SCALERS_JOBLIB: lambda path: _joblib(path, dataset),
        layout.METRICS: lambda path: _write(path, to_text(evaluation.to_json())),
        layout.PREDICTIONS: lambda path: _predictions(path, dataset, evaluation.part, predicted),
        layout.CURVES: lambda path: _curves(path, history, fit),
        layout.RESIDUALS: lambda path: _residuals(path, dataset, evaluation.part, predicted),
        layout.MODEL_INFO: lambda path: _write(path, to_text(information)),
        layout.README: lambda path: _write(path, bundle_readme(information, evaluation)),
    }
    with _explained(folder), whole_folder(folder) as new:
        for name, write in writers.items():
            write(new / name)
        _take_over(folder.resolve(), new)
    return folder.resolve()


def check_folder(folder: Path) -> None:
    """Says before a long search what would stop the bundle at its end.

    Raises:
        BundleError: the folder is a file, holds something else than a bundle, or nothing can be written beside it.
    """
    if folder.exists() and not folder.is_dir():
        raise BundleError(f"A bundle is a folder; {folder} is a file. Choose another name with --out.")
    with _explained(folder):
        if folder.is_dir() and any(folder.iterdir()) and not (folder / layout.MODEL_INFO).is_file():
            first = sorted(path.name for path in folder.iterdir())[0]
            raise BundleError(
                f"A bundle may replace an older bundle, nothing else; {folder} holds other files, such as {first}. "
                "Choose a new or an empty folder with --out."
            )
        with contextlib.suppress(_Probed), whole_folder(folder):
            raise _Probed


def scalers_json(dataset: Dataset) -> dict[str, Any]:
    """``scalers.json``: both scalers as plain numbers, ``null`` where one is unknown."""

    def one(scaler: LinearScaler | None) -> dict[str, Any] | None:
        return None if scaler is None else scaler.to_json()

    return {
        "format_version": layout.FORMAT_VERSION,
        "rule": "scaled = (value - offset) / scale",
        "x": one(dataset.x_scaler),
        "y": one(dataset.y_scaler),
    }


def unit_suffix(unit: str) -> str:
    """The unit as the end of a column name: ``MW`` → ``mw``, ``scaled units`` → ``scaled_units``."""
    return re.sub(r"[^0-9a-z]+", "_", unit.lower().replace("%", "percent")).strip("_") or "value"


class _Probed(Exception):
    """Leaves the probing block of `check_folder`, so that its folder is removed again."""


def _architecture(model: Any) -> str:
    try:
        return str(model.to_json(indent=2))
    except (RuntimeError, TypeError, ValueError) as error:  # a user's class that says nothing of itself
        return to_text({"class": type(model).__name__, "not_described": str(error).splitlines()[0]})


def _weights(path: Path) -> None:
    """The weights out of the model's own archive: the HDF5 library dies (SIGSEGV) when it meets a full disk itself."""
    with (
        zipfile.ZipFile(path.with_name(layout.MODEL)) as archive,
        archive.open(layout.WEIGHTS) as weights,
        path.open("wb") as copy,
    ):
        shutil.copyfileobj(weights, copy)


def _saved_model(path: Path, model: Any, dataset: Dataset, information: dict[str, Any]) -> None:
    export_saved_model(model, path)
    windows = dataset.test.windows
    sample = windows.take(np.arange(min(8, len(windows))))
    difference = saved_model_difference(path, model, sample)
    information["saved_model"] = {"largest_difference_scaled": difference, "windows_compared": len(sample)}


def _joblib(path: Path, dataset: Dataset) -> None:
    import joblib

    scalers = {"x": dataset.x_scaler, "y": dataset.y_scaler}
    joblib.dump({name: None if scaler is None else scaler.to_sklearn() for name, scaler in scalers.items()}, path)


def _predictions(path: Path, dataset: Dataset, part: str, predicted: NDArray[np.floating]) -> None:
    import pandas as pd

    chosen = dataset.part(part)
    observed = dataset.observed(chosen)
    n, n_outputs = observed.shape
    unit = unit_suffix(dataset.unit)
    times = dataset.target_times(chosen)
    window = np.repeat(np.arange(n), n_outputs)
    last = baselines_of(dataset, part)[0].get("persistence", np.full(observed.shape, np.nan))
    columns: dict[str, Any] = {"window": window} if times is None else {"target_time": _iso(times.ravel())}
    columns["step_ahead"] = np.tile(dataset.steps_ahead or np.arange(1, n_outputs + 1), n)
    columns[f"observed_{unit}"] = observed.ravel()
    columns[f"forecast_{unit}"] = np.asarray(predicted, dtype=np.float64).reshape(observed.shape).ravel()
    columns[f"persistence_{unit}"] = last.ravel()
    pd.DataFrame(columns).to_csv(path, index=False, float_format="%.7g", lineterminator="\n")


def _iso(times: NDArray[np.datetime64]) -> list[str]:
    return [f"{text}Z" for text in np.datetime_as_string(times, unit="s")]


def _curves(path: Path, history: Mapping[str, Sequence[float]], fit: Mapping[str, object]) -> None:
    from . import plots

    best = fit.get("best_epoch")
    plots.curves(history, path, best_epoch=best if isinstance(best, int) else None)


def _residuals(path: Path, dataset: Dataset, part: str, predicted: NDArray[np.floating]) -> None:
    from . import plots

    chosen = dataset.part(part)
    observed = dataset.observed(chosen)
    forecast = np.asarray(predicted, dtype=np.float64).reshape(observed.shape)
    plots.residuals(observed, forecast, path, unit=dataset.unit, times=dataset.target_times(chosen))


def _take_over(old: Path, new: Path) -> None:
    """What others put into the old bundle goes on living in the new one."""
    if not old.is_dir():
        return
    for path in old.iterdir():
        if path.name in layout.FILES:
            continue
        _logger.info("%s is taken over from the older bundle", path.name)
        if path.is_dir() and not path.is_symlink():
            shutil.copytree(path, new / path.name, symlinks=True)
        else:
            shutil.copy2(path, new / path.name, follow_symlinks=False)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turns a disk that does not take the bundle into one sentence; other failures pass as they are."""
    try:
        yield
    except (BundleError, _Probed):
        raise
    except Exception as error:
        reason = _disk_reason(error, folder)
        if reason is None:
            raise
        raise BundleError(
            f"A bundle must be written whole; {folder} could not be: {reason}. An older bundle is as it was. "
            "Free some space or choose another folder with --out, then run `tune export`: the study is kept."
        ) from error


def _disk_reason(error: Exception, folder: Path) -> str | None:
    # TensorFlow and HDF5 report a full disk with exceptions of their own: the room that is left tells.
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    existing = next(path for path in (folder.resolve(), *folder.resolve().parents) if path.exists())
    if shutil.disk_usage(existing).free < _FULL_BYTES:
        return "No space left on device"
    return str(error) if isinstance(error, OSError) else None
