"""Who proposes points. Samplers that need no results are drawn before the first trial; TPE at the claim."""

from __future__ import annotations

import hashlib
import warnings
from typing import TYPE_CHECKING

import optuna

from .space import Point, Space, labels

if TYPE_CHECKING:
    from .spec import StudySpec


def planned_points(spec: StudySpec, n_trials: int | None) -> list[Point]:
    """All points that are known before the search; empty points are blanks that the sampler fills at the claim.

    `random` and `qmc` sequences are drawn here, in one process: the same points whatever the number of workers,
    no two workers can draw the same one, and a longer plan begins with the shorter one. What is to be tried first
    stands before them.

    Args:
        n_trials: how many; None means the whole grid or list, or the default for other samplers.
    """
    space = spec.parsed_space()
    if spec.search.sampler == "grid":
        points = list(space.grid())
        return points if n_trials is None else points[:n_trials]
    if spec.search.sampler == "points":
        return [dict(point) for point in spec.search.points][:n_trials]
    wanted = n_trials or 0
    if spec.search.sampler == "tpe":
        return [*map(dict, spec.search.first), *({} for _ in range(wanted))][:wanted]
    study = optuna.create_study(sampler=_sequence(spec))
    points = _filled(spec, space)
    for _ in range(wanted - len(points)):
        trial = study.ask()
        points.append(space.sample(trial))
        study.tell(trial, 0.0)
    return points[:wanted]


def _filled(spec: StudySpec, space: Space) -> list[Point]:
    """What is tried first, made whole: by draws of their own, so that the sequence behind begins as it always does.

    Names that the space does not know are those of the user's code, which asks for them when it runs.
    """
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=derived_seed(spec.seed, "first")))
    points = []
    for point in spec.search.first:
        study.enqueue_trial(labels(point))
        own = {name: value for name, value in point.items() if name not in space.names}
        points.append({**space.sample(study.ask()), **own})
    return points


def _sequence(spec: StudySpec) -> optuna.samplers.BaseSampler:
    if spec.search.sampler == "random":
        return optuna.samplers.RandomSampler(seed=spec.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.QMCSampler(
            scramble=True, seed=spec.seed, warn_independent_sampling=False, warn_asynchronous_seeding=False
        )


def claim_sampler(spec: StudySpec, ticket: str) -> optuna.samplers.BaseSampler:
    """The sampler that fills a blank ticket, seeded by study and ticket: no two workers draw the same."""
    if spec.search.sampler != "tpe":
        return optuna.samplers.RandomSampler(seed=derived_seed(spec.seed, ticket))  # for what the user's code draws
    return optuna.samplers.TPESampler(seed=derived_seed(spec.seed, ticket))


def derived_seed(seed: int, purpose: str) -> int:
    """A seed for one purpose, from the one seed of the study; 0 … 2³¹ − 1."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{purpose}".encode()).digest()[:4], "big") >> 1
