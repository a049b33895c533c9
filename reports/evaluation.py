"""What a forecast is worth on one part of the data, beside what anybody could have forecast."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..storage.from_arrays import SCALED_UNITS
from .baselines import baselines_of
from .metrics import Metrics, mape_floor, measure, rmse, skill
from .plain_json import plain

if TYPE_CHECKING:
    from ..storage.datasets import Dataset

_BATCH_BYTES = 16 * 2**20
_BATCH_WINDOWS = 512


@dataclass(frozen=True)
class Evaluation:
    """Metrics of a forecast on one part.

    Attributes:
        part: ``train``, ``val`` or ``test``.
        unit: of rmse, mae and bias.
        n: windows of the part.
        metrics: of all outputs together (`metrics.measure`), and ``skill`` against persistence.
        baselines: by name: the same metrics of the baseline on the ``n`` values where it is known, how many it leaves
            out (``n_left_out``), the model's error on these very values (``model_rmse``) and the model's ``skill``
            there.
        per_output: one entry an output: ``output``, ``step_ahead`` (``None`` if unknown), its metrics with ``skill``.
        notes: sentences on what is missing and why.
    """

    part: str
    unit: str
    n: int
    metrics: Metrics
    baselines: dict[str, Metrics]
    per_output: list[dict[str, float | int | None]]
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The layout of ``metrics.json``: ``{"test": {…}, "baselines": {…}, "units": "MW", …}``, without NaN."""
        return {
            self.part: plain(self.metrics),
            "baselines": plain(self.baselines),
            "units": self.unit,
            "part": self.part,
            "n_windows": self.n,
            "per_output": plain(self.per_output),
            "notes": list(self.notes),
        }


def evaluate(dataset: Dataset, part: str, predicted: NDArray[np.floating]) -> Evaluation:
    """Compares a forecast of one part with the observations and with the baselines.

    Skill is always computed on the values where the baseline is known, for model and baseline alike.

    Args:
        part: ``train``, ``val`` or ``test``.
        predicted: (n, n_outputs) in ``dataset.unit``; (n,) is taken as one output.

    Raises:
        ValueError: `predicted` does not have the shape of the part.
    """
    observed = np.asarray(dataset.observed(dataset.part(part)), dtype=np.float64)
    forecast = np.asarray(predicted, dtype=np.float64)
    if forecast.ndim == 1 and observed.shape[1] == 1:
        forecast = forecast[:, None]
    if forecast.shape != observed.shape:
        raise ValueError(f"`predicted` must have the shape of the {part} part, {observed.shape}; got {forecast.shape}.")
    known_baselines, notes = baselines_of(dataset, part)
    floor = mape_floor(observed, dataset.capacity)
    compared = {
        name: _against(observed, forecast, values, dataset.capacity, floor) for name, values in known_baselines.items()
    }
    metrics = measure(observed, forecast, capacity=dataset.capacity, floor=floor)
    metrics["skill"] = compared["persistence"]["skill"] if "persistence" in compared else None
    if dataset.unit == SCALED_UNITS:
        notes.append(
            "No scaler of y is known: all figures are in scaled units, and a percentage (MAPE) of them depends on the "
            "scaling."
        )
    left_out = {name: int(values["n_left_out"] or 0) for name, values in compared.items()}
    notes += [
        f"{name.replace('_', ' ').capitalize()} is unknown (gap in the series) for {count} of {observed.size} values; "
        "its row and its skill use the others."
        for name, count in left_out.items()
        if count
    ]
    return Evaluation(
        part=part,
        unit=dataset.unit,
        n=len(observed),
        metrics=metrics,
        baselines=compared,
        per_output=_per_output(dataset, observed, forecast, known_baselines.get("persistence"), floor),
        notes=notes,
    )


def predict_part(model: Any, dataset: Dataset, part: str) -> NDArray[np.float64]:
    """The model's forecast of every window of a part, (n, n_outputs) in ``dataset.unit``.

    Windows are gathered batch by batch: the whole part never stands in memory at once. Every batch has the same size
    (the last one is filled up), so that the model is compiled once.
    """
    windows = dataset.part(part).windows
    return dataset.to_units(predict_windows(model, windows, dataset.n_outputs))


def predict_windows(model: Any, windows: Any, n_outputs: int) -> NDArray[np.float32]:
    """The model's answers to windows, (n, n_outputs), scaled as the model was trained."""
    n, lookback, n_features = windows.shape
    if n == 0:
        return np.empty((0, n_outputs), dtype=np.float32)
    size = max(1, min(n, _BATCH_WINDOWS, _BATCH_BYTES // (4 * lookback * n_features)))
    answers = np.empty((n, n_outputs), dtype=np.float32)
    for start in range(0, n, size):
        positions = np.minimum(np.arange(start, start + size), n - 1)
        batch = np.asarray(model.predict_on_batch(windows.take(positions)), dtype=np.float32)
        answers[start : start + size] = batch.reshape(size, -1)[: n - start]
    return answers


def _against(
    observed: NDArray[np.float64],
    forecast: NDArray[np.float64],
    baseline: NDArray[np.float64],
    capacity: float | None,
    floor: float,
) -> Metrics:
    known = np.isfinite(baseline) & np.isfinite(observed)
    values = measure(observed[known], baseline[known], capacity=capacity, floor=floor)
    model_rmse = rmse(observed[known], forecast[known])
    return {
        **values,
        "n_left_out": int(np.isfinite(observed).sum() - known.sum()),
        "model_rmse": model_rmse,
        "skill": skill(model_rmse, values["rmse"]),
    }


def _per_output(
    dataset: Dataset,
    observed: NDArray[np.float64],
    forecast: NDArray[np.float64],
    last: NDArray[np.float64] | None,
    floor: float,
) -> list[dict[str, float | int | None]]:
    rows: list[dict[str, float | int | None]] = []
    for output in range(observed.shape[1]):
        seen, said = observed[:, output], forecast[:, output]
        against = None if last is None else _against(seen, said, last[:, output], dataset.capacity, floor)
        rows.append(
            {
                "output": output,
                "step_ahead": dataset.steps_ahead[output] if output < len(dataset.steps_ahead) else None,
                **measure(seen, said, capacity=dataset.capacity, floor=floor),
                "persistence_rmse": None if against is None else against["rmse"],
                "skill": None if against is None else against["skill"],
            }
        )
    return rows
