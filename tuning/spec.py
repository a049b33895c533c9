"""The specification of a study: what is searched, on which data, how it is trained and until when.

It comes from a preset, a TOML file and options, later ones winning, and is frozen once read. All mistakes come at once.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from ..storage.dataspec import SAMPLE_PREFIX, DataSpec
from ..storage.mistakes import Mistake, nearest
from .checks import search_mistakes, training_mistakes
from .entries import EntrySpec, entry_mistakes
from .extension import extended_space
from .presets import PRESET, preset_mistakes, with_preset
from .references import with_whole_paths
from .refusals import explained
from .sections import (
    Backend,
    CodeSpec,
    FinalSpec,
    RunSpec,
    SearchSpec,
    Section,
    TrainingSpec,
    ValidationSpec,
    WinnerSpec,
)
from .space import Space, parse_space

DEFAULT_TRIALS = 40
_BUDGETS = ("search.trials", "search.timeout", "search.worker_seconds", "search.until_no_gain")
_EXTENDABLE = ("study", *_BUDGETS, "search.first", "search.start_from", "search.start_best", "data.path")
"""What may differ when a study is gone on with: how long to search, where the data lie (their bytes may not), and what
is tried first, where that of the study stands.

The sections `run`, `winner` and `final` may differ too, and the space may grow (see :mod:`.extension`)."""


_SINCE = ("search.objectives", "search.directions", "hypermodel", "objective_function", "data.known_ahead_beyond")
"""Settings that came later than the first studies, and say nothing where they are empty."""


class SpecError(Mistake):
    """A specification with mistakes, or one that differs from that of the existing study."""


class StudySpec(Section):
    """Everything that a study is. A worker that has this needs nothing else but the database.

    Attributes:
        study: its name; not given: data, sampler and a digest of the rest.
        seed: everything random follows from it.
        backend: of Keras; ``auto``: JAX on a CPU, TensorFlow where it sees a GPU.
        builder: a key of ours, or code of the user: ``FILE.py:NAME``, ``MODULE:NAME``, the name of an entry point.
        hypermodel: a HyperModel of KerasTuner instead, or its ``build(hp)``.
        objective_function: any function of an Optuna trial instead; there are no data and no winner then.
        parameters: of the builder, fixed by name.
        space: what is searched, by name: a list of choices, or a range as a table.
        entries: of a comparison, by name; `tune compare` makes them of the list ``compare``.
        data: which series, what its columns mean, what is forecast.
        search: who searches, what is minimised, and until when.
        validation: on what a trial is judged.
        training: how each trial is trained.
        run: how workers run; may be changed when the study goes on.
        winner: how the winner is chosen; may be changed afterwards.
        final: how the winner is trained again; may be changed afterwards.
        code: the user's code, once it was looked at.
    """

    study: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^/\\\x00]+$")]
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    backend: Backend = "auto"
    builder: str = "stacked_lstm"
    hypermodel: str | None = None
    objective_function: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    space: dict[str, Any] = Field(default_factory=dict)
    entries: dict[str, EntrySpec] = Field(default_factory=dict)
    data: DataSpec = Field(default_factory=DataSpec)
    search: SearchSpec = Field(default_factory=SearchSpec)
    validation: ValidationSpec = Field(default_factory=ValidationSpec)
    training: TrainingSpec = Field(default_factory=TrainingSpec)
    run: RunSpec = Field(default_factory=RunSpec)
    winner: WinnerSpec = Field(default_factory=WinnerSpec)
    final: FinalSpec = Field(default_factory=FinalSpec)
    code: CodeSpec | None = None

    def parsed_space(self) -> Space:
        """The declared space, ready to be sampled."""
        return parse_space(self.space)[0]

    def to_json(self) -> str:
        """The specification as JSON, as it stands in the database.

        The parameters keep their order: that of a grid's points and of a random sequence follows from it.
        """
        return json.dumps(self.model_dump(mode="json"))

    @classmethod
    def from_json(cls, text: str) -> StudySpec:
        """Read back what :meth:`to_json` wrote."""
        return cls.model_validate_json(text)

    def identity(self) -> dict[str, Any]:
        """What makes it the same study, flat: ``{"search.sampler": "tpe", …}`` without what may be extended."""
        flat = _flatten(self.model_dump(mode="json"))
        left_out: tuple[str, ...] = (
            *_EXTENDABLE,
            "search.points" if self.entries else "entries",
        )  # a comparison may get more seeds
        left_out += tuple(name for name in _SINCE if not flat.get(name))  # so that studies keep their names
        changeable = ("run.", "winner.", "final.", "code")
        return {n: v for n, v in flat.items() if n not in left_out and not n.startswith(changeable)}


def read_toml(path: Path) -> dict[str, Any]:
    """Read a study file; a relative ``data.path`` in it counts from the file's own folder.

    Raises:
        SpecError: there is no such file, or it is not TOML.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        others = [p.name for p in path.parent.glob("*.toml")] if path.parent.is_dir() else []
        raise SpecError(
            f"`--config` must be a TOML file; there is none at {path}. {nearest(path.name, others)}"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} is not valid TOML: {error}. Correct that place.") from None
    raw = with_whole_paths(raw, path.parent)
    data = raw.get("data")
    if isinstance(data, dict) and isinstance(data.get("path"), str) and "sample:" not in data["path"]:
        data["path"] = str(path.parent / Path(data["path"]).expanduser())
    return raw


def parse_spec(raw: Mapping[str, Any]) -> StudySpec:
    """Check a merged specification and freeze it.

    Args:
        raw: nested tables as in TOML. What stands below them is merged in already (see :mod:`.presets`), but for a
            preset that they name.

    Raises:
        SpecError: with every mistake at once.
    """
    mistakes = preset_mistakes(raw)
    spec: StudySpec | None = None
    tables = with_preset({}, raw) if PRESET in raw and not mistakes else raw
    named = {name: value for name, value in with_whole_paths(tables, Path.cwd()).items() if name != PRESET}
    named["study"] = raw.get("study") or "unnamed"
    try:
        spec = StudySpec.model_validate(named)
    except ValidationError as error:
        mistakes += [explained(detail, StudySpec) for detail in error.errors()]
    mistakes += training_mistakes(named)
    mistakes += entry_mistakes(named) if named.get("entries") else search_mistakes(named)
    if mistakes or spec is None:
        raise SpecError(mistakes)
    spec = spec.model_copy(update={"data": spec.data.model_copy(update={"path": _whole_path(spec.data.path)})})
    return spec if raw.get("study") else spec.model_copy(update={"study": default_name(spec)})


def differences(stored: StudySpec, asked: StudySpec) -> list[str]:
    """What a command asks for that the existing study is not and cannot become, one sentence each."""
    old, new = stored.identity(), asked.identity()
    if asked.backend == "auto":
        new["backend"] = old["backend"]
    space = [name for name in old.keys() | new.keys() if name.split(".")[0] == "space"]
    # Entries of a comparison may be added; one that is missing lacks in the space, too.
    space += [name for name in old.keys() ^ new.keys() if name.startswith("entries.")]
    old, new = ({n: v for n, v in each.items() if n not in space} for each in (old, new))
    return extended_space(stored.space, asked.space)[1] + [
        f"{name}: the study has {old.get(name)!r}, the command asks for {new.get(name)!r}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def with_end(spec: StudySpec, winner: Mapping[str, Any], final: Mapping[str, Any]) -> StudySpec:
    """The specification with another way to choose the winner, and to train it again; what is None stays.

    Raises:
        SpecError: with every mistake at once.
    """
    found: dict[str, Any] = {}
    mistakes: list[str] = []
    for name, old, asked in (("winner", spec.winner, winner), ("final", spec.final, final)):
        try:
            found[name] = old.model_validate(old.model_dump() | {n: v for n, v in asked.items() if v is not None})
        except ValidationError as error:
            mistakes += [explained({**detail, "loc": (name, *detail["loc"])}, StudySpec) for detail in error.errors()]
    if mistakes:
        raise SpecError(mistakes)
    return spec.model_copy(update=found)


def with_default_trials(spec: StudySpec) -> StudySpec:
    """The specification with a number of trials, where neither the user nor a list of points says one."""
    if spec.search.trials is not None or spec.search.sampler in ("grid", "points"):
        return spec
    return spec.model_copy(update={"search": spec.search.model_copy(update={"trials": DEFAULT_TRIALS})})


def default_name(spec: StudySpec) -> str:
    """The name of a study that was given none: data, sampler, and a digest of the rest.

    The same command finds the same study again; another specification gets a study of its own.
    """
    if spec.objective_function is not None:
        return f"{spec.objective_function.rpartition(':')[2]}-{spec.search.sampler}-{_digest_of(spec)}"
    stem = re.sub(r"\.(csv|gz|parquet)", "", spec.data.path.removeprefix("sample:").rstrip("/").rsplit("/", 1)[-1])
    return f"{stem or 'study'}-{'compare' if spec.entries else spec.search.sampler}-{_digest_of(spec)}"


def _digest_of(spec: StudySpec) -> str:
    return hashlib.sha256(json.dumps(spec.identity(), sort_keys=True).encode()).hexdigest()[:6]


def _whole_path(path: str) -> str:
    """The path from the root: workers and later commands may stand in other folders."""
    return path if path.startswith(SAMPLE_PREFIX) else str(Path(path).expanduser().resolve())


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Tables become dotted names; the free tables `space` and `parameters` one level deep."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict) and (not prefix and value):
            flat |= _flatten(value, f"{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
