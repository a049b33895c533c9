"""What a user's code draws from, in a search and afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest

from greentune.models.contract import ModelError
from greentune.tuning.presets import with_preset
from greentune.tuning.sections import CodeSpec
from greentune.tuning.spec import StudySpec, parse_spec
from greentune.tuning.user_models import (
    Bound,
    Given,
    Nothing,
    OtherCode,
    bind,
    check_unchanged,
    contract_of,
    draws_itself,
    load,
    model_name,
    preload,
    replay,
    told,
)

from .user_code import function_study, imports_undone, user_study, write_files

SHAPE = (4, 2, 1)


def blank() -> optuna.Trial:
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1)).ask()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the command with a user's code; nothing of it is left imported."""
    monkeypatch.chdir(tmp_path)
    with imports_undone():
        yield write_files(tmp_path)


def spec_of(raw: dict[str, Any]) -> StudySpec:
    return parse_spec(with_preset({}, raw))


def test_given_values_are_answered_and_the_trial_is_not_asked() -> None:
    trial = blank()
    given = Given(trial, {"kind": "b", "n": 3.0, "rate": 1})
    answers = (given.suggest_categorical("kind", ["a", "b"]), given.suggest_int("n", 1, 9))
    assert answers == ("b", 3)
    assert isinstance(given.suggest_int("n", 1, 9), int)
    assert isinstance(given.suggest_float("rate", 0.0, 2.0), float)
    assert trial.params == {}
    assert given.drawn == {"kind": "b", "n": 3, "rate": 1.0}


def test_given_value_may_lie_outside_of_what_the_code_would_draw() -> None:
    assert Given(blank(), {"n": 40}).suggest_int("n", 1, 9) == 40


def test_other_names_are_drawn_from_the_trial_and_remembered() -> None:
    trial = blank()
    given = Given(trial, {"n": 3})
    n, rate = given.suggest_int("n", 1, 9), given.suggest_float("rate", 1e-3, 1e-1, log=True)
    kind, step = given.suggest_categorical("kind", ["a", "b"]), given.suggest_int("step", 0, 8, step=4)
    assert trial.params == {"rate": rate, "kind": kind, "step": step}
    assert given.drawn == {"n": n, "rate": rate, "kind": kind, "step": step}
    assert step in (0, 4, 8)


def test_same_name_is_the_same_value_again() -> None:
    given = Given(blank(), {})
    assert given.suggest_float("rate", 0.0, 1.0) == given.suggest_float("rate", 0.0, 1.0)


def test_what_else_a_trial_can_do_it_does() -> None:
    trial = blank()
    given = Given(trial, {})
    given.set_user_attr("note", 3)
    assert trial.user_attrs == {"note": 3}
    assert given.number == 0
    with pytest.raises(AttributeError):
        given._secret  # noqa: B018 (looking it up is the test)


@pytest.mark.parametrize("name", ["seed", "entry"])
def test_names_that_greentune_uses_are_refused(name: str) -> None:
    given = Given(blank(), {})
    for suggest in (
        lambda: given.suggest_int(name, 1, 3),
        lambda: given.suggest_float(name, 1, 3),
        lambda: given.suggest_categorical(name, [1]),
    ):
        with pytest.raises(ModelError, match=f"may not be called '{name}': greentune uses that name"):
            suggest()


def test_nothing_refuses_to_draw_and_says_to_fix_it() -> None:
    nothing = Nothing()
    for suggest in (
        lambda: nothing.suggest_int("units", 1, 3),
        lambda: nothing.suggest_float("units", 1, 3),
        lambda: nothing.suggest_categorical("units", [1]),
    ):
        with pytest.raises(ModelError, match="In a comparison nothing is drawn, but the model asks for 'units'"):
            suggest()


def test_in_a_comparison_a_model_whose_values_are_all_fixed_asks_for_nothing() -> None:
    given = Given(Nothing(), {"units": 3})
    assert given.suggest_int("units", 1, 9) == 3
    with pytest.raises(ModelError, match="asks for 'rate'"):
        given.suggest_float("rate", 0.0, 1.0)


def test_replay_answers_as_the_trial_did() -> None:
    trial = blank()

    def draw(source: Any) -> list[Any]:
        answers = [source.suggest_int("n", 1, 9), source.suggest_float("rate", 1e-3, 1e-1, log=True)]
        return [*answers, source.suggest_categorical("kind", ["a", None, True])]

    first = draw(trial)
    assert draw(replay(trial.params)) == first


def bound(folder: Path, values: dict[str, Any], trial: Any, **study: Any) -> Bound:
    spec = spec_of(user_study(folder, **study))
    return bind(spec, spec.builder, values, trial, SHAPE)


def test_function_is_bound_to_its_trial(folder: Path) -> None:
    trial = optuna.trial.FixedTrial({"n_layers": 1, "units_0": 3})
    model = bound(folder, {"rate": 0.01}, trial, builder="build.py:build")
    assert model.drawn() == {}
    built = model.builds.build(model.parameters, SHAPE[:2], SHAPE[2])
    assert built.layers[1].units == 3
    assert float(built.optimizer.learning_rate) == pytest.approx(0.01)
    assert model.drawn() == {"n_layers": 1, "units_0": 3, "rate": 0.01}


def test_hypermodel_tells_its_own_names_and_stores_qualified_ones(folder: Path) -> None:
    trial = blank()
    model = bound(folder, {"kind": "wide"}, trial, hypermodel="hyper.py:Mine")
    model.builds.build(model.parameters, SHAPE[:2], SHAPE[2])
    assert model.drawn() == {"kind": "wide", "width": trial.params["width [kind=wide]"], "lr": trial.params["lr"]}
    again = bound(folder, {"kind": "wide"}, replay(trial.params), hypermodel="hyper.py:Mine")
    again.builds.build(again.parameters, SHAPE[:2], SHAPE[2])
    assert again.drawn() == model.drawn()


def test_builder_with_the_contract_takes_its_parameters_and_draws_nothing(folder: Path) -> None:
    trial = blank()
    model = bound(folder, {"units": 2, "depth": 1}, trial, builder="contract.py:Mine")
    assert [layer.name.split("_")[0] for layer in model.builds.build(model.parameters, (4, 2), 1).layers] == [
        "flatten",
        "dense",
        "dense",
    ]
    assert (trial.params, model.drawn()) == ({}, {})


def test_only_a_builder_with_the_contract_declares_its_parameters(folder: Path) -> None:
    spec = spec_of(user_study(folder, builder="contract.py:Mine"))
    contract = contract_of(spec, spec.builder)
    assert contract is not None
    assert set(contract.parameters) == {"units", "depth"}
    assert contract_of(spec, f"{folder}/build.py:build") is None


def test_names_may_be_known_late_only_with_code_of_the_user(folder: Path) -> None:
    ours = spec_of(user_study(folder, space={"lstm_units": [[4]]}))
    mixed = spec_of(user_study(folder, space={"builder": ["stacked_lstm", "build.py:build"]}))
    drawing = [spec_of(user_study(folder, **{name: "hyper.py:Mine"})) for name in ("builder", "hypermodel")]
    assert not draws_itself(ours)
    assert all(draws_itself(spec) for spec in (mixed, *drawing, spec_of(function_study(folder, "square"))))


def test_name_in_reports_has_no_folders(folder: Path) -> None:
    names = [
        model_name(spec, spec.builder)
        for spec in (
            spec_of(user_study(folder, builder="build.py:build")),
            spec_of(user_study(folder, hypermodel="hyper.py:Mine")),
            spec_of(function_study(folder, "square")),
            spec_of(user_study(folder, space={"lstm_units": [[4]]})),
        )
    ]
    assert names == ["build.py:build", "hyper.py:Mine", "objectives.py:square", "stacked_lstm"]


def with_files(folder: Path, files: dict[str, str]) -> StudySpec:
    spec = spec_of(user_study(folder, builder="build.py:build"))
    return spec.model_copy(update={"code": CodeSpec(folder=str(folder), files=files)})


def test_code_that_was_edited_is_not_loaded_and_is_named(folder: Path) -> None:
    spec = with_files(folder, {str(folder / "build.py"): "of another day", str(folder / "gone.py"): "…"})
    for act in (check_unchanged, preload, lambda spec: load(spec, spec.builder)):
        with pytest.raises(OtherCode, match=r"build.py \(edited\), gone.py \(gone\).*--accept-code"):
            act(spec)


def test_code_that_is_not_on_this_host_is_told_as_such(folder: Path) -> None:
    spec = spec_of(user_study(folder, builder="build.py:build"))
    (folder / "build.py").unlink()
    with pytest.raises(OtherCode, match="On this host: There is no Python file at"):
        preload(spec)


def test_error_of_the_users_code_is_told_in_its_own_frames_and_others_not(folder: Path) -> None:
    spec = spec_of(function_study(folder, "broken"))
    with pytest.raises(RuntimeError) as caught:
        load(spec, str(spec.objective_function))(optuna.trial.FixedTrial({"x": 0.5}, number=1))  # type: ignore[operator]
    text = told(spec, caught.value)
    assert text is not None
    assert {line.split('"')[1] for line in text.splitlines() if line.startswith("  File")} == {
        str(folder / "objectives.py")
    }
    assert told(spec_of(user_study(folder, space={"lstm_units": [[4]]})), caught.value) is None
