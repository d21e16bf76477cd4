"""Writes notes (journal.py) of many trials in one transaction, straight into the tables of MLflow's SQL store.

Through MLflow's client a trial takes at least three requests and six transactions, some 25 ms; a study has thousands of
trials, and a stack of fifty ends fifty epochs at once. Written together, a trial takes one to two.

The tables are those of one version of MLflow, which is pinned. With another version, or where the store is a server,
the client writes, as it does for single runs (src/tracking/journal.py).
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

MADE_FOR = "3.17.2"

Note = dict[str, Any]  # one thing to write to MLflow; its kinds stand in src/tracking/journal.py


class Seen(NamedTuple):
    """A run that was found in the store: MLflow's id and status of it, and its tag `status`."""

    run_id: str
    status: str
    tag: str | None


@dataclass
class _Change:
    """All that the notes of one transaction change in one run."""

    run_id: str
    created: Note | None  # the note that creates it; None for a run that is there
    metrics: list[list[Any]] = field(default_factory=list)  # key, value, time in ms, step
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)  # columns of the run that change


class Tables:
    """Reads and writes the runs of one experiment in MLflow's tables. Methods raise what MLflow raises."""

    def __init__(self, store: Any, experiment_id: str, artifacts: str) -> None:
        self._store, self._experiment_id, self._artifacts = store, experiment_id, artifacts

    def write(self, notes: Sequence[Note], runs: dict[str, str]) -> None:
        """Writes notes of the kinds run, batch, open and end, all or none of them; adds new runs to `runs`.

        runs: uid -> MLflow's run id. The database refuses a run or a metric that is there. Only new runs take params.
        """
        changes = _gather(notes, runs)
        with self._store.ManagedSessionMaker(read_only=False) as session:
            self._check_active(session, [one.run_id for one in changes.values() if one.created is None])
            self._insert_runs(session, [one for one in changes.values() if one.created is not None], runs, changes)
            _update_runs(session, changes.values())
            _write_values(session, changes.values())
        runs.update({uid: one.run_id for uid, one in changes.items()})

    def _check_active(self, session: Any, run_ids: list[str]) -> None:
        from mlflow.exceptions import MlflowException
        from mlflow.store.tracking.dbmodels.models import SqlRun
        from sqlalchemy import select

        wanted = select(SqlRun.run_uuid).where(SqlRun.run_uuid.in_(run_ids), SqlRun.lifecycle_stage == "active")
        missing = set(run_ids) - set(session.scalars(wanted))
        if missing:
            raise MlflowException.invalid_parameter_value(f"runs that were deleted: {', '.join(sorted(missing))}")

    def _insert_runs(
        self, session: Any, created: list[_Change], runs: dict[str, str], changes: dict[str, _Change]
    ) -> None:
        from mlflow.store.tracking.dbmodels.models import SqlRun

        rows = []
        for one in created:
            note = one.created
            assert note is not None
            own = {"mlflow.runName": note["name"]}
            if note["parent"]:
                parent = changes.get(note["parent"])
                own["mlflow.parentRunId"] = parent.run_id if parent else runs[note["parent"]]
            one.tags = {**note["tags"], **own, **one.tags}
            columns = {"name": note["name"], "user_id": note["tags"].get("mlflow.user", "unknown")}
            columns |= {"source_type": "UNKNOWN", "source_name": "", "entry_point_name": "", "source_version": ""}
            columns |= {"status": "RUNNING", "start_time": note["time"], "end_time": None, "lifecycle_stage": "active"}
            columns |= {"run_uuid": one.run_id, "experiment_id": int(self._experiment_id)}
            rows.append({**columns, "artifact_uri": self.artifacts(one.run_id), **one.status})
        _insert(session, SqlRun, rows)

    def artifacts(self, run_id: str) -> str:
        """The address of the artifacts of a run that `write` has created."""
        from mlflow.utils.uri import append_to_uri_path

        return str(append_to_uri_path(self._artifacts, run_id, "artifacts"))

    def log_artifact(self, run_id: str, path: str, under: str | None) -> None:
        """Copies a file to a run's artifacts, in the folder `under`; unlike the client it does not ask the store where.

        run_id: of a run that `write` has created.
        """
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        get_artifact_repository(self.artifacts(run_id)).log_artifact(path, under)

    def seen(self, tag: str, value: str, uid_tag: str) -> Iterable[tuple[str, Seen]]:
        """(uid, run) of every run whose tag has this value, the oldest first; uid_tag: the tag that holds the uid."""
        from mlflow.store.tracking.dbmodels.models import SqlRun, SqlTag
        from sqlalchemy import and_, select
        from sqlalchemy.orm import aliased

        own, uid, status = aliased(SqlTag), aliased(SqlTag), aliased(SqlTag)
        wanted = (
            select(uid.value, SqlRun.run_uuid, SqlRun.status, status.value)
            .join(own, and_(own.run_uuid == SqlRun.run_uuid, own.key == tag, own.value == value))
            .join(uid, and_(uid.run_uuid == SqlRun.run_uuid, uid.key == uid_tag))
            .outerjoin(status, and_(status.run_uuid == SqlRun.run_uuid, status.key == "status"))
            .where(SqlRun.experiment_id == int(self._experiment_id), SqlRun.lifecycle_stage == "active")
            .order_by(SqlRun.start_time, SqlRun.run_uuid)
        )
        with self._store.ManagedSessionMaker() as session:
            return [(row[0], Seen(*row[1:])) for row in session.execute(wanted)]


def tables(client: Any, experiment_id: str) -> Tables | None:
    """The tables behind MLflow's client; None where its version is another, or its store is a server."""
    import mlflow
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    store = getattr(getattr(client, "_tracking_client", None), "store", None)
    if mlflow.__version__ != MADE_FOR or type(store) is not SqlAlchemyStore:
        return None
    artifacts = client.get_experiment(experiment_id).artifact_location
    return None if artifacts.startswith("mlflow-artifacts:") else Tables(store, experiment_id, artifacts)


def _gather(notes: Sequence[Note], runs: dict[str, str]) -> dict[str, _Change]:
    changes: dict[str, _Change] = {}
    for note in notes:
        uid = note["run"]
        if uid not in changes:
            created = note if note["do"] == "run" else None
            changes[uid] = _Change(uuid.uuid4().hex if created else runs[uid], created)
        change = changes[uid]
        if note["do"] == "batch":
            change.metrics += note["metrics"]
            change.params |= note["params"]
            change.tags |= note["tags"]
        elif note["do"] == "end":
            change.status |= {"status": note["status"], "end_time": note["time"]}
        elif note["do"] == "open":
            change.status |= {"status": "RUNNING"}
    return changes


def _update_runs(session: Any, changes: Iterable[_Change]) -> None:
    from mlflow.store.tracking.dbmodels.models import SqlRun
    from sqlalchemy import update

    for one in changes:
        if one.created is None and one.status:
            session.execute(update(SqlRun).where(SqlRun.run_uuid == one.run_id).values(**one.status))


def _write_values(session: Any, changes: Iterable[_Change]) -> None:
    from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlMetric, SqlParam, SqlTag

    pairs = {
        model: [
            {"run_uuid": one.run_id, "key": key, "value": text} for one in changes for key, text in own(one).items()
        ]
        for model, own in ((SqlParam, lambda one: one.params), (SqlTag, lambda one: one.tags))
    }
    _insert(session, SqlParam, pairs[SqlParam])
    old = {one.run_id for one in changes if one.created is None}
    _replace(session, SqlTag, pairs[SqlTag], old)
    points = {
        (one.run_id, *point): dict(zip(("key", "value", "timestamp", "step"), point, strict=True))
        | {"run_uuid": one.run_id, "is_nan": False}
        for one in changes
        for point in map(tuple, one.metrics)
    }
    _insert(session, SqlMetric, list(points.values()))
    _replace(session, SqlLatestMetric, _latest(session, list(points.values()), old), old)


def _latest(session: Any, points: list[dict[str, Any]], old: set[str]) -> list[dict[str, Any]]:
    """The latest point of each run and key, by step, time and value, unless the store has a later one."""
    from mlflow.store.tracking.dbmodels.models import SqlLatestMetric
    from sqlalchemy import select

    latest: dict[tuple[str, str], dict[str, Any]] = {}

    def age(point: dict[str, Any]) -> tuple[Any, ...]:
        return point["step"], point["timestamp"], point["value"]

    for point in points:
        there = latest.setdefault((point["run_uuid"], point["key"]), point)
        if age(point) > age(there):
            latest[point["run_uuid"], point["key"]] = point
    wanted = select(SqlLatestMetric).where(SqlLatestMetric.run_uuid.in_(old & {run_id for run_id, _ in latest}))
    for stored in session.scalars(wanted):
        own = latest.get((stored.run_uuid, stored.key))
        if own is not None and age(own) <= (stored.step, stored.timestamp, stored.value):
            del latest[stored.run_uuid, stored.key]
    return list(latest.values())


def _replace(session: Any, model: Any, rows: list[dict[str, Any]], old: set[str]) -> None:
    """Inserts rows with run and key; for runs in `old`, first deletes the rows with the same run and key."""
    from sqlalchemy import bindparam, delete

    table = model.__table__
    there = [{"its_run": row["run_uuid"], "its_key": row["key"]} for row in rows if row["run_uuid"] in old]
    if there:
        same = (table.c.run_uuid == bindparam("its_run"), table.c.key == bindparam("its_key"))
        session.connection().execute(delete(table).where(*same), there)
    _insert(session, model, rows)


def _insert(session: Any, model: Any, rows: list[dict[str, Any]]) -> None:
    if rows:
        session.connection().execute(model.__table__.insert(), rows)
