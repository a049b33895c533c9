"""What Python gets back from a study, and finds again later."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from greentune.reports import Forecaster
from greentune.storage.mistakes import Mistake
from greentune.tuning import TuneResult, load_result, table, tune
from greentune.tuning.interrupts import Interrupts

from .test_warm_start import draw, opened
from .wind_farm import study_tables, write_series


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> TuneResult:
    """A study of two trials, tuned by a thread, as in a server or a notebook that goes on meanwhile."""
    folder = tmp_path_factory.mktemp("tuned")
    tables = study_tables(
        write_series(folder / "wind.csv"), parameters={}, space={"lstm_units": [[4], [4, 2]]}, training={"epochs": 1}
    )
    found: list[TuneResult] = []
    thread = threading.Thread(target=lambda: found.append(tune(tables, out=folder, workers=1, quiet=True)))
    thread.start()
    thread.join()
    (result,) = found
    return result


@pytest.mark.long
@pytest.mark.slow
def test_thread_may_tune_and_the_result_says_what_came_of_it(tuned: TuneResult) -> None:
    assert tuned.best is not None
    assert tuned.best["parameters"] in ({"lstm_units": [4]}, {"lstm_units": [4, 2]})
    assert tuned.metrics["rmse"] == tuned.to_json()["test"]["rmse"] > 0
    assert "test part" in repr(tuned)
    assert tuned._repr_html_().startswith("<pre>study    small: 2 done")


@pytest.mark.long
@pytest.mark.slow
def test_table_in_python_is_that_of_the_file_with_types_and_times(tuned: TuneResult) -> None:
    trials, written = tuned.trials, pd.read_csv(tuned.table)
    assert list(written.columns) == [name for name in trials.columns if name not in ("started", "ended")]
    assert written["val_mse"].tolist() == trials["val_mse"].tolist()
    assert sorted(trials["lstm_units"]) == [[4], [4, 2]]
    assert (trials["ended"] > trials["started"]).all()
    assert abs(trials["ended"].max() - datetime.now(UTC)) < timedelta(hours=1)
    assert trials["best_epoch"].tolist() == [1, 1]


@pytest.mark.long
@pytest.mark.slow
def test_forecaster_of_the_winner_forecasts(tuned: TuneResult) -> None:
    forecaster = tuned.forecaster()
    assert isinstance(forecaster, Forecaster)
    assert len(forecaster.predict(tuned.folder.parent / "wind.csv")) > 300


@pytest.mark.long
@pytest.mark.slow
def test_result_is_found_again_by_its_name(tuned: TuneResult) -> None:
    again = load_result("small", out=tuned.folder.parent)
    assert again.to_json() == tuned.to_json() | {"added": 0, "seconds": None}
    assert again.trials.equals(tuned.trials)
    assert load_result(out=tuned.folder.parent).spec == tuned.spec


def test_study_without_a_winner_says_so_and_what_to_do(tmp_path: Path) -> None:
    study = opened(tmp_path, "begun")
    nothing = load_result("begun", storage=tmp_path / "a.db", out=tmp_path)
    assert (nothing.best, nothing.metrics, len(nothing.trials)) == (None, {}, 0)
    draw(study, n=2)
    begun = load_result("begun", storage=tmp_path / "a.db", out=tmp_path)
    assert begun.best is not None
    assert begun.best["value"] == begun.best["parameters"]["dropout_rate"] == min(begun.trials["dropout_rate"])
    assert "No winner is delivered yet: tune export --study begun" in repr(begun)
    with pytest.raises(Mistake, match="tune export --study begun"):
        begun.forecaster()
    with pytest.raises(Mistake, match="Did you mean 'begun'"):
        load_result("begum", storage=tmp_path / "a.db")
    with pytest.raises(Mistake, match="There is no database"):
        load_result("begun", storage=tmp_path / "greentune.db")


def test_columns_keep_their_types_where_values_are_missing() -> None:
    when = datetime(2026, 1, 2, tzinfo=UTC)
    rows: list[dict[str, Any]] = [
        {"trial": 1, "units": [4], "n": 3, "rate": 1, "flag": True, "optimizer": "sgd", "ended": when},
        {"trial": 0, "units": [4, 2], "n": None, "rate": 0.5, "flag": None, "optimizer": None, "ended": None},
    ]
    frame = table.frame(rows)
    types = {name: str(kind) for name, kind in frame.dtypes.items()}
    assert types | {"units": "object"} == types
    assert (types["trial"], types["n"], types["rate"], types["flag"]) == ("int64", "Int64", "float64", "boolean")
    assert types["ended"].endswith(", UTC]")
    assert frame["n"].tolist() == [3, pd.NA]
    assert frame["units"].tolist() == [[4], [4, 2]]


def test_signals_are_counted_in_the_main_thread_and_no_matter_elsewhere() -> None:
    said: list[str] = []

    def look_after() -> None:
        with Interrupts(lambda: None).counted():
            said.append("worked")

    thread = threading.Thread(target=look_after)
    thread.start()
    thread.join()
    assert said == ["worked"]
