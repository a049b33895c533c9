"""Linear scaling that is fitted once, on training rows, and travels as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .dataspec import DataError

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

Kind = Literal["minmax", "standard"]


@dataclass(frozen=True, eq=False)
class LinearScaler:
    """z = (x − offset) / scale, column by column.

    Attributes:
        kind: what the numbers are: ``minmax`` minimum and range, ``standard`` mean and deviation.
        names: of the columns.
        offset: (n_columns,) float64, in the unit of each column.
        scale: (n_columns,) float64, never zero.
    """

    kind: Kind
    names: tuple[str, ...]
    offset: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, kind: Kind, names: Sequence[str], rows: np.ndarray, *, fixed: Sequence[str] = ()) -> LinearScaler:
        """Fit on rows of the training part.

        Args:
            kind: ``minmax`` or ``standard``.
            names: of the columns.
            rows: (n_rows, n_columns); NaN is ignored. A column that is constant (to 12 digits) gets scale 1, one
                without any value offset 0 and scale 1.
            fixed: columns that stay as they are, such as sine and cosine, whose range is known without looking.
        """
        n_columns = len(names)
        offset, scale = np.zeros(n_columns), np.ones(n_columns)
        for column, name in enumerate(names):
            values = np.asarray(rows[:, column], dtype=np.float64)
            values = values[~np.isnan(values)]
            if name in fixed or values.size == 0:
                continue
            offset[column] = values.min() if kind == "minmax" else values.mean()
            spread = np.ptp(values) if kind == "minmax" else values.std()
            # The deviation of equal numbers may be a rounding error away from zero, and its square may underflow.
            scale[column] = spread if spread > max(1e-12 * np.abs(values).max(), 1e-150) else 1.0
        return cls(kind, tuple(names), offset, scale)

    def transform(self, values: np.ndarray) -> np.ndarray:
        """(…, n_columns) in the columns' units → the same shape, float64, scaled; NaN stays NaN."""
        return np.asarray((np.asarray(values, dtype=np.float64) - self.offset) / self.scale)

    def inverse(self, scaled: np.ndarray) -> np.ndarray:
        """(…, n_columns) scaled → the same shape, float64, in the columns' units.

        A scaler of one column serves any number of outputs.
        """
        return np.asarray(np.asarray(scaled, dtype=np.float64) * self.scale + self.offset)

    def select(self, columns: np.ndarray) -> LinearScaler:
        """The scaler of some of the columns, in the order of these positions."""
        names = tuple(self.names[column] for column in columns)
        return LinearScaler(self.kind, names, self.offset[columns], self.scale[columns])

    def to_json(self) -> dict[str, Any]:
        """A dictionary for ``json.dump``; every number comes back to the last bit."""
        return {
            "kind": self.kind,
            "names": list(self.names),
            "offset": self.offset.tolist(),
            "scale": self.scale.tolist(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> LinearScaler:
        """The way back from `to_json`.

        Raises:
            DataError: the content does not describe a scaler.
        """
        try:
            kind, names = content["kind"], tuple(str(name) for name in content["names"])
            offset = np.asarray(content["offset"], dtype=np.float64)
            scale = np.asarray(content["scale"], dtype=np.float64)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                "A scaler in JSON must have kind, names, offset and scale, numbers in the last two."
            ) from error
        mistake = _mistake(kind, names, offset, scale)
        if mistake is not None:
            raise DataError(mistake)
        return cls(kind, names, offset, scale)

    def to_sklearn(self) -> BaseEstimator:
        """The same scaling as a fitted ``MinMaxScaler`` or ``StandardScaler``, for notebooks that expect one."""
        from sklearn.preprocessing import MinMaxScaler, StandardScaler

        scaler = MinMaxScaler() if self.kind == "minmax" else StandardScaler()
        scaler.n_features_in_ = len(self.names)
        scaler.n_samples_seen_ = 0
        if self.kind == "minmax":
            scaler.data_min_, scaler.data_max_ = self.offset.copy(), self.offset + self.scale
            scaler.data_range_ = self.scale.copy()
            scaler.scale_, scaler.min_ = 1 / self.scale, -self.offset / self.scale
        else:
            scaler.mean_, scaler.scale_, scaler.var_ = self.offset.copy(), self.scale.copy(), self.scale**2
        return scaler

    @classmethod
    def from_sklearn(cls, scaler: object, name: str) -> LinearScaler:
        """A fitted scikit-learn scaler as ours; it is linear whatever range it maps to.

        Raises:
            DataError: it is not a fitted ``MinMaxScaler`` or ``StandardScaler``.
        """
        scale = getattr(scaler, "scale_", None)
        if scale is not None and hasattr(scaler, "min_"):  # MinMaxScaler: z = x · scale_ + min_
            found = np.atleast_1d(np.asarray(scale, dtype=np.float64))
            kind: Kind = "minmax"
            offset, scale = -np.asarray(scaler.min_, dtype=np.float64) / found, 1 / found
        elif scale is not None and getattr(scaler, "mean_", None) is not None:
            kind, offset = "standard", np.asarray(scaler.mean_, dtype=np.float64)  # type: ignore[attr-defined]
        else:
            raise DataError(
                f"{name} must hold a fitted MinMaxScaler or StandardScaler; it holds {type(scaler).__name__}. "
                "Save another scaler, or go on without it (metrics are then in scaled units)."
            )
        offset, scale = np.atleast_1d(offset), np.atleast_1d(np.asarray(scale, dtype=np.float64))
        names = tuple(f"output_{number}" for number in range(1, offset.size + 1))
        mistake = _mistake(kind, names, offset, scale)
        if mistake is not None:
            raise DataError(f"{name}: {mistake}")
        return cls(kind, names, offset, scale)


def _mistake(kind: object, names: Sequence[str], offset: np.ndarray, scale: np.ndarray) -> str | None:
    if kind not in ("minmax", "standard"):
        return f"The kind of a scaler must be minmax or standard; got {kind!r}."
    if offset.shape != (len(names),) or scale.shape != (len(names),):
        return (
            f"A scaler needs an offset and a scale a column; got {len(names)} names, {offset.shape} and {scale.shape}."
        )
    if not (np.isfinite(offset).all() and np.isfinite(scale).all() and (scale != 0).all()):
        return "The offsets of a scaler must be finite and its scales finite and not zero."
    return None
