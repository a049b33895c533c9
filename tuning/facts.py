"""What the bundle and ``result.json`` say of a study: facts read off the study and the fit, nothing typed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import FrozenTrial

from ..reports.model_info import describe_compiled
from .choosing import Choice
from .pareto import error_of, named_values
from .retraining import Retrained
from .shown import searched_space
from .snapshot import Snapshot, take_snapshot
from .spec import StudySpec

if TYPE_CHECKING:
    from collections.abc import Sequence


def fit_facts(spec: StudySpec, members: Sequence[Retrained]) -> dict[str, Any]:
    """Settings and outcome of the winner's retraining; of an ensemble those of each member, with its optimiser."""
    if len(members) == 1:
        return _member_facts(spec, members[0])
    found = [
        {**_member_facts(spec, member), **describe_compiled(member.result.model), "history": member.result.fit.history}
        for member in members
    ]
    return {
        **spec.final.model_dump(mode="json"),
        "n_parameters": sum(member["n_parameters"] for member in found),
        "seconds": round(sum(member["seconds"] for member in found), 2),
        "members": found,
    }


def winner_facts(study: optuna.Study, members: Sequence[Retrained]) -> list[dict[str, Any]]:
    """Each trial that was exported, with what it came to on each fold of the search; for ``result.json``."""
    trials = study.get_trials(deepcopy=False)
    return [
        {
            "trial": member.trial,
            "parameters": member.parameters,
            "folds": trials[member.trial].user_attrs.get("folds", []),
        }
        for member in members
    ]


def _member_facts(spec: StudySpec, member: Retrained) -> dict[str, Any]:
    fit = member.result.fit
    return {
        **spec.final.model_dump(mode="json"),
        "trial": member.trial,
        "parameters": member.parameters,
        "seed": member.seed,
        "monitor": fit.monitor,
        "best_value": fit.best_value,
        "best_epoch": fit.best_epoch,
        "epochs_trained": fit.epochs,
        "stopped": fit.stopped,
        "validation": member.result.values,
        "n_parameters": fit.n_parameters,
        "seconds": round(member.seconds, 2),
    }


def study_facts(study: optuna.Study, spec: StudySpec, choice: Choice) -> dict[str, Any]:
    """The search behind the winner, for ``model_info.json``; no database address."""
    trials = study.get_trials(deepcopy=False)
    winners = [_trial_facts(trials[number], spec) for number in choice.winners]
    return {
        "name": study.study_name,
        "sampler": spec.search.sampler,
        "pruner": spec.search.pruner,
        "metric": spec.search.metric,
        "validation": spec.validation.model_dump(mode="json"),
        "seed": spec.seed,
        "epochs": spec.training.epochs,
        "trials": counts(take_snapshot(study)),
        "space": searched_space(study, spec),
        "choice": choice.to_json(),
        "winner": winners[0] if len(winners) == 1 else {"members": winners},
    }


def _trial_facts(trial: FrozenTrial, spec: StudySpec) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "value": error_of(trial),
        **({"objectives": named_values(trial, spec)} if len(spec.search.objectives) > 1 else {}),
        **{name: trial.user_attrs.get(name) for name in ("values", "folds", "n_parameters")},
    }


def counts(snapshot: Snapshot) -> dict[str, int]:
    """Trials by state, as `tune status` counts them."""
    names = ("done", "running", "pruned", "failed", "waiting")
    return {name: count for name in names if (count := getattr(snapshot, name))}
