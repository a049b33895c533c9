"""The one storage that everything uses: Optuna's, behind a wrapper that outlives outages of the database."""

from __future__ import annotations

import uuid
import weakref
from collections.abc import Callable, Container, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import optuna
import sqlalchemy as sa
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage
from optuna.storages._rdb.models import StudyModel, TrialModel
from optuna.study._frozen import FrozenStudy
from optuna.study._study_direction import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.orm import Session

from .outages import Patience
from .tables import PARAMETERS, TRIALS

Result = TypeVar("Result")


class ResilientStorage(BaseStorage):
    """Forwards every call and repeats it while the database is away.

    Most of Optuna's writes may safely be repeated. Where a first try may have landed although its answer was lost, the
    repetition looks first: a new trial that is like its template is ours, so is a study of this name, and a state that
    is already the wanted one was set by us.

    Args:
        backend: the database as Optuna sees it. Reads of finished trials are cached, writes are not.
        patience: how long to wait.
        again: a function and its arguments that open the same database, for a storage that is pickled.
    """

    def __init__(
        self, backend: RDBStorage, patience: Patience, *, again: tuple[Callable[..., Any], tuple[Any, ...]]
    ) -> None:
        self._rdb = backend
        self._cached = optuna.storages.get_storage(backend)
        self.patience = patience
        self._again = again
        self._claimed: FrozenTrial | None = None
        self._claimed_of = -1
        # Connections are closed when nobody holds the storage any more.
        weakref.finalize(self, backend.engine.dispose)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self._again

    @property
    def engine(self) -> sa.Engine:
        """The connections."""
        return self._rdb.engine

    def transaction(self, work: Callable[[sa.Connection, bool], Result]) -> Result:
        """Run ``work(connection, again)`` in one transaction, again and again while the database is away.

        Args:
            work: reads and writes; it must look whether an earlier try has landed when `again` is True.
        """

        def attempt(again: bool) -> Result:
            with self._rdb.engine.begin() as connection:
                return work(connection, again)

        return self.patience.keep_trying(attempt)

    def _try(self, call: Callable[..., Result], *arguments: Any) -> Result:
        return self.patience.keep_trying(lambda _again: call(*arguments))

    # Studies

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        name = (
            f"no-name-{uuid.uuid4()}" if study_name is None else study_name
        )  # named here, so that a second try finds what the first made

        def attempt(again: bool) -> int:
            try:
                return self._cached.create_new_study(directions, name)
            except DuplicatedStudyError:
                if not again:
                    raise
                return self._cached.get_study_id_from_name(name)

        return self.patience.keep_trying(attempt)

    def delete_study(self, study_id: int) -> None:
        def attempt(again: bool) -> None:
            try:
                self._cached.delete_study(study_id)
            except KeyError:
                if not again:
                    raise

        self.patience.keep_trying(attempt)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        self._try(self._rdb.set_study_user_attr, study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self._try(self._rdb.set_study_system_attr, study_id, key, value)

    def get_study_id_from_name(self, study_name: str) -> int:
        return self._try(self._cached.get_study_id_from_name, study_name)

    def get_study_name_from_id(self, study_id: int) -> str:
        return self._try(self._cached.get_study_name_from_id, study_id)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return self._try(self._cached.get_study_directions, study_id)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return self._try(self._rdb.get_study_user_attrs, study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self._try(self._rdb.get_study_system_attrs, study_id)

    def get_all_studies(self) -> list[FrozenStudy]:
        return self._try(self._rdb.get_all_studies)

    # Trials

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        # Not through Optuna's own method, which repeats a creation whose answer was lost without looking.
        newest = self.transaction(lambda connection, _again: _newest(connection, study_id))

        def work(connection: sa.Connection, again: bool) -> int:
            with Session(connection) as session:
                StudyModel.find_or_raise_by_id(study_id, session, for_update=True)
                if again and (landed := self._twin(session, study_id, newest, template_trial)) is not None:
                    return landed
                trial_id = int(self._rdb._get_prepared_new_trial(study_id, template_trial, session).trial_id)
                session.flush()
                return trial_id

        return self.transaction(work)

    def _twin(self, session: Session, study_id: int, newest: int, template: FrozenTrial | None) -> int | None:
        """The trial that a try whose answer was lost has made from the template."""
        if template is None:
            return None
        later = sa.select(TrialModel).where(TrialModel.study_id == study_id, TrialModel.trial_id > newest)
        facts = ("state", "params", "values", "user_attrs", "system_attrs", "intermediate_values")
        for model in session.scalars(later):
            trial = self._rdb._build_frozen_trial_from_trial_model(model)
            if all(getattr(trial, fact) == getattr(template, fact) for fact in facts):
                return trial._trial_id
        return None

    def expect(
        self,
        trial_id: int,
        number: int,
        *,
        begun: datetime,
        user: dict[str, Any],
        system: dict[str, Any],
    ) -> None:
        """A trial was claimed: Optuna's next look at it is answered from here, and its parameters cost one write each.

        Args:
            begun: UTC, without a zone.
        """
        local = begun.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
        self._claimed = FrozenTrial(
            number=number,
            state=TrialState.RUNNING,
            value=None,
            datetime_start=local,
            datetime_complete=None,
            params={},
            distributions={},
            user_attrs=user,
            system_attrs=system,
            intermediate_values={},
            trial_id=trial_id,
        )
        self._claimed_of = trial_id

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        # Not through Optuna's cache, which knows only trials that it has listed or created.
        # That of a claimed trial is not compared with the study's first one, either: the study may have got a choice
        # more between claim and draw, and what fits together the specification has decided.
        if self._claimed_of == trial_id:
            text = distribution_to_json(distribution)
            row = {"trial": trial_id, "name": param_name, "value": param_value_internal, "distribution": text}
            if self.transaction(lambda connection, again: _write_parameter(connection, row, again)):
                return
        self._try(self._rdb.set_trial_param, trial_id, param_name, param_value_internal, distribution)

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        return self._try(self._cached.get_trial_id_from_study_id_trial_number, study_id, trial_number)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        def attempt(again: bool) -> bool:
            try:
                return self._rdb.set_trial_state_values(trial_id, state, values)
            except UpdateFinishedTrialError:
                trial = self._rdb.get_trial(trial_id)
                if again and trial.state is state and trial.values == (None if values is None else list(values)):
                    return True
                raise

        return self.patience.keep_trying(attempt)

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        self._try(self._rdb.set_trial_intermediate_value, trial_id, step, intermediate_value)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._try(self._rdb.set_trial_user_attr, trial_id, key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._try(self._rdb.set_trial_system_attr, trial_id, key, value)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        claimed, self._claimed = self._claimed, None
        if claimed is not None and claimed._trial_id == trial_id:
            return claimed
        return self._try(self._cached.get_trial, trial_id)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        return self._try(self._cached.get_all_trials, study_id, deepcopy, states)

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        return self._try(self._cached.get_best_trial, study_id)

    def remove_session(self) -> None:
        self._rdb.remove_session()


def _newest(connection: sa.Connection, study_id: int) -> int:
    query = sa.select(sa.func.max(TRIALS.c.trial_id)).where(TRIALS.c.study_id == study_id)
    return int(connection.scalar(query) or 0)


def _write_parameter(connection: sa.Connection, row: dict[str, Any], again: bool) -> bool:
    """Write a parameter of a trial that still runs; False when it does not, or has the parameter already."""
    columns = PARAMETERS.c
    if again and connection.scalar(
        sa.select(columns.param_id).where(columns.trial_id == row["trial"], columns.param_name == row["name"])
    ):
        return True
    return connection.execute(_PARAMETER_OF_RUNNING, row).rowcount == 1


_PARAMETER_OF_RUNNING = (
    sa.insert(PARAMETERS)
    .from_select(
        ["trial_id", "param_name", "param_value", "distribution_json"],
        sa.select(
            TRIALS.c.trial_id,
            sa.bindparam("name", type_=sa.String),
            sa.bindparam("value", type_=sa.Float(53)),
            sa.bindparam("distribution", type_=sa.Text),
        ).where(TRIALS.c.trial_id == sa.bindparam("trial"), TRIALS.c.state == TrialState.RUNNING),
    )
    .execution_options(preserve_rowcount=True)
)
