"""The address of a database: of MLflow's runs (tracking.uri) and of Optuna's studies (storage).

A relative SQLite path is meant from where the command was typed.
"""

import os
import re
import sqlite3
import tempfile
from contextlib import closing
from importlib.metadata import entry_points
from pathlib import Path

from src.config.error import UserError

STUDIES = "sqlite:///mlruns/studies.db"
RUNS = "sqlite:///mlruns/mlflow.db"
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")  # that MLflow keeps runs in
SCHEMES = (
    *DATABASES,
    "http",
    "https",
    "databricks",
    "databricks-uc",
    "uc",
)  # of the stores that MLflow still writes to
BUSY_SECONDS = 0.2  # to wait for whoever writes there

_SQLITE = re.compile(r"sqlite(?:\+\w+)?:///(?!file:)(?P<path>[^?]+)(?:\?\w+=[^&]*(?:&\w+=[^&]*)*)?")
_SCHEME = re.compile(r"([A-Za-z][\w-]+)(\+\w+)?:")  # one letter is a drive's

RULE = (
    "must be a database's address; accepted: sqlite:///FOLDER/FILE.db (a fourth slash begins an absolute path; "
    "?KEY=VALUE may follow, no other ?), postgresql://USER:PASSWORD@HOST/NAME, mysql://…, mssql://…"
)
RUNS_RULE = f"{RULE}, or an MLflow server's: http://HOST:PORT, https://…, databricks, uc"


def lower_scheme(address: str) -> str:
    """The address as libraries expect it: SQLITE:///x.db is sqlite:///x.db."""
    scheme = _SCHEME.match(address)
    return address if scheme is None else scheme[0].lower() + address[scheme.end() :]


def is_database(address: str) -> bool:
    """Whether it has the form of a database's address that outlives its process (RULE)."""
    if address.split(":")[0].split("+")[0] == "sqlite":
        return sqlite_path(address) is not None
    return re.match(r"[a-z][a-z0-9]*(\+\w+)?://", address) is not None


def is_run_store(address: str) -> bool:
    """Whether MLflow can log to an address of this form (RUNS_RULE)."""
    scheme = _SCHEME.match(f"{address}:" if address in SCHEMES else address)
    if scheme is None:
        return False
    if scheme[1] in DATABASES:
        return is_database(address)
    return scheme[1] in (*SCHEMES, *entry_points(group="mlflow.tracking_store").names) and scheme[1] != "file"


def sqlite_path(address: str) -> Path | None:
    """The file of a `sqlite:///…` address; None for every other one, and for a database in memory."""
    match = _SQLITE.fullmatch(address)
    return Path(match["path"]) if match and match["path"] != ":memory:" else None


def absolute(address: str) -> str:
    """The same store, a relative SQLite path resolved, so that it can be found from another folder.

    An address has no way to write a `?` in its path: below a folder with one in its name it stays relative.
    """
    path = sqlite_path(address)
    if path is None:
        return address
    whole = path.resolve()
    shown = os.path.relpath(whole) if "?" in str(whole) else whole.as_posix()
    return with_path(address, shown)


def with_path(address: str, path: str) -> str:
    """An SQLite file's address with another path in it."""
    match = _SQLITE.fullmatch(address)
    assert match is not None
    return address[: match.start("path")] + path + address[match.end("path") :]


def file_now(address: str) -> tuple[int, int] | None:
    """Device and inode of the file that an SQLite address names now; None where there is none, and for other databases.

    SQLite goes on writing to a file that was removed, or replaced by another, so whoever writes has to look.
    """
    path = sqlite_path(address)
    try:
        return None if path is None else (path.stat().st_dev, path.stat().st_ino)
    except OSError:
        return None


def refuse_unusable(key: str, address: str) -> None:
    """Raises UserError where a database cannot be written, as far as that can be told at once.

    key: what the user sets it by. An SQLite file is opened; of a server only the driver is looked for.
    """
    from src.config.address import masked

    scheme, path = address.partition(":")[0], sqlite_path(address)
    try:
        if path is not None:
            _try_file(path)
        elif scheme.partition("+")[0] in DATABASES:
            _import_driver(address)
    except (OSError, sqlite3.Error) as error:
        raise UserError(f"{key} = {masked(address)!r}: {path} cannot be written ({_reason(error)})") from None
    except ImportError as error:
        hint = "; for PostgreSQL: pip install -e '.[postgresql]'" if scheme.startswith("postgres") else ""
        raise UserError(f"{key} = {masked(address)!r}: needs a driver that is not installed ({error}){hint}") from None


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _try_file(path: Path) -> None:
    """Raises what is raised by whoever would write to the file, or make it."""
    if path.exists():
        with closing(sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)) as base:
            try:
                base.execute("PRAGMA schema_version").fetchone()
                base.execute("BEGIN IMMEDIATE")
                base.execute("ROLLBACK")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):  # somebody writes there, so one can
                    raise
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=path.parent):
        pass


def _import_driver(address: str) -> None:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        make_url(address).get_dialect().import_dbapi()
    except (ArgumentError, NoSuchModuleError) as error:
        raise ImportError(str(error)) from None


# As SQLAlchemy reads it: all up to the next @, slashes and spaces too; MLflow's http takes the last @ before the path.
_PASSWORD = re.compile(
    r"""(://(?!\[)[^:/@\s]*(?:@[^:/\s]*(?!://))?):  # the user, such as me or me@server; a [ begins a host in IPv6
        (?!\s|\d{1,5}\b[^@\s]*(?:\s|://))  # no prose: "http://host: words", "at http://host:5000/path and me@host"
        (?:(?!\s[^@\s]*://)[^@\n])+@  # not into another address
        (?:[^/@\s]*@)*""",
    re.VERBOSE,
)


def masked(text: str) -> str:
    """`text` with every password of an address (`scheme://user:password@host`) replaced by ***.

    Where it may be prose as well it stays: a space behind the colon, or a port and a space before the @.
    """
    return _PASSWORD.sub(r"\1:***@", text)
