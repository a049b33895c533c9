"""The gradient norm is the right one, and computing it changes nothing."""

from __future__ import annotations

import numpy as np
import pytest

from greentune.objectives.gradients import gradient_norm_of
from greentune.objectives.runtime import set_seed
from greentune.objectives.training import FitSettings, fit
from greentune.storage.dataset import Dataset

from .doubles import linear_model


def closed_form(weights: list[np.ndarray], x: np.ndarray, y: np.ndarray, penalty: float) -> float:
    """Norm of the gradient of mean((xW + b − y)²) + penalty · ΣW²."""
    kernel, bias = (array.astype(np.float64) for array in weights)
    flat = x.reshape(len(x), -1).astype(np.float64)
    error = flat @ kernel + bias - y
    by_kernel = 2.0 * flat.T @ error / error.size + 2.0 * penalty * kernel
    by_bias = 2.0 * error.sum(axis=0) / error.size
    return float(np.sqrt(np.sum(by_kernel**2) + np.sum(by_bias**2)))


@pytest.mark.parametrize("penalty", [0.0, 0.5])
def test_the_norm_of_a_linear_regression_is_the_closed_form(tiny_dataset: Dataset, penalty: float) -> None:
    model = linear_model(tiny_dataset, penalty=penalty)
    x, y = tiny_dataset.train.windows.array(), tiny_dataset.train.y
    norm = gradient_norm_of(model, x, y)

    assert norm() == pytest.approx(closed_form(model.get_weights(), x, y, penalty), rel=1e-5)
    model.set_weights([weights + 0.5 for weights in model.get_weights()])
    assert norm() == pytest.approx(closed_form(model.get_weights(), x, y, penalty), rel=1e-5)


def test_a_training_is_the_same_bits_with_and_without(tiny_dataset: Dataset) -> None:
    histories = []
    for wanted in (False, True):
        set_seed(5)
        model = linear_model(tiny_dataset, dropout=0.3, optimizer="adam")
        settings = FitSettings(epochs=3, batch_size=16, seed=5, gradient_norms=wanted)
        histories.append(fit(model, tiny_dataset, settings).history)
    without, with_norms = histories

    norms = with_norms.pop("gradient_norm")
    assert len(norms) == 3
    assert min(norms) > 0.0
    assert "gradient_norm" not in without
    for name in without.keys() - {"seconds"}:
        assert with_norms[name] == without[name], name
