"""What a forecast is worth on one part of the data, beside what anybody could have forecast."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..storage.from_arrays import SCALED_UNITS
from .baselines import BOOSTING, baselines_of
from .metrics import Metrics, mape_floor, measure, rmse, skill
from .plain_json import plain
from .significance import (
    LEVEL,
    N_RESAMPLES,
    DieboldMariano,
    Interval,
    block_length,
    diebold_mariano,
    error_intervals,
    skill_interval,
)
from .wording import NAMES, verdict

if TYPE_CHECKING:
    from ..storage.datasets import Dataset

_BATCH_BYTES = 16 * 2**20
_BATCH_WINDOWS = 512


@dataclass(frozen=True)
class Comparison:
    """The model against one baseline, on the values where that is known: is the difference more than luck?

    Attributes:
        skill_ci: interval of the skill; ``None`` where it cannot be known (`significance`).
        dm: whether the squared errors differ.
    """

    skill_ci: Interval | None
    dm: DieboldMariano


@dataclass(frozen=True)
class BestBaseline:
    """The baseline with the smallest RMSE on the values that all of them know, and how the model does against it."""

    name: str
    sentence: str


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
        per_output: one entry an output: ``output``, ``step_ahead`` (``None`` if unknown), its metrics with ``skill``,
            and the RMSE of persistence and of gradient boosting.
        notes: sentences on what is missing and why.
        intervals: of ``rmse``, ``mae`` and ``skill`` in `metrics`, with a coverage of 95 %; ``None`` where unknown.
        comparisons: by the names of `baselines`.
        best_baseline: ``None`` where there is none.
        block_windows: windows in a block of the bootstrap behind the intervals.
    """

    part: str
    unit: str
    n: int
    metrics: Metrics
    baselines: dict[str, Metrics]
    per_output: list[dict[str, float | int | None]]
    notes: list[str] = field(default_factory=list)
    intervals: dict[str, Interval | None] = field(default_factory=dict)
    comparisons: dict[str, Comparison] = field(default_factory=dict)
    best_baseline: BestBaseline | None = None
    block_windows: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The layout of ``metrics.json``: ``{"test": {…}, "baselines": {…}, "units": "MW", …}``, without NaN.

        Beside the metrics stand ``rmse_ci``, ``mae_ci`` and ``skill_ci`` (low, high), beside those of a baseline
        ``skill_ci`` and ``dm`` (statistic, p_value).
        """
        intervals = {f"{name}_ci": interval for name, interval in self.intervals.items()}
        compared = {name: dataclasses.asdict(comparison) for name, comparison in self.comparisons.items()}
        best = self.best_baseline
        return {
            self.part: plain({**self.metrics, **intervals}),
            "baselines": plain({name: {**values, **compared.get(name, {})} for name, values in self.baselines.items()}),
            "best_baseline": None if best is None else dataclasses.asdict(best),
            "units": self.unit,
            "part": self.part,
            "n_windows": self.n,
            "per_output": plain(self.per_output),
            "bootstrap": {"level": LEVEL, "resamples": N_RESAMPLES, "block_windows": self.block_windows},
            "notes": list(self.notes),
        }


def evaluate(dataset: Dataset, part: str, predicted: NDArray[np.floating], *, boosting: bool = True) -> Evaluation:
    """Compares a forecast of one part with the observations and with the baselines.

    Skill is always computed on the values where the baseline is known, for model and baseline alike.

    Args:
        part: ``train``, ``val`` or ``test``.
        predicted: (n, n_outputs) in ``dataset.unit``; (n,) is taken as one output.
        boosting: train gradient boosting as one of the baselines; seconds.

    Raises:
        ValueError: `predicted` does not have the shape of the part.
    """
    observed = np.asarray(dataset.observed(dataset.part(part)), dtype=np.float64)
    forecast = np.asarray(predicted, dtype=np.float64)
    if forecast.ndim == 1 and observed.shape[1] == 1:
        forecast = forecast[:, None]
    if forecast.shape != observed.shape:
        raise ValueError(f"`predicted` must have the shape of the {part} part, {observed.shape}; got {forecast.shape}.")
    baselines, notes = baselines_of(dataset, part, boosting=boosting)
    floor = mape_floor(observed, dataset.capacity)
    compared = {
        name: _against(observed, forecast, values, dataset.capacity, floor) for name, values in baselines.items()
    }
    metrics = measure(observed, forecast, capacity=dataset.capacity, floor=floor)
    metrics["skill"] = compared["persistence"]["skill"] if "persistence" in compared else None
    longest_step = dataset.steps_ahead[-1] if dataset.steps_ahead else dataset.n_outputs
    block = block_length(len(observed), step_seconds=dataset.step_seconds, longest_step=longest_step)
    comparisons = {
        name: Comparison(
            skill_interval(observed, forecast, values, block),
            diebold_mariano(observed, forecast, values, longest_step),
        )
        for name, values in baselines.items()
    }
    rmse_ci, mae_ci = error_intervals(observed, forecast, block)
    best = _best(observed, baselines)
    return Evaluation(
        part=part,
        unit=dataset.unit,
        n=len(observed),
        metrics=metrics,
        baselines=compared,
        per_output=_per_output(dataset, observed, forecast, baselines, floor),
        notes=[*notes, *_notes(dataset, observed.size, compared)],
        intervals={
            "rmse": rmse_ci,
            "mae": mae_ci,
            "skill": comparisons["persistence"].skill_ci if "persistence" in comparisons else None,
        },
        comparisons=comparisons,
        best_baseline=None
        if best is None
        else BestBaseline(best, verdict(best, compared[best]["skill"], comparisons[best].dm.p_value)),
        block_windows=block,
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


def _best(observed: NDArray[np.float64], baselines: Mapping[str, NDArray[np.float64]]) -> str | None:
    """The baseline with the smallest RMSE on the values that all know; one that knows nothing does not count."""
    able = {name: values for name, values in baselines.items() if np.isfinite(values).any()}
    shared = np.isfinite(observed)
    for values in able.values():
        shared = shared & np.isfinite(values)
    errors = {name: rmse(observed[shared], values[shared]) for name, values in able.items()}
    known = {name: error for name, error in errors.items() if error is not None}
    return min(known, key=lambda name: known[name]) if known else None


def _notes(dataset: Dataset, size: int, compared: Mapping[str, Metrics]) -> list[str]:
    notes = []
    if dataset.unit == SCALED_UNITS:
        notes.append(
            "No scaler of y is known: all figures are in scaled units, and a percentage (MAPE) of them depends on the "
            "scaling."
        )
    for name, values in compared.items():
        if values["n_left_out"]:
            title = NAMES.get(name, name)
            notes.append(
                f"{title[0].upper()}{title[1:]} is unknown (gap in the series, or before it) for "
                f"{int(values['n_left_out'])} of {size} values; its row and its skill use the others."
            )
    return notes


def _per_output(
    dataset: Dataset,
    observed: NDArray[np.float64],
    forecast: NDArray[np.float64],
    baselines: Mapping[str, NDArray[np.float64]],
    floor: float,
) -> list[dict[str, float | int | None]]:
    last, boosted = baselines.get("persistence"), baselines.get(BOOSTING)
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
                f"{BOOSTING}_rmse": None if boosted is None else rmse(seen, boosted[:, output]),
            }
        )
    return rows
