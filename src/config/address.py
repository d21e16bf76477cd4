"""The address of a database: of MLflow's runs (tracking.uri) and of Optuna's studies (storage).

A relative SQLite path counts from the folder in which the command was typed.
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
BUSY_SECONDS = 0.2  # to wait for another process that writes to the database

_SQLITE = re.compile(r"sqlite(?:\+\w+)?:///(?!file:)(?P<path>[^?]+)(?:\?\w+=[^&]*(?:&\w+=[^&]*)*)?")
_SCHEME = re.compile(r"([A-Za-z][\w-]+)(\+\w+)?:")  # one letter is a drive's

RULE = (
    "must be a database's address; accepted: sqlite:///FOLDER/FILE.db (a fourth slash begins an absolute path; "
    "?KEY=VALUE may follow, no other ?), postgresql://USER:PASSWORD@HOST/NAME, mysql://…, mssql://…"
)
RUNS_RULE = f"{RULE}, or an MLflow server's: http://HOST:PORT, https://…, databricks, uc"


def lower_scheme(address: str) -> str:
    """The address with its scheme in lower case, as libraries expect it: sqlite:///x.db for SQLITE:///x.db."""
    scheme = _SCHEME.match(address)
    return address if scheme is None else scheme[0].lower() + address[scheme.end() :]


def is_database(address: str) -> bool:
    """Whether it has the form of the address of a database that outlives the process (RULE says which are accepted)."""
    if address.split(":")[0].split("+")[0] == "sqlite":
        return sqlite_path(address) is not None
    return re.match(r"[a-z][a-z0-9]*(\+\w+)?://", address) is not None


def is_run_store(address: str) -> bool:
    """Whether MLflow can log to an address of this form (RUNS_RULE says which are accepted)."""
    scheme = _SCHEME.match(f"{address}:" if address in SCHEMES else address)
    if scheme is None:
        return False
    if scheme[1] in DATABASES:
        return is_database(address)
    return scheme[1] in (*SCHEMES, *entry_points(group="mlflow.tracking_store").names) and scheme[1] != "file"


def sqlite_path(address: str) -> Path | None:
    """The file that a `sqlite:///…` address names; None for any other address and for a database in memory."""
    match = _SQLITE.fullmatch(address)
    return Path(match["path"]) if match and match["path"] != ":memory:" else None


def absolute(address: str) -> str:
    """The address with a relative SQLite path made absolute, so that the store is found from any folder.

    It stays relative below a folder with a `?` in its name, which an address cannot express.
    """
    path = sqlite_path(address)
    if path is None:
        return address
    whole = path.resolve()
    shown = os.path.relpath(whole) if "?" in str(whole) else whole.as_posix()
    return with_path(address, shown)


def with_path(address: str, path: str) -> str:
    """The address of an SQLite file with `path` in place of its path."""
    match = _SQLITE.fullmatch(address)
    assert match is not None
    return address[: match.start("path")] + path + address[match.end("path") :]


def file_now(address: str) -> tuple[int, int] | None:
    """Device and inode of the file that an SQLite address names now; None if there is none, and for other databases.

    SQLite goes on writing to a file that was removed or replaced; comparing these numbers tells a writer of it.
    """
    path = sqlite_path(address)
    try:
        return None if path is None else (path.stat().st_dev, path.stat().st_ino)
    except OSError:
        return None


def refuse_unusable(key: str, address: str) -> None:
    """Raises UserError where a database cannot be written, as far as that can be found out at once.

    key: the key by which the user sets the address. An SQLite file is opened; for a server only its driver is imported.
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
    """Raises the OSError or sqlite3.Error that writing to the SQLite file, or making it, would raise."""
    if path.exists():
        with closing(sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)) as base:
            try:
                base.execute("PRAGMA schema_version").fetchone()
                base.execute("BEGIN IMMEDIATE")
                base.execute("ROLLBACK")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):  # locked: another process writes to it, so it can be written
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


# A password reaches to the next @, over slashes and spaces too, as SQLAlchemy reads addresses; in http addresses to the
# last @ before the path, as MLflow reads them.
_PASSWORD = re.compile(
    r"""(://(?!\[)[^:/@\s]*(?:@[^:/\s]*(?!://))?):  # the user, such as me or me@server; a [ begins a host in IPv6
        (?!\s|\d{1,5}\b[^@\s]*(?:\s|://))  # no prose: "http://host: words", "at http://host:5000/path and me@host"
        (?:(?!\s[^@\s]*://)[^@\n])+@  # not into another address
        (?:[^/@\s]*@)*""",
    re.VERBOSE,
)


def masked(text: str) -> str:
    """`text` with every password of an address (`scheme://user:password@host`) replaced by ***.

    Text that may be prose stays as it is: with a space behind the colon, or with a port and a space before the @.
    """
    return _PASSWORD.sub(r"\1:***@", text)
