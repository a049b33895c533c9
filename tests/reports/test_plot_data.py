from __future__ import annotations

import numpy as np
import pytest

from greentune.reports.plot_data import curve_panels, legible_stretch, with_breaks

HISTORY = {
    "loss": [1.0, 0.5, 0.05],
    "val_loss": [1.2, 0.6, 0.3],
    "mse": [0.4, 0.2, 0.04],
    "val_mse": [0.5, 0.3, 0.2],
    "mae": [0.3, 0.2, 0.1],
    "val_mae": [0.4, 0.3, 0.2],
    "learning_rate": [1e-2, 1e-2, 5e-3],
    "seconds": [3.0, 0.5, 0.5],
    "gradient_norm": [2.0, 1.0, 0.5],
}


def test_four_panels_of_the_training() -> None:
    loss, mae, rate, norm = curve_panels(HISTORY)
    assert [panel.title for panel in (loss, mae, rate, norm)] == [
        "Loss",
        "Mean absolute error",
        "Learning rate",
        "Gradient norm",
    ]
    assert loss.lines[1].values.tolist() == HISTORY["val_loss"]
    assert rate.log
    assert norm.lines[0].values.tolist() == HISTORY["gradient_norm"]


def test_loss_axis_is_logarithmic_when_the_loss_falls_by_more_than_ten() -> None:
    assert curve_panels(HISTORY)[0].log
    assert not curve_panels({"loss": [1.0, 0.5]})[0].log


def test_squared_error_alone_is_drawn_only_where_a_penalty_hides_it() -> None:
    assert len(curve_panels(HISTORY)[0].lines) == 3
    assert len(curve_panels({**HISTORY, "val_mse": HISTORY["val_loss"]})[0].lines) == 2


def test_without_gradient_norms_the_panel_says_so_and_shows_seconds() -> None:
    panel = curve_panels({name: values for name, values in HISTORY.items() if name != "gradient_norm"})[3]
    assert panel.title == "Seconds an epoch"
    assert "not recorded" in panel.note
    assert panel.lines[0].values.tolist() == [3.0, 0.5, 0.5]


def test_empty_history_gives_empty_panels() -> None:
    assert all(panel.lines == () for panel in curve_panels({}))
    assert all(panel.lines == () for panel in curve_panels({name: [] for name in HISTORY}))


def test_stretch_is_as_good_as_the_whole() -> None:
    error = np.concatenate([np.full(300, 0.1), np.full(300, 1.0), np.full(300, 3.0)])
    whole = np.sqrt(np.mean(error**2))
    stretch = legible_stretch(error, np.zeros(900), None, None, n_rows=100)
    assert np.sqrt(np.mean(stretch.observed**2)) == pytest.approx(whole, rel=0.35)
    assert 300 < stretch.first + 100 < 700


def test_stretch_avoids_holes_in_time() -> None:
    times = np.arange(400).astype("datetime64[h]").astype("datetime64[ns]")
    times[200:] += np.timedelta64(500, "h")
    error = np.concatenate([np.zeros(150), np.ones(100), np.zeros(150)])
    stretch = legible_stretch(error, np.zeros(400), None, times, n_rows=100)
    assert stretch.times is not None
    assert stretch.times[-1] - stretch.times[0] == np.timedelta64(99, "h")


def test_short_part_is_shown_whole() -> None:
    stretch = legible_stretch(np.arange(5.0), np.arange(5.0), np.zeros(5), None)
    assert stretch.observed.size == 5
    assert stretch.persistence is not None


def test_empty_part_is_empty() -> None:
    assert legible_stretch(np.empty(0), np.empty(0), None, None).observed.size == 0


def test_line_is_broken_at_a_gap() -> None:
    times = np.array([0, 1, 2, 10, 11]).astype("datetime64[h]").astype("datetime64[ns]")
    broken, values = with_breaks(times, np.arange(5.0))
    assert np.isnan(values).tolist() == [False, False, False, True, False, False]
    assert (np.diff(broken) > np.timedelta64(0)).all()


def test_unbroken_line_stays_as_it_is() -> None:
    times = np.arange(5).astype("datetime64[h]").astype("datetime64[ns]")
    assert with_breaks(times, np.arange(5.0))[1].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
