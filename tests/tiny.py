"""A data set made by hand: small enough for a training in a blink, with a target that can be learnt."""

from __future__ import annotations

import numpy as np

from greentune.storage.dataset import Dataset, Part
from greentune.storage.dataspec import DataSpec
from greentune.storage.scaling import LinearScaler
from greentune.storage.windows import Windows

SCALE_MW = 8.0
OFFSET_MW = 1.0


def tiny_dataset(
    *, n_train: int = 48, n_val: int = 16, lookback: int = 4, n_features: int = 3, n_outputs: int = 1, seed: int = 0
) -> Dataset:
    """A data set of foreign arrays whose target is a sum over the newest step, plus a little noise.

    Args:
        n_train: training windows.
        n_val: validation windows, and as many for the test.
        lookback: steps in a window.
        n_features: of a step, in 0 … 1.
        n_outputs: of a forecast; output k is the sum divided by k + 1.
        seed: of the numbers.
    """
    random = np.random.default_rng(seed)

    def part(name: str, n: int) -> Part:
        view = random.random((n, lookback, n_features), dtype=np.float32)
        newest = view[:, -1, :].mean(axis=1, keepdims=True) + 0.01 * random.standard_normal((n, 1))
        y = (newest / np.arange(1, n_outputs + 1)).astype(np.float32)
        return Part(name=name, windows=Windows(view=view, index=np.arange(n, dtype=np.int64)), y=y, origins=None)

    return Dataset(
        spec=DataSpec(path="tiny", lookback=lookback, horizon=1),
        kind="arrays",
        train=part("train", n_train),
        val=part("val", n_val),
        test=part("test", n_val),
        x_scaler=None,
        y_scaler=LinearScaler("minmax", ("power_mw",), np.array([OFFSET_MW]), np.array([SCALE_MW])),
        unit="MW",
        capacity=10.0,
        feature_names=tuple(f"feature_{number}" for number in range(n_features)),
        lookback=lookback,
        n_features=n_features,
        n_outputs=n_outputs,
        steps_ahead=(),
        target=None,
        times=None,
        step_seconds=None,
        fingerprint="tiny",
        counts={},
    )
