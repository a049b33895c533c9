"""Data sets: what every other part of greentune learns from and is measured on.

rows   |<------ training ------>|<- validation ->|<-- test -->|
window |▇▇▇·▲                   |                |            |     inputs ▇ and target ▲ of a window lie in one part,
       |                    ▇▇▇·▲                |            |     so lookback + horizon − 1 steps lie between the last
       |                        |▇▇▇·▲           |            |     target of one part and the first one of the next
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from .dataspec import SAMPLE_PREFIX, DataSpec
from .parts import PART_NAMES
from .sample import ATTRIBUTION
from .scaling import LinearScaler
from .windows import Windows, target_rows


@dataclass(frozen=True, eq=False)
class Part:
    """Training, validation or test part.

    Attributes:
        name: ``train``, ``val`` or ``test``.
        windows: n of them.
        y: (n, n_outputs) float32, scaled.
        origins: (n,) int64, row of the series in which the last lookback step lies (the time of the forecast); None
            for foreign arrays.
    """

    name: str
    windows: Windows
    y: np.ndarray
    origins: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Dataset:
    """Windows, targets and the way back to the unit of the target.

    Attributes:
        spec: what it was made of; for prepared arrays the specification of their series, with the folder as its path.
        kind: ``series`` or ``arrays``.
        train: training part.
        val: validation part.
        test: test part.
        x_scaler: of the features; None where unknown.
        y_scaler: of the target; None where unknown, then everything is in `scaled units`.
        unit: of `target`, `to_units` and `observed`.
        capacity: of the plant in `unit`.
        feature_names: in the order of the last axis of a window.
        lookback: steps in a window.
        n_features: of a step.
        n_outputs: of a forecast.
        steps_ahead: from the origin to each output; () for foreign arrays, which do not say.
        target: (n_rows,) float64 in `unit`, NaN in gaps; None for foreign arrays.
        times: (n_rows,) datetime64[ns] UTC; None for foreign arrays.
        step_seconds: between two rows; None for foreign arrays.
        fingerprint: SHA-256 of the bytes and of the specification.
        counts: rows, rows_missing, target_missing, windows_left_out and the same a part.
        notes: sentences that a reader of the results should know.
        whole: specification of the data set of which this one is a part or a variant; None: its own.
        everything: whether the training part is all that lies before the test part.
    """

    spec: DataSpec
    kind: Literal["series", "arrays"]
    train: Part
    val: Part
    test: Part
    x_scaler: LinearScaler | None
    y_scaler: LinearScaler | None
    unit: str
    capacity: float | None
    feature_names: tuple[str, ...]
    lookback: int
    n_features: int
    n_outputs: int
    steps_ahead: tuple[int, ...]
    target: np.ndarray | None
    times: np.ndarray | None
    step_seconds: float | None
    fingerprint: str
    counts: dict[str, int]
    notes: tuple[str, ...] = ()
    whole: DataSpec | None = None
    everything: bool = False

    def part(self, name: str) -> Part:
        """The part called ``train``, ``val`` or ``test``.

        Raises:
            KeyError: another name.
        """
        return {"train": self.train, "val": self.val, "test": self.test}[name]

    def to_units(self, scaled: np.ndarray) -> np.ndarray:
        """(n, n_outputs) scaled → (n, n_outputs) float64 in `unit`."""
        if self.y_scaler is None:
            return np.asarray(scaled, dtype=np.float64)
        return self.y_scaler.inverse(scaled)

    def observed(self, part: Part) -> np.ndarray:
        """(n, n_outputs) float64 in `unit`: what happened."""
        if self.target is None or part.origins is None:
            return self.to_units(part.y)
        return np.asarray(self.target[target_rows(part.origins, self.steps_ahead)])

    def target_times(self, part: Part) -> np.ndarray | None:
        """(n, n_outputs) datetime64[ns] UTC; None for foreign arrays."""
        if self.times is None or part.origins is None:
            return None
        return np.asarray(self.times[target_rows(part.origins, self.steps_ahead)])

    def describe(self) -> dict[str, object]:
        """What a report and a bundle say about the data; goes into JSON as it is."""
        sample = self.spec.path.removeprefix(SAMPLE_PREFIX) if self.spec.path.startswith(SAMPLE_PREFIX) else None
        return {
            "kind": self.kind,
            "source": self.spec.path if sample is not None else Path(self.spec.path).name,
            "attribution": None if sample is None else ATTRIBUTION[sample],
            "fingerprint": self.fingerprint,
            "target": self.spec.target,
            "unit": self.unit,
            "capacity": self.capacity,
            "feature_names": list(self.feature_names),
            "lookback": self.lookback,
            "steps_ahead": list(self.steps_ahead),
            "n_outputs": self.n_outputs,
            "step_seconds": self.step_seconds,
            "parts": {name: self._describe_part(self.part(name)) for name in PART_NAMES},
            "counts": dict(self.counts),
            "notes": list(self.notes),
        }

    def _describe_part(self, part: Part) -> dict[str, object]:
        times = self.target_times(part)
        known = times is not None and times.size > 0
        first, last = (str(times.min()), str(times.max())) if known and times is not None else (None, None)
        return {"windows": len(part.windows), "first_target": first, "last_target": last}
