from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from greentune.reports.forecast_file import KeptForecast, write_forecast
from greentune.tuning import records
from greentune.tuning.forecast_plots import figure, prepare, refresh_plots

HOUR = 3600
START = 1_704_067_200  # 2024-01-01T00:00Z


def kept(times: list[int], *, k: int = 1) -> KeptForecast:
    """The n-th observation is n, the forecast n + ½; columns before the last are far off."""
    values = np.arange(len(times) or 7, dtype=np.float32)[:, None] + np.arange(1 - k, 1, dtype=np.float32) * 100
    return KeptForecast(np.array(times, dtype=np.int64), values, values + np.float32(0.5), "MW")


def test_regular_hours_are_shown_as_they_are() -> None:
    curves = prepare(kept([START + hour * HOUR for hour in range(5)], k=3))
    assert (curves.start, curves.step, curves.timed, curves.unit) == (START, HOUR, True, "MW")
    assert curves.observed.tolist() == [0, 1, 2, 3, 4]
    assert curves.predicted.tolist() == [0.5, 1.5, 2.5, 3.5, 4.5]


def test_hole_in_time_becomes_a_hole_in_the_line() -> None:
    curves = prepare(kept([START + hour * HOUR for hour in (0, 1, 2, 5, 6)]))
    np.testing.assert_array_equal(curves.observed, [0, 1, 2, np.nan, np.nan, 3, 4])
    np.testing.assert_array_equal(curves.predicted - curves.observed, [0.5] * 3 + [np.nan] * 2 + [0.5] * 2)


def test_only_the_last_places_are_shown_and_time_ends_where_the_data_end() -> None:
    curves = prepare(kept([START + hour * HOUR for hour in range(1000)]), n_points=500)
    assert curves.observed.tolist() == list(range(500, 1000))
    assert curves.start == START + 500 * HOUR


def test_order_does_not_matter() -> None:
    curves = prepare(kept([START + hour * HOUR for hour in (2, 0, 1)]))
    assert curves.observed.tolist() == [1, 2, 0]


def test_without_times_windows_are_counted() -> None:
    curves = prepare(kept([]), n_points=3)
    assert (curves.start, curves.step, curves.timed) == (4, 1, False)
    assert curves.observed.tolist() == [4, 5, 6]


def test_one_forecast_is_one_point() -> None:
    curves = prepare(kept([START]))
    assert (curves.start, curves.observed.tolist()) == (START, [0])


def test_figure_is_json_with_a_date_axis_in_milliseconds_and_the_unit() -> None:
    drawn = figure(prepare(kept([START, START + HOUR, START + 3 * HOUR])), "No. 1 <b>")
    observed, forecast = drawn["data"]
    assert (observed["x0"], observed["dx"], drawn["layout"]["xaxis"]["type"]) == (START * 1000, HOUR * 1000, "date")
    assert (observed["name"], observed["y"]) == ("observed", [0, 1, None, 2])
    assert (forecast["name"], forecast["y"]) == ("forecast", [0.5, 1.5, None, 2.5])
    assert drawn["layout"]["yaxis"]["title"]["text"] == "MW"
    assert drawn["layout"]["title"]["text"] == "No. 1 &lt;b&gt;"
    assert json.loads(json.dumps(drawn, allow_nan=False)) == drawn


class Study:
    """A study whose trials keep forecasts; it counts what is written to the database."""

    def __init__(self, artifacts: Path) -> None:
        self.folder = artifacts / "forecasts"
        self.study = optuna.create_study()
        self.study.set_user_attr(records.ARTIFACTS, str(artifacts))

    def add(self, value: float, *, keeps: bool = True, **trial: Any) -> int:
        self.study.add_trial(optuna.trial.create_trial(value=value, **trial))
        number = len(self.study.trials) - 1
        if keeps:
            write_forecast(
                self.folder / f"trial-{number}.npz",
                times=np.arange(4) * HOUR,
                observed=np.full((4, 1), number),
                predicted=np.full((4, 1), number + 0.5),
                unit="MW",
            )
        return number

    def titles(self) -> list[str]:
        """Of the saved pictures, by their place."""
        from optuna_dashboard._custom_plot_data import get_plotly_graph_objects

        saved = get_plotly_graph_objects(self.study._storage.get_study_system_attrs(self.study._study_id))
        return [json.loads(text)["layout"]["title"]["text"] for _, text in sorted(saved.items())]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path)


def test_best_trials_that_kept_a_forecast_get_a_picture_each(study: Study) -> None:
    for value in (0.7, 0.1, 0.6, 0.2, 0.5, 0.3, 0.4):
        study.add(value, keeps=value != 0.1, user_attrs={"values": {"val_rmse": value * 10}})
    study.add(0.01, state=optuna.trial.TrialState.PRUNED)
    refresh_plots(study.study)
    assert study.titles() == [
        f"No. {rank}: trial {number}, validation RMSE {rmse} MW"
        for rank, number, rmse in (
            (1, 3, "2.0000"),
            (2, 5, "3.0000"),
            (3, 6, "4.0000"),
            (4, 4, "5.0000"),
            (5, 2, "6.0000"),
        )
    ]


def test_better_trial_takes_a_place_and_what_stands_is_not_written_again(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    save = study.study._storage.set_study_system_attr

    def watched(study_id: int, key: str, value: Any) -> None:
        written.append(key)
        save(study_id, key, value)

    study.add(0.5)
    study.add(0.4)
    refresh_plots(study.study)
    monkeypatch.setattr(study.study._storage, "set_study_system_attr", watched)
    refresh_plots(study.study)
    assert written == []
    study.add(0.45)
    refresh_plots(study.study)
    assert not [key for key in written if "forecast-1" in key]
    assert [text.split(",")[0] for text in study.titles()] == ["No. 1: trial 1", "No. 2: trial 2", "No. 3: trial 0"]


def test_damaged_file_is_said_and_costs_no_other_picture(study: Study, caplog: pytest.LogCaptureFixture) -> None:
    damaged, whole = study.add(0.1), study.add(0.2)
    (study.folder / f"trial-{damaged}.npz").write_bytes(b"broken")
    (study.folder / ".trial-7.npz.host-1").write_bytes(b"a draft")
    with caplog.at_level(logging.WARNING):
        refresh_plots(study.study)
    assert [text.split(",")[0] for text in study.titles()] == [f"No. 1: trial {whole}"]
    assert f"trial {damaged}" in caplog.text


@pytest.mark.parametrize("artifacts", [None, "", "relative", "/nowhere/at/all", 5])
def test_folder_that_cannot_be_seen_is_no_picture(study: Study, artifacts: object) -> None:
    study.add(0.1)
    study.study.set_user_attr(records.ARTIFACTS, artifacts)
    refresh_plots(study.study)
    assert study.titles() == []
