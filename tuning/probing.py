"""A first look at the user's code, in a process that may import Keras: does it load, build, and fit the data?

What is found is told to the parent (see :mod:`.probe`) before a study is created.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna

from ..models import user_code
from ..models.contract import Builder, ModelError
from ..objectives.callbacks import NonFinite
from ..storage.dataset import Part
from ..storage.datasets import load_source
from ..storage.mistakes import Mistake, nearest
from .checks import TRAINING_PARAMETERS, builder_mistakes, seen_from
from .delivery import message
from .folds import cuts_of
from .looked import Looked
from .point import model_of, prepared, run_point
from .references import BUILDER, all_builders, references, searched_builders
from .samplers import derived_seed
from .space import parse_space
from .spec import StudySpec
from .study_data import data_of
from .user_models import Bound, Nothing, bind, contract_of, load, model_name, told

Shape = tuple[int, int, int]
"""Lookback, features, outputs."""

TIMED_EPOCHS = 3

DRAWS = 8
"""So many points are tried before the code counts as broken: some points of a space may be impossible."""


def probe(request: Mapping[str, Any]) -> Looked:
    """Look at the code that a specification names.

    Args:
        request: ``spec`` as JSON, ``shape`` of the windows and outputs, ``timed``: whether a training is timed.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    spec = StudySpec.model_validate(request["spec"])
    found = Looked()
    named = references(request["spec"])
    for reference in dict.fromkeys(named.values()):
        try:
            load(spec, reference)
        except ModelError as error:
            found.mistakes += error.mistakes
    if not found.mistakes:
        try:
            _look(spec, request["shape"], found)
        except Exception as error:  # noqa: BLE001 (whatever the user's code raises is the user's to see)
            found.mistakes.append(
                f"{model_name(spec, spec.builder)} failed when it was looked at:\n{_told(spec, error)}"
            )
    found.files = user_code.sources(named.values(), Path.cwd())
    if request.get("timed") and not found.mistakes and spec.objective_function is None:
        _take_time(_with_space(spec, found), found)
    return found


def answer(request: str) -> None:
    """Do it and tell the parent."""
    message(probe=vars(probe(json.loads(request))))


def _look(spec: StudySpec, shape: Any, found: Looked) -> None:
    if spec.objective_function is not None:
        found.mistakes += _function_mistakes(spec, spec.objective_function)
    elif spec.hypermodel is not None:
        _look_at_hypermodel(spec, tuple(shape), found)
    elif spec.entries:
        for name, entry in spec.entries.items():
            of_entry = spec.model_copy(update={"builder": entry.builder, "parameters": {}, "space": {}})
            parameters = {n: v for n, v in entry.parameters.items() if n not in TRAINING_PARAMETERS}
            _look_at_builder(of_entry, entry.builder, parameters, tuple(shape), found, f"Entry '{name}': ")
    else:
        for key in searched_builders(spec.space) or [spec.builder]:
            _look_at_builder(spec, key, spec.parameters, tuple(shape), found)


def _function_mistakes(spec: StudySpec, reference: str) -> list[str]:
    from ..models.user import takes

    function, name = load(spec, reference), user_code.shown(reference)
    if not callable(function):
        return [f"{name} must be a function objective(trial); it is of type {type(function).__name__}."]
    if not takes(function, 1):
        return [f"{name} must take one argument, the trial. Wrap it: def objective(trial): return {name}(trial, …)."]
    return []


def _look_at_hypermodel(spec: StudySpec, shape: Shape, found: Looked) -> None:
    from ..models import hypermodel, keras_tuner

    assert spec.hypermodel is not None
    name = user_code.shown(spec.hypermodel)
    try:
        made = hypermodel.instance(load(spec, spec.hypermodel), name, shape[:2], shape[2])
        defaults = keras_tuner.defaults()
        bound = Bound(hypermodel.for_trial(made, defaults, name), {})
    except ModelError as error:
        found.mistakes += error.mistakes
        return
    failed = _build(spec, bound, name, shape, found)
    if failed is not None and "TrialPruned" in failed:
        found.notes.append(failed)
    elif failed is not None:
        found.mistakes.append(failed)
    found.trains_itself = keras_tuner.has_own_fit(made)
    if found.trains_itself and failed is None:
        _fit_a_little(spec, bound, name, found)
    fixed = [name for name in spec.parameters if name in defaults.stored]
    found.first = {n: v for n, v in defaults.stored.items() if n not in fixed and n not in spec.space}
    _say_unused(spec, defaults.values, found, spec.builder)


def _fit_a_little(spec: StudySpec, bound: Bound, name: str, found: Looked) -> None:
    """Let a HyperModel's own ``fit`` see a few windows: it may ask for values there, and those have defaults too."""
    from ..objectives.holdout import holdout

    dataset = cuts_of(load_source(data_of(spec)), spec.validation)[-1].dataset
    settings = replace(prepared(spec, {})[2], epochs=1, patience=None)
    few = replace(
        dataset, train=_first(dataset.train, settings.batch_size), val=_first(dataset.val, settings.batch_size)
    )
    try:
        holdout(bound.builds, bound.parameters, few, settings)
    except NonFinite:
        pass  # so few windows say nothing of that
    except Mistake as mistake:
        found.mistakes += mistake.mistakes
    except Exception as error:  # noqa: BLE001 (whatever the user's code raises is the user's to see)
        found.mistakes.append(f"{name} failed while it trained its first model for an epoch:\n{_told(spec, error)}")


def _first(part: Part, n: int) -> Part:
    """The first `n` windows of a part."""
    windows = replace(part.windows, index=part.windows.index[:n])
    return Part(part.name, windows, part.y[:n], None if part.origins is None else part.origins[:n])


def _look_at_builder(
    spec: StudySpec, key: str, parameters: Mapping[str, Any], shape: Shape, found: Looked, of: str = ""
) -> None:
    if key not in references({"builder": key}).values():
        if key not in all_builders():
            found.mistakes.append(f"{of}`builder` must be a known model; got '{key}'. {nearest(key, all_builders())}")
        return
    try:
        contract = contract_of(spec, key)
    except ModelError as error:
        found.mistakes += [of + sentence for sentence in error.mistakes]
        return
    if contract is not None:
        if not spec.space and not spec.entries:
            found.space = {n: entry for n, entry in contract.space.items() if n not in parameters}
        space, wrong = parse_space(spec.space or found.space or {})
        groups = spec.data.feature_groups or {}
        refused = [f"{user_code.shown(key)}: {sentence}" for sentence in wrong]
        refused = refused or builder_mistakes(contract, seen_from(key, space), parameters, groups)
        found.mistakes += [of + sentence for sentence in refused]
        if refused:
            return
    if contract is None and spec.search.sampler in ("grid", "qmc"):
        found.mistakes.append(
            f"{of}`search.sampler` must be tpe or random with a function, which says what is searched only while it "
            f"runs; got {spec.search.sampler!r}."
        )
        return
    _build_some(spec, key, parameters, shape, found, of, contract)


def _build_some(
    spec: StudySpec,
    key: str,
    parameters: Mapping[str, Any],
    shape: Shape,
    found: Looked,
    of: str,
    contract: Builder | None,
) -> None:
    """Build points until one can be built; what kept the others from it is a note, or a mistake where none can."""
    failures: list[str] = []
    for draw in range(1 if of else DRAWS):
        trial = _any_trial(spec, draw)
        drawn = parse_space(spec.space or found.space or {})[0].sample(trial)
        drawn = {name: value for name, value in drawn.items() if name not in (*TRAINING_PARAMETERS, BUILDER)}
        if contract is not None:
            drawn = {name: value for name, value in drawn.items() if name in contract.parameters}
        bound = bind(spec, key, {**parameters, **drawn}, Nothing() if of else trial, shape)
        failed = _build(spec, bound, of + user_code.shown(key), shape, found)
        if failed is None:
            found.notes += [f"{n} of {n + 1} points could not be built: {failures[0]}" for n in [len(failures)] if n]
            if contract is None and not of:
                _say_unused(spec, bound.drawn(), found, key)
                _say_nothing_asked(trial, key, found)
            return
        failures.append(failed + _with_values({**drawn, **trial.params}))
        if not trial.params and not drawn:
            break  # nothing was drawn: another try would be the same
    found.mistakes.append(failures[0])


def _with_values(values: Mapping[str, Any]) -> str:
    return "" if not values else f"\nIt had drawn {', '.join(f'{name}={value!r}' for name, value in values.items())}."


def _say_nothing_asked(trial: optuna.Trial, key: str, found: Looked) -> None:
    if not trial.params:
        found.notes.append(f"{user_code.shown(key)} asks the trial for nothing: all trials will be the same.")


def _any_trial(spec: StudySpec, draw: int = 0) -> optuna.Trial:
    sampler = optuna.samplers.RandomSampler(seed=derived_seed(spec.seed, f"probe {draw}" if draw else "probe"))
    return optuna.create_study(sampler=sampler).ask()


def _build(spec: StudySpec, bound: Bound, name: str, shape: Shape, found: Looked) -> str | None:
    """Build once, as every trial does; what went wrong, or None."""
    from ..objectives.runtime import set_seed

    set_seed(spec.seed)
    try:
        model = bound.builds.build(bound.parameters, shape[:2], shape[2])
    except ModelError as error:
        return "\n".join(error.mistakes)
    except optuna.TrialPruned:
        return f"{name} gave its first model up by TrialPruned."
    except (Exception, SystemExit) as error:  # noqa: BLE001 (whatever the user's code raises is the user's to see)
        return f"{name} failed while it built its first model:\n{_told(spec, error)}"
    found.n_parameters = model.count_params()
    return _not_to_be_saved(model, name)


def _not_to_be_saved(model: Any, name: str) -> str | None:
    """A winner that cannot be written into its bundle is better known before the search."""
    try:
        model.get_config()
    except RuntimeError as error:
        reason = " ".join(str(error).split("Example:")[0].split())
        return f"{name} must return a model that can be saved. Keras says: {reason}"
    return None


def _say_unused(spec: StudySpec, asked: Mapping[str, Any], found: Looked, key: str) -> None:
    """Names that the study fixes, or searches where this builder was chosen, and that it did not ask for this time."""
    mine = [*spec.parameters, *(n for n in seen_from(key, spec.parsed_space()).names if n not in TRAINING_PARAMETERS)]
    found.notes += [
        f"`{name}` was not asked for by {model_name(spec, key)} when it built its first model. "
        f"{nearest(name, tuple(asked))}"
        for name in mine
        if name not in asked
    ]


def _with_space(spec: StudySpec, found: Looked) -> StudySpec:
    return spec if found.space is None else spec.model_copy(update={"space": found.space})


def _take_time(spec: StudySpec, found: Looked) -> None:
    name = model_name(spec, spec.builder)
    try:
        found.timing = _timed(spec)
    except Mistake as mistake:
        found.mistakes += mistake.mistakes
    except NonFinite as error:  # of one point: others of the space may do
        found.notes.append(f"No time was taken: with one point of the space {error}.")
    except Exception as error:  # noqa: BLE001 (the same)
        found.mistakes.append(f"{name} failed when it was trained for {TIMED_EPOCHS} epochs:\n{_told(spec, error)}")


def _told(spec: StudySpec, error: BaseException) -> str:
    return told(spec, error) or f"{type(error).__name__}: {error}"


def _timed(spec: StudySpec) -> dict[str, float]:
    """A short training of one point on the newest fold, which is the largest."""
    cuts = cuts_of(load_source(data_of(spec)), spec.validation)
    training = spec.training.model_copy(update={"epochs": TIMED_EPOCHS, "patience": None, "decay": 0.0})
    short = spec.model_copy(update={"training": training})
    trial = _any_trial(spec)
    point = spec.parsed_space().sample(trial)
    began = time.perf_counter()
    model = model_of(short, point, cuts[-1].dataset, trial)
    result = run_point(short, cuts[-1:], point, model=model)
    seconds = time.perf_counter() - began
    epochs = sorted(result.last.fit.history["seconds"][1:])
    epoch = epochs[len(epochs) // 2]
    return {
        "epoch_seconds": epoch,
        "start_seconds": max(0.0, seconds - epoch * TIMED_EPOCHS),
        "n_parameters": float(result.last.fit.n_parameters),
    }
