"""A bundle at work: a series in, forecasts out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..storage.dataspec import DataSpec
from ..storage.scaling import LinearScaler
from ..storage.windows import Windows
from .bundle import unit_suffix
from .evaluation import predict_windows
from .layout import MODEL_INFO, SCALERS, BundleError
from .loading import load_model, read_info, read_scalers, read_spec

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Forecaster:
    """A trained model with all it needs to forecast; made by `Forecaster.load`.

    Attributes:
        model: the Keras model, on whichever backend is in use.
        spec: of the data it was trained on; step_seconds: between two rows of its series, None where unknown.
        feature_names: (n_features,), in the model's order; lookback: steps in a window; steps_ahead: of the outputs.
        unit: of the forecasts.
        information: the content of ``model_info.json``.
    """

    model: Any
    spec: DataSpec
    feature_names: tuple[str, ...]
    lookback: int
    steps_ahead: tuple[int, ...]
    step_seconds: float | None
    n_outputs: int
    unit: str
    x_scaler: LinearScaler | None
    y_scaler: LinearScaler | None
    information: dict[str, Any]

    @classmethod
    def load(cls, folder: Path | str) -> Forecaster:
        """Reads a bundle. Nothing in it is executed: safe mode for the model, JSON for the scalers.

        Where ``KERAS_BACKEND`` is not set and Keras not yet imported, the bundle's own backend is used.

        Raises:
            BundleError: a file is missing, broken, or newer than this greentune.
        """
        folder = Path(folder)
        information = read_info(folder)
        spec = read_spec(folder, information)
        x_scaler, y_scaler = read_scalers(folder)
        model = load_model(folder, information)
        data = information["data"]
        names = tuple(data.get("feature_names") or ())
        if x_scaler is not None and x_scaler.names != names:
            raise BundleError(
                f"{SCALERS} must scale the features of {MODEL_INFO} in the same order; {folder} has "
                f"{len(x_scaler.names)} scaled "
                f"and {len(names)} known features. The files come from different bundles: take another copy."
            )
        return cls(
            model=model,
            spec=spec,
            feature_names=names,
            lookback=int(data["lookback"]),
            steps_ahead=tuple(data.get("steps_ahead") or ()),
            step_seconds=data.get("step_seconds"),
            n_outputs=int(data["n_outputs"]),
            unit=str(data.get("unit")),
            x_scaler=x_scaler,
            y_scaler=y_scaler,
            information=information,
        )

    @property
    def forecast_column(self) -> str:
        """Name of the column with the forecasts, for instance ``forecast_mw``."""
        return f"forecast_{unit_suffix(self.unit)}"

    def predict(self, series: Path | str | pd.DataFrame) -> pd.DataFrame:
        """Forecasts from every hour of a series that has a full window behind it, the newest included.

        Args:
            series: a CSV or Parquet file, or a frame, with the columns of the training series; rows after the last
                known target may carry weather that is known ahead.

        Returns:
            one row a forecast: ``origin_time`` and ``target_time`` (UTC), ``step_ahead``, ``forecast_<unit>``.

        Raises:
            BundleError: the bundle was trained on arrays whose series is not known.
            DataError: the series does not have what the model needs.
        """
        import pandas as pd

        from ..storage.forecast import forecast_inputs

        if self.x_scaler is None or not self.steps_ahead:
            raise BundleError(
                "Forecasts from a series need a bundle that was trained on one; this one was trained on ready arrays, "
                "and how "
                "these were made is not known. Give it windows: Forecaster.load(FOLDER).predict_windows(x)."
            )
        source = Path(series) if isinstance(series, str) else series
        windows, origin_times, target_times = forecast_inputs(
            self.spec, self.x_scaler, self.feature_names, source, step_seconds=self.step_seconds
        )
        forecast = self._to_units(predict_windows(self.model, windows, self.n_outputs))
        n = len(windows)
        return pd.DataFrame(
            {
                "origin_time": pd.to_datetime(np.repeat(origin_times, self.n_outputs), utc=True),
                "target_time": pd.to_datetime(np.asarray(target_times).ravel(), utc=True),
                "step_ahead": np.tile(np.asarray(self.steps_ahead, dtype=np.int64), n),
                self.forecast_column: forecast.ravel(),
            }
        )

    def predict_windows(self, windows: ArrayLike) -> NDArray[np.float64]:
        """Forecasts from ready windows.

        Args:
            windows: (n, lookback, n_features), scaled as the model was trained.

        Returns:
            (n, n_outputs) in `unit`.

        Raises:
            BundleError: the windows have another shape.
        """
        array = np.asarray(windows, dtype=np.float32)
        expected = (self.lookback, int(self.information["data"]["n_features"]))
        if array.ndim != 3 or array.shape[1:] != expected:
            raise BundleError(
                f"Windows must have the shape (n, {expected[0]}, {expected[1]}); got {array.shape}. "
                f"The features and their order stand in {MODEL_INFO}."
            )
        return self._to_units(predict_windows(self.model, Windows(array, np.arange(len(array))), self.n_outputs))

    def _to_units(self, scaled: NDArray[np.float32]) -> NDArray[np.float64]:
        values = scaled.astype(np.float64)
        return values if self.y_scaler is None else np.asarray(self.y_scaler.inverse(values), dtype=np.float64)
