from __future__ import annotations

import doctest
import inspect
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greentune.objectives import fold_drawing
from greentune.objectives.fold_drawing import bar, draw
from greentune.objectives.splits import Fold, documented, expanding, holdout, period_starts, sliding

HOURS = np.datetime64("2013-01-01T03", "ns") + np.arange(14_873) * np.timedelta64(1, "h")


@st.composite
def single_folds(draw: st.DrawFn) -> tuple[Fold, int]:
    """A fold of any shape and n."""
    before, train, gap, val, after = (draw(st.integers(low, low + 2) | st.integers(low, 60)) for low in (0, 1, 0, 1, 0))
    stop = before + train
    fold = Fold(0, range(before, stop), range(stop + gap, stop + gap + val), 0)
    return fold, fold.val.stop + after


@given(single_folds())
def test_a_bar_with_a_column_a_sample_is_the_fold(case: tuple[Fold, int]) -> None:
    fold, n = case
    signs = bar(fold, n, n)
    assert [at for at, sign in enumerate(signs) if sign == "▇"] == list(fold.train)
    assert [at for at, sign in enumerate(signs) if sign == "▲"] == list(fold.val)
    assert signs.count("·") == fold.gap


@given(single_folds(), st.integers(3, 20) | st.integers(20, 100))
def test_a_bar_shows_whatever_has_a_sample_in_order(case: tuple[Fold, int], width: int) -> None:
    fold, n = case
    signs = bar(fold, n, width)
    assert re.fullmatch(r" *▇+·+▲+" if fold.gap else r" *▇+▲+", signs)
    assert len(signs) <= width


@given(single_folds(), st.integers(16, 100))
def test_a_bar_is_to_scale_within_three_columns(case: tuple[Fold, int], width: int) -> None:
    fold, n = case
    signs = bar(fold, n, width)
    ends = (signs.index("▇"), signs.rindex("▇") + 1, signs.index("▲"), len(signs))
    exact = np.array([fold.train.start, fold.train.stop, fold.val.start, fold.val.stop]) * width / n
    np.testing.assert_allclose(ends, exact, atol=3)


def test_draw_has_a_head_a_line_a_fold_and_a_legend() -> None:
    folds = expanding(14_873, gap=26)
    head, *lines, legend = draw(folds, 14_873)
    assert head.split() == ["train", "gap", "val"]
    for fold, line in zip(folds, lines, strict=True):
        assert line.split()[:5] == ["fold", str(fold.number), str(len(fold.train)), "26", "2478"]
    assert legend == "▇ training   · left out   ▲ validation   one column is about 201 of 14873 samples"


def test_draw_says_the_days_of_each_validation() -> None:
    folds = sliding(len(HOURS), n_splits=2, gap=26, borders=period_starts(HOURS, "month"))
    head, first, second, _legend = draw(folds, len(HOURS), times=HOURS)
    assert head.split() == ["train", "gap", "val", "validation"]
    assert "  2014-07-01 – 2014-07-31  " in first
    assert "  2014-08-01 – 2014-08-31  " in second


def test_draw_says_the_minutes_where_a_validation_is_within_a_day() -> None:
    (fold,) = holdout(len(HOURS), validation_size=4, gap=26)
    lines = draw([fold], len(HOURS), times=HOURS)
    assert f"  {str(HOURS[-4])[:16].replace('T', ' ')} – {str(HOURS[-1])[:16].replace('T', ' ')}  " in lines[1]


def test_draw_says_the_day_of_a_single_sample() -> None:
    days = np.arange("2024-01-01", "2024-02-01", dtype="datetime64[D]")
    assert "  2024-01-31 – 2024-01-31  " in draw(holdout(31, validation_size=1, gap=2), 31, times=days)[1]


def test_draw_names_the_fold_whose_model_judges_only_where_it_is_an_earlier_one() -> None:
    head, *lines, _legend = draw(expanding(60, n_splits=4, refit_every=2), 60)
    assert head.endswith("  model of")
    assert [re.findall(r"fold \d", line) for line in lines] == [
        ["fold 0", "fold 0"],
        ["fold 1", "fold 0"],
        ["fold 2", "fold 2"],
        ["fold 3", "fold 2"],
    ]
    assert "model" not in "".join(draw(expanding(60, n_splits=4), 60))


@pytest.mark.parametrize("times", [None, HOURS], ids=["no-times", "times"])
@pytest.mark.parametrize("width", [80, 100, 140])
def test_draw_fits_and_uses_the_width(width: int, times: np.ndarray | None) -> None:
    n = len(HOURS)
    months = period_starts(HOURS, "month")
    for folds in (
        expanding(n, gap=26),
        documented(n, gap=26),
        sliding(n, n_splits=12, gap=26, borders=months, refit_every=3)[:-1],
        holdout(n, validation_size=30, gap=26),
    ):
        lines = draw(folds, n, times=times, width=width)
        assert max(map(len, lines[:-1])) <= width
        assert len(lines[-1]) <= 100
    assert max(map(len, lines[:-1])) == width


def test_draw_lets_all_bars_begin_in_the_same_column() -> None:
    lines = draw(expanding(2000, n_splits=12, gap=3), 2000)[1:-1]
    assert len({line.index("▇") for line in lines}) == 1


def test_draw_keeps_a_bar_where_the_width_is_too_small() -> None:
    line = draw(expanding(2000, n_splits=3), 2000, width=10)[-2]
    assert len(line.split()[-1]) == 16


def test_draw_explains_no_sign_that_it_does_not_use() -> None:
    assert "left out" not in draw(expanding(60), 60)[-1]


def test_draw_of_no_folds_is_empty() -> None:
    assert draw([], 10) == []


def test_the_docstrings_hold() -> None:
    failed, tried = doctest.testmod(fold_drawing)
    assert (failed, tried >= 2) == (0, True)


@pytest.mark.parametrize(
    ("documentation", "folds"),
    [
        (Fold, expanding(12, n_splits=3, validation_size=2, gap=2, refit_every=2)),
        (holdout, holdout(12, validation_size=3, gap=2)),
        (
            expanding,
            [
                *expanding(12, n_splits=3, validation_size=2, gap=2),
                *expanding(14, n_splits=2, gap=1, borders=[2, 5, 8, 12]),
            ],
        ),
        (sliding, sliding(12, n_splits=3, validation_size=2, gap=2)),
        (documented, documented(20, gap=1)),
    ],
    ids=["Fold", "holdout", "expanding", "sliding", "documented"],
)
def test_the_docstrings_of_the_splitters_draw_what_comes_out(documentation: object, folds: list[Fold]) -> None:
    drawn = re.findall(r"fold \d  ([ ▇·▲]+▲)", inspect.getdoc(documentation) or "")
    assert drawn == [bar(fold, 20, 20) for fold in folds]
