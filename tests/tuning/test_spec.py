from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from greentune.tuning.folds import longest
from greentune.tuning.options import as_tables, parse_duration
from greentune.tuning.presets import DEFAULT_TIMEOUT_SECONDS, merge, with_preset
from greentune.tuning.queue import plan
from greentune.tuning.spec import SpecError, StudySpec, differences, parse_spec, read_toml

RATES = {
    "l1": [0.0, 0.1],
    "dropout_rate": {"low": 0.0, "high": 0.5, "step": 0.1},
    "dense_units": {"low": 8, "high": 64},
}


def spec_of(**tables: Any) -> StudySpec:
    return parse_spec(with_preset({}, tables))


def mistakes_of(**tables: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        spec_of(**tables)
    return caught.value.mistakes


def test_nothing_given_is_the_packaged_wind_farm_with_tpe_and_pruning() -> None:
    spec = spec_of()
    assert spec.data.path == "sample:la_haute_borne"
    assert (spec.data.horizon, spec.search.sampler, spec.search.pruner) == (3, "tpe", "median")
    assert (spec.search.metric, spec.search.timeout) == ("val_mse", DEFAULT_TIMEOUT_SECONDS)


def test_grid_alone_is_the_documented_search() -> None:
    spec = spec_of(search={"sampler": "grid"})
    assert len(plan(spec)) == 108
    assert (spec.training.epochs, spec.training.shuffle, spec.training.patience) == (30, True, None)
    assert (spec.search.metric, spec.search.pruner, spec.search.timeout) == ("val_loss", "none", None)
    assert spec.parameters == {"l1": 0.01, "l2": 0.01}


def test_option_wins_over_file_and_file_over_preset() -> None:
    config = {"training": {"epochs": 7}, "search": {"sampler": "grid"}}
    spec = parse_spec(with_preset(config, as_tables({"training.epochs": 2, "search.pruner": None})))
    assert (spec.training.epochs, spec.search.pruner, spec.search.metric) == (2, "none", "val_loss")


def test_own_space_is_not_mixed_with_the_preset() -> None:
    spec = spec_of(search={"sampler": "grid"}, space={"dropout_rate": [0.1, 0.2]})
    assert spec.space == {"dropout_rate": [0.1, 0.2]}
    assert spec.search.metric == "val_mse"


def test_own_data_have_no_time_limit() -> None:
    assert spec_of(data={"path": "x.csv", "target": "p"}).search.timeout is None


@pytest.mark.parametrize(
    ("tables", "sentence"),
    [
        ({"search": {"sampler": "gird"}}, "Did you mean 'grid'?"),
        ({"search": {"pruner": "medain"}}, "Did you mean 'median'?"),
        ({"search": {"metric": "val_mes"}}, "Did you mean 'val_mse'?"),
        ({"search": {"trials": 0}}, "`search.trials`"),
        ({"search": {"trials": -3}}, "got -3"),
        ({"search": {"timeout": "soon"}}, "`search.timeout`"),
        ({"training": {"epochs": 0}}, "`training.epochs`"),
        ({"training": {"epocs": 3}}, "Did you mean 'epochs'?"),
        ({"traning": {}}, "Did you mean 'training'?"),
        ({"builder": "stacked_lstn"}, "Did you mean 'stacked_lstm'?"),
        ({"backend": "torch"}, "`backend`"),
        ({"parameters": {"dropuot_rate": 0.1}}, "dropout_rate"),
        ({"space": {"dropout_rat": [0.1]}}, "Did you mean 'dropout_rate'?"),
        ({"space": {"dropout_rate": [0.1, 1.5]}}, "dropout_rate"),
        ({"space": {"batch_size": [0]}}, "at least 1; got 0"),
        ({"space": {}}, "at least one parameter"),
        ({"space": {"l1": {"low": 1e-6, "high": 1e-3}}, "search": {"sampler": "grid"}}, "range without a step"),
        ({"space": {"l1": [0.1]}, "parameters": {"l1": 0.2}}, "both searched and fixed"),
        ({"study": "a/b"}, "`study`"),
        ({"seed": -1}, "`seed`"),
        ({"data": {"lokback": 3}}, "Did you mean 'lookback'?"),
        ({"training": {"decay": 0.4, "reduce_lr_patience": 3}}, "both set the learning rate"),
        (
            {
                "builder": "advanced_lstm",
                "parameters": {"dropout_rates": [0.1, 0.2]},
                "space": {"lstm_units": [[4, 3], [3]]},
            },
            "one rate for each LSTM layer; got [0.1, 0.2] for lstm_units=[3]",
        ),
        ({"builder": "advanced_lstm", "space": {"lstm_units": [[32], [32, 16]]}}, "for lstm_units=[32, 16]"),
        ({"space": RATES, "search": {"first": [{"l3": 0.1}]}}, "names 'l3', which is not searched. Did you mean 'l1'?"),
        ({"space": RATES, "search": {"first": [{}, {"l1": 0.2}]}}, "`search.first[1].l1` must be one of 0.0, 0.1"),
        ({"space": RATES, "search": {"first": [{"dropout_rate": 0.25}]}}, "in steps of 0.1; got 0.25"),
        ({"space": RATES, "search": {"first": [{"dense_units": 8.5}]}}, "a whole number from 8 to 64; got 8.5"),
        ({"space": RATES, "search": {"first": [1]}}, "`search.first.0` must be a table"),
        ({"search": {"sampler": "grid", "first": [{"dropout_rate": 0.2}]}}, "grid has a list of its own"),
        ({"validation": {"n_splits": 3}}, "got 3 with holdout"),
        ({"validation": {"method": "documented", "n_splits": 3}}, "got 3 with documented"),
        ({"validation": {"method": "expanding", "n_splits": 5000}}, "`validation.n_splits`"),
    ],
)
def test_mistake_is_named_with_the_nearest_valid_name(tables: dict[str, Any], sentence: str) -> None:
    assert any(sentence in mistake for mistake in mistakes_of(**tables)), mistakes_of(**tables)


@pytest.mark.parametrize(
    ("fixed", "space"),
    [
        ({"dropout_rates": 0.1}, {"lstm_units": [[32], [32, 16]]}),
        ({}, {"lstm_units": [[32], [32, 16]], "dropout_rates": [0.0, 0.1]}),
        ({"lstm_units": [4]}, {"dropout_rates": [[0.0], [0.1]]}),
        (
            {},
            {
                "lstm_units": [[4], [4, 3, 2]],
                "dropout_rates": {"choices": [0.1], "when": {"lstm_units": "4"}},
            },
        ),
    ],
    ids=["fixed number", "searched numbers", "lists that fit", "only where the default does not fit"],
)
def test_number_of_layers_can_be_searched(fixed: dict[str, Any], space: dict[str, Any]) -> None:
    assert spec_of(builder="advanced_lstm", parameters=fixed, space=space).space == space


def test_all_mistakes_come_at_once() -> None:
    found = mistakes_of(
        search={"sampler": "gird", "trials": 0}, training={"epochs": 0}, space={"x": []}, parameters={"y": 1}
    )
    assert len(found) >= 5


@pytest.mark.parametrize(
    ("lookback", "used"),
    [([6, 12], 12), ([6, 48], 48), ({"choices": [6], "when": {"units": 1}}, 24)],
    ids=["shorter", "longer", "only at times"],
)
def test_windows_are_those_of_the_longest_lookback_that_a_trial_may_see(lookback: Any, used: int) -> None:
    spec = spec_of()
    declared = {"units": [1, 2], "lookback": lookback}
    assert longest(spec.model_copy(update={"space": declared})) == used


def test_same_specification_has_the_same_name_whatever_the_budget() -> None:
    one, more = spec_of(search={"trials": 10}), spec_of(search={"trials": 20})
    assert one.study == more.study != spec_of(training={"epochs": 3}).study


def test_differences_name_both_values_and_leave_budgets_alone() -> None:
    stored, asked = spec_of(training={"epochs": 3}), spec_of(training={"epochs": 4}, search={"trials": 99})
    assert differences(stored, asked) == ["training.epochs: the study has 3, the command asks for 4"]
    assert differences(stored, stored) == []
    shortened = spec_of(training={"epochs": 3}, final={"epochs": 5}, winner={"fresh_seeds": 0})
    assert differences(stored, shortened) == [], "neither changes a trial"
    assert stored.study == shortened.study


def test_data_are_named_from_the_root_and_may_move(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    here, there = (spec_of(data={"path": path, "target": "p"}) for path in ("farm.csv", "../farm.csv"))
    assert here.data.path == str(tmp_path / "farm.csv")
    assert differences(here, there) == []
    assert here.study == there.study


def test_specification_survives_json() -> None:
    spec = spec_of(search={"sampler": "grid"}, seed=3)
    assert StudySpec.from_json(spec.to_json()) == spec


def test_data_path_counts_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text('[data]\npath = "wind.csv"\n')
    assert read_toml(tmp_path / "study.toml")["data"]["path"] == str(tmp_path / "wind.csv")


@pytest.mark.parametrize(("name", "text"), [("broken.toml", "a = ["), ("none.toml", None)])
def test_file_that_is_no_toml_is_a_mistake(tmp_path: Path, name: str, text: str | None) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(SpecError, match=name):
        read_toml(tmp_path / name)


def test_merge_replaces_spaces_whole() -> None:
    assert merge({"space": {"a": [1]}, "x": {"y": 1}}, {"space": {"b": [2]}, "x": {"z": 2}}) == {
        "space": {"b": [2]},
        "x": {"y": 1, "z": 2},
    }


def test_study_file_of_the_readme_is_valid() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    example = tomllib.loads(readme.split("```toml")[1].split("```")[0])
    assert parse_spec(with_preset(example, {})).study == "farm-3h"


def test_durations_read_as_seconds() -> None:
    assert [parse_duration(text) for text in ("90", "90s", "8m", "2h", "x")] == [90, 90, 480, 7200, "x"]
