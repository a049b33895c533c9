"""One fit: history, best epoch, the callbacks of R4, and what ends it early."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from greentune.objectives import training
from greentune.objectives.callbacks import NonFinite, UnknownMetric
from greentune.objectives.epochs import EpochMonitor
from greentune.objectives.runtime import set_seed
from greentune.objectives.training import FitResult, FitSettings, TrainingError, fit
from greentune.storage.dataset import Dataset

from ..tiny import tiny_dataset as make_dataset
from .doubles import linear_model


def settings(**changes: Any) -> FitSettings:
    return FitSettings(**{"epochs": 3, "batch_size": 16, "seed": 1, **changes})


def train(dataset: Dataset, listeners: Any = (), model: dict[str, Any] | None = None, **changes: Any) -> FitResult:
    set_seed(1)
    return fit(linear_model(dataset, **(model or {})), dataset, settings(**changes), listeners)


class Stop(Exception):
    pass


def without_clock(result: FitResult) -> dict[str, list[float]]:
    return {name: values for name, values in result.history.items() if name != "seconds"}


def test_the_history_has_every_value_of_every_epoch(tiny_dataset: Dataset) -> None:
    result = train(tiny_dataset)

    metrics = {"loss", "mse", "mae", "val_loss", "val_mse", "val_mae"}
    assert set(result.history) == metrics | {"learning_rate", "seconds"}
    assert {len(values) for values in result.history.values()} == {3}
    assert all(type(value) is float for values in result.history.values() for value in values)
    assert result.stopped == "epochs"
    assert result.n_parameters == 4 * 3 + 1


def test_the_best_epoch_is_the_first_with_the_smallest_value(tiny_dataset: Dataset) -> None:
    # A step far too long: the error grows from epoch to epoch.
    result = train(tiny_dataset, model={"learning_rate": 0.6})

    assert (result.monitor, result.best_epoch) == ("val_mse", 0)
    assert result.best_value == result.history["val_mse"][0] == min(result.history["val_mse"])
    assert result.at_best("val_mae") == result.history["val_mae"][0]


def test_the_metrics_are_free_of_the_penalty_and_the_loss_is_not(tiny_dataset: Dataset) -> None:
    result = train(tiny_dataset, model={"penalty": 0.5})

    assert all(
        loss > mse + 0.01 for loss, mse in zip(result.history["val_loss"], result.history["val_mse"], strict=True)
    )


def test_the_model_ends_with_its_best_weights(tiny_dataset: Dataset) -> None:
    set_seed(1)
    model = linear_model(tiny_dataset, learning_rate=0.6)

    result = fit(model, tiny_dataset, settings())

    for kept, restored in zip(result.best_weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, restored)
    predicted = model.predict(tiny_dataset.val.windows.array(), verbose=0)
    assert np.mean((predicted - tiny_dataset.val.y) ** 2) == pytest.approx(result.best_value, rel=1e-5)


def test_listeners_hear_what_the_history_holds(tiny_dataset: Dataset) -> None:
    heard: list[tuple[int, dict[str, float]]] = []

    result = train(tiny_dataset, [lambda epoch, values: heard.append((epoch, values))])

    assert [epoch for epoch, _ in heard] == [0, 1, 2]
    assert {name: [values[name] for _, values in heard] for name in heard[0][1]} == result.history


def test_a_listener_cannot_change_the_history(tiny_dataset: Dataset) -> None:
    result = train(tiny_dataset, [lambda _, values: values.clear()])

    assert len(result.history["loss"]) == 3


def test_what_a_listener_raises_comes_out_whole_and_the_best_weights_stay(tiny_dataset: Dataset) -> None:
    set_seed(1)
    model = linear_model(tiny_dataset, learning_rate=0.6)
    after_first: list[np.ndarray] = []

    def listener(epoch: int, values: dict[str, float]) -> None:
        if epoch == 0:
            after_first.extend(np.copy(weights) for weights in model.get_weights())
            return
        try:
            raise OSError("the database is away")
        except OSError as cause:
            raise Stop("enough") from cause

    with pytest.raises(Stop, match="enough") as caught:
        fit(model, tiny_dataset, settings(), [listener])

    # Keras cuts off the cause of what flies through it; greentune's storage looks at causes.
    assert isinstance(caught.value.__cause__, OSError)
    for best, restored in zip(after_first, model.get_weights(), strict=True):
        np.testing.assert_array_equal(best, restored)


def test_a_model_can_be_trained_again_after_a_listener_ended_it(tiny_dataset: Dataset) -> None:
    model = linear_model(tiny_dataset)

    def listener(epoch: int, values: dict[str, float]) -> None:
        raise Stop

    with pytest.raises(Stop):
        fit(model, tiny_dataset, settings(), [listener])

    assert len(fit(model, tiny_dataset, settings()).history["loss"]) == 3


def test_an_unknown_metric_is_told_after_the_first_epoch(tiny_dataset: Dataset) -> None:
    with pytest.raises(UnknownMetric, match=r"no metric 'val_mes'. Did you mean 'val_mse'\? Valid: .*val_loss"):
        train(tiny_dataset, monitor="val_mes", epochs=1000, patience=2, reduce_lr_patience=1)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_target_that_is_not_finite_fails_at_once(tiny_dataset: Dataset, bad: float) -> None:
    tiny_dataset.val.y[3, 0] = bad
    epochs: list[int] = []

    with pytest.raises(NonFinite) as caught:
        train(tiny_dataset, [lambda epoch, _: epochs.append(epoch)])

    failure = caught.value
    assert (failure.epoch, failure.metric.startswith("val_"), failure.reason) == (0, True, "nonfinite")
    assert not math.isfinite(failure.value)
    assert f"{failure.metric} became {failure.value} in epoch 0" in str(failure)
    assert epochs == []


def test_a_training_that_runs_away_is_nonfinite(tiny_dataset: Dataset) -> None:
    with pytest.raises(NonFinite):
        train(tiny_dataset, model={"learning_rate": 1e18}, epochs=50)


def test_patience_ends_a_training_that_gets_worse(tiny_dataset: Dataset) -> None:
    result = train(tiny_dataset, model={"learning_rate": 0.6}, epochs=20, patience=2)

    assert (result.stopped, result.best_epoch, len(result.history["loss"])) == ("patience", 0, 3)


def test_a_plateau_halves_the_learning_rate_of_the_next_epoch(tiny_dataset: Dataset) -> None:
    tiny_dataset.train.y[:] = 0.0
    result = train(tiny_dataset, model={"learning_rate": 0.0001}, epochs=5, reduce_lr_patience=2, min_lr=3e-5)

    # Next to nothing changes, so that Keras sees a plateau (by less than 1e-4) of two epochs.
    assert result.history["learning_rate"] == pytest.approx([1e-4, 1e-4, 1e-4, 5e-5, 5e-5])


def test_the_checkpoint_is_the_best_model(tiny_dataset: Dataset, tmp_path: Path) -> None:
    checkpoint = tmp_path / "best.keras"

    result = train(tiny_dataset, model={"learning_rate": 0.6}, checkpoint=checkpoint)

    for kept, saved in zip(result.best_weights, keras.saving.load_model(checkpoint).get_weights(), strict=True):
        np.testing.assert_array_equal(kept, saved)


def test_each_new_best_is_announced(tiny_dataset: Dataset, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="greentune.objectives"):
        result = train(tiny_dataset, model={"learning_rate": 0.6})

    assert [record.getMessage() for record in caplog.records] == [
        f"epoch 0: new best val_mse {result.best_value:.6g}",
    ]


def test_the_monitor_calls_its_base_initialiser() -> None:
    assert EpochMonitor("val_mse").params is None


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("batch_size", [16, 20])
def test_gathered_batches_give_the_bits_of_one_array(
    monkeypatch: pytest.MonkeyPatch, batch_size: int, *, shuffle: bool
) -> None:
    dataset = make_dataset(n_val=24)
    whole = train(dataset, batch_size=batch_size, shuffle=shuffle, model={"dropout": 0.3})
    monkeypatch.setattr(training, "IN_MEMORY_BYTES", 0)

    gathered = train(dataset, batch_size=batch_size, shuffle=shuffle, model={"dropout": 0.3})

    assert without_clock(gathered) == without_clock(whole)


def test_the_order_of_the_windows_changes_the_numbers(tiny_dataset: Dataset) -> None:
    assert train(tiny_dataset, shuffle=True).history["loss"] != train(tiny_dataset, shuffle=False).history["loss"]


def test_all_wrong_settings_come_at_once() -> None:
    with pytest.raises(TrainingError) as caught:
        FitSettings(
            epochs=0,
            batch_size=True,
            seed=-1,
            patience=0,
            reduce_lr_patience=1.5,  # type: ignore[arg-type]
            factor=1.0,
            min_lr=math.nan,
            checkpoint=Path("best.h5"),
        )

    named = [mistake.split("'")[1] for mistake in caught.value.mistakes]
    assert named == ["epochs", "batch_size", "patience", "reduce_lr_patience", "seed", "factor", "min_lr", "checkpoint"]
