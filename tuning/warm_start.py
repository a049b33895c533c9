"""A new study that begins with the best points of another one in the same database: `search.start_from`.

It happens once, at creation: the points then stand in `search.first`, and the other study may go away.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from ..storage.address import find_storage, storage_url
from ..storage.mistakes import Mistake, nearest
from ..storage.rdb import open_storage
from ..storage.resilient import ResilientStorage
from . import records
from .choosing import top_trials
from .mapping import mapped
from .point import SEED
from .space import Point, point_key
from .spec import SpecError, StudySpec, parse_spec
from .wording import counted


def start_mistakes(raw: Mapping[str, Any], storage: str | os.PathLike[str] | None, out: Path) -> list[str]:
    """Why the study cannot start from the one that `search.start_from` names; to be told with all other mistakes.

    Args:
        raw: the specification as nested tables, in which anything may still be wrong.
        storage, out: where its database is, as for :func:`.opening.open_study`.
    """
    search = raw.get("search")
    name = search.get("start_from") if isinstance(search, Mapping) else None
    if not isinstance(name, str) or not name:
        return []
    try:
        spec = parse_spec(raw)
    except SpecError:
        spec = None
    try:
        database = open_storage(storage_url(find_storage(storage) or out / records.DATABASE), create=False)
        own = raw.get("study") if spec is None else spec.study
        if isinstance(own, str) and records.exists(database, own) and own != name:
            return []  # it has begun: whether it asks for the same is looked at with the rest
        _begin(database, name, own, spec)
    except Mistake as mistake:
        return mistake.mistakes
    return []


def started(database: ResilientStorage, spec: StudySpec, unit: str) -> tuple[StudySpec, tuple[str, ...]]:
    """The specification of a new study with the points that it starts from, and what to say of them.

    Args:
        unit: of the errors of the new study.

    Raises:
        SpecError: the other study cannot be started from.
    """
    name = spec.search.start_from
    if name is None:
        return spec, ()
    study, old, trials, points, notes = _begin(database, name, spec.study, spec)
    first = {point_key(point): point for point in (*spec.search.first, *points)}
    search = spec.search.model_copy(update={"first": tuple(first.values())})
    numbers = ", ".join(str(trial.number) for trial in trials)
    head = f"starting from {name}: {counted(len(points), 'point')} of its best trials ({numbers}), tried first"
    about = (head, *_other_data(name, study, old, spec, unit), *(f"  {note}" for note in notes))
    return spec.model_copy(update={"search": search}), about


def started_otherwise(stored: StudySpec, asked: StudySpec) -> list[str]:
    """Where a study that has begun is asked to start from another one than it did; nothing asked is no difference."""
    old, new = stored.search, asked.search
    if new.start_from is None:
        return []
    names = ("start_from",) if new.start_from != old.start_from else ("start_best",)
    return [
        f"search.{name}: the study has {getattr(old, name)!r}, the command asks for {getattr(new, name)!r}"
        for name in names
        if getattr(old, name) != getattr(new, name)
    ]


def _begin(
    database: ResilientStorage, name: str, own: Any, spec: StudySpec | None
) -> tuple[optuna.Study, StudySpec, list[FrozenTrial], tuple[Point, ...], tuple[str, ...]]:
    """The other study, its specification, its best trials, their points here, and what became of them."""
    if name == own:
        raise SpecError(f"`search.start_from` must be another study; got '{name}' itself. It goes on without that.")
    names = [found for found in records.study_names(database) if not found.endswith(records.FRESH) and found != own]
    if name not in names:
        raise SpecError(
            f"`search.start_from` must be a study of this database; there is no '{name}'. {nearest(name, names)}"
        )
    study = records.load_study(database, name)
    old = records.read_spec(study)
    wrong = [] if spec is None else _other_search(name, old, spec)
    best = _distinct(study, old, 5 if spec is None else spec.search.start_best)
    if not best:
        wrong.append(
            f"`search.start_from` must be a study with a complete trial; '{name}' has none yet. Wait for one, or start "
            "without it."
        )
    if wrong:
        raise SpecError(wrong)
    points, notes = ((), ()) if spec is None else mapped([point for _, point in best], old, spec)
    if spec is not None and not points:
        raise SpecError(
            f"`search.start_from` must be a study with a parameter that is searched here; '{name}' knows none of "
            f"{', '.join(spec.space)}. Start without it."
        )
    return study, old, [trial for trial, _ in best], points, notes


def _distinct(study: optuna.Study, spec: StudySpec, n: int) -> list[tuple[FrozenTrial, Point]]:
    """The `n` best trials with points of their own; in a comparison those of one entry differ by their seed alone."""
    space, trials = spec.parsed_space(), study.get_trials(deepcopy=False)
    found: dict[str, tuple[FrozenTrial, Point]] = {}
    for trial in top_trials(trials, len(trials), spec.search.directions):
        point = {name: value for name, value in space.decode(trial.params).items() if name != SEED}
        found.setdefault(point_key(point), (trial, point))
    return list(found.values())[:n]


def _other_search(name: str, old: StudySpec, new: StudySpec) -> list[str]:
    """Where what was best there need not be good here."""
    there, here = (spec.search.value_names for spec in (old, new))
    ways = [spec.search.directions or ("minimize",) * len(spec.search.value_names) for spec in (old, new)]
    if there == here and ways[0] == ways[1]:
        return []
    if there == here:
        return [f"`search.start_from` must be a study with the same directions; '{name}' has {', '.join(ways[0])}."]
    what, way_out = "objectives", "the same objectives"
    if there[0] != here[0]:
        what, way_out = "metric", f"--metric {there[0]}"
    told = f"'{name}' minimises {' and '.join(there)}, this one {' and '.join(here)}. Use another study, or {way_out}."
    return [f"`search.start_from` must be a study with the same {what}; {told}"]


def _other_data(name: str, study: optuna.Study, old: StudySpec, new: StudySpec, unit: str) -> list[str]:
    """That the other study forecasts something else: its parameters may help all the same."""
    there, here = ((spec.data.target or "ready arrays") for spec in (old, new))
    other = records.read_unit(study)
    if (there, other) == (here, unit):
        return []
    return [f"  {name} forecasts {there} in {other}, this study {here} in {unit}: what was good there need not be here"]
