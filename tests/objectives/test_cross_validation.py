"""Folds × seeds → one number: every fit is a holdout of its own, and an interrupted trial goes on at its fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from greentune.objectives import cross_validation as module
from greentune.objectives.callbacks import Listener, Pruned
from greentune.objectives.checkpoint import Checkpointer
from greentune.objectives.cross_validation import CrossResult, Cut, Hooks, Score, by_fold, combine, cross_validate
from greentune.objectives.holdout import TrialResult, holdout
from greentune.objectives.training import FitSettings
from greentune.storage.dataset import Dataset
from greentune.storage.scaling import LinearScaler

from ..tiny import tiny_dataset as make_dataset

SETTINGS = FitSettings(epochs=3, batch_size=16, seed=3)
PARAMETERS = {"lstm_units": [2], "dropout_rate": 0.1, "l1": 0.0, "l2": 0.0, "learning_rate": 0.01}


def cuts(n: int = 2, *, fitted: Sequence[int] | None = None) -> list[Cut]:
    """Folds that differ in their data and in the step of their unit."""
    found = []
    for number in range(n):
        scale = LinearScaler("minmax", ("y",), np.array([0.0]), np.array([2.0 + number]))
        dataset = replace(make_dataset(seed=number), y_scaler=scale)
        found.append(Cut(number, dataset, number if fitted is None else fitted[number]))
    return found


def run(folds: Sequence[Cut], **more: object) -> CrossResult:
    return cross_validate("stacked_lstm", PARAMETERS, folds, SETTINGS, **more)  # type: ignore[arg-type]


def alone(dataset: Dataset, seed: int = 3) -> TrialResult:
    return holdout("stacked_lstm", PARAMETERS, dataset, replace(SETTINGS, seed=seed))


def test_number_is_the_mean_of_the_holdouts_of_all_folds_and_seeds() -> None:
    folds = cuts()
    result = run(folds, seeds=(3, 8))
    single = {(cut.number, seed): alone(cut.dataset, seed) for cut in folds for seed in (3, 8)}
    assert [(s.repeat, s.fold, s.seed) for s in result.scores] == [(0, 0, 3), (0, 1, 3), (1, 0, 8), (1, 1, 8)]
    for score in result.scores:
        assert score.values == single[score.fold, score.seed].values
        assert score.epochs == 3
    assert result.value == result.values["val_mse"]
    assert result.value == pytest.approx(np.mean([one.values["val_mse"] for one in single.values()]), rel=1e-12)
    squares = np.mean([one.values["val_rmse"] ** 2 for one in single.values()])
    assert result.values["val_rmse"] == pytest.approx(np.sqrt(squares), rel=1e-12)


def test_one_fold_is_the_holdout() -> None:
    (cut,) = cuts(1)
    result, single = run([cut]), alone(cut.dataset)
    assert result.value == single.fit.best_value
    assert result.values["val_rmse"] == pytest.approx(single.values["val_rmse"], rel=1e-15)
    assert result.best_epoch == single.fit.best_epoch


def test_another_seed_is_asked_for_and_may_be_refused() -> None:
    asked: list[float] = []

    def another(value: float) -> bool:
        asked.append(value)
        return len(asked) < 2

    result = run(cuts(1), seeds=(3, 4, 5), hooks=Hooks(another=another))
    assert [score.seed for score in result.scores] == [3, 4]
    assert asked[0] == result.scores[0].values["val_mse"]
    assert asked[1] == result.value


def test_model_of_an_earlier_fold_is_judged_without_training() -> None:
    first, second = cuts(2, fitted=(0, 0))
    told: list[tuple[int, int]] = []

    def listeners(place: int) -> Sequence[Listener]:
        return (lambda epoch, _values: told.append((place, epoch)),)

    result = run([first, second], hooks=Hooks(listeners=listeners))
    assert [score.epochs for score in result.scores] == [3, 0]
    assert told == [(0, 0), (0, 1), (0, 2), (1, 0)]
    model, part = alone(first.dataset).model, second.dataset.val
    errors = np.asarray(model.predict(part.windows.array(), verbose=0)) - part.y
    assert result.scores[1].values["val_mse"] == pytest.approx(float(np.mean(np.square(errors))), rel=1e-5)
    assert result.best_epoch == result.scores[0].best_epoch, "a fold without training says nothing on epochs"


def test_interrupted_trial_goes_on_at_its_fold_and_comes_to_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folds = cuts(3)
    whole = run(folds)
    trained: list[int] = []

    def checkpointer(place: int) -> Checkpointer:
        path = tmp_path / f"{place}.npz"
        made = Checkpointer(path, every=1, identity=f"fit {place}")
        made.resume_from([path])
        return made

    def interrupt(place: int) -> Sequence[Listener]:
        def listener(epoch: int, _values: dict[str, float]) -> None:
            trained.append(place)
            if (place, epoch) == (1, 1):
                raise Pruned(epoch, 0.0)

        return (listener,)

    with pytest.raises(Pruned):
        run(folds, hooks=Hooks(interrupt, checkpointer))
    assert trained == [0, 0, 0, 1, 1]
    trained.clear()
    again = run(folds, hooks=Hooks(lambda place: (lambda _e, _v: trained.append(place),), checkpointer))
    assert trained == [1, 1, 2, 2, 2], "the epoch whose listener raised was not kept; fold 0 is done"
    assert [s.values for s in again.scores] == [s.values for s in whole.scores]
    assert again.value == whole.value


def test_folds_are_combined_as_asked() -> None:
    assert combine([1.0, 2.0, 6.0], "mean") == 3.0
    assert combine([1.0, 2.0, 6.0], "median") == 2.0
    assert combine([1.0, 2.0, 6.0], "recent") == pytest.approx((1 + 4 + 18) / 6)


def test_repeats_count_once_a_fold() -> None:
    scores = [Score(fold, repeat, 0, {"val_mse": fold + repeat}, 0, 1, 0.0) for repeat in (0, 1) for fold in (0, 1)]
    assert by_fold(scores, "val_mse") == [0.5, 1.5]
    assert module.median_epoch([3, 9, 4]) == 4
