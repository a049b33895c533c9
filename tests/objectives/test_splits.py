from __future__ import annotations

import datetime
import doctest
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import TimeSeriesSplit

from greentune.objectives import splits
from greentune.objectives.splits import Fold, SplitError, documented, expanding, holdout, sliding
from greentune.storage.windows import part_origins, target_rows, whole_windows

Splitter = Callable[..., list[Fold]]
both = pytest.mark.parametrize("splitter", [expanding, sliding])

# How many folds, samples of a validation, step, gap, training samples of fold 0. The number of samples follows.
SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 9), st.integers(1, 12), st.integers(0, 9), st.integers(1, 20))
Shape = tuple[int, int, int, int, int]


def samples(shape: Shape) -> int:
    n_splits, size, step, gap, first = shape
    return first + gap + (n_splits - 1) * step + size


def cut(splitter: Splitter, shape: Shape, **others: Any) -> list[Fold]:
    n_splits, size, step, gap, _first = shape
    return splitter(samples(shape), n_splits=n_splits, validation_size=size, step=step, gap=gap, **others)


def trained(folds: list[Fold]) -> list[range]:
    return [fold.train for fold in folds]


def judged(folds: list[Fold]) -> list[range]:
    return [fold.val for fold in folds]


@st.composite
def calendars(draw: st.DrawFn) -> tuple[list[int], int]:
    """Borders, of which the last may be n, and n."""
    first, *lengths = draw(st.lists(st.integers(1, 9), min_size=2, max_size=15))
    borders = [int(border) for border in np.cumsum([first - 1, *lengths])]
    return borders, borders[-1] + draw(st.integers(0, 5))


def test_the_docstrings_hold() -> None:
    failed, tried = doctest.testmod(splits)
    assert (failed, tried >= 8) == (0, True)


# --- by samples


@given(SHAPES)
def test_expanding_trains_on_everything_before_a_gap_of_exactly_that_size(shape: Shape) -> None:
    folds = cut(expanding, shape)
    assert [fold.number for fold in folds] == list(range(shape[0]))
    for fold in folds:
        left_out = set(range(min(fold.val))) - set(fold.train)
        assert left_out == set(range(max(fold.train) + 1, min(fold.val)))
        assert len(left_out) == shape[3] == fold.gap


@both
@given(shape=SHAPES)
def test_validations_have_the_size_and_the_step_and_the_last_ends_the_samples(splitter: Splitter, shape: Shape) -> None:
    n_splits, size, step, gap, first = shape
    blocks = judged(cut(splitter, shape))
    assert [len(block) for block in blocks] == [size] * n_splits
    assert [after.start - before.start for before, after in pairwise(blocks)] == [step] * (n_splits - 1)
    assert (blocks[0].start, blocks[-1].stop) == (first + gap, samples(shape))


@both
@given(n_splits=st.integers(1, 6), size=st.integers(1, 9), gap=st.integers(0, 9), first=st.integers(1, 20))
def test_validations_of_the_default_step_tile_the_end(
    splitter: Splitter, n_splits: int, size: int, gap: int, first: int
) -> None:
    n = first + gap + n_splits * size
    blocks = judged(splitter(n, n_splits=n_splits, validation_size=size, gap=gap))
    assert [sample for block in blocks for sample in block] == list(range(n - n_splits * size, n))


@given(SHAPES, st.integers(1, 30))
def test_max_train_size_keeps_the_newest(shape: Shape, longest: int) -> None:
    whole, short = cut(expanding, shape), cut(expanding, shape, max_train_size=longest)
    assert [list(train) for train in trained(short)] == [list(train)[-longest:] for train in trained(whole)]
    assert judged(short) == judged(whole)


@given(SHAPES, st.data())
def test_sliding_trains_on_the_same_number_up_to_where_expanding_does(shape: Shape, data: st.DataObject) -> None:
    train_size = data.draw(st.none() | st.integers(1, shape[4]))
    whole, folds = cut(expanding, shape), cut(sliding, shape, train_size=train_size)
    assert {len(train) for train in trained(folds)} == {shape[4] if train_size is None else train_size}
    assert [train.stop for train in trained(folds)] == [train.stop for train in trained(whole)]
    assert judged(folds) == judged(whole)


@both
@given(shape=SHAPES, refit_every=st.integers(1, 7))
def test_refit_every_lets_the_model_of_an_earlier_fold_judge(
    splitter: Splitter, shape: Shape, refit_every: int
) -> None:
    always, folds = cut(splitter, shape), cut(splitter, shape, refit_every=refit_every)
    turns = [first for first in range(0, shape[0], refit_every) for _ in range(refit_every)]
    assert [fold.fitted for fold in always] == list(range(shape[0]))
    assert [fold.fitted for fold in folds] == turns[: shape[0]]
    assert trained(folds) == [always[fold.fitted].train for fold in folds]
    assert judged(folds) == judged(always)


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 9))
def test_holdout_is_the_last_samples(train: int, size: int, gap: int) -> None:
    folds = holdout(train + gap + size, validation_size=size, gap=gap)
    assert folds == [Fold(0, range(train), range(train + gap, train + gap + size), 0)]


@given(
    n=st.integers(1, 60),
    n_splits=st.integers(2, 8),
    size=st.none() | st.integers(1, 15),
    longest=st.none() | st.integers(1, 30),
    gap=st.integers(0, 12),
)
def test_expanding_agrees_with_scikit_learn_and_refuses_what_it_refuses(
    n: int, n_splits: int, size: int | None, longest: int | None, gap: int
) -> None:
    theirs = TimeSeriesSplit(n_splits, max_train_size=longest, test_size=size, gap=gap)
    try:
        expected = [(train.tolist(), val.tolist()) for train, val in theirs.split(np.zeros(n))]
    except ValueError:
        with pytest.raises(SplitError):
            expanding(n, n_splits=n_splits, validation_size=size, max_train_size=longest, gap=gap)
        return
    folds = expanding(n, n_splits=n_splits, validation_size=size, max_train_size=longest, gap=gap)
    assert [(list(fold.train), list(fold.val)) for fold in folds] == expected


@given(n=st.integers(0, 120), n_splits=st.integers(2, 7), gap=st.integers(0, 9))
def test_documented_folds_are_the_documented_slices_but_for_the_gap(n: int, n_splits: int, gap: int) -> None:
    order, size = list(range(n)), n // n_splits
    if size < 2 or gap >= size:
        with pytest.raises(SplitError, match="documented part"):
            documented(n, gap=gap, n_splits=n_splits)
        return
    folds = documented(n, gap=gap, n_splits=n_splits)
    assert len(folds) == n_splits - 1
    for fold in folds:
        border = (fold.number + 1) * size
        assert list(fold.train) == order[: border - gap]
        assert list(fold.val) == order[border : border + size // 2]
        assert fold.fitted == fold.number


# --- by the calendar


@both
@given(
    calendar=calendars(),
    n_splits=st.integers(1, 5),
    periods=st.integers(1, 3),
    step=st.none() | st.integers(1, 4),
    gap=st.integers(0, 6),
)
def test_validations_by_the_calendar_are_whole_periods_up_to_the_last_border(
    splitter: Splitter, calendar: tuple[list[int], int], n_splits: int, periods: int, step: int | None, gap: int
) -> None:
    borders, n = calendar
    apart = periods if step is None else step
    first = len(borders) - 1 - periods - (n_splits - 1) * apart
    if first < 0 or borders[first] <= gap:
        with pytest.raises(SplitError, match="whole periods"):
            splitter(n, n_splits=n_splits, validation_size=periods, step=step, gap=gap, borders=borders)
        return
    folds = splitter(n, n_splits=n_splits, validation_size=periods, step=step, gap=gap, borders=borders)
    begun = [borders.index(block.start) for block in judged(folds)]
    assert [borders.index(block.stop) for block in judged(folds)] == [at + periods for at in begun]
    assert [after - before for before, after in pairwise(begun)] == [apart] * (n_splits - 1)
    assert folds[-1].val.stop == borders[-1]
    room = [fold.val.start - gap for fold in folds]
    assert [train.stop for train in trained(folds)] == room
    assert [len(train) for train in trained(folds)] == (room if splitter is expanding else [room[0]] * n_splits)


def period_of(moment: datetime.datetime, period: splits.Period) -> tuple[int, int]:
    if period == "month":
        return moment.year, moment.month
    return moment.isocalendar()[:2] if period == "week" else (0, moment.toordinal())


@given(
    period=st.sampled_from(["month", "week", "day"]),
    first_hour=st.integers(0, 1800) | st.integers(0, 75).map(lambda day: 24 * day),
    hours=st.sampled_from([1, 3, 8, 24]),
    n=st.integers(2, 200),
    unit=st.sampled_from(["s", "ns"]),
    data=st.data(),
)
def test_period_starts_are_the_first_samples_of_each_calendar_period(
    period: splits.Period, first_hour: int, hours: int, n: int, unit: str, data: st.DataObject
) -> None:
    step = datetime.timedelta(hours=hours)
    start = datetime.datetime.fromisoformat("2015-12-20") + datetime.timedelta(hours=first_hour)
    # The first two samples stay, so that the step can be seen.
    lost = data.draw(st.sets(st.integers(2, n), max_size=n - 2))
    moments = [start + step * position for position in range(n) if position not in lost]
    labels = [period_of(moment, period) for moment in (start - step, *moments, moments[-1] + step)]
    expected = [position for position, (before, after) in enumerate(pairwise(labels)) if before != after]
    assert splits.period_starts(np.array(moments, dtype=f"datetime64[{unit}]"), period) == expected


@pytest.mark.parametrize(
    ("first", "last", "period", "expected"),
    [
        ("2024-01-03", "2024-01-17", "week", ["2024-01-08", "2024-01-15"]),  # Mondays
        ("2024-02-01", "2024-02-29", "month", ["2024-02-01", "2024-03-01"]),
        ("2024-02-02", "2024-02-28", "month", []),
        ("2024-02-01", "2024-02-01", "month", ["2024-02-01"]),
        ("2024-02-02", "2024-02-02", "month", []),
        ("2024-02-02", "2024-02-01", "month", []),  # no sample at all
    ],
)
def test_period_starts_at_the_ends(first: str, last: str, period: splits.Period, expected: list[str]) -> None:
    days = np.arange(np.datetime64(first), np.datetime64(last) + 1)
    starts = splits.period_starts(days, period)
    assert [str(np.datetime64(first) + start) for start in starts] == expected


def test_period_starts_know_no_period_without_a_sample() -> None:
    times = np.array(["2024-01-30", "2024-01-31", "2024-03-05", "2024-04-02"], dtype="datetime64[D]")
    assert splits.period_starts(times, "month") == [2, 3]


@pytest.mark.parametrize("times", [["2024-01-02", "2024-01-01"], ["2024-01-01", "2024-01-01"], ["2024-01-01", "NaT"]])
def test_period_starts_refuse_times_that_do_not_rise(times: list[str]) -> None:
    with pytest.raises(SplitError, match="in order of time"):
        splits.period_starts(np.array(times, dtype="datetime64[D]"), "day")


# --- in rows


def rows_of(origins: np.ndarray, picked: range, lookback: int, steps_ahead: tuple[int, ...]) -> set[int]:
    """Rows of inputs and targets of the picked windows."""
    chosen = origins[picked.start : picked.stop]
    inputs = chosen[:, None] - np.arange(lookback)
    return set(inputs.ravel().tolist()) | set(target_rows(chosen, steps_ahead).ravel().tolist())


@pytest.mark.parametrize(
    "splitter",
    [
        lambda n, gap: holdout(n, validation_size=3, gap=gap),
        lambda n, gap: expanding(n, n_splits=3, gap=gap, refit_every=2),
        lambda n, gap: sliding(n, n_splits=3, validation_size=5, step=2, gap=gap),
        lambda n, gap: sliding(n, n_splits=2, gap=gap, borders=[gap + 3, gap + 8, gap + 9]),
        lambda n, gap: documented(n, gap=gap, n_splits=3),
    ],
    ids=["holdout", "expanding", "sliding", "calendar", "documented"],
)
@given(holes=st.sets(st.integers(0, 99), max_size=3), lookback=st.integers(1, 5), horizon=st.integers(1, 3))
def test_no_row_of_a_validation_window_lies_in_a_training_window(
    splitter: Splitter, holes: set[int], lookback: int, horizon: int
) -> None:
    series = np.zeros(100)
    series[list(holes)] = np.nan
    steps_ahead = tuple(range(1, horizon + 1))
    origins = part_origins(0, 100, lookback, horizon)
    whole = whole_windows(series[:, None], lookback)[origins - lookback + 1]
    origins = origins[whole & ~np.isnan(series[target_rows(origins, steps_ahead)]).any(axis=1)]
    for fold in splitter(len(origins), splits.derived_gap(lookback, horizon)):
        learned = rows_of(origins, fold.train, lookback, steps_ahead)
        assert learned.isdisjoint(rows_of(origins, fold.val, lookback, steps_ahead))


@given(lookback=st.integers(1, 9), horizon=st.integers(1, 6))
def test_the_derived_gap_is_the_smallest_without_a_shared_row(lookback: int, horizon: int) -> None:
    origins = part_origins(0, 60, lookback, horizon)

    def shared(gap: int) -> set[int]:
        (fold,) = holdout(len(origins), validation_size=5, gap=gap)
        return rows_of(origins, fold.train, lookback, (horizon,)) & rows_of(origins, fold.val, lookback, (horizon,))

    gap = splits.derived_gap(lookback, horizon)
    assert shared(gap) == set()
    assert shared(gap - 1) == {origins[-5] - lookback + 1}


# --- refusals


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda: expanding(9, n_splits=0, step=-1, max_train_size=0, gap=-1, borders=[3, 3, 10]),
            {"borders": "3 after 3, 10", "n_splits": "0", "step": "-1", "max_train_size": "0", "gap": "-1"},
        ),
        (lambda: sliding(9, validation_size=0, refit_every=0), {"validation_size": "0", "refit_every": "0"}),
        (lambda: sliding(9, train_size=0), {"train_size": "0"}),
        (lambda: documented(9, n_splits=1, gap=-1), {"n_splits": "1", "gap": "-1"}),
        (lambda: splits.derived_gap(0, 0), {"lookback": "0", "horizon": "0"}),
    ],
    ids=["expanding", "sliding", "train_size", "documented", "derived_gap"],
)
def test_all_mistakes_are_said_at_once(call: Callable[[], object], said: dict[str, str]) -> None:
    with pytest.raises(SplitError) as caught:
        call()
    found = [re.findall(r"`(\w+)` must .*; got ([^.]+)\.", mistake)[0] for mistake in caught.value.mistakes]
    assert found == list(said.items())


@given(SHAPES)
def test_one_sample_too_few_is_refused(shape: Shape) -> None:
    n_splits, size, step, gap, train = shape
    n = samples(shape) - 1
    with pytest.raises(SplitError, match=rf"at least {gap + train} samples.* leave {gap + train - 1} of {n}"):
        sliding(n, n_splits=n_splits, validation_size=size, step=step, gap=gap, train_size=train)


@given(n=st.integers(9, 80), n_splits=st.integers(2, 8), size=st.none() | st.integers(1, 15), gap=st.integers(0, 30))
def test_the_way_out_is_the_largest_number_of_splits_that_fits(
    n: int, n_splits: int, size: int | None, gap: int
) -> None:
    def refusal(number: int) -> str:
        try:
            expanding(n, n_splits=number, validation_size=size, gap=gap)
        except SplitError as error:
            return str(error)
        return ""

    fitting = [number for number in range(1, n_splits) if not refusal(number)]
    way = f"n_splits={fitting[-1]}" if fitting else "a longer series"
    assert not refusal(n_splits) or f"Use {way}, smaller validations" in refusal(n_splits)


@pytest.mark.parametrize(("borders", "periods"), [([], 0), ([7], 0), ([3, 7], 1)])
def test_borders_that_are_too_few_are_refused(borders: list[int], periods: int) -> None:
    with pytest.raises(SplitError, match=rf"2 × 1 of {periods} whole periods"):
        expanding(14, n_splits=2, borders=borders)
