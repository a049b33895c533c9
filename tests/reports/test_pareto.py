"""Several objectives on the page: a table of the front, a picture, what has to be said."""

from __future__ import annotations

import dataclasses
import io
import re
from typing import Any

import numpy as np
import pytest

from greentune.reports import plots
from greentune.reports.content import ReportContent
from greentune.reports.page import render
from greentune.reports.page_pareto import pareto
from greentune.reports.pareto import Judged, Pareto, panels

from .conftest import Trained
from .test_content import content_of

NAMES = ("val_mse", "n_params")


def judged(number: int, *values: float, front: bool = True, winner: bool = False, rmse: float | None = 0.0) -> Judged:
    known = values[0] * 80 if rmse == 0.0 else rmse
    return Judged(number, values, known, {"units": [number]}, front, winner)


FOUND = Pareto(
    NAMES,
    (judged(4, 0.010, 9000.0), judged(1, 0.011, 400.0, winner=True), judged(0, 0.012, 900.0, front=False)),
)


@pytest.fixture(scope="module")
def content(trained: Trained) -> ReportContent:
    plain = content_of(trained)
    assert plain.search is not None
    return content_of(trained, search=dataclasses.replace(plain.search, pareto=FOUND))


def section_of(content: ReportContent, **changes: Any) -> str:
    assert content.search is not None
    return pareto(dataclasses.replace(content, search=dataclasses.replace(content.search, **changes)))


def test_one_objective_has_no_section(trained: Trained) -> None:
    plain = content_of(trained)
    assert pareto(plain) == ""
    assert "pareto" not in plain.figures


def test_front_is_a_table_with_the_winner_marked_and_a_picture(content: ReportContent) -> None:
    page = render(content)
    section = page[page.index("<h2>Error against size and time") :]
    section = section[: section.index("</section>")]
    assert "Of 3 complete trials 2 lie on the Pareto front" in section
    assert content.figures["pareto"].startswith(b"\x89PNG")
    assert "data:image/png;base64," in section
    rows = re.findall(r'<tr[^>]*><th scope="row">([^<]*)</th>((?:<td>[^<]*</td>)*)', section)
    assert [name for name, _ in rows] == ["4", "1, winner"], "the third is not on the front"
    assert re.findall(r"<td>([^<]*)</td>", rows[1][1]) == ["0.880", "0.01100", "400", "[1]"]
    assert section.count('class="winner"') == 1
    assert "Latency" not in section


def test_latency_and_a_winner_beside_the_front_are_explained(content: ReportContent) -> None:
    trials = (judged(0, 0.01, 2.5), judged(1, 0.02, 3.5, front=False, winner=True))
    section = section_of(content, pareto=Pareto(("val_mse", "latency_ms"), trials))
    assert "that machine only" in section
    assert "was asked for" in section
    assert "1 lies on" in section


def test_trial_that_was_asked_for_is_no_winner(content: ReportContent) -> None:
    section = section_of(content, pareto=dataclasses.replace(FOUND, asked=True))
    assert "1, exported" in section
    assert "winner" not in section.replace('class="winner"', "")
    assert {panel.mark for panel in panels(FOUND, "MW")} == {"winner"}


def test_long_front_is_cut_and_says_so(content: ReportContent) -> None:
    many = tuple(judged(n, 0.01 + n / 1000, 900.0 - n) for n in range(40))
    assert "The 25 with the largest errors are left out" in section_of(content, pareto=Pareto(NAMES, many))


def test_panel_has_the_error_in_the_unit_and_a_wide_axis_is_logarithmic() -> None:
    (panel,) = panels(FOUND, "MW")
    assert (panel.y_label, panel.x_label, panel.line, panel.log) == ("validation RMSE (MW)", "weights", True, True)
    np.testing.assert_allclose(panel.y, [0.8, 0.88, 0.96])
    np.testing.assert_array_equal(panel.x, [9000, 400, 900])
    assert panel.front.tolist() == [True, True, False]


@pytest.mark.parametrize("rmse", [None, 0.1], ids=["unknown", "another-order"])
def test_panel_has_the_metric_where_the_unit_would_tell_another_story(rmse: float | None) -> None:
    trials = (judged(4, 0.010, 9000.0), judged(1, 0.011, 400.0, rmse=rmse))
    (panel,) = panels(Pareto(NAMES, trials), "MW")
    assert panel.y_label == "val_mse"
    np.testing.assert_allclose(panel.y, [0.010, 0.011])


def test_three_objectives_are_two_panels_without_a_line_and_are_drawn() -> None:
    found = Pareto((*NAMES, "latency_ms"), (judged(0, 0.1, 500.0, 1.5, winner=True), judged(1, 0.2, 400.0, 1.2)))
    both = panels(found, "MW")
    assert [panel.x_label for panel in both] == ["weights", "latency (ms)"]
    assert not any(panel.line for panel in both)
    stream = io.BytesIO()
    plots.pareto(both, stream)
    assert stream.getvalue().startswith(b"\x89PNG")
