"""The judge of a comparison: every trained model forecasts the test part, then come table, page and CSV.

Runs in a process of its own (see :mod:`.delivery`), because it loads Keras models.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from ..models import user_code
from ..objectives.cross_validation import Cut
from ..reports.baselines import baselines_of
from ..reports.comparison import Entrant, TestWindows, Values, compare_entrants
from ..reports.evaluation import predict_part
from ..reports.significance import block_length
from ..storage.artifacts import Artifacts
from ..storage.dataset import Dataset
from ..storage.rdb import open_storage
from . import comparison_output, records
from .comparing import Training, basis, trainings
from .delivery import message
from .entries import ENTRY
from .folds import cuts_of, seen_by
from .point import SEED, resolved, run_point
from .snapshot import REQUEUED
from .spec import StudySpec
from .study_data import load_study_data
from .wording import counted


def judge(study_name: str, folder: Path) -> dict[str, Any]:
    """Do all of it and write ``comparison.json``.

    Args:
        study_name: the comparison, in the database named by ``GREENTUNE_STORAGE``.
        folder: of the comparison.

    Raises:
        Mistake: other data on this host, or nothing can be written.
    """
    storage = open_storage(os.environ["GREENTUNE_STORAGE"], create=False)
    study = records.load_study(storage, study_name)
    spec = records.read_spec(study)
    cuts = cuts_of(load_study_data(study, spec), spec.validation)
    dataset, trained = cuts[-1].dataset, trainings(study, spec)
    forecasts = {training: _forecast(study, spec, cuts, training, trial) for training, trial in trained.items()}
    known, notes = baselines_of(dataset, "test", boosting=True)
    longest = dataset.steps_ahead[-1] if dataset.steps_ahead else dataset.n_outputs
    observed = dataset.observed(dataset.test)
    compared = compare_entrants(
        [_entrant(name, spec, trained, forecasts) for name in _names(spec)],
        [Entrant(name, None, {0: values}) for name, values in known.items()],
        TestWindows(
            observed=observed,
            persistence=known.get("persistence"),
            unit=dataset.unit,
            block=block_length(len(observed), step_seconds=dataset.step_seconds, longest_step=longest),
            longest_step=longest,
        ),
    )
    best = next((row.rmse for row in compared.rows if row.name == compared.best), None)
    looks = records.look_at_test(study, [trial.number for trial in trained.values()], rmse=best)
    content = comparison_output.described(
        compared,
        name=spec.study,
        data=dataset.describe(),
        basis=basis(study, spec),
        facts=[*_facts(spec, dataset), *notes, _looks(looks)],
        problems=_problems(study, spec, trained),
        test_looks=looks,
        seeds=_seeds(spec),
    )
    return comparison_output.write(folder, content)


def _forecast(
    study: optuna.Study, spec: StudySpec, cuts: Sequence[Cut], training: Training, trial: FrozenTrial
) -> Values:
    """The test part as the trained model of a trial forecasts it, in the unit."""
    import keras

    point = {ENTRY: training[0], SEED: training[1]}
    artifacts = Artifacts.open(study.user_attrs.get(records.ARTIFACTS))
    kept = None if artifacts is None else artifacts.model(trial.number)
    if kept is not None and kept.is_file():
        model = keras.saving.load_model(kept, compile=False, safe_mode=True)
    else:  # another host has it, or its disk was full: the same point gives the same model again
        message(say=f"the model of {training[0]} with seed {training[1]} is not kept here: it is trained again")
        model = run_point(spec, cuts, point).last.model
    seen = seen_by(cuts, resolved(spec, point))[-1].dataset
    return predict_part(model, seen, "test")


def _entrant(
    name: str, spec: StudySpec, trained: Mapping[Training, FrozenTrial], forecasts: Mapping[Training, Values]
) -> Entrant:
    mine = {seed: trial for (entry, seed), trial in trained.items() if entry == name}
    values = [trial.user_attrs["values"] for trial in mine.values()]
    return Entrant(
        name=name,
        builder=user_code.shown(spec.entries[name].builder),
        forecasts={seed: forecasts[name, seed] for seed in mine},
        parameters=spec.entries[name].parameters,
        n_parameters=next((trial.user_attrs.get("n_parameters") for trial in mine.values()), None),
        val_loss=fmean(value["val_loss"] for value in values) if values else None,
        val_mse=fmean(value["val_mse"] for value in values) if values else None,
    )


def _names(spec: StudySpec) -> list[str]:
    return list(dict.fromkeys(str(point[ENTRY]) for point in spec.search.points))


def _seeds(spec: StudySpec) -> list[int]:
    return list(dict.fromkeys(int(point[SEED]) for point in spec.search.points))


def _facts(spec: StudySpec, dataset: Dataset) -> list[str]:
    """What was done, in sentences."""
    training, seeds = spec.training, _seeds(spec)
    callbacks = []
    if training.patience is not None:
        callbacks.append(f"training ended after {counted(training.patience, 'epoch')} without a new best")
    if training.reduce_lr_patience is not None:
        callbacks.append(
            f"the learning rate was halved after {counted(training.reduce_lr_patience, 'epoch')} without one"
        )
    numbers = f"seed{'s' * (len(seeds) > 1)} {', '.join(str(seed) for seed in seeds)}"
    trained = (
        f"Every entry was trained on the same {len(dataset.train.windows):,} windows with {numbers}, for up to "
        f"{counted(training.epochs, 'epoch')} in batches of {training.batch_size} unless its parameters say otherwise."
    )
    kept = (
        f"The best epoch was that with the smallest {spec.search.metric} on the {len(dataset.val.windows):,} windows "
        "of the validation part; its weights were kept"
    )
    parts = "The parts are those of the arrays; how these were made is not known."
    if dataset.target is not None:
        parts = (
            "Training, validation and test part follow each other in time; no window straddles a border, and scalers "
            "saw training rows only."
        )
    return [trained, f"{'; '.join([kept, *callbacks])}.", parts]


def _problems(study: optuna.Study, spec: StudySpec, trained: Mapping[Training, FrozenTrial]) -> list[str]:
    """A sentence for each training that has no result."""
    space, reasons = spec.parsed_space(), {}
    for trial in study.get_trials(deepcopy=False, states=(TrialState.FAIL,)):
        reason = trial.user_attrs.get("reason", "error")
        if reason not in REQUEUED and ENTRY in trial.params:
            point = space.decode(trial.params)
            reasons[str(point[ENTRY]), int(point[SEED])] = reason
    return [
        f"The training of {entry} with seed {seed} failed ({reasons.get((entry, seed), 'unknown')}); it is left out."
        for entry, seed in ((str(point[ENTRY]), int(point[SEED])) for point in spec.search.points)
        if (entry, seed) not in trained
    ]


def _looks(looks: Sequence[Mapping[str, Any]]) -> str:
    if len(looks) == 1:
        return "The test part was used once, for this table."
    return f"The test part was used {len(looks)} times by this comparison, for other seeds or entries."
