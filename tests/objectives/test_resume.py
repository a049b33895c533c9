"""A training that was interrupted and went on is the training that never was interrupted."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from greentune.objectives import resume, training
from greentune.objectives.callbacks import Pruned
from greentune.objectives.checkpoint import Checkpointer
from greentune.objectives.runtime import set_seed
from greentune.objectives.state import RandomState
from greentune.objectives.training import FitResult, FitSettings, fit
from greentune.storage.dataset import Dataset

from ..tiny import tiny_dataset as make_dataset
from .doubles import linear_model
from .resumed import EPOCHS, KILL_AFTER, Killed, told, trial

SETTINGS: dict[str, Any] = {"epochs": 12, "batch_size": 20, "seed": 1, "patience": 10, "reduce_lr_patience": 1}


def train(
    checkpointer: Checkpointer | None = None,
    *,
    until: int | None = None,
    heard: list[int] | None = None,
    **changes: Any,
) -> FitResult:
    """A linear regression with dropout and Adam; `until` is the epoch in which a listener ends it."""

    def listener(epoch: int, values: dict[str, float]) -> None:
        if heard is not None:
            heard.append(epoch)
        if epoch == until:
            raise Killed

    dataset = make_dataset()
    set_seed(1)
    model = linear_model(dataset, dropout=0.2, optimizer="adam", learning_rate=0.3)
    return fit(model, dataset, FitSettings(**{**SETTINGS, **changes}), [listener], checkpointer)


def new(path: Path, *, every: int = 1, identity: str = "it") -> Checkpointer:
    return Checkpointer(path, every=every, identity=identity)


def resumed(path: Path, **changes: Any) -> FitResult:
    """Killed after epoch 7, gone on in the same process, whose generators have moved meanwhile."""
    with pytest.raises(Killed):
        train(new(path), until=KILL_AFTER, **changes)
    np.random.random(99)  # noqa: NPY002
    checkpointer = new(path)
    assert checkpointer.resume_from([path]) == KILL_AFTER
    return train(checkpointer, **changes)


FITS: list[dict[str, Any]] = [
    {},
    {"shuffle": False},
    {"gradient_norms": True},
    # Three batches an epoch: half a step waits in the accumulators at the end of every other epoch.
    {"gradient_accumulation": 2},
    {"monitor": "val_mae", "reduce_lr_patience": None},
]


@pytest.mark.parametrize("changes", FITS, ids=str)
def test_a_resumed_training_has_the_bits_of_a_whole_one(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert told(resumed(tmp_path / "state.npz", **changes)) == told(train(**changes))


def test_so_has_one_whose_windows_are_gathered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "IN_MEMORY_BYTES", 0)

    assert told(resumed(tmp_path / "state.npz")) == told(train())


def test_the_reference_makes_use_of_the_callbacks() -> None:
    """Else equality would show little: the learning rate falls before the interruption and after it."""
    rates = train().history["learning_rate"]

    assert rates[0] > rates[KILL_AFTER] > rates[-1]


def forget_generators(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RandomState, "put_back", lambda self: None)


def forget_callbacks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(resume, "_REMEMBERED", {})


def forget_optimizer(patch: pytest.MonkeyPatch) -> None:
    zero_variables(patch, "adam")


def forget_seeds(patch: pytest.MonkeyPatch) -> None:
    zero_variables(patch, "seed")


def zero_variables(patch: pytest.MonkeyPatch, name: str) -> None:
    copies = resume._copies

    def zeroed(variables: list[keras.Variable]) -> list[np.ndarray]:
        return [array * (name not in v.path) for array, v in zip(copies(variables), variables, strict=True)]

    patch.setattr(resume, "_copies", zeroed)


@pytest.mark.parametrize("forget", [forget_generators, forget_callbacks, forget_optimizer, forget_seeds])
def test_every_part_of_the_state_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget: Any) -> None:
    whole = told(train())
    forget(monkeypatch)

    assert told(resumed(tmp_path / "state.npz")) != whole


def test_keeping_states_changes_nothing(tmp_path: Path) -> None:
    assert told(train(new(tmp_path / "state.npz"))) == told(train())


def test_listeners_hear_the_new_epochs_only_and_the_history_tells_the_old_ones(tmp_path: Path) -> None:
    whole = train()
    with pytest.raises(Killed):
        train(new(tmp_path / "state.npz"), until=KILL_AFTER)
    checkpointer, heard = new(tmp_path / "state.npz"), list[int]()
    checkpointer.resume_from([tmp_path / "state.npz"])

    before = checkpointer.history
    train(checkpointer, heard=heard)

    assert heard == list(range(KILL_AFTER, 12))
    assert list(before["val_mse"]) == whole.history["val_mse"][:KILL_AFTER]
    assert set(before) == set(whole.history)


def test_what_interrupts_between_two_writings_can_be_saved(tmp_path: Path) -> None:
    checkpointer = new(tmp_path / "state.npz", every=5)
    with pytest.raises(Killed):
        train(checkpointer, until=KILL_AFTER)
    assert new(tmp_path / "x.npz").resume_from([tmp_path / "state.npz"]) == 5

    assert checkpointer.save()

    again = new(tmp_path / "state.npz")
    assert again.resume_from([tmp_path / "state.npz"]) == KILL_AFTER
    assert told(train(again)) == told(train())


def test_an_interruption_amid_an_epoch_loses_that_epoch_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `save` writes is the end of the last epoch, not the weights of the moment."""
    checkpointer = new(tmp_path / "state.npz", every=100)
    dataset = make_dataset()
    set_seed(1)
    model = linear_model(dataset, dropout=0.2, optimizer="adam", learning_rate=0.3)
    steps = 0

    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
            nonlocal steps
            steps += 1
            if steps == 4 * 3 + 2:
                raise Killed

    documented = training._documented_callbacks
    monkeypatch.setattr(
        training, "_documented_callbacks", lambda settings, **more: [*documented(settings, **more), Interrupt()]
    )
    with pytest.raises(Killed):
        fit(model, dataset, FitSettings(**SETTINGS), (), checkpointer)
    monkeypatch.undo()
    assert checkpointer.save()

    again = new(tmp_path / "state.npz")
    assert again.resume_from([tmp_path / "state.npz"]) == 4
    assert told(train(again)) == told(train())


def test_it_can_be_interrupted_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    for until in (1, 2, 3, 6, 10):
        checkpointer = new(path)
        checkpointer.resume_from([path])
        with pytest.raises(Killed):
            train(checkpointer, until=until)

    last = new(path)
    assert last.resume_from([path]) == 10
    assert told(train(last)) == told(train())


@pytest.mark.parametrize(("changes", "stopped"), [({}, "epochs"), ({"patience": 2, "epochs": 50}, "patience")])
def test_a_finished_training_returns_at_once(tmp_path: Path, changes: dict[str, Any], stopped: str) -> None:
    first = train(new(tmp_path / "state.npz", every=1000), **changes)
    checkpointer, heard = new(tmp_path / "other.npz"), list[int]()

    assert checkpointer.resume_from([tmp_path / "state.npz"]) == len(first.history["loss"])
    again = train(checkpointer, heard=heard, **changes)

    assert (heard, again.stopped) == ([], stopped)
    assert told(again) == told(first)
    assert again.history == first.history


def test_a_pruned_training_ends_as_it_always_did(tmp_path: Path) -> None:
    def listener(epoch: int, values: dict[str, float]) -> None:
        if epoch == 3:
            raise Pruned(epoch, values["val_mse"])

    dataset = make_dataset()
    set_seed(1)
    model = linear_model(dataset)
    checkpointer = new(tmp_path / "state.npz")

    with pytest.raises(Pruned):
        fit(model, dataset, FitSettings(**SETTINGS), [listener], checkpointer)

    assert checkpointer.epochs_done == 3


def test_a_state_that_does_not_fit_the_model_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(Killed):
        train(new(tmp_path / "state.npz"), until=2)
    checkpointer = new(tmp_path / "state.npz")
    checkpointer.resume_from([tmp_path / "state.npz"])
    dataset = make_dataset(n_features=5)
    settings = FitSettings(epochs=3, batch_size=16, seed=1)

    def train_other(checkpointer: Checkpointer | None) -> FitResult:
        set_seed(1)
        return fit(linear_model(dataset, optimizer="adam"), dataset, settings, (), checkpointer)

    with caplog.at_level(logging.WARNING):
        result = train_other(checkpointer)

    assert ["does not fit this model" in record.getMessage() for record in caplog.records] == [True]
    assert told(result) == told(train_other(None))


def test_a_disk_that_fails_ends_no_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()

    result = train(new(tmp_path / "file" / "state.npz"))

    assert [record.levelname for record in caplog.records if record.levelno >= logging.WARNING] == ["WARNING"]
    assert told(result) == told(train())


def test_the_best_model_is_on_disk_after_a_resume(tmp_path: Path) -> None:
    best = tmp_path / "best.keras"
    with pytest.raises(Killed):
        train(new(tmp_path / "state.npz"), until=KILL_AFTER, checkpoint=best, reduce_lr_patience=None)
    best.unlink()
    checkpointer = new(tmp_path / "state.npz")
    checkpointer.resume_from([tmp_path / "state.npz"])

    result = train(checkpointer, checkpoint=best, reduce_lr_patience=None)

    assert told(result) == told(train(reduce_lr_patience=None))
    for kept, saved in zip(result.best_weights, keras.saving.load_model(best).get_weights(), strict=True):
        np.testing.assert_array_equal(kept, saved)


class Unbuilt(keras.Model):
    """Has no weights before it has seen a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.flat = keras.layers.Flatten()
        self.drop = keras.layers.Dropout(0.2)
        self.last = keras.layers.Dense(1)

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.last(self.drop(self.flat(inputs), training=training))


def test_a_model_that_is_built_by_its_first_batch_resumes(tiny_dataset: Dataset, tmp_path: Path) -> None:
    def run(checkpointer: Checkpointer | None, until: int | None = None) -> FitResult:
        def listener(epoch: int, values: dict[str, float]) -> None:
            if epoch == until:
                raise Killed

        set_seed(1)
        model = Unbuilt()
        model.compile(optimizer=keras.optimizers.Adam(0.1), loss="mse", metrics=["mse", "mae"])
        return fit(model, tiny_dataset, FitSettings(epochs=5, batch_size=20, seed=1), [listener], checkpointer)

    with pytest.raises(Killed):
        run(new(tmp_path / "state.npz"), until=2)
    checkpointer = new(tmp_path / "state.npz")
    assert checkpointer.resume_from([tmp_path / "state.npz"]) == 2

    assert told(run(checkpointer)) == told(run(None))


def test_a_whole_trial_of_a_builder_resumes(tmp_path: Path) -> None:
    whole = trial(None, precision="mixed_bfloat16")
    trial(tmp_path / "state.npz", ends=Killed(), precision="mixed_bfloat16")

    after = trial(tmp_path / "state.npz", precision="mixed_bfloat16")

    assert after.pop("heard") == list(range(KILL_AFTER, EPOCHS))
    del whole["heard"]
    assert after == whole
