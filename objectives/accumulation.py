"""Several small batches to one step of the optimiser, for a batch that memory does not hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..storage.mistakes import Mistake

if TYPE_CHECKING:
    import keras


def accumulate_gradients(model: keras.Model, steps: int) -> None:
    """Makes a compiled model take one step of its optimiser after every `steps` batches, along their mean gradient.

    A batch of 16 with 2 steps then learns as a batch of 32 does. Not the same are: batch normalisation, which sees 16
    windows at a time; dropout, which is drawn for 16 at a time; a batch at the end of the epoch that is smaller, which
    counts as much as a whole one; and batches left over at the end of an epoch, which wait for the first ones of the
    next (after the last epoch they are lost). The learning rate is as it is; a schedule counts batches, not steps.

    Nothing is compiled anew, so that any loss, metric and optimiser stays as its builder made it: Keras reads the
    attribute when it builds the optimiser, which is when the training begins.

    Args:
        model: compiled and not trained yet.
        steps: batches to a step; 1 changes nothing.

    Raises:
        Mistake: if the optimiser has been used already, or was made with another number.
    """
    if steps == 1:
        return
    # Under `mixed_float16` Keras wraps the optimiser; the wrapper does not accumulate, what is in it does.
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    present = optimizer.gradient_accumulation_steps
    if present == steps:
        return
    if present:
        raise Mistake(
            f"'gradient_accumulation' must agree with the optimiser of the model; got {steps}, and the optimiser was"
            f" made with {present}. Leave one of the two out."
        )
    if optimizer.built:
        raise Mistake(
            f"'gradient_accumulation' must be set before a model is trained; got {steps} for a model whose optimiser"
            " is in use. Compile the model anew."
        )
    optimizer.gradient_accumulation_steps = steps
