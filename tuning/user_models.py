"""What a study's own name for a model leads to: one of our builders, or code of the user bound to one trial.

A function of a user, or a HyperModel, says which parameters there are while it runs. In a search it draws them from
the live trial; afterwards the same trial is played back from what the database stores, with the same result.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import optuna

from ..models import user_code
from ..models.contract import Builder, Builds, ModelError
from ..models.registry import builder_keys
from ..models.suggests import Suggests
from ..storage.mistakes import Mistake
from .entries import ENTRY
from .references import references, searched_builders

if TYPE_CHECKING:
    from .spec import StudySpec

RESERVED = ("seed", ENTRY)
"""Names that trials of fresh seeds and comparisons have beside those of the model."""


class OtherCode(Mistake):
    """The user's code on this host is not that with which the study was created."""


class Given:
    """A trial that answers with given values first and remembers what it was asked.

    Args:
        trial: asked for all others. What else a trial can do, it does.
        values: by name: what the study fixes, and what its own space has drawn already.
    """

    def __init__(self, trial: Suggests, values: Mapping[str, Any]) -> None:
        self._trial, self._values = trial, values
        self.drawn: dict[str, Any] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the choices; a list among them is stored as Optuna can."""
        if name in self._values:
            return self._note(name, self._values[name])
        return self._note(name, self._trial.suggest_categorical(self._checked(name), choices))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """A whole number, both ends included."""
        if name in self._values:
            return int(self._note(name, self._values[name]))
        return int(self._note(name, self._trial.suggest_int(self._checked(name), low, high, step=step, log=log)))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A number, both ends included."""
        if name in self._values:
            return float(self._note(name, self._values[name]))
        return float(self._note(name, self._trial.suggest_float(self._checked(name), low, high, step=step, log=log)))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # asked by copies, before there is a trial
            raise AttributeError(name)
        return getattr(self._trial, name)

    def _checked(self, name: str) -> str:
        if name in RESERVED:
            raise ModelError(f"A parameter of a model may not be called '{name}': greentune uses that name. Rename it.")
        return name

    def _note(self, name: str, value: Any) -> Any:
        self.drawn[name] = value
        return value


class Nothing:
    """Stands in for a trial where nothing is to be drawn: in a comparison every parameter is fixed."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Refuses, as the others do."""
        return self._refuse(name)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Refuses."""
        return self._refuse(name)

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Refuses."""
        return self._refuse(name)

    def _refuse(self, name: str) -> NoReturn:
        raise ModelError(
            f"In a comparison nothing is drawn, but the model asks for '{name}'. Fix it in its parameters."
        )


class Bound:
    """The model of one trial: what builds it, and what it has drawn.

    Attributes:
        builds: for `holdout`.
        parameters: for it.
    """

    def __init__(self, builds: Builds, parameters: Mapping[str, Any], given: Given | None = None) -> None:
        self.parameters, self._given = parameters, given
        self.builds = builds

    def drawn(self) -> dict[str, Any]:
        """Values under the user's own names, as far as the user's code has asked for them; of our builders none."""
        hp = getattr(self.builds, "hp", None)
        if hp is not None:
            return dict(hp.values)
        return {} if self._given is None else dict(self._given.drawn)


def draws_itself(spec: StudySpec) -> bool:
    """Whether the names of a trial's parameters may be known only while the user's code runs."""
    if spec.hypermodel is not None or spec.objective_function is not None:
        return True
    return any(key not in builder_keys() for key in (searched_builders(spec.space) or [spec.builder]))


def model_name(spec: StudySpec, key: str) -> str:
    """What stands for the model in reports and bundles: a key of ours, or the user's reference without folders."""
    return user_code.shown(spec.hypermodel or spec.objective_function or key)


def models_named(spec: StudySpec) -> str:
    """The same for the whole study: every model among which it chooses."""
    keys = [] if spec.hypermodel or spec.objective_function else searched_builders(spec.space)
    return ", ".join(model_name(spec, key) for key in (keys or [spec.builder]))


def bind(
    spec: StudySpec,
    key: str,
    parameters: Mapping[str, Any],
    trial: Suggests,
    shape: tuple[int, int, int],
) -> Bound:
    """The model of a trial whose code is the user's.

    Args:
        key: of the builder, where it is no HyperModel.
        parameters: what the study fixes and its space has drawn.
        trial: what the user's code draws the rest from.
        shape: lookback, features, outputs.

    Raises:
        ModelError: the user's code is not what it must be.
    """
    given = Given(trial, parameters)
    if spec.hypermodel is not None:
        from ..models import hypermodel, keras_tuner

        name = user_code.shown(spec.hypermodel)
        made = hypermodel.instance(load(spec, spec.hypermodel), name, shape[:2], shape[2])
        return Bound(hypermodel.for_trial(made, keras_tuner.hyperparameters(given), name), {}, given)
    from ..models.user import Contract, DefineByRun, as_builder

    name = user_code.shown(key)
    found = as_builder(load(spec, key), name)
    if isinstance(found, Contract):
        return Bound(found, parameters)
    return Bound(DefineByRun(found, given, name), {}, given)


def contract_of(spec: StudySpec, key: str) -> Builder | None:
    """The user's builder, if it declares its parameters as ours do; None for a function. Imports the code."""
    from ..models.user import Contract, as_builder

    found = as_builder(load(spec, key), user_code.shown(key))
    return found if isinstance(found, Contract) else None


def load(spec: StudySpec, reference: str) -> object:
    """The user's object. It is imported once in a process.

    Raises:
        OtherCode: the files have changed since the study was created, or this host has others.
        ModelError: they cannot be imported.
    """
    if reference not in _loaded:
        check_unchanged(spec)
        folder = Path.cwd() if spec.code is None else Path(spec.code.folder)
        _loaded[reference] = user_code.load(reference, user_code.root_of(reference, folder))
    return _loaded[reference]


_loaded: dict[str, object] = {}


def check_unchanged(spec: StudySpec) -> None:
    """Compare the user's files on this host with those of the study.

    Raises:
        OtherCode: with the names of the files that differ.
    """
    found = [] if spec.code is None else user_code.changed(spec.code.files, Path(spec.code.folder))
    if found:
        raise OtherCode(
            f"The code is not that with which the study '{spec.study}' was created: {', '.join(found)}. Results of "
            "different code do not compare: restore it, start a new study with --study NAME, or go on with it all the "
            "same: --accept-code."
        )


def accepting(stored: StudySpec, asked: StudySpec) -> StudySpec:
    """The specification of a study that goes on with code as it is now, and remembers what was edited."""
    if stored.code is None or asked.code is None:
        return stored
    edits = user_code.changed(stored.code.files, Path(stored.code.folder))
    accepted = tuple(dict.fromkeys((*stored.code.accepted, *edits)))
    return stored.model_copy(update={"code": asked.code.model_copy(update={"accepted": accepted})})


def mixed_code(spec: StudySpec) -> list[str]:
    """That trials of a study ran with different code, where they did."""
    if spec.code is None or not spec.code.accepted:
        return []
    edits = ", ".join(spec.code.accepted)
    meaning = "trials from before and after do not compare, and the winner is trained with the code as it is now"
    return [f"The code was changed while the study was on its way ({edits}): {meaning}."]


def preload(spec: StudySpec) -> None:
    """Import the code of a study on this host.

    Raises:
        OtherCode: it is not here, or another one.
    """
    for reference in references(spec.model_dump()).values():
        try:
            load(spec, reference)
        except ModelError as error:
            raise OtherCode([f"On this host: {sentence}" for sentence in error.mistakes]) from error


def told(spec: StudySpec, error: BaseException) -> str | None:
    """What the user's code raised, in its own frames; None where the study has no such code."""
    folder = Path.cwd() if spec.code is None else Path(spec.code.folder)
    roots = {user_code.root_of(reference, folder) for reference in references(spec.model_dump()).values()}
    return user_code.user_traceback(error, roots) if roots else None


def replay(params: Mapping[str, Any]) -> optuna.trial.FixedTrial:
    """A trial that answers as an earlier one did.

    Args:
        params: of that trial, as Optuna stores them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.trial.FixedTrial(dict(params))
