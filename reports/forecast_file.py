"""The file in which a trial keeps its forecast of the validation part, for pictures made later and elsewhere."""

from __future__ import annotations

import os
import socket
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class ForecastFileError(ValueError):
    """The file is none of ours, is damaged, or holds arrays that do not belong together."""


@dataclass(frozen=True)
class KeptForecast:
    """What was observed and what was forecast.

    Attributes:
        times: (n,) Unix seconds of the (last) target; (0,) where they are unknown.
        observed, predicted: (n, k) in `unit`, one column for each step ahead.
        unit: of the data.
    """

    times: NDArray[np.int64]
    observed: NDArray[np.float32]
    predicted: NDArray[np.float32]
    unit: str

    def __post_init__(self) -> None:
        if self.observed.ndim != 2 or self.observed.shape != self.predicted.shape:
            raise ForecastFileError(
                "`observed` and `predicted` must be of one shape (n, k); got "
                f"{self.observed.shape} and {self.predicted.shape}."
            )
        if self.times.shape not in ((0,), self.observed.shape[:1]):
            raise ForecastFileError(
                f"`times` must hold one time for each of the {len(self.observed)} forecasts, or none at all; "
                f"got the shape {self.times.shape}."
            )


def write_forecast(
    path: Path, *, times: NDArray[Any] | None, observed: NDArray[Any], predicted: NDArray[Any], unit: str
) -> Path:
    """Write the file whole or not at all; missing folders are made, an older file is replaced.

    Args:
        path: ending in ``.npz``.
        times: (n,) of the (last) target, as datetime64 in UTC or as Unix seconds; None where they are unknown.
        observed, predicted: (n, k) in `unit`.
        unit: of the data.

    Raises:
        ForecastFileError: the arrays do not belong together.
        OSError: as the file system gives it.
    """
    kept = KeptForecast(
        np.asarray([] if times is None else times).astype("datetime64[s]").astype(np.int64),
        np.asarray(observed, dtype=np.float32),
        np.asarray(predicted, dtype=np.float32),
        unit,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}")
    try:
        with draft.open("wb") as handle:
            np.savez_compressed(
                handle, times=kept.times, observed=kept.observed, predicted=kept.predicted, unit=np.array(unit)
            )
        return draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def read_forecast(path: Path) -> KeptForecast:
    """Read the file; nothing in it can run.

    Raises:
        ForecastFileError: it cannot be read as such a file.
        OSError: as the file system gives it.
    """
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            return KeptForecast(
                file["times"].astype(np.int64, casting="safe"),
                file["observed"].astype(np.float32, casting="same_kind"),
                file["predicted"].astype(np.float32, casting="same_kind"),
                str(file["unit"][()]),
            )
    except ForecastFileError:
        raise
    except (ValueError, TypeError, KeyError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise ForecastFileError(f"{path} must be a forecast that a trial kept; it cannot be read: {error}.") from error
