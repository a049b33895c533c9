"""The norm of the gradient on a fixed batch, computed beside the training without touching it (R7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np


def gradient_norm_of(model: keras.Model, x: np.ndarray, y: np.ndarray) -> Callable[[], float]:
    """Prepares the computation of the gradient norm of a compiled model.

    The loss is the one that training minimises: with penalty, dropout and the batch's own statistics. All it changes
    (seeds, moving averages, metrics) is changed in a stateless scope and dropped, so a training is the same with and
    without.

    Args:
        model: a compiled model on the JAX or the TensorFlow backend.
        x: (n, lookback, n_features) the fixed batch, scaled.
        y: (n, n_outputs) its targets, scaled.

    Returns:
        a function that gives the global L2 norm over all trainable weights, for the weights the model has at that time.
    """
    inputs, targets = keras.ops.convert_to_tensor(x), keras.ops.convert_to_tensor(y)

    def loss_of(weights: list[Any], state: list[Any]) -> Any:
        mapping = [*zip(model.trainable_variables, weights, strict=True)]
        mapping += [*zip(model.non_trainable_variables, state, strict=True)]
        with keras.StatelessScope(state_mapping=mapping):
            predicted = model(inputs, training=True)
            return model.compute_loss(x=inputs, y=targets, y_pred=predicted, training=True)

    gradients_of = _differentiated(loss_of)

    def norm() -> float:
        weights = [variable.value for variable in model.trainable_variables]
        state = [variable.value for variable in model.non_trainable_variables]
        squares = [
            np.sum(np.square(keras.ops.convert_to_numpy(gradient), dtype=np.float64))
            for gradient in gradients_of(weights, state)
            if gradient is not None
        ]
        return float(np.sqrt(np.sum(squares)))

    return norm


def _differentiated(loss_of: Callable[..., Any]) -> Callable[..., Any]:
    if keras.backend.backend() == "jax":
        import jax

        compiled: Callable[..., Any] = jax.jit(jax.grad(loss_of))
        return compiled

    import tensorflow as tf

    def gradients_of(weights: list[Any], state: list[Any]) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(weights)
            loss = loss_of(weights, state)
        return tape.gradient(loss, weights)

    traced: Callable[..., Any] = tf.function(gradients_of)
    return traced
