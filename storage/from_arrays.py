"""A data set from ready arrays: those of the user, or those that `tune prepare` made of a series."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from .arrays import FILES, Arrays, read_arrays, read_trusted_scaler, scaler_path
from .dataset import Dataset, Part
from .dataspec import DataError, DataSpec
from .digest import digest
from .prepared import DESCRIPTION, SERIES_FILES, disagreements, is_prepared, read_prepared
from .scaling import LinearScaler
from .source import without_validation
from .windows import Windows

SCALED_UNITS = "scaled units"


class ArraySource:
    """A folder of arrays; see :class:`storage.source.Source`. They come scaled, whatever is cut out of them.

    Args:
        spec: what is known of them.
        folder: of the six arrays.

    Raises:
        DataError: every mistake that can be seen, all at once.
    """

    def __init__(self, spec: DataSpec, folder: Path) -> None:
        arrays = read_arrays(folder)
        if spec.mistakes():
            raise DataError(spec.mistakes())
        make = _prepared_dataset if is_prepared(folder) else _foreign_dataset
        self.dataset = make(spec, folder, arrays)

    @property
    def n_samples(self) -> int:
        return len(self.dataset.train.windows) + len(self.dataset.val.windows)

    @property
    def sample_times(self) -> np.ndarray | None:
        times = [self.dataset.target_times(part) for part in (self.dataset.train, self.dataset.val)]
        known = [part[:, -1] for part in times if part is not None]
        return np.concatenate(known) if len(known) == len(times) else None

    @cached_property
    def _samples(self) -> Part:
        """Training and validation part, one behind the other; a copy in memory."""
        train, val = self.dataset.train, self.dataset.val
        view = np.concatenate([train.windows.array(), val.windows.array()])
        origins = None
        if train.origins is not None and val.origins is not None:
            origins = np.concatenate([train.origins, val.origins])
        windows = Windows(view, np.arange(len(view), dtype=np.int64))
        return Part("train", windows, np.concatenate([train.y, val.y]), origins)

    def fold(self, train: range, val: range) -> Dataset:
        return replace(self.dataset, train=self._some("train", train), val=self._some("val", val))

    def everything(self) -> Dataset:
        return without_validation(replace(self.dataset, train=self._samples, everything=True))

    def _some(self, name: str, samples: range) -> Part:
        whole, chosen = self._samples, slice(samples.start, samples.stop)
        origins = None if whole.origins is None else whole.origins[chosen]
        return Part(name, replace(whole.windows, index=whole.windows.index[chosen]), whole.y[chosen], origins)


def arrays_fingerprint(spec: DataSpec, folder: Path) -> str:
    """The fingerprint of a folder of arrays, foreign or prepared.

    Raises:
        DataError: a file cannot be read, or `spec` contradicts what the arrays were prepared with.
    """
    resolved = _resolved(spec, read_prepared(folder).spec) if is_prepared(folder) else spec
    names = [*FILES, DESCRIPTION, *SERIES_FILES] if is_prepared(folder) else list(FILES)
    return digest([folder / name for name in names], {"unit": resolved.unit, "capacity": resolved.capacity})


def _foreign_dataset(spec: DataSpec, folder: Path, arrays: Arrays) -> Dataset:
    lookback, n_features = arrays.inputs["train"].shape[1:]
    if spec.lookback not in (lookback, DataSpec().lookback):
        raise DataError(
            f"`lookback` must be that of the arrays, {lookback}; got {spec.lookback}. Leave it out, or cut the "
            "windows again."
        )
    n_outputs = arrays.targets["train"].shape[1]
    y_scaler, notes = _foreign_scaler(spec, folder, n_outputs)
    return Dataset(
        spec=spec.model_copy(update={"lookback": lookback}),
        kind="arrays",
        train=_part(arrays, "train"),
        val=_part(arrays, "val"),
        test=_part(arrays, "test"),
        x_scaler=None,
        y_scaler=y_scaler,
        unit=SCALED_UNITS if y_scaler is None else spec.unit,
        capacity=None if y_scaler is None else spec.capacity,
        feature_names=tuple(f"feature_{number}" for number in range(1, n_features + 1)),
        lookback=lookback,
        n_features=n_features,
        n_outputs=n_outputs,
        steps_ahead=(),
        target=None,
        times=None,
        step_seconds=None,
        fingerprint=arrays_fingerprint(spec, folder),
        counts={},
        notes=(*_unused_fields(spec), *notes),
    )


def _prepared_dataset(spec: DataSpec, folder: Path, arrays: Arrays) -> Dataset:
    prepared = read_prepared(folder)
    resolved = _resolved(spec, prepared.spec)
    found = disagreements(prepared, arrays)
    if found:
        raise DataError(found)
    return Dataset(
        spec=resolved,
        kind="arrays",
        train=_part(arrays, "train", prepared.origins["train"]),
        val=_part(arrays, "val", prepared.origins["val"]),
        test=_part(arrays, "test", prepared.origins["test"]),
        x_scaler=prepared.x_scaler,
        y_scaler=prepared.y_scaler,
        unit=resolved.unit,
        capacity=resolved.capacity,
        feature_names=prepared.feature_names,
        lookback=resolved.lookback,
        n_features=len(prepared.feature_names),
        n_outputs=len(resolved.steps_ahead),
        steps_ahead=resolved.steps_ahead,
        target=prepared.target,
        times=prepared.times,
        step_seconds=prepared.step_seconds,
        fingerprint=arrays_fingerprint(spec, folder),
        counts=prepared.counts,
        notes=prepared.notes,
    )


def _part(arrays: Arrays, name: str, origins: np.ndarray | None = None) -> Part:
    inputs = arrays.inputs[name]
    return Part(name, Windows(inputs, np.arange(len(inputs), dtype=np.int64)), arrays.targets[name], origins)


def _foreign_scaler(spec: DataSpec, folder: Path, n_outputs: int) -> tuple[LinearScaler | None, tuple[str, ...]]:
    path = scaler_path(folder)
    if path is not None and spec.trust_scaler:
        return read_trusted_scaler(path, n_outputs), ()
    if path is not None:
        note = (
            f"{path.name} was found but not read, because a pickle may run any code: "
            f"set `trust_scaler` for metrics in {spec.unit}."
        )
        return None, (note,)
    if spec.trust_scaler:
        raise DataError(
            f"`trust_scaler` is set, but there is no scalers/y_train_scaler.pkl in {folder.name} or beside it."
        )
    return None, ("The arrays come without a scaler of y: metrics are in the arrays' own, scaled units.",)


def _resolved(given: DataSpec, stored: DataSpec) -> DataSpec:
    """The specification of prepared arrays; what the user says must be the default or what they were made with.

    Raises:
        DataError: a field says something else. The capacity may: it only serves to express errors.
    """
    default = DataSpec()
    found = []
    for name in DataSpec.model_fields:
        value = getattr(given, name)
        if name not in ("path", "capacity", "trust_scaler", "feature_groups") and value not in (
            getattr(default, name),
            getattr(stored, name),
        ):
            found.append(
                f"The arrays were prepared with `{name}` = {getattr(stored, name)!r}; got {value!r}. Leave it out, or "
                "prepare them again."
            )
    if found:
        raise DataError(found)
    capacity = stored.capacity if given.capacity is None else given.capacity
    update = {"path": given.path, "capacity": capacity, "feature_groups": given.feature_groups}
    return stored.model_copy(update=update)


def _unused_fields(spec: DataSpec) -> tuple[str, ...]:
    default = DataSpec()
    used = ("path", "unit", "capacity", "trust_scaler", "lookback", "feature_groups")
    unused = [
        name for name in DataSpec.model_fields if name not in used and getattr(spec, name) != getattr(default, name)
    ]
    if not unused:
        return ()
    return (f"Ready arrays have no columns, times or split of ours: {', '.join(unused)} were not used.",)
