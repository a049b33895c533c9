from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from greentune.reports.comparison import ComparisonTable, Entrant, TestWindows, compare_entrants, flat_rows
from greentune.reports.comparison_page import cells, head, in_two, render
from greentune.reports.significance import diebold_mariano, difference_interval, error_intervals, skill_interval

from .test_page import structure

N, BLOCK = 300, 10


def values(seed: int, size: float = 1.0, n_outputs: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, size, (N, n_outputs))


OBSERVED = values(0, 3.0)
LAST = OBSERVED + values(1, 2.0)
WINDOWS = TestWindows(observed=OBSERVED, persistence=LAST, unit="MW", block=BLOCK, longest_step=1)


def entrant(name: str, *errors: np.ndarray, **more: Any) -> Entrant:
    forecasts = {number: OBSERVED + error for number, error in enumerate(errors)}
    return Entrant(name, "stacked_lstm", forecasts, **more)


GOOD = entrant("good", values(2, 0.5), val_loss=0.3, val_mse=0.01, n_parameters=1234, parameters={"lstm_units": [3]})
WORSE = entrant("worse", values(3, 1.5))
PERSISTENCE = Entrant("persistence", None, {0: LAST})


def compared(*entrants: Entrant, windows: TestWindows = WINDOWS) -> ComparisonTable:
    return compare_entrants(entrants, [PERSISTENCE], windows)


def content_of(table: ComparisonTable, **more: Any) -> dict[str, Any]:
    return {
        "name": "small",
        "created": "today",
        **table.to_json(),
        "data": [["source", "wind.csv"]],
        "facts": ["All alike."],
        "problems": ["One failed."],
        "versions": {"greentune": "0"},
        **more,
    }


def test_one_seed_gives_the_figures_of_that_forecast() -> None:
    row = compared(GOOD, WORSE).rows[0]
    forecast = GOOD.forecasts[0]
    assert row.rmse == pytest.approx(math.sqrt(float(np.mean((forecast - OBSERVED) ** 2))))
    assert row.rmse_ci == error_intervals(OBSERVED, forecast, BLOCK)[0]
    assert row.skill_ci == skill_interval(OBSERVED, forecast, LAST, BLOCK)
    assert row.rmse_sd is None
    assert (row.val_loss, row.val_mse, row.n_parameters, row.n_seeds) == (0.3, 0.01, 1234, 1)


def test_rows_keep_their_order_and_the_others_are_held_against_the_best() -> None:
    table = compared(WORSE, GOOD)
    worse, good = table.rows
    assert table.best == "good"
    assert (good.behind, good.behind_ci, good.p_value) == (None, None, None)
    assert worse.rmse is not None
    assert good.rmse is not None
    assert worse.behind == pytest.approx(worse.rmse - good.rmse)
    assert worse.behind_ci == difference_interval(OBSERVED, WORSE.forecasts[0], GOOD.forecasts[0], BLOCK)
    assert worse.p_value == diebold_mariano(OBSERVED, GOOD.forecasts[0], WORSE.forecasts[0], 1).p_value
    assert "good has the smallest RMSE" in table.verdict
    assert "significantly worse: worse (p < 0.001)" in table.verdict
    assert "The best baseline, persistence, misses by" in table.verdict


def test_seeds_enter_as_a_mean_over_squared_errors_window_by_window() -> None:
    two = entrant("two", np.full((N, 1), 1.0), np.full((N, 1), 7.0))
    row = compared(two, WORSE).rows[0]
    assert row.rmse == pytest.approx(5.0), "√((1 + 49) / 2), not the 4 of the mean forecast or of the mean RMSE"
    assert row.rmse_ci == pytest.approx((5.0, 5.0)), "all windows alike: other windows would change nothing"
    assert row.rmse_sd == pytest.approx(math.sqrt(18.0))
    assert row.n_seeds == 2


def test_pairs_are_of_the_seeds_that_both_have() -> None:
    both = entrant("both", values(2, 0.5), values(4, 0.5))
    half = dataclasses.replace(entrant("half"), forecasts={1: OBSERVED + values(5, 3.0), 9: OBSERVED + 100.0})
    row = compared(both, half).rows[1]
    only = difference_interval(OBSERVED, half.forecasts[1], both.forecasts[1], BLOCK)
    assert row.behind_ci == only
    none = dataclasses.replace(half, forecasts={9: OBSERVED + 100.0})
    assert compared(both, none).rows[1].behind is None


def test_entry_without_a_training_has_a_line_without_figures() -> None:
    table = compared(GOOD, entrant("failed"))
    assert table.best == "good"
    assert table.rows[1].rmse is None
    assert table.rows[1].n_seeds == 0
    assert "–" in cells(dataclasses.asdict(table.rows[1]), table.to_json())


def test_forecast_that_is_not_finite_is_not_judged_by_its_good_hours() -> None:
    broken = entrant("broken", values(6, 0.001))
    broken.forecasts[0][3] = np.nan
    table = compared(broken, GOOD, WORSE)
    assert table.best == "good"
    assert (table.rows[0].rmse, table.rows[0].behind, table.rows[0].p_value) == (None, None, None)


def test_nothing_to_judge() -> None:
    table = compared(entrant("a"), entrant("b"))
    assert table.best is None
    assert "No entry" in table.verdict
    assert "Nothing could be compared" in render(content_of(table))


def test_baseline_is_judged_where_it_is_known_and_gaps_are_left_out() -> None:
    observed, last = OBSERVED.copy(), LAST.copy()
    observed[5], last[7:20] = np.nan, np.nan
    windows = dataclasses.replace(WINDOWS, observed=observed, persistence=last)
    table = compare_entrants([GOOD, WORSE], [Entrant("persistence", None, {0: last})], windows)
    known = np.isfinite(observed) & np.isfinite(last)
    assert table.references[0].rmse == pytest.approx(math.sqrt(float(np.mean((last - observed)[known] ** 2))))
    assert table.references[0].behind_ci is not None
    assert table.rows[0].skill_ci is not None


def test_few_windows_and_no_persistence_leave_out_what_cannot_be_known() -> None:
    few = TestWindows(observed=OBSERVED[:10], persistence=None, unit="MW", block=1, longest_step=1)
    cut = [dataclasses.replace(e, forecasts={0: e.forecasts[0][:10]}) for e in (GOOD, WORSE)]
    table = compare_entrants(cut, [], few)
    assert table.rows[1].behind is not None
    assert (table.rows[1].behind_ci, table.rows[1].p_value, table.rows[0].skill) == (None, None, None)
    assert "cannot be tested on these windows: worse" in table.verdict


def test_page_is_one_file_that_shows_every_line() -> None:
    page = render(content_of(compared(GOOD, WORSE)))
    seen = structure(page)
    assert "script" not in seen.tags
    assert all(address.startswith("data:image/png;base64,") for address in seen.fetched)
    text = " ".join(seen.text)
    for words in (
        "good",
        "worse",
        "persistence",
        "behind good (MW)",
        "1,234",
        "lstm_units = [3]",
        "One failed.",
        "Limits",
    ):
        assert words in text, words
    assert "± seeds" not in text, "one seed each"


def test_everything_from_outside_is_escaped() -> None:
    evil = "<script>alert('x')</script>&\""
    table = compared(
        dataclasses.replace(GOOD, name=evil, builder=evil, parameters={evil: evil}),
        WORSE,
        windows=dataclasses.replace(WINDOWS, unit=evil),
    )
    more = {"name": evil, "created": evil, "data": [[evil, evil]], "facts": [evil], "problems": [evil]}
    page = render(content_of(table, **more, versions={evil: evil}))
    assert "script" not in structure(page).tags
    assert "<script" not in page


def test_ensemble_shows_the_parameters_of_its_members() -> None:
    ensemble = dataclasses.replace(GOOD, parameters={"trial 0": {"lstm_units": [3]}, "trial 2": {"lstm_units": [5]}})
    text = "".join(structure(render(content_of(compared(ensemble, WORSE)))).text)
    assert "trial 0 (lstm_units = [3]), trial 2 (lstm_units = [5])" in text


def test_csv_has_a_line_each_with_both_ends_of_every_interval() -> None:
    rows = flat_rows(compared(GOOD, WORSE).to_json())
    assert [row["name"] for row in rows] == ["good", "worse", "persistence"]
    assert rows[0]["parameters"] == "lstm_units=[3]"
    assert rows[1]["behind_best_mw_low"] < rows[1]["behind_best_mw"] < rows[1]["behind_best_mw_high"]
    assert all(row.keys() == rows[0].keys() for row in rows)


def test_two_narrow_tables_hold_every_column_that_says_something() -> None:
    content = compared(entrant("a", values(2), values(3)), WORSE).to_json()
    lines = [cells(row, content) for row in (*content["rows"], *content["references"])]
    (errors, first), (differences, second) = in_two(head(content), lines)
    assert len(errors) + len(differences) == len(head(content)) + 1
    assert [line[0] for line in first] == [line[0] for line in second] == ["a", "worse", "persistence"]
