"""`tune compare`: entries trained on the same split and seeds, delivered studies side by side, and what is refused."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from greentune.storage.rdb import open_storage
from greentune.tuning import cli, records
from greentune.tuning.comparison_spec import DOCUMENTED, comparison_tables
from greentune.tuning.folds import longest
from greentune.tuning.point import prepared, resolved
from greentune.tuning.presets import with_preset
from greentune.tuning.queue import plan
from greentune.tuning.spec import SpecError, StudySpec, differences, parse_spec

from .wind_farm import tune, write_series

FILE = """
study = "small"
[data]
path = "wind.csv"
target = "power_mw"
lookback = 4
horizon = 2
[parameters]
lstm_units = [99]
[space]
dropout_rate = [0.1]
[training]
epochs = 1
[[compare]]
name = "<b>Plain</b>"
parameters = { lstm_units = [3], l1 = 0.0, l2 = 0.0 }
[[compare]]
name = "Far"
builder = "advanced_lstm"
parameters = { lstm_units = [2], dropout_rates = 0.0, dense_units = [3], batch_size = 16, lookback = 6 }
[[compare]]
name = "Broken"
parameters = { lstm_units = [2], optimizer = "sgd", learning_rate = 1e30 }
"""
PLAIN, FAR = "<b>Plain</b>", "Far"
BASELINES = ["persistence", "same_hour_yesterday", "seasonal_naive", "climatology", "gradient_boosting"]


def trials_of(folder: Path) -> list[FrozenTrial]:
    return optuna.load_study(study_name="small-compare", storage=open_storage(folder / "runs" / "greentune.db")).trials


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    """Three entries with one seed; then with two, after the model of one has been lost."""
    folder = tmp_path_factory.mktemp("compared")
    write_series(folder / "wind.csv")
    (folder / "study.toml").write_text(FILE)
    first = tune(folder, "compare", "--config", "study.toml", "--json")
    assert first.returncode == 0, first.stderr
    assert "Leak audit" in first.stderr
    assert "3 trainings to run" in first.stderr
    (lost,) = [t for t in trials_of(folder) if t.params["entry"] == FAR]
    (folder / "runs" / "small-compare" / "artifacts" / "models" / f"trial-{lost.number}.keras").unlink()
    second = tune(folder, "compare", "--config", "study.toml", "--seeds", "2", "--json")
    assert second.returncode == 0, second.stderr
    assert "3 trainings to run" in second.stderr
    assert "the model of Far with seed 0 is not kept here: it is trained again" in second.stderr
    return folder, json.loads(first.stdout), json.loads(second.stdout)


@pytest.mark.long
@pytest.mark.slow
def test_each_entry_is_trained_with_the_same_seeds(compared: tuple[Path, dict[str, Any], dict[str, Any]]) -> None:
    folder, _, second = compared
    complete = [t.params for t in trials_of(folder) if t.state is TrialState.COMPLETE]
    seeds = {name: sorted(p["seed"] for p in complete if p["entry"] == name) for name in (PLAIN, FAR)}
    assert seeds[PLAIN] == seeds[FAR] == sorted(second["seeds"])
    assert len(complete) == 4


@pytest.mark.long
@pytest.mark.slow
def test_table_has_all_figures_of_every_entry(compared: tuple[Path, dict[str, Any], dict[str, Any]]) -> None:
    folder, first, second = compared
    plain, far, broken = second["rows"]
    assert [row["name"] for row in second["rows"]] == [PLAIN, FAR, "Broken"]
    trials = {(t.params["entry"], t.params["seed"]): t for t in trials_of(folder) if t.state is TrialState.COMPLETE}
    for row in (plain, far):
        mine = [trial for (entry, _), trial in trials.items() if entry == row["name"]]
        assert row["val_loss"] == pytest.approx(np.mean([t.user_attrs["values"]["val_loss"] for t in mine]))
        assert row["n_parameters"] == mine[0].user_attrs["n_parameters"]
        assert row["rmse_ci"][0] < row["rmse"] < row["rmse_ci"][1]
        assert row["rmse_sd"] > 0
        assert row["skill"] < 1
        assert (row["behind"] is None) == (row["name"] == second["best"])
    assert far["builder"] == "advanced_lstm"
    assert [row["name"] for row in second["references"]] == BASELINES
    assert second["n_windows"] == first["n_windows"] > 30
    assert first["rows"][0]["n_seeds"] == 1
    assert (broken["rmse"], broken["n_seeds"]) == (None, 0)
    assert "The training of Broken with seed 0 failed (nonfinite); it is left out." in second["problems"]


@pytest.mark.long
@pytest.mark.slow
def test_lost_model_that_was_trained_again_gives_the_same_forecast(
    compared: tuple[Path, dict[str, Any], dict[str, Any]],
) -> None:
    _, first, second = compared
    far = first["rows"][1]["rmse"]
    name, other = (f"{FAR}, seed {seed}" for seed in second["seeds"])
    assert first["basis"][name] == second["basis"][name]
    assert other not in first["basis"]
    # Two seeds: the mean square of both, of which the standard deviation tells the other one apart.
    low = min(far, np.sqrt(2 * second["rows"][1]["rmse"] ** 2 - far**2))
    high = max(far, np.sqrt(2 * second["rows"][1]["rmse"] ** 2 - far**2))
    assert second["rows"][1]["rmse_sd"] == pytest.approx((high - low) / np.sqrt(2), rel=1e-6)


@pytest.mark.long
@pytest.mark.slow
def test_files_lie_in_the_folder_of_the_comparison(compared: tuple[Path, dict[str, Any], dict[str, Any]]) -> None:
    folder, _, second = compared
    assert Path(second["folder"]) == folder / "runs" / "small-compare"
    page = Path(second["page"]).read_text()
    assert "<b>Plain" not in page
    assert "&lt;b&gt;Plain&lt;/b&gt;" in page
    assert "Broken with seed 0 failed" in page
    with Path(second["table"]).open() as handle:
        lines = list(csv.DictReader(handle))
    assert [line["name"] for line in lines] == [PLAIN, FAR, "Broken", *BASELINES]
    assert float(lines[0]["test_rmse_mw"]) == second["rows"][0]["rmse"]
    assert len(list((folder / "runs" / "small-compare" / "artifacts" / "models").iterdir())) == 3


@pytest.mark.long
@pytest.mark.slow
def test_looks_at_the_test_part_are_remembered(compared: tuple[Path, dict[str, Any], dict[str, Any]]) -> None:
    folder, first, second = compared
    assert len(first["test_looks"]) == 1
    assert [len(look["trials"]) for look in second["test_looks"]] == [2, 4]
    storage = open_storage(folder / "runs" / "greentune.db")
    assert records.load_study(storage, "small-compare").user_attrs[records.TESTED] == second["test_looks"]


@pytest.mark.long
@pytest.mark.slow
def test_same_command_again_trains_and_judges_nothing(compared: tuple[Path, dict[str, Any], dict[str, Any]]) -> None:
    folder, _, second = compared
    again = tune(folder, "compare", "--config", "study.toml", "--seeds", "2")
    assert again.returncode == 0, again.stderr
    assert "nothing to train" in again.stderr
    assert "judging" not in again.stderr
    assert second["verdict"] in again.stdout
    assert "behind" in again.stdout
    assert max(len(line) for line in again.stdout.splitlines()[1:10]) < 120


@pytest.mark.long
@pytest.mark.slow
def test_entry_can_be_exported(compared: tuple[Path, dict[str, Any], dict[str, Any]]) -> None:
    folder, _, second = compared
    trial = second["basis"][f"{FAR}, seed 0"]
    done = tune(folder, "export", "--study", "small-compare", "--trial", str(trial), "--bundle", "far", "--json")
    assert done.returncode == 0, done.stderr
    information = json.loads((folder / "far" / "model_info.json").read_text())
    assert information["builder"] == "advanced_lstm"
    assert information["data"]["lookback"] == 6


def documented(**asked: Any) -> StudySpec:
    tables, mistakes = comparison_tables(asked, seeds=2, name=None)
    assert mistakes == []
    return parse_spec(tables)


def test_without_anything_the_documented_four_are_compared_as_documented() -> None:
    spec = documented()
    assert list(spec.entries) == ["Simple", "Deep", "Wide", "Advanced"]
    builder, parameters, settings = prepared(spec, {"entry": "Deep", "seed": 7})
    assert (builder, parameters) == ("stacked_lstm", {"lstm_units": [64, 32, 16], "l1": 0.01, "l2": 0.01})
    assert prepared(spec, {"entry": "Advanced", "seed": 7})[0] == "advanced_lstm"
    assert (settings.epochs, settings.batch_size, settings.seed, settings.monitor) == (50, 32, 7, "val_loss")
    assert (settings.patience, settings.reduce_lr_patience, settings.factor, settings.min_lr) == (15, 8, 0.5, 1e-7)
    assert spec.data.path == "sample:la_haute_borne"
    assert [ticket.fixed["entry"] for ticket in plan(spec)] == [*spec.entries, *spec.entries]
    assert spec.study.startswith("la_haute_borne-compare-")


def test_more_seeds_and_further_entries_go_on_with_the_same_comparison() -> None:
    one = parse_spec(comparison_tables({}, seeds=1, name="mine")[0])
    three = parse_spec(comparison_tables({}, seeds=3, name="mine")[0])
    assert one.search.points == three.search.points[:4]
    assert differences(one, three) == differences(three, one) == []
    assert documented().study == parse_spec(comparison_tables({}, seeds=1, name=None)[0]).study
    more = [*DOCUMENTED, {"name": "Small", "parameters": {"lstm_units": [4]}}]
    larger = parse_spec(comparison_tables({"compare": more}, seeds=1, name="mine")[0])
    assert differences(one, larger) == []
    assert any("Small" in sentence for sentence in differences(larger, one)), "taking one away is refused"
    other = [{**entry, "parameters": {"lstm_units": [9]}} for entry in DOCUMENTED[:1]] + list(DOCUMENTED[1:])
    changed = parse_spec(comparison_tables({"compare": other}, seeds=1, name="mine")[0])
    assert any("entries.Simple" in sentence for sentence in differences(one, changed))


def test_other_studies_are_named_as_before_there_were_comparisons() -> None:
    assert "entries" not in parse_spec(with_preset({}, {})).identity()


def test_file_for_a_search_serves_a_comparison_and_the_other_way_round() -> None:
    asked = {"study": "farm", "compare": list(DOCUMENTED), "search": {"metric": "val_mse"}, "winner": {"top": 9}}
    assert parse_spec(with_preset({}, asked)).entries == {}
    spec = documented(**asked)
    assert (spec.study, spec.search.metric, spec.winner.fresh_seeds) == ("farm-compare", "val_mse", 0)


def test_rate_that_falls_in_the_file_replaces_the_documented_lowering() -> None:
    assert documented().training.reduce_lr_patience == 8
    falling = documented(training={"decay": 0.4}).training
    assert (falling.decay, falling.reduce_lr_patience) == (0.4, None)
    with pytest.raises(SpecError, match="both set the learning rate"):
        documented(training={"decay": 0.4, "reduce_lr_patience": 8})


def test_entries_see_their_own_window_and_forecast_the_same_ones() -> None:
    spec = documented(compare=[{"name": "a"}, {"name": "b", "parameters": {"lookback": 48}}])
    assert longest(spec) == 48
    assert resolved(spec, {"entry": "a", "seed": 1}) == {"builder": "stacked_lstm", "lookback": 24, "seed": 1}
    assert resolved(spec, {"entry": "b", "seed": 1})["lookback"] == 48


def test_study_without_entries_keeps_a_parameter_of_that_name() -> None:
    spec = parse_spec(with_preset({}, {}))
    assert resolved(spec, {"entry": 3}) == {"entry": 3}


def complaint(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr(sys, "argv", ["tune", "compare", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr().err
    assert ended.value.code == 2, said
    assert "Traceback" not in said
    return said


def test_mistakes_come_all_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.toml").write_text(
        """
[training]
epocs = 3
[[compare]]
name = "a"
builder = "stacked_lst"
[[compare]]
name = "a"
[[compare]]
name = "b"
bilder = "advanced_lstm"
parameters = { lstm_unit = [3], l1 = -1, batch_size = 0, feature_groups = ["clock"] }
[[compare]]
builder = "stacked_lstm"
[[compare]]
name = "c"
builder = "advanced_lstm"
parameters = { lstm_units = [3, 2], dropout_rates = [0.1] }
"""
    )
    said = complaint(["--config", "study.toml", "--seeds", "0", "--workers", "0"], monkeypatch, capsys)
    for part in (
        "Did you mean 'epochs'",
        "Entry 'a': There is no model 'stacked_lst'. Did you mean 'stacked_lstm'",
        "got 'a' twice",
        "Entry 'b' has no 'bilder'. Did you mean 'builder'",
        "Entry 'b': The model 'stacked_lstm' has no parameter 'lstm_unit'",
        "Parameter 'l1' must be",
        "`batch_size` must be a whole number",
        "got 'clock'",
        "Entry 4 of `compare` must have a name",
        "one rate for each LSTM layer",
        "`seeds` must be a whole number of at least 1; got 0",
        "`workers` must be at least 1",
    ):
        assert part in said, part
    assert not (tmp_path / "runs" / "greentune.db").exists()


@pytest.mark.parametrize(
    ("listed", "sentence"),
    [
        ([], "at least two entries; it lists 0"),
        ([{"name": "a"}], "at least two entries; it lists 1"),
        ("Simple", "must be a list of tables"),
        ([{"name": "a", "builder": 3}, {"name": "b"}], "must be the key of a model; got 3"),
        ([{"name": "a", "parameters": [1]}, {"name": "b"}], "must be a table"),
        ([{"name": "a\x1b[2J"}, {"name": "b"}], "in one line"),
    ],
)
def test_list_of_entries_that_is_none(listed: Any, sentence: str) -> None:
    assert any(sentence in mistake for mistake in comparison_tables({"compare": listed}, seeds=1, name=None)[1])


def test_entries_without_a_comparison_are_refused() -> None:
    with pytest.raises(SpecError, match="made by `tune compare`"):
        parse_spec(with_preset({}, {"entries": {"a": {}}}))
