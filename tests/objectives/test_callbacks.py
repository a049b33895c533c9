"""The pruning listener reports the very numbers, and gives up when told to."""

from __future__ import annotations

import pytest

from greentune.objectives import Pruned, PruningListener, UnknownMetric
from greentune.objectives.runtime import set_seed
from greentune.objectives.training import FitSettings, fit
from greentune.storage.dataset import Dataset

from .doubles import linear_model


class Trial:
    """Prunes at one step; remembers what it was told."""

    def __init__(self, prune_at: int | None = None) -> None:
        self.reported: list[tuple[int, float]] = []
        self._prune_at = prune_at

    def report(self, value: float, step: int) -> None:
        self.reported.append((step, value))

    def should_prune(self) -> bool:
        return self.reported[-1][0] == self._prune_at


def test_the_reported_numbers_are_those_of_the_result(tiny_dataset: Dataset) -> None:
    trial = Trial()
    set_seed(1)

    settings = FitSettings(epochs=3, batch_size=16, seed=1, monitor="val_mae")
    result = fit(linear_model(tiny_dataset), tiny_dataset, settings, [PruningListener(trial, "val_mae")])

    assert trial.reported == list(enumerate(result.history["val_mae"]))
    assert min(value for _, value in trial.reported) == result.best_value


def test_a_pruned_training_ends_with_that_epoch(tiny_dataset: Dataset) -> None:
    trial = Trial(prune_at=1)
    settings = FitSettings(epochs=50, batch_size=16, seed=1)

    with pytest.raises(Pruned) as caught:
        fit(linear_model(tiny_dataset), tiny_dataset, settings, [PruningListener(trial, "val_mse")])

    assert [step for step, _ in trial.reported] == [0, 1]
    assert (caught.value.epoch, caught.value.value) == trial.reported[-1]


def test_steps_of_a_second_fit_follow_on() -> None:
    trial = Trial()
    listener = PruningListener(trial, "val_mse", first_step=30)

    listener(2, {"val_mse": 0.5})

    assert trial.reported == [(32, 0.5)]


def test_a_metric_that_does_not_exist_is_a_mistake_and_not_a_warning() -> None:
    listener = PruningListener(Trial(), "val_mes")

    with pytest.raises(UnknownMetric, match=r"Did you mean 'val_mse'\? Valid: loss, val_mse."):
        listener(0, {"loss": 1.0, "val_mse": 1.0})
