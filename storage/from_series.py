"""A data set from a series: read, fit the scalers on the training rows, cut."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from .dataset import Dataset, Part
from .dataspec import DataError, DataSpec
from .digest import digest, fields_that_matter
from .features import feature_names, raw_matrix, scaled_matrix, unchanged_names
from .parts import PART_NAMES, borders, require_windows, select
from .scaling import LinearScaler
from .series import Series, read_series
from .table import read_table
from .windows import Windows, target_rows, whole_windows, window_view


class SeriesSource:
    """A series that was read and checked; see :class:`storage.source.Source`.

    Args:
        spec: what to make of it.
        file: CSV or Parquet.

    Raises:
        DataError: every mistake that can be seen, all at once.
    """

    def __init__(self, spec: DataSpec, file: Path) -> None:
        series = read_series(read_table(file), spec)
        self._spec, self._series = spec, series
        self._columns = tuple(series.columns)
        self._names = feature_names(spec, self._columns)
        self._target = series.columns[self._columns[0]]
        self._borders = borders(series.times, spec)
        _check_target(self._columns[0], self._target[: self._borders[0]])
        self._raw = raw_matrix(spec, series)
        self._fingerprint = digest([file], fields_that_matter(spec))
        self.dataset = self._parts()

    @property
    def n_samples(self) -> int:
        return len(self._samples)

    @property
    def sample_times(self) -> np.ndarray:
        return np.asarray(self._series.times[self._samples + self._spec.horizon])

    def fold(self, train: range, val: range) -> Dataset:
        origins = {"train": self._samples[train.start : train.stop], "val": self._samples[val.start : val.stop]}
        first, last = origins["train"][[0, -1]]
        rows = slice(first - self._spec.lookback + 1, last + self._spec.horizon + 1)
        return self._cut(rows, {**origins, "test": self._test}, {"rows": len(self._target)})

    def everything(self) -> Dataset:
        origins = {"train": self._samples, "val": self._samples[:0], "test": self._test}
        counts = {**self.dataset.counts, "windows_left_out_train": self._left_out, "windows_left_out_val": 0}
        counts["windows_left_out"] = sum(counts[f"windows_left_out_{name}"] for name in PART_NAMES)
        return replace(self._cut(slice(0, self._borders[1]), origins, counts), everything=True)

    def _parts(self) -> Dataset:
        spec, target = self._spec, self._target
        matrix = scaled_matrix(spec, self._columns, self._raw, self._x_scaler(slice(0, self._borders[0])))
        whole = whole_windows(matrix, spec.lookback)
        edges = (0, *self._borders, len(target))
        origins, counts = {}, _counts(self._series, target)
        found: list[str] = []
        for name, start, stop in zip(PART_NAMES, edges, edges[1:], strict=False):
            selection = select(whole, target, (start, stop), spec)
            gaps = {column: int(np.isnan(values[start:stop]).sum()) for column, values in self._series.columns.items()}
            found += require_windows(name, selection, gaps)
            origins[name] = selection.origins
            counts[f"windows_left_out_{name}"] = selection.left_out
        if found:
            raise DataError(found)
        counts["windows_left_out"] = sum(counts[f"windows_left_out_{name}"] for name in PART_NAMES)
        self._test = origins["test"]
        before_test = select(whole, target, (0, self._borders[1]), spec)
        self._samples, self._left_out = before_test.origins, before_test.left_out
        return self._cut(slice(0, self._borders[0]), origins, counts, matrix)

    def _x_scaler(self, rows: slice) -> LinearScaler:
        fixed = unchanged_names(self._spec, self._columns)
        return LinearScaler.fit(self._spec.scaling, self._names, self._raw[rows], fixed=fixed)

    def _cut(
        self, rows: slice, origins: dict[str, np.ndarray], counts: dict[str, int], matrix: np.ndarray | None = None
    ) -> Dataset:
        """The data set of these windows, its scalers fitted on these rows."""
        spec, series, target = self._spec, self._series, self._target
        x_scaler = self._x_scaler(rows)
        y_scaler = LinearScaler.fit(spec.scaling, self._columns[:1], target[rows, None])
        if matrix is None:
            matrix = scaled_matrix(spec, self._columns, self._raw, x_scaler)
        view = window_view(matrix, spec.lookback)
        parts = {}
        for name, chosen in origins.items():
            y = y_scaler.transform(target[target_rows(chosen, spec.steps_ahead)]).astype(np.float32)
            parts[name] = Part(name, Windows(view, chosen - spec.lookback + 1), y, chosen)
        return Dataset(
            spec=spec,
            kind="series",
            train=parts["train"],
            val=parts["val"],
            test=parts["test"],
            x_scaler=x_scaler,
            y_scaler=y_scaler,
            unit=spec.unit,
            capacity=spec.capacity,
            feature_names=self._names,
            lookback=spec.lookback,
            n_features=len(self._names),
            n_outputs=len(spec.steps_ahead),
            steps_ahead=spec.steps_ahead,
            target=target,
            times=series.times,
            step_seconds=series.step_seconds,
            fingerprint=self._fingerprint,
            counts=counts,
            notes=_notes(series),
        )


def _check_target(name: str, training: np.ndarray) -> None:
    known = training[~np.isnan(training)]
    if known.size == 0:
        raise DataError(
            f"The target '{name}' has no value in the training part. Choose another split or a longer series."
        )
    if known.min() == known.max():
        raise DataError(
            f"The target '{name}' must vary; in the training part it is always {known[0]:g}. There is nothing to "
            "learn: is it the right column?"
        )


def _counts(series: Series, target: np.ndarray) -> dict[str, int]:
    return {
        "rows": len(target),
        "rows_missing": series.rows_missing,
        "target_missing": int(np.isnan(target).sum()),
    }


def _notes(series: Series) -> tuple[str, ...]:
    if not series.columns_left_out:
        return ()
    return (f"Columns that are not numbers were left out: {', '.join(series.columns_left_out)}.",)
