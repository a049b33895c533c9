"""The first look at a user's code: what it finds, and that every mistake has its sentence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greentune.tuning.looked import Looked
from greentune.tuning.presets import with_preset
from greentune.tuning.probing import probe
from greentune.tuning.spec import parse_spec

from .user_code import function_study, imports_undone, user_study, write_files

BROKEN = """
import keras
import optuna

number = 3

def returns_nothing(trial, input_shape, n_outputs):
    pass

def returns_list(trial, input_shape, n_outputs):
    return [1]

def two_arguments(trial, input_shape):
    pass

def uncompiled(trial, input_shape, n_outputs):
    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(n_outputs)])

def wrong_shape(trial, input_shape, n_outputs):
    model = keras.Sequential([keras.Input(input_shape), keras.layers.Dense(7)])
    model.compile("adam", "mse")
    return model

def raises(trial, input_shape, n_outputs):
    return keras.Sequential(inner(trial))

def inner(trial):
    raise RuntimeError("my own reason")

def without_loss(trial, input_shape, n_outputs):
    model = keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(n_outputs)])
    model.compile("adam")
    return model

def sometimes(trial, input_shape, n_outputs):
    if trial.suggest_int("k", 0, 3) < 3:
        raise RuntimeError("too small")
    return good(input_shape, n_outputs)

def prunes_most(trial, input_shape, n_outputs):
    if trial.suggest_int("k", 0, 3) < 3:
        raise optuna.TrialPruned
    return good(input_shape, n_outputs)

def asks_nothing(trial, input_shape, n_outputs):
    return good(input_shape, n_outputs)

def never(trial, input_shape, n_outputs):
    raise RuntimeError(f"not with {trial.suggest_int('k', 7, 7)}")

def leaves(trial, input_shape, n_outputs):
    raise SystemExit("I leave")

def good(input_shape, n_outputs):
    model = keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(n_outputs)])
    model.compile("adam", "mse")
    return model

def reserved(trial, input_shape, n_outputs):
    return trial.suggest_int("seed", 1, 3)

class WithoutBuild:
    pass

class RaisesWhenMade:
    def __init__(self):
        raise RuntimeError("my own reason")
    def build(self, hp):
        pass
"""
SPACES = """
from contract import Mine

class Misspelt(Mine):
    space = {"units": {"lo": 1, "high": 2}}

class Unknown(Mine):
    space = {"untis": [1, 2]}

class Wrong(Mine):
    space = {"units": [0, 1]}
"""
UNSTEADY = """
import keras
built = []

def build(trial, input_shape, n_outputs):
    built.append(1)
    if len(built) > 1:
        raise RuntimeError("only once")
    model = keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(n_outputs)])
    model.compile("adam", "mse")
    return model
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the command, full of code; nothing of it is left imported."""
    monkeypatch.chdir(tmp_path)
    bad = {
        "badimport": "import nowhere_to_be_found\n",
        "syntax": "def f(:\n",
        "atimport": "raise RuntimeError('now')\n",
    }
    with imports_undone():
        yield write_files(tmp_path, broken=BROKEN, spaces=SPACES, unsteady=UNSTEADY, **bad)


def looked(raw: dict[str, Any], *, timed: bool = False) -> Looked:
    """What the child process finds; the parent has read the specification before."""
    spec = parse_spec(with_preset({}, raw))
    return probe({"spec": spec.model_dump(mode="json"), "shape": [4, 2, 1], "timed": timed})


def only_mistake(raw: dict[str, Any], *, timed: bool = False) -> str:
    (mistake,) = looked(raw, timed=timed).mistakes
    return mistake


def test_good_function_is_built_once_and_its_files_are_kept(folder: Path) -> None:
    found = looked(user_study(folder, builder="build.py:build"))
    assert (found.mistakes, found.notes) == ([], [])
    assert list(found.files) == [str(folder / "build.py")]
    assert found.n_parameters is not None
    assert found.n_parameters > 4 * 2 * 2
    assert (found.space, found.first, found.timing) == (None, None, None)


@pytest.mark.parametrize(
    ("builder", "sentence"),
    [
        ("broken.py:number", "broken.py:number must be a function (trial, input_shape, n_outputs)"),
        ("broken.py:two_arguments", "it takes (trial, input_shape). Change its signature."),
        ("broken.py:returns_nothing", "must return a Keras model; it returned nothing"),
        ("broken.py:returns_list", "must return a Keras 3 model; it returned a builtins.list"),
        ("broken.py:uncompiled", "must return a compiled model; this one is not"),
        ("broken.py:wrong_shape", "outputs of shape (None, 1); it has (None, 4, 7)"),
        ("broken.py:without_loss", "must compile its model with a loss; this one has none"),
        ("broken.py:never", "RuntimeError: not with 7\nIt had drawn k=7."),
        ("broken.py:leaves", "SystemExit: I leave"),
        ("broken.py:reserved", "may not be called 'seed': greentune uses that name"),
        ("broken.py:returns_nothin", "Did you mean 'returns_nothing'?"),
        ("badimport.py:build", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("syntax.py:build", "SyntaxError: invalid syntax"),
        ("atimport.py:build", "RuntimeError: now"),
        ("bulid:build", "There is no module 'bulid' in"),
        ("spaces.py:Misspelt", "spaces.py:Misspelt: `space.units` has no key 'lo'"),
        ("spaces.py:Unknown", "`space.untis` is no parameter of 'spaces.py:Unknown'. Did you mean 'units'?"),
        ("spaces.py:Wrong", "Parameter 'units' must be a whole number of at least 1; got 0"),
    ],
)
def test_builder_that_cannot_be_used_has_one_sentence(folder: Path, builder: str, sentence: str) -> None:
    assert sentence in only_mistake(user_study(folder, builder=builder))


@pytest.mark.parametrize(
    ("hypermodel", "sentence"),
    [
        ("broken.py:number", "must be a HyperModel of KerasTuner or a function build(hp); it is of type int"),
        ("broken.py:WithoutBuild", "must have a method build(self, hp), as HyperModels of KerasTuner do; it has none"),
        ("broken.py:returns_nothing", "`build` is called with the hyperparameters alone"),
        ("hyper.py:Mien", "Did you mean 'Mine'?"),
    ],
)
def test_hypermodel_that_cannot_be_used_has_one_sentence(folder: Path, hypermodel: str, sentence: str) -> None:
    assert sentence in only_mistake(user_study(folder, hypermodel=hypermodel))


@pytest.mark.parametrize(
    ("setting", "name"), [("builder", "raises"), ("hypermodel", "RaisesWhenMade"), ("builder", "RaisesWhenMade")]
)
def test_error_of_the_users_own_is_told_with_the_users_frames(folder: Path, setting: str, name: str) -> None:
    mistake = only_mistake(user_study(folder, **{setting: f"broken.py:{name}"}))
    files = {line.split('"')[1] for line in mistake.splitlines() if line.startswith("  File")}
    assert files == {str(folder / "broken.py")}
    assert mistake.endswith("RuntimeError: my own reason")


@pytest.mark.parametrize(
    ("name", "sentence"), [("OBJECTIVE", "there is no 'OBJECTIVE'"), ("optuna", "it is of type module")]
)
def test_objective_function_that_cannot_be_called_has_one_sentence(folder: Path, name: str, sentence: str) -> None:
    assert sentence in only_mistake(function_study(folder, name))


def test_objective_function_with_more_arguments_is_told_to_be_wrapped(folder: Path) -> None:
    (folder / "objectives.py").write_text("def more(trial, data): ...\n")
    mistake = only_mistake(function_study(folder, "more"))
    assert (
        "must take one argument, the trial. Wrap it: def objective(trial): return objectives.py:more(trial" in mistake
    )


def test_objective_function_is_not_called(folder: Path) -> None:
    (folder / "objectives.py").write_text("def explosive(trial):\n    raise RuntimeError\n")
    assert looked(function_study(folder, "explosive")).mistakes == []


def test_mistakes_of_several_references_come_at_once(folder: Path) -> None:
    builders = ["syntax.py:build", "badimport.py:build", "build.py:biuld"]
    assert len(looked(user_study(folder, space={"builder": builders})).mistakes) == 3


def test_name_that_the_code_does_not_ask_for_is_noted_with_the_nearest(folder: Path) -> None:
    found = looked(user_study(folder, builder="build.py:build", parameters={"n_layer": 1, "rate": 0.01}))
    (note,) = found.notes
    assert note.startswith("`n_layer` was not asked for by build.py:build when it built its first model.")
    assert "Did you mean 'n_layers'?" in note


def test_note_of_a_hypermodel_names_what_its_defaults_ask_for(folder: Path) -> None:
    (note,) = looked(user_study(folder, hypermodel="hyper.py:Mine", parameters={"dpth": 2})).notes
    assert "Did you mean 'depth'?" in note


def test_searched_builders_are_each_looked_at_with_their_own_part_of_the_space(folder: Path) -> None:
    space = {
        "builder": ["stacked_lstm", "contract.py:Mine", "build.py:build"],
        "lstm_units": {"choices": [[4], [8]], "when": {"builder": "stacked_lstm"}},
        "units": {"choices": [2, 3], "when": {"builder": "contract.py:Mine"}},
        "rate": {"low": 0.01, "high": 0.1, "when": {"builder": "build.py:build"}},
        "n_layer": {"choices": [1, 2], "when": {"builder": "build.py:build"}},
    }
    found = looked(user_study(folder, space=space))
    assert found.mistakes == []
    assert [note.split("`")[1] for note in found.notes] == ["n_layer"]


def test_builder_with_the_contract_brings_its_space_without_what_is_fixed(folder: Path) -> None:
    found = looked(user_study(folder, builder="contract.py:Mine", parameters={"depth": 1}))
    assert found.space == {"units": [2, 4]}
    assert looked(user_study(folder, builder="contract.py:Mine", space={"units": [3]})).space is None


def test_fixed_value_that_breaks_a_rule_of_the_users_own_builder_is_refused(folder: Path) -> None:
    mistake = only_mistake(user_study(folder, builder="contract.py:Mine", parameters={"depth": 0}))
    assert "Parameter 'depth' must be a whole number of at least 1; got 0. The default is 3." in mistake


@pytest.mark.parametrize("sampler", ["grid", "qmc"])
def test_sampler_that_needs_the_space_before_is_refused_for_a_function(folder: Path, sampler: str) -> None:
    raw = user_study(
        folder, builder="build.py:build", search={"sampler": sampler, "pruner": "none"}, space={"rate": [1]}
    )
    assert "must be tpe or random with a function" in only_mistake(raw)


def test_defaults_of_a_hypermodel_are_its_first_point(folder: Path) -> None:
    found = looked(user_study(folder, hypermodel="hyper.py:Mine"))
    assert found.first == {"kind": "deep", "depth [kind=deep]": 2, "lr": 0.01}
    assert not found.trains_itself


def test_fixed_and_searched_names_are_not_in_the_first_point(folder: Path) -> None:
    raw = user_study(folder, hypermodel="hyper.py:Mine", parameters={"lr": 0.1}, space={"kind": ["wide", "deep"]})
    assert looked(raw).first == {"depth [kind=deep]": 2}


def test_what_a_hypermodel_asks_for_in_its_fit_has_defaults_too(folder: Path) -> None:
    found = looked(user_study(folder, hypermodel="hyper.py:OwnFit"))
    assert (found.mistakes, found.trains_itself) == ([], True)
    assert found.first == {"kind": "deep", "depth [kind=deep]": 2, "lr": 0.01, "batch_size": 16}


def test_hypermodel_with_a_loop_of_its_own_is_known_to_train_itself(folder: Path) -> None:
    found = looked(user_study(folder, hypermodel="hyper.py:Loop"))
    assert (found.mistakes, found.trains_itself) == ([], True)


def test_fit_of_a_hypermodel_that_raises_is_told_with_the_users_frames(folder: Path) -> None:
    mistake = only_mistake(user_study(folder, hypermodel="hyper.py:OwnFit", training={"batch_size": 64}))
    assert mistake.startswith("hyper.py:OwnFit failed while it trained its first model for an epoch:\n")
    assert {line.split('"')[1] for line in mistake.splitlines() if line.startswith("  File")} == {
        str(folder / "hyper.py")
    }
    assert mistake.endswith("got multiple values for keyword argument 'batch_size'")


def test_training_is_timed_if_asked(folder: Path) -> None:
    found = looked(user_study(folder, builder="build.py:build"), timed=True)
    assert found.mistakes == []
    assert found.timing is not None
    assert 0 < found.timing["epoch_seconds"] < 60
    assert found.timing["start_seconds"] >= 0


def test_what_fails_only_when_it_is_timed_is_told_with_the_users_frames(folder: Path) -> None:
    mistake = only_mistake(user_study(folder, builder="unsteady.py:build"), timed=True)
    assert mistake.startswith("unsteady.py:build failed when it was trained for 3 epochs:\n")
    assert f'File "{folder / "unsteady.py"}"' in mistake
    assert mistake.endswith("RuntimeError: only once")


def test_point_that_explodes_is_no_mistake_of_the_study(folder: Path) -> None:
    found = looked(user_study(folder, builder="build.py:build", parameters={"rate": 1e30}), timed=True)
    assert (found.mistakes, found.timing) == ([], None)
    assert "No time was taken: with one point of the space" in found.notes[0]


@pytest.mark.parametrize(
    ("name", "reason"), [("sometimes", "RuntimeError: too small\nIt had drawn k="), ("prunes_most", "by TrialPruned")]
)
def test_points_that_cannot_be_built_are_a_note_where_others_can(folder: Path, name: str, reason: str) -> None:
    found = [looked(user_study(folder, builder=f"broken.py:{name}", seed=seed)) for seed in range(4)]
    assert [each.mistakes for each in found] == [[]] * 4
    notes = [note for each in found for note in each.notes]
    assert notes, "at least one of four begins with a bad point"
    assert all("points could not be built" in note and reason in note for note in notes)


def test_code_that_asks_for_nothing_is_a_note(folder: Path) -> None:
    (note,) = looked(user_study(folder, builder="broken.py:asks_nothing")).notes
    assert note == "broken.py:asks_nothing asks the trial for nothing: all trials will be the same."
