"""The tables: Optuna's own, in which the queue works, and one of ours beside them.

Optuna's are its private matter, and this is the one place that knows them. Opening a database checks their version.
"""

from __future__ import annotations

import sqlalchemy as sa
from optuna.storages._rdb import models

STUDIES = models.StudyModel.__table__
STUDY_ATTRIBUTES = models.StudyUserAttributeModel.__table__
TRIALS = models.TrialModel.__table__
PARAMETERS = models.TrialParamModel.__table__
USER_ATTRIBUTES = models.TrialUserAttributeModel.__table__
SYSTEM_ATTRIBUTES = models.TrialSystemAttributeModel.__table__
VALUES = models.TrialValueModel.__table__

stored_value = models.TrialValueModel.value_to_stored_repr
"""A number as two columns: finite ones, and infinities as a name."""

WORKERS = sa.Table(
    "greentune_workers",
    sa.MetaData(),
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("machine", sa.String(255), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("started", sa.String(32)),
    sa.Column("worker", sa.Integer),
    sa.Column("device", sa.String(255), nullable=False),
    sa.Column("study", sa.String(512)),
    sa.Column("trial_id", sa.Integer),
    sa.Column("joined", sa.Float(53), nullable=False),
    sa.Column("beat", sa.Float(53), nullable=False),
)


def create_workers(engine: sa.Engine) -> None:
    """Make our table where it is missing; the caller holds the lock of the tables."""
    WORKERS.create(engine, checkfirst=True)
