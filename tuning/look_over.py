"""All that can be wrong with a study, looked at before anything is written: specification, data, leaks, user's code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from ..models.registry import builder_keys, get_builder
from ..objectives.audit import Audit, audit
from ..storage.dataset import Dataset
from ..storage.datasets import load_source
from ..storage.dataspec import DataError, DataSpec
from ..storage.mistakes import Mistake
from ..storage.source import Source
from ..storage.variants import group_mistakes
from . import probe
from .folds import cuts_of
from .looked import Looked
from .spec import SpecError, StudySpec, parse_spec
from .study_data import data_of


@dataclass(frozen=True)
class Checked:
    """A study in which nothing wrong was found.

    Attributes:
        spec: with what was found out of the user's code.
        source: the data; None where an objective function has none.
        audit: what was checked of them.
        looked: at the model; None where that was not needed.
    """

    spec: StudySpec
    source: Source | None
    audit: Audit | None
    looked: Looked | None = None

    @property
    def dataset(self) -> Dataset | None:
        """With the longest lookback and all features."""
        return None if self.source is None else self.source.dataset

    @property
    def notes(self) -> tuple[str, ...]:
        """What may be a mistake."""
        return (*_strong_penalty(self.spec), *(() if self.looked is None else self.looked.notes))


def look_over(raw: Mapping[str, Any], mistakes: list[str], *, timed: bool = False) -> Checked:
    """Read specification and data, look for leaks and at the user's code.

    Args:
        raw: nested tables, presets merged in.
        mistakes: what is wrong with other things; told together with the rest.
        timed: whether a few epochs are trained to see how long they take, also of our own models.

    Raises:
        SpecError: with everything that the user can put right.
    """
    spec, source = read(raw, mistakes)
    found = None
    if spec is not None and source is not None and not mistakes:
        try:
            found = audit(source.dataset, [cut.dataset for cut in cuts_of(source, spec.validation)])
            mistakes += [f"Leak in the data: {leak.sentence}" for leak in found.leaks]
        except Mistake as error:
            mistakes += error.mistakes
    if mistakes or spec is None:
        raise SpecError(mistakes)
    if not timed and not probe.needed(spec):
        return Checked(spec, source, found)
    looked = probe.look(spec, None if source is None else source.dataset, timed=timed)
    if looked.mistakes:
        raise SpecError(looked.mistakes)
    return Checked(probe.with_code(spec, looked) if probe.needed(spec) else spec, source, found, looked)


def read(raw: Mapping[str, Any], mistakes: list[str]) -> tuple[StudySpec | None, Source | None]:
    """Specification and data, each as far as it can be read; what is wrong is added to `mistakes`.

    An objective function has no data.
    """
    spec: StudySpec | None = None
    try:
        spec = parse_spec(raw)
    except SpecError as error:
        mistakes += error.mistakes
    return spec, None if raw.get("objective_function") is not None else _source(raw, spec, mistakes)


def _source(raw: Mapping[str, Any], spec: StudySpec | None, mistakes: list[str]) -> Source | None:
    """The data, when the rest of the specification has mistakes too."""
    source = None
    try:
        data, refused = (data_of(spec), set()) if spec is not None else _data_alone(raw.get("data", {}))
        if data is not None and refused & {"path", "target"}:
            mistakes += data.mistakes()  # without these two nothing can be read
        elif data is not None:
            source = load_source(data)
            mistakes += group_mistakes(source.dataset)
    except DataError as error:
        mistakes += error.mistakes
    return source


def _data_alone(table: Any) -> tuple[DataSpec | None, set[Any]]:
    """The data section as far as the types allow it, and which settings they refuse; None when it is no table."""
    if not isinstance(table, Mapping):
        return None, set()
    try:
        return DataSpec.model_validate(table), set()
    except ValidationError as error:
        refused = {detail["loc"][0] for detail in error.errors()}
    return DataSpec.model_validate({name: value for name, value in table.items() if name not in refused}), refused


def _strong_penalty(spec: StudySpec) -> list[str]:
    """The documented penalty of our models is far too strong for scaled data, and easily left in place unawares."""
    if spec.entries or spec.hypermodel or spec.objective_function or spec.builder not in builder_keys():
        return []
    known = get_builder(spec.builder).parameters
    left = [n for n in ("l1", "l2") if n in known and n not in {**spec.parameters, **spec.space}]
    if not left or spec.search.metric == "val_loss":
        return []
    names, verb = " and ".join(left), "are" if len(left) > 1 else "is"
    strong = f"the documented penalty of {known[left[0]].default} holds, which is strong for scaled data"
    return [f"{names} {verb} neither fixed nor searched: {strong}. Fix it in [parameters], e.g. l1 = 0.0, l2 = 1e-5."]
