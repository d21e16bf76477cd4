"""The tables of Optuna's database that a study is kept in (Optuna is pinned; its own storage reads the same)."""

from optuna.storages._rdb import models
from sqlalchemy import Table

STUDIES: Table = models.StudyModel.__table__
STUDY_ATTRS: Table = models.StudySystemAttributeModel.__table__
TRIALS: Table = models.TrialModel.__table__
PARAMS: Table = models.TrialParamModel.__table__
VALUES: Table = models.TrialValueModel.__table__
REPORTS: Table = models.TrialIntermediateValueModel.__table__
USER_ATTRS: Table = models.TrialUserAttributeModel.__table__
SYSTEM_ATTRS: Table = models.TrialSystemAttributeModel.__table__
HEARTBEATS: Table = models.TrialHeartbeatModel.__table__
