from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from greentune.storage.dataspec import DataSpec
from greentune.storage.parts import select
from greentune.storage.windows import Windows, part_origins, target_rows, whole_windows, window_view


def numbered(n_rows: int, n_features: int = 2) -> np.ndarray:
    return np.arange(n_rows * n_features, dtype=np.float32).reshape(n_rows, n_features)


@given(n_rows=st.integers(1, 40), lookback=st.integers(1, 12), data=st.data())
def test_take_equals_slicing(n_rows: int, lookback: int, data: st.DataObject) -> None:
    matrix = numbered(n_rows)
    view = window_view(matrix, lookback)
    starts = data.draw(st.lists(st.integers(0, max(len(view) - 1, 0)), max_size=8, unique=True).map(sorted))
    starts = starts if len(view) else []
    windows = Windows(view, np.array(starts, dtype=np.int64))
    naive = [matrix[start : start + lookback] for start in starts]
    assert len(windows) == len(starts)
    assert windows.shape == (len(starts), lookback, 2)
    assert windows.nbytes == windows.array().nbytes
    for position, expected in enumerate(naive):
        np.testing.assert_array_equal(windows.take([position])[0], expected)
    if naive:
        np.testing.assert_array_equal(windows.array(), np.stack(naive))


def test_view_shares_the_matrix() -> None:
    matrix = numbered(50)
    assert np.shares_memory(window_view(matrix, 7), matrix)


def test_taken_windows_are_contiguous_copies_in_float32() -> None:
    matrix = numbered(50).astype(np.float64)
    taken = Windows(window_view(matrix, 7), np.arange(10)).take(np.array([3, 1]))
    assert taken.dtype == np.float32
    assert taken.flags.c_contiguous
    assert not np.shares_memory(taken, matrix)


def test_matrix_shorter_than_the_lookback_has_no_window() -> None:
    assert window_view(numbered(3), 4).shape == (0, 4, 2)
    assert whole_windows(numbered(3), 4).shape == (0,)


@given(
    sizes=st.tuples(*[st.integers(0, 25)] * 3),
    lookback=st.integers(1, 8),
    horizon=st.integers(1, 5),
)
def test_no_window_crosses_a_border(sizes: tuple[int, int, int], lookback: int, horizon: int) -> None:
    edges = np.concatenate([[0], np.cumsum(sizes)])
    touched: list[set[int]] = []
    for start, stop in pairwise(edges):
        origins = part_origins(int(start), int(stop), lookback, horizon)
        rows = {row for origin in origins for row in range(origin - lookback + 1, origin + horizon + 1)}
        assert len(origins) == max(0, stop - start - lookback - horizon + 1)
        assert rows <= set(range(start, stop))
        touched.append(rows)
    assert not (touched[0] & touched[1] | touched[1] & touched[2])


def test_gap_between_parts_is_lookback_and_horizon() -> None:
    lookback, horizon = 5, 3
    last = target_rows(part_origins(0, 40, lookback, horizon), (horizon,)).max()
    first = target_rows(part_origins(40, 80, lookback, horizon), (horizon,)).min()
    assert first - last - 1 == lookback + horizon - 1


@given(
    gaps=st.sets(st.integers(0, 29), max_size=6),
    target_gaps=st.sets(st.integers(0, 29), max_size=4),
    lookback=st.integers(1, 6),
    horizon=st.integers(1, 4),
    outputs=st.sampled_from(["last", "all"]),
)
def test_windows_that_touch_a_gap_are_left_out_and_counted(
    gaps: set[int], target_gaps: set[int], lookback: int, horizon: int, outputs: str
) -> None:
    spec = DataSpec(lookback=lookback, horizon=horizon, outputs=outputs)
    matrix, target = numbered(30), np.arange(30.0)
    matrix[list(gaps), 1] = np.nan
    target[list(target_gaps)] = np.nan
    selection = select(whole_windows(matrix, lookback), target, (0, 30), spec)
    expected = [
        origin
        for origin in range(lookback - 1, 30 - horizon)
        if not gaps & set(range(origin - lookback + 1, origin + 1))
        and not target_gaps & {origin + step for step in spec.steps_ahead}
    ]
    assert selection.origins.tolist() == expected
    assert selection.left_out == 30 - lookback - horizon + 1 - len(expected)
