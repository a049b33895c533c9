"""A learning rate that falls at the end, also in a training that was interrupted."""

from __future__ import annotations

from pathlib import Path

import keras
import pytest

from greentune.objectives.callbacks import Pruned
from greentune.objectives.checkpoint import Checkpointer
from greentune.objectives.decay import FLOOR, LinearDecay, factor
from greentune.objectives.runtime import set_seed
from greentune.objectives.training import FitResult, FitSettings, TrainingError, fit
from greentune.storage.dataset import Dataset
from greentune.storage.mistakes import Mistake

from .doubles import linear_model

SETTINGS = FitSettings(epochs=10, batch_size=16, seed=1, decay=0.4)


def trained(dataset: Dataset, settings: FitSettings = SETTINGS, **more: object) -> FitResult:
    set_seed(settings.seed)
    return fit(linear_model(dataset, learning_rate=0.2), dataset, settings, **more)  # type: ignore[arg-type]


def test_rate_stays_and_then_falls(tiny_dataset: Dataset) -> None:
    wanted = [1.0] * 7 + [0.75, 0.5, 0.25]
    assert [factor(epoch, 10, 0.4) for epoch in range(10)] == pytest.approx(wanted)
    assert trained(tiny_dataset).history["learning_rate"] == pytest.approx([0.2 * part for part in wanted])
    assert factor(99, 100, 1.0) == FLOOR


def test_training_that_goes_on_has_the_rates_of_one_that_was_never_interrupted(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    whole = trained(tiny_dataset)

    def interrupt(epoch: int, _values: dict[str, float]) -> None:
        if epoch == 8:
            raise Pruned(epoch, 0.0)

    first = Checkpointer(tmp_path / "a.npz", every=1, identity="x")
    with pytest.raises(Pruned):
        trained(tiny_dataset, listeners=(interrupt,), checkpointer=first)
    again = Checkpointer(tmp_path / "a.npz", every=1, identity="x")
    assert again.resume_from([tmp_path / "a.npz"]) == 8
    resumed = trained(tiny_dataset, checkpointer=again)
    assert resumed.history["learning_rate"] == whole.history["learning_rate"]
    assert resumed.history["val_mse"] == whole.history["val_mse"]


def test_two_ways_to_set_the_rate_are_refused() -> None:
    with pytest.raises(TrainingError, match="both set the learning rate"):
        FitSettings(epochs=1, batch_size=1, seed=0, decay=0.5, reduce_lr_patience=2)
    with pytest.raises(TrainingError, match="'decay' must be a number from 0 to 1"):
        FitSettings(epochs=1, batch_size=1, seed=0, decay=1.5)


def test_optimiser_with_a_schedule_of_its_own_is_refused(tiny_dataset: Dataset) -> None:
    model = linear_model(tiny_dataset)
    model.compile(keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)), loss="mse")
    with pytest.raises(Mistake, match=r"training\.decay = 0"):
        LinearDecay(model, epochs=2, share=0.5)


def test_last_epoch_is_kept_where_nothing_validates(tiny_dataset: Dataset) -> None:
    from dataclasses import replace

    from greentune.storage.source import without_validation

    settings = replace(SETTINGS, keep="last", monitor="mse")
    result = trained(without_validation(tiny_dataset), settings)
    assert result.best_epoch == 9
    assert result.best_value == result.history["mse"][9]
    assert not any(name.startswith("val_") for name in result.history)
