"""What stands twice: what is called a copy, what is not, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from greentune.objectives.audit import audit
from greentune.objectives.audit_copies import changes, copies, repeated
from greentune.objectives.audit_rows import Rows
from greentune.objectives.finding import Finding

from . import planted
from .planted import Made, foreign, series, wind_frame, wind_series
from .planted_copies import Changed, copied, farm_folds, farm_series, folds_of_arrays

TO_TEST = (16000, 3000, 400)


def found_in(made: Made, folder: Path) -> Finding:
    one = made(folder)
    return audit(one.dataset, one.folds).findings[-1]


def rows_of(values: np.ndarray, run: np.ndarray | None = None) -> Rows:
    values = values.reshape(len(values), -1).astype(np.float32)
    return Rows(values, np.zeros(len(values), np.int64) if run is None else run, np.array([], np.int64))


def drawn(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(n)


@pytest.mark.parametrize(
    "within", [(), ((9000, 2000, 50),), ((9000, 2000, 400),), ((9000, 2000, 50), (5000, 2000, 50))]
)
def test_copies_within_training_do_not_hide_a_leak(within: tuple[tuple[int, int, int], ...], tmp_path: Path) -> None:
    found = found_in(farm_series(copied(TO_TEST, *within)), tmp_path)
    assert found.verdict == "leak"
    assert (
        "validation and test must not stand in an earlier part too; 400 of 5,221 do, 400 of them in" in found.sentence
    )
    assert "(test from 2015-10-29T17:00 UTC is training from 2014-05-06T01:00 UTC)" in found.sentence
    assert ("more stand twice in one part" in found.sentence) == bool(within)


def test_copies_within_training_are_named_and_no_leak(tmp_path: Path) -> None:
    found = found_in(farm_series(copied((9000, 2000, 50))), tmp_path)
    assert found.verdict == "suspicion"
    assert found.sentence.startswith(
        "Rows should stand in a series once; 50 stand twice in training, 50 of them in a row"
    )
    assert "(training from 2015-01-11T01:00 UTC is training from 2014-03-25T09:00 UTC)" in found.sentence


def test_fold_whose_border_lies_between_is_named(tmp_path: Path) -> None:
    found = found_in(farm_folds(copied((9000, 2000, 400))), tmp_path)
    assert found.verdict == "leak"
    assert found.sentence.startswith(
        "Fold 1: Rows of validation must not stand in an earlier part too; 400 of 3,732 do"
    )


def test_copy_within_every_part_of_a_fold_is_no_leak_of_folds(tmp_path: Path) -> None:
    found = found_in(farm_folds(copied((2400, 2000, 100))), tmp_path)
    assert found.verdict == "suspicion"
    assert "Fold" not in found.sentence


def test_fold_of_arrays_is_named(tmp_path: Path) -> None:
    def changed(values: np.ndarray) -> np.ndarray:
        copy = values.copy()
        copy[1500:1540] = values[300:340]
        return copy

    found = found_in(folds_of_arrays(foreign(changed=changed)), tmp_path)
    assert found.sentence.startswith("Fold 1: Rows of validation must not stand in an earlier part too; 40 of ")
    assert "(validation from row " in found.sentence


def test_validation_in_the_test_is_a_leak_as_well(tmp_path: Path) -> None:
    found = found_in(wind_series(copied((2800, 2300, 48))), tmp_path)
    assert "(test from 2015-04-27T16:00 UTC is validation from 2015-04-06T20:00 UTC)" in found.sentence


def test_what_stands_again_and_again_may_be_a_habit(tmp_path: Path) -> None:
    blocks: Changed = copied(*((start, 300, 48) for start in (1000, 3000, 5000, 7000, 16000)))
    found = found_in(farm_series(blocks), tmp_path)
    assert found.verdict == "suspicion"
    assert found.sentence.endswith("take them out where they are copies, and no habit of the plant.")


def test_passed_sentence_says_how_long_a_copy_must_be(tmp_path: Path) -> None:
    found = found_in(wind_series(copied((2300, 700, 10))), tmp_path)
    assert found.verdict == "passed"
    assert found.sentence.startswith("No stretch of 12 moving rows among ")


def test_coarse_numbers_are_unknown(tmp_path: Path) -> None:
    frame = wind_frame()[["time", "power"]].round(1)
    found = found_in(series(frame), tmp_path)
    assert found.verdict == "unknown"
    assert "too like each other" in found.sentence


def test_repeated_schedules_are_no_copies(tmp_path: Path) -> None:
    day, random = drawn(24), drawn(3000, 1)
    scheduled = np.repeat(drawn(125, 2) < 0.3, 24)
    power = np.where(scheduled, np.tile(day, 125), random)
    frame = pd.DataFrame({"time": planted.wind_frame()["time"], "power": power})
    assert found_in(series(frame), tmp_path).verdict == "unknown"


def test_copies_are_found_where_they_stand() -> None:
    values = drawn(1000)
    values[700:760] = values[200:260]
    found = copies(rows_of(values), np.ones(1000, dtype=bool))
    assert found is not None
    (one,) = found.stretches
    assert (one.first, one.again, one.n_rows, one.often, one.goes_on) == (200, 700, 60, False, False)
    assert found.least == 12


def test_copies_go_on_over_calms_and_missing_values() -> None:
    values = drawn(1000)
    values[210:220], values[230] = 0, np.nan
    values[700:760] = values[200:260]
    rows = rows_of(values)
    found = copies(rows, changes(rows.values, rows.run))
    assert found is not None
    assert [(one.first, one.again, one.n_rows) for one in found.stretches] == [(200, 700, 60)]


def test_calms_of_another_length_are_another_stretch() -> None:
    values = drawn(1000)
    values[209:216] = values[208]
    values[700:709], values[709:720], values[720:728] = values[200:209], values[208], values[216:224]
    rows = rows_of(values)
    found = copies(rows, changes(rows.values, rows.run))
    assert found is not None
    assert not found.stretches


def test_windows_that_overlap_after_breaks_are_neither_copies_nor_chance() -> None:
    values = drawn(1000)
    held = np.concatenate([values[max(start - 8, 0) : start + 100] for start in range(0, 1000, 100)])
    run = np.repeat(np.arange(10), [100, *[108] * 9])
    found = copies(rows_of(held, run), np.ones(len(held), dtype=bool))
    assert found is not None
    assert [one.goes_on for one in found.stretches] == [True] * 9
    assert found.least == 12


def test_part_that_stands_in_another_is_counted_from_its_own_start() -> None:
    before = rows_of(drawn(500))
    after = rows_of(np.concatenate([drawn(50, 3), before.values[100:150, 0]]))
    found = repeated(before, after)
    assert found is not None
    assert [(one.first, one.again, one.n_rows) for one in found] == [(100, 50, 50)]
