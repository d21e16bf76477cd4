"""The lock of a study: one process at a time reads the study and then writes what follows from it.

A lock belongs to its process and ends with it, `kill -9` included: a file's lock (SQLite) is held by the operating
system, an advisory lock (PostgreSQL, MySQL) by the server for as long as the connection stands. Other databases know no
such lock; there a file in the folder for temporary files keeps the processes of one machine apart, so one machine at a
time may work on a study.
"""

import hashlib
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from filelock import FileLock
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from src.config.address import masked, sqlite_path
from src.config.error import StoreError

WAIT_SECONDS = 600  # longer than any sampler takes for a stack's trials


class Lock(Protocol):
    """A lock to be used as `with lock:`, which waits for its turn and raises StoreError after WAIT_SECONDS."""

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def close(self) -> None:
        """Frees what the lock keeps between its uses, such as a connection."""


def study_lock(url: str, name: str) -> Lock:
    """The lock called `name` in the database at `url`; in SQLite one lock serves the whole file, whatever the name."""
    backend = make_url(url).get_backend_name()
    if backend == "postgresql":
        return _PostgresLock(url, name)
    if backend in ("mysql", "mariadb"):
        return _MysqlLock(url, name)
    file = sqlite_path(url)
    if file is None:
        file = Path(tempfile.gettempdir()) / f"sweepstack-{_digest(url + name).hex()}"
    return _FileLock(file.with_name(file.name + ".lock"))


def _digest(name: str) -> bytes:
    return hashlib.sha256(f"sweepstack {name}".encode()).digest()[:8]


class _FileLock:
    def __init__(self, path: Path) -> None:
        self._lock = FileLock(path, timeout=WAIT_SECONDS)

    def __enter__(self) -> None:
        try:
            self._lock.acquire()
        except TimeoutError:
            raise StoreError(_waited(str(self._lock.lock_file))) from None

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def close(self) -> None:
        """Does nothing: a file lock keeps nothing between its uses."""


class _ServerLock:
    """An advisory lock, on a connection that is kept: a new one costs more than the lock."""

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name
        self._connection: Connection | None = None

    def __enter__(self) -> None:
        try:
            self._acquire(self._connected())
        except DBAPIError:  # a server closes connections that are idle for long
            self.close()
            self._acquire(self._connected())

    def __exit__(self, *_: object) -> None:
        try:
            self._release(self._connected())
        except DBAPIError:  # the server has ended the connection, and the lock with it
            self.close()

    def close(self) -> None:
        """Ends the connection, and with it the lock."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> Connection:
        if self._connection is None:
            engine = create_engine(self._url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
            self._connection = engine.connect()
        return self._connection

    def _acquire(self, connection: Connection) -> None:
        raise NotImplementedError

    def _release(self, connection: Connection) -> None:
        raise NotImplementedError

    def _ask(self, connection: Connection, statement: str, **values: Any) -> Any:
        return connection.execute(text(statement), values).scalar()


class _PostgresLock(_ServerLock):
    @property
    def _key(self) -> int:
        return int.from_bytes(_digest(self._name), signed=True)

    def _acquire(self, connection: Connection) -> None:
        # A machine that vanishes closes no connection: its lock ends when the server's probes stay without an answer.
        for setting in ("tcp_keepalives_idle = 30", "tcp_keepalives_interval = 10", "tcp_keepalives_count = 3"):
            connection.execute(text(f"SET {setting}"))
        connection.execute(text(f"SET lock_timeout = {round(1000 * WAIT_SECONDS)}"))
        try:
            self._ask(connection, "SELECT pg_advisory_lock(:key)", key=self._key)
        except OperationalError as error:
            if "lock timeout" not in str(error):
                raise
            raise StoreError(_waited(masked(self._url))) from None

    def _release(self, connection: Connection) -> None:
        self._ask(connection, "SELECT pg_advisory_unlock(:key)", key=self._key)


class _MysqlLock(_ServerLock):
    @property
    def _key(self) -> str:
        return _digest(self._name).hex()

    def _acquire(self, connection: Connection) -> None:
        if not self._ask(connection, "SELECT GET_LOCK(:key, :wait)", key=self._key, wait=WAIT_SECONDS):
            raise StoreError(_waited(masked(self._url)))

    def _release(self, connection: Connection) -> None:
        self._ask(connection, "SELECT RELEASE_LOCK(:key)", key=self._key)


def _waited(where: str) -> str:
    return (
        f"{where}: another process has held the study's lock for {WAIT_SECONDS} s. Is one of its processes stopped "
        "(Ctrl-Z)? Let it go on or end it, then start this command again: no trial is lost."
    )
