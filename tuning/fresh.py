"""The best points of a search, trained again with seeds that the search did not know: a study of its own.

It is worked off by the same workers through the same queue, so it survives what a search survives. Its name is that of
the search with `.fresh` behind it; it is no study that a user names.
"""

from __future__ import annotations

from dataclasses import replace

import optuna

from ..storage import fleet
from ..storage.locks import named_lock
from ..storage.resilient import ResilientStorage
from . import queue, records
from .choosing import to_judge_again
from .opening import Opened
from .point import SEED
from .samplers import derived_seed
from .sections import SearchSpec
from .spec import StudySpec


def wanted(spec: StudySpec) -> bool:
    """Whether the winner is chosen with fresh seeds."""
    return spec.winner.fresh_seeds > 0 and spec.winner.top > 1


def find(storage: ResilientStorage, spec: StudySpec) -> optuna.Study | None:
    """The study of fresh seeds that belongs to a search, if it was begun."""
    name = spec.study + records.FRESH
    return records.load_study(storage, name) if wanted(spec) and records.exists(storage, name) else None


def fresh_spec(study: optuna.Study, spec: StudySpec) -> StudySpec:
    """Candidates × fresh seeds as a list of points; one repeat each, nothing is pruned, no model is kept."""
    space, seeds = spec.parsed_space(), fresh_seeds(spec)
    candidates = [space.decode(t.params) for t in to_judge_again(study.get_trials(deepcopy=False), spec.winner)]
    points = tuple({**point, SEED: seed} for seed in seeds for point in candidates)
    return spec.model_copy(
        update={
            "study": spec.study + records.FRESH,
            "space": {**spec.space, SEED: {"low": 0, "high": 2**31 - 1}},
            "search": SearchSpec(sampler="points", pruner="none", metric=spec.search.metric, points=points),
            "validation": spec.validation.model_copy(update={"seeds": 1}),
            "run": spec.run.model_copy(update={"keep_best": 0}),
        }
    )


def fresh_seeds(spec: StudySpec) -> list[int]:
    """Seeds that no trial of the search has used; more of them begin with the fewer."""
    return [derived_seed(spec.seed, f"fresh {number}") for number in range(spec.winner.fresh_seeds)]


def open_fresh(opened: Opened) -> Opened:
    """Create the study of fresh seeds or go on with it, and put its tickets into the queue.

    Args:
        opened: the search, which has ended with at least one COMPLETE trial.
    """
    storage, spec = opened.storage, fresh_spec(opened.study, opened.spec)
    with named_lock(storage.engine, spec.study):
        if records.exists(storage, spec.study):
            study = records.load_study(storage, spec.study)
            records.write_spec(study, spec)  # more trials may have brought other candidates
            created = False
        else:
            attributes = opened.study.user_attrs
            study = records.create_study(
                storage,
                spec,
                fingerprint=records.read_fingerprint(opened.study),
                unit=records.read_unit(opened.study),
                folder=str(attributes.get(records.FOLDER, "")),
                artifacts=_below(str(attributes.get(records.ARTIFACTS, ""))),
            )
            created = True
    records.begin_run(study, now=fleet.now(storage), timeout=None)
    changed = queue.reconcile(study, storage, queue.plan(spec), spec.run)
    return replace(opened, study=study, spec=spec, created=created, told=0, changed=changed)


def _below(artifacts: str) -> str:
    return f"{artifacts}/fresh" if artifacts else ""
