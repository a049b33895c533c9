"""Presets by name: what they settle, who wins over them, and what becomes of a name that is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from greentune.tuning.comparison_spec import comparison_tables
from greentune.tuning.presets import PRESETS, with_preset
from greentune.tuning.queue import plan
from greentune.tuning.spec import DEFAULT_TRIALS, SpecError, StudySpec, parse_spec, read_toml

from .wind_farm import tune, write_study


def spec_of(**tables: Any) -> StudySpec:
    return parse_spec(with_preset({}, tables))


def test_documented_is_what_the_grid_alone_gives() -> None:
    assert spec_of(preset="documented") == spec_of(search={"sampler": "grid"})


def test_quick_is_short_in_every_respect() -> None:
    quick, usual = spec_of(preset="quick"), spec_of()
    assert len(plan(quick)) < DEFAULT_TRIALS / 2
    assert quick.search.timeout is not None
    assert quick.search.timeout <= 60
    assert quick.training.epochs < usual.training.epochs
    assert quick.winner.fresh_seeds == 0
    assert quick.final.epochs <= 5
    assert quick.space == usual.space


def test_thorough_is_judged_on_folds_and_with_fresh_seeds() -> None:
    spec = spec_of(preset="thorough")
    assert (spec.validation.method, spec.validation.n_splits, spec.search.pruner) == ("expanding", 5, "median")
    assert (spec.winner.rule, spec.winner.top, spec.winner.fresh_seeds) == ("ensemble", 5, 3)
    assert spec.search.timeout is None


@pytest.mark.parametrize("name", PRESETS)
def test_file_wins_over_a_preset_and_options_over_both(name: str) -> None:
    config = {"preset": name, "training": {"epochs": 7}, "winner": {"top": 2}}
    spec = parse_spec(with_preset(config, {"training": {"epochs": 3}}))
    assert (spec.training.epochs, spec.winner.top) == (3, 2)
    assert spec.winner.rule == PRESETS[name]["winner"]["rule"]


def test_the_option_wins_over_the_preset_of_the_file() -> None:
    spec = parse_spec(with_preset({"preset": "thorough"}, {"preset": "quick"}))
    assert spec == spec_of(preset="quick")


def test_what_the_user_fixes_or_searches_leaves_the_preset() -> None:
    fixed = spec_of(preset="documented", parameters={"dropout_rate": 0.1})
    assert "dropout_rate" not in fixed.space
    assert len(plan(fixed)) == 36
    searched = spec_of(preset="documented", space={"l1": [0.0, 0.01]})
    assert searched.parameters == {"l2": 0.01}
    assert len(plan(searched)) == 2


def test_a_grid_is_worked_off_whole_under_any_preset() -> None:
    space = {"dropout_rate": [0.0, 0.1, 0.2], "batch_size": [16, 32, 64], "learning_rate": [0.1, 0.01]}
    assert len(plan(spec_of(preset="quick", search={"sampler": "grid"}, space=space))) == 18


def test_several_objectives_prune_nothing_under_a_preset() -> None:
    spec = spec_of(preset="thorough", search={"objectives": ["mae", "n_params"]})
    assert (spec.search.metric, spec.search.pruner) == ("val_mae", "none")


@pytest.mark.parametrize("name", ["quik", 3, ["quick"], ""])
def test_an_unknown_name_comes_with_all_other_mistakes(name: Any) -> None:
    with pytest.raises(SpecError) as caught:
        spec_of(preset=name, search={"sampler": "gird"})
    assert [mistake for mistake in caught.value.mistakes if "`preset` must be a known name" in mistake]
    assert [mistake for mistake in caught.value.mistakes if "Did you mean 'grid'?" in mistake]
    assert len(caught.value.mistakes) == 2


@pytest.mark.parametrize("section", ["data", "parameters", "space", "search", "training", "winner"])
@pytest.mark.parametrize("preset", [{}, {"preset": "documented"}, {"preset": "thorough"}], ids=str)
def test_a_section_that_is_no_table_is_a_sentence(preset: dict[str, Any], section: str) -> None:
    with pytest.raises(SpecError, match=f"`{section}` must be a table; got 3"):
        spec_of(**preset, **{section: 3})


def test_the_nearest_preset_is_named() -> None:
    with pytest.raises(SpecError, match=r"got 'thourough'. Did you mean 'thorough'\? Valid: documented, quick, tho"):
        spec_of(preset="thourough")


def test_a_specification_that_names_a_preset_is_checked_with_it() -> None:
    assert parse_spec({"preset": "quick"}) == spec_of(preset="quick")


def test_a_preset_is_no_setting_of_the_study() -> None:
    assert "preset" not in json.loads(spec_of(preset="quick").to_json())


def test_a_comparison_takes_nothing_of_a_preset_but_refuses_a_wrong_name() -> None:
    tables, mistakes = comparison_tables({"preset": "quick"}, seeds=1, name=None)
    assert mistakes == []
    assert parse_spec(tables) == parse_spec(comparison_tables({}, seeds=1, name=None)[0])
    assert "Did you mean 'quick'?" in comparison_tables({"preset": "quik"}, seeds=1, name=None)[1][0]


def test_folds_of_a_study_file_with_a_preset(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    study.write_text('preset = "thorough"\n' + study.read_text())
    assert read_toml(study)["preset"] == "thorough"
    drawn = tune(tmp_path, "folds", "--config", "study.toml", "--json")
    assert drawn.returncode == 0, drawn.stderr
    assert len(json.loads(drawn.stdout)["folds"]) == 5
    quick = tune(tmp_path, "folds", "--config", "study.toml", "--preset", "quick", "--json")
    assert len(json.loads(quick.stdout)["folds"]) == 1


def test_a_model_of_the_users_own_gets_no_space_of_a_preset() -> None:
    for model in ({"hypermodel": "model.py:Mine"}, {"builder": "model.py:build"}):
        tables = with_preset({}, {"preset": "documented", **model})
        assert not {"space", "parameters"} & tables.keys()
        assert tables["search"]["sampler"] == "grid"


def test_an_objective_function_takes_only_the_budget_of_a_preset() -> None:
    tables = with_preset({}, {"preset": "quick", "objective_function": "model.py:objective"})
    assert tables == {
        "search": {"metric": "value", "trials": 8, "timeout": 60.0},
        "objective_function": "model.py:objective",
    }
