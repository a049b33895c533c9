from __future__ import annotations

import numpy as np
import pytest

from greentune.reports.climatology import climatology


def hours(start: str, n: int) -> np.ndarray:
    return np.datetime64(start, "ns") + np.arange(n) * np.timedelta64(1, "h")


def test_mean_of_month_and_hour() -> None:
    times = hours("2024-01-01T00", 48)
    target = np.concatenate([np.arange(24.0), np.arange(24.0) + 10.0])
    usual, n_unseen = climatology(target, times, 48, hours("2025-01-20T00", 24)[:, None])
    assert usual[:, 0] == pytest.approx(np.arange(24.0) + 5.0)
    assert n_unseen == 0


def test_months_are_kept_apart() -> None:
    times = np.concatenate([hours("2024-01-31T00", 24), hours("2024-02-01T00", 24)])
    usual, _ = climatology(
        np.repeat([1.0, 3.0], 24), times, 48, np.array([["2025-01-05T06", "2025-02-05T06"]], "M8[ns]")
    )
    assert usual.tolist() == [[1.0, 3.0]]


def test_unseen_month_takes_the_mean_of_the_hour_and_is_counted() -> None:
    times = np.concatenate([hours("2024-01-31T00", 24), hours("2024-02-01T00", 24)])
    target = np.concatenate([np.arange(24.0), np.arange(24.0) + 2.0])
    wanted = np.array([["2024-06-01T05"], ["2024-02-01T05"]], "M8[ns]")
    usual, n_unseen = climatology(target, times, 48, wanted)
    assert usual.tolist() == [[6.0], [7.0]]
    assert n_unseen == 1


def test_unseen_hour_takes_the_mean_of_all() -> None:
    usual, n_unseen = climatology(
        np.array([1.0, 3.0]), hours("2024-01-01T00", 2), 2, hours("2024-01-01T09", 1)[:, None]
    )
    assert usual.tolist() == [[2.0]]
    assert n_unseen == 1


def test_later_rows_and_gaps_do_not_count() -> None:
    target = np.array([1.0, np.nan, 100.0])
    times = np.array(["2024-01-01T00", "2024-01-02T00", "2024-01-03T00"], "M8[ns]")
    assert climatology(target, times, 2, times[2:, None])[0].tolist() == [[1.0]]


def test_nothing_known_is_nan() -> None:
    assert np.isnan(
        climatology(np.full(3, np.nan), hours("2024-01-01T00", 3), 3, hours("2024-01-02T00", 2)[:, None])[0]
    ).all()


def test_parts_of_an_hour_belong_to_it() -> None:
    times = np.array(["2024-01-01T00:15", "2024-01-01T00:45", "2024-01-01T01:00"], "M8[ns]")
    assert climatology(np.array([1.0, 3.0, 50.0]), times, 3, times[:1, None])[0].tolist() == [[2.0]]
