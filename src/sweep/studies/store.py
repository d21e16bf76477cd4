"""A study in Optuna's database: a trial starts in one transaction and ends in one, so no half of it can be left behind.

Optuna's own storage writes every parameter, attribute and value in a transaction of its own: slow, and a process killed
between two of them leaves a trial that nobody can tell apart from a running one. Here a trial appears with all that
belongs to its start, and its state changes together with all that belongs to its end. What is written are Optuna's own
tables (`optuna.storages._rdb.models`; optuna is pinned), so every tool for Optuna reads them.

An SQLite file serves the processes of one machine; several machines share a server (tested: PostgreSQL; by hand,
MariaDB 10.11).

Reports of running trials are queued and written with whatever is written next, or by `flush`: a killed process loses
only reports of trials that report again anyway.

A database that does not answer (a server that starts anew, a file that is busy) is asked again after each of `WAITS`;
then StoreError is raised. The Store object is unchanged then, so that the same may be written again.
"""

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, Engine, Table, delete, event, func, insert, or_, select, update
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session, selectinload

from src.config.address import file_now, masked, sqlite_path
from src.config.error import StoreError, UserError
from src.config.wording import locked
from src.sweep.studies.lock import study_lock

BUSY_SECONDS = 60  # how long SQLite waits for another process' transaction
WAITS = (0.5, 2.0)  # seconds before the second and the third time that a database is asked

# Optuna's own tables.
STUDIES: Table = models.StudyModel.__table__
STUDY_ATTRS: Table = models.StudySystemAttributeModel.__table__
TRIALS: Table = models.TrialModel.__table__
PARAMS: Table = models.TrialParamModel.__table__
VALUES: Table = models.TrialValueModel.__table__
REPORTS: Table = models.TrialIntermediateValueModel.__table__
USER_ATTRS: Table = models.TrialUserAttributeModel.__table__
SYSTEM_ATTRS: Table = models.TrialSystemAttributeModel.__table__
HEARTBEATS: Table = models.TrialHeartbeatModel.__table__

# The relations of Optuna's model of a trial, whose rows stand in tables of their own.
_PARTS = ("params", "values", "user_attributes", "system_attributes", "intermediate_values")

Attrs = Mapping[str, Any]  # JSON-able values
T = TypeVar("T")


class Store:
    """Reads and writes one study. `identifier` is a trial's id in the database, `number` Optuna's number of it."""

    def __init__(self, storage: RDBStorage, study_id: int) -> None:
        self._storage = storage
        self._engine: Engine = storage.engine
        self._address = self._engine.url.render_as_string(hide_password=True)
        self._file = file_now(self._address)
        self._study_id = study_id
        self._queue: list[tuple[int, int, float]] = []  # identifier, step, value
        self._queued_attrs: dict[int, dict[str, Any]] = {}  # system attributes by identifier
        self._queue_lock = threading.Lock()
        self._unsure = False  # whether the queue may have been written although an error was raised

    def _patiently(self, work: Callable[[Connection], T], waits: tuple[float, ...] | None = None) -> T:
        """Does `work` in a transaction, again after each of `waits` where the database does not answer.

        Returns what `work` returns. Raises StoreError where the database stays silent, or its file was replaced.
        """
        if self._file != file_now(self._address):
            raise StoreError(
                f"the study's store {self._address} was removed or replaced while the study ran; what its trials left "
                "is gone with it, or in their folders, and the same command begins the study anew"
            )
        for wait in (*(WAITS if waits is None else waits), None):
            try:
                with self._engine.begin() as connection:
                    return work(connection)
            except OperationalError as error:
                if wait is None:
                    reason = locked(" ".join(str(error.orig).split()), self._engine.url.database)
                    where = self._engine.url.render_as_string(hide_password=True)
                    silent = f"the study's store {where} does not answer ({reason})"
                    raise StoreError(f"{silent}; start the same command again, it goes on") from error
                time.sleep(wait)
        raise AssertionError("the last wait is None")

    def add(self, trial: FrozenTrial, study_attrs: Attrs) -> tuple[int, int]:
        """Writes a new running trial, and what the sampler notes about the study; returns its identifier and number."""

        def write(connection: Connection) -> tuple[int, int]:
            if self._engine.dialect.name != "sqlite":  # as Optuna does, so that no two trials share a number
                connection.execute(select(STUDIES).where(STUDIES.c.study_id == self._study_id).with_for_update())
            row = {"study_id": self._study_id, "state": TrialState.RUNNING, "datetime_start": _now()}
            identifier: int = connection.execute(insert(TRIALS), row).inserted_primary_key[0]  # type: ignore[index]
            earlier = (TRIALS.c.study_id == self._study_id) & (TRIALS.c.trial_id < identifier)
            number: int = connection.execute(select(func.count()).where(earlier)).scalar_one()
            connection.execute(update(TRIALS).where(TRIALS.c.trial_id == identifier), {"number": number})
            _write_params(connection, identifier, trial)
            _write_attrs(connection, USER_ATTRS, {"trial_id": identifier}, trial.user_attrs, fresh=True)
            _write_attrs(connection, SYSTEM_ATTRS, {"trial_id": identifier}, trial.system_attrs, fresh=True)
            _write_attrs(connection, STUDY_ATTRS, {"study_id": self._study_id}, study_attrs)
            connection.execute(insert(HEARTBEATS), {"trial_id": identifier, "heartbeat": _now()})
            return identifier, number

        # On a server this is tried once: where the connection has ended, the study's lock may have ended with it, and
        # another process may have taken the place.
        return self._patiently(write, None if self._engine.dialect.name == "sqlite" else ())

    def finish(
        self,
        identifier: int,
        state: TrialState,
        values: Iterable[float] = (),
        user_attrs: Attrs | None = None,
        system_attrs: Attrs | None = None,
    ) -> bool:
        """Ends a running trial, with its values and attributes; False, and nothing written, where it no longer runs."""
        own = TRIALS.c.trial_id == identifier
        ended = {"state": state, "datetime_complete": _now()}

        def write(connection: Connection) -> bool:
            running = own & (TRIALS.c.state == TrialState.RUNNING)
            if connection.execute(update(TRIALS).where(running), ended).rowcount != 1:
                # A try whose answer was lost may have been the one that ended it.
                now = connection.execute(select(TRIALS.c.state, TRIALS.c.datetime_complete).where(own)).first()
                return now is not None and tuple(now) == tuple(ended.values())
            self._write_queue(connection)
            _write_values(connection, identifier, values)
            _write_attrs(connection, USER_ATTRS, {"trial_id": identifier}, user_attrs or {})
            _write_attrs(connection, SYSTEM_ATTRS, {"trial_id": identifier}, system_attrs or {})
            return True

        with self._queue_lock:
            written = self._patiently(write)
            if written:
                self._clear()
            else:
                self._drop(identifier)
        return written

    def note(self, identifier: int, user_attrs: Attrs) -> None:
        """Writes user attributes of a running trial at once."""
        owner = {"trial_id": identifier}
        self._patiently(lambda connection: _write_attrs(connection, USER_ATTRS, owner, user_attrs))

    def queue(self, identifier: int, step: int, value: float, system_attrs: Attrs) -> None:
        """Queues a report, and what the pruner notes about it, until `flush` or `finish` writes the queue."""
        with self._queue_lock:
            self._queue.append((identifier, step, value))
            if system_attrs:
                self._queued_attrs.setdefault(identifier, {}).update(system_attrs)

    def flush(self, waits: tuple[float, ...] | None = None) -> None:
        """Writes the queued reports; waits: seconds before each further try, None: WAITS. Raises StoreError."""
        with self._queue_lock:
            if self._queue:
                self._patiently(self._write_queue, waits)
                self._clear()

    def _write_queue(self, connection: Connection) -> None:
        encode = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr
        rows = []
        for identifier, step, value in self._queue:
            stored, kind = encode(value)
            row = {"trial_id": identifier, "step": step, "intermediate_value": stored, "intermediate_value_type": kind}
            rows.append(row)
            if self._unsure:
                known = (REPORTS.c.trial_id == identifier) & (REPORTS.c.step == step)
                connection.execute(delete(REPORTS).where(known))
        self._unsure = True
        if rows:
            connection.execute(insert(REPORTS), rows)
        for identifier, attrs in self._queued_attrs.items():
            _write_attrs(connection, SYSTEM_ATTRS, {"trial_id": identifier}, attrs)

    def _clear(self) -> None:
        self._queue = []
        self._queued_attrs = {}
        self._unsure = False

    def _drop(self, identifier: int) -> None:
        self._queue = [entry for entry in self._queue if entry[0] != identifier]
        self._queued_attrs.pop(identifier, None)

    def changed(self, unfinished: set[int], after: int) -> list[FrozenTrial]:
        """The trials that may have changed: those with an identifier above `after` (-1: all) or in `unfinished`.

        In the order of their numbers.
        """
        changed = (TRIALS.c.study_id == self._study_id) & or_(
            TRIALS.c.trial_id > after, TRIALS.c.trial_id.in_(unfinished)
        )
        # A trial's state is read before its parts: what belongs to a state was written before it or with it.
        parts = [selectinload(getattr(models.TrialModel, part)) for part in _PARTS]
        wanted = select(models.TrialModel).where(changed).options(*parts).order_by(TRIALS.c.number)

        def read(connection: Connection) -> list[FrozenTrial]:
            with Session(connection) as session:
                build = self._storage._build_frozen_trial_from_trial_model
                return [build(trial) for trial in session.scalars(wanted)]

        return self._patiently(read)

    def study_attrs(self) -> dict[str, Any]:
        """The study's system attributes, in which samplers note what they know about it."""
        wanted = select(STUDY_ATTRS.c.key, STUDY_ATTRS.c.value_json).where(STUDY_ATTRS.c.study_id == self._study_id)
        return self._patiently(lambda connection: {key: json.loads(value) for key, value in connection.execute(wanted)})

    def trial_attrs(self, identifier: int) -> dict[str, Any]:
        """The user attributes of a trial."""
        wanted = select(USER_ATTRS.c.key, USER_ATTRS.c.value_json).where(USER_ATTRS.c.trial_id == identifier)
        return self._patiently(lambda connection: {key: json.loads(value) for key, value in connection.execute(wanted)})

    def beat(self, identifiers: Iterable[int]) -> None:
        """Writes a heartbeat for these trials, which tells that their worker lives, and what is queued.

        Raises nothing: an error will show again in the next call that needs the database.
        """
        living = list(identifiers)
        try:
            if living:
                with self._engine.begin() as connection:
                    now = {"heartbeat": _now()}
                    connection.execute(update(HEARTBEATS).where(HEARTBEATS.c.trial_id.in_(living)), now)
            self.flush(waits=())  # the next beat tries again
        except (SQLAlchemyError, UserError):
            pass

    def silent(self, identifiers: Iterable[int], seconds: float) -> set[int]:
        """Those of these trials whose start and last heartbeat both lie longer ago than `seconds`."""
        asked = list(identifiers)
        if not asked:
            return set()
        since = _now() - timedelta(seconds=seconds)
        joined = TRIALS.outerjoin(HEARTBEATS, HEARTBEATS.c.trial_id == TRIALS.c.trial_id)
        recent = or_(HEARTBEATS.c.heartbeat >= since, TRIALS.c.datetime_start >= since)
        wanted = select(TRIALS.c.trial_id).select_from(joined).where(TRIALS.c.trial_id.in_(asked), recent)
        return set(asked) - self._patiently(lambda connection: set(connection.execute(wanted).scalars()))

    def close(self) -> None:
        """Writes what is queued and closes all connections."""
        try:
            self.flush()
        finally:
            self._engine.dispose()


def connect(url: str) -> RDBStorage:
    """Optuna's storage at `url`, made where there is none yet; two processes may do so at once.

    Raises UserError where there is no such database, no driver for it or nothing to reach.
    """
    here = f"hydra.sweeper.storage = {masked(url)!r}"
    try:
        file = sqlite_path(url)
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
        elif url.startswith("sqlite"):
            raise UserError(f"{here}: a study in memory ends with its process; accepted: sqlite:///FOLDER/FILE.db")
        with closing(study_lock(url, "tables")) as lock, lock:
            return _opened(url, file is not None)
    except (ArgumentError, NoSuchModuleError) as error:
        raise UserError(f"{here}: is no address of a database: {error}") from None
    except ImportError as error:
        hint = "for PostgreSQL: pip install -e '.[postgresql]'"
        raise UserError(f"{here}: needs a driver that is not installed ({error}); {hint}") from None
    except (DBAPIError, StorageInternalError, OSError, RuntimeError) as error:  # RuntimeError: of another Optuna
        reason = locked(" ".join(str(getattr(error, "orig", error)).split()), sqlite_path(url))
        raise UserError(f"{here}: cannot be opened: {reason}") from None


def _opened(url: str, is_file: bool) -> RDBStorage:
    if not is_file:
        return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})  # a server closes connections that are idle
    storage = RDBStorage(url, engine_kwargs={"connect_args": {"timeout": BUSY_SECONDS}})
    # Readers and the writer do not wait for each other, and a commit costs one write instead of several. What a killed
    # process has committed stays; a machine that loses power may lose its last second, never more.
    with storage.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    storage.engine.dispose()
    event.listen(storage.engine, "connect", _swift)
    return storage


def _swift(connection: Any, _: object) -> None:
    connection.execute("PRAGMA synchronous=NORMAL")


def _write_params(connection: Connection, identifier: int, trial: FrozenTrial) -> None:
    from optuna.distributions import distribution_to_json

    rows = []
    for name, value in trial.params.items():
        distribution = trial.distributions[name]
        text = distribution_to_json(distribution)
        stored = distribution.to_internal_repr(value)
        rows.append({"trial_id": identifier, "param_name": name, "param_value": stored, "distribution_json": text})
    if rows:
        connection.execute(insert(PARAMS), rows)


def _write_values(connection: Connection, identifier: int, values: Iterable[float]) -> None:
    rows = []
    for objective, value in enumerate(values):
        stored, kind = models.TrialValueModel.value_to_stored_repr(value)
        rows.append({"trial_id": identifier, "objective": objective, "value": stored, "value_type": kind})
    if rows:
        connection.execute(insert(VALUES), rows)


def _write_attrs(
    connection: Connection, table: Table, owner: dict[str, int], attrs: Attrs, *, fresh: bool = False
) -> None:
    """Sets attributes of the trial or study in `owner` (column -> identifier); `fresh`: it has none yet."""
    if not attrs:
        return
    ((column, identifier),) = owner.items()
    if not fresh:
        connection.execute(delete(table).where(table.c[column] == identifier, table.c.key.in_(list(attrs))))
    rows = [{column: identifier, "key": key, "value_json": json.dumps(value)} for key, value in attrs.items()]
    connection.execute(insert(table), rows)


def _now() -> datetime:
    """The time now as Optuna stores it: universal time, in a datetime without a time zone."""
    return datetime.now(UTC).replace(tzinfo=None)
