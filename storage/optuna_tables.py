"""Optuna's own tables, in which the queue works: the one place that knows them.

They are Optuna's private matter. Opening a database checks their version (:mod:`.rdb`).
"""

from __future__ import annotations

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
