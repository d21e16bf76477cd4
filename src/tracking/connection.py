"""The connection to MLflow's store. MLflow is imported when a store is opened, not before."""

import logging
import os
import sqlite3
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock

from src.config.address import sqlite_path
from src.tracking.log_error import bring_up_to_date

LOCK_SECONDS = 120.0  # creating the tables of a fresh SQLite store takes 3–8 s
CONNECT_ATTEMPTS = 3  # MLflow's own 10 attempts at a SQL database that does not answer take 100 s

# Environment variables that are set where the user has not set them. The journal tries again, so a request need not.
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",  # seconds
    "GIT_PYTHON_REFRESH": "quiet",
}
THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


def set_environment() -> None:
    """Sets the variables of ENVIRONMENT where the user has not, and that this machine is reached without a proxy."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    direct = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if direct != "*":
        os.environ["no_proxy"] = ",".join(dict.fromkeys([*filter(None, direct.split(",")), *THIS_MACHINE]))


def connect(uri: str, experiment: str, say: Callable[[str], None] = print) -> tuple[Any, str]:
    """MLflow's client and the experiment's id; creates the store, the experiment and its saved view where missing.

    Raises whatever MLflow raises, within seconds, when the store does not answer.
    """
    set_environment()
    # A warning about one of MLflow's own classes, while MLflow is imported.
    warnings.filterwarnings("ignore", 'Field name "schema"', UserWarning)
    from mlflow import MlflowClient

    _calm_mlflow(uri)
    path = sqlite_path(uri)
    if path is None:
        client = MlflowClient(uri)
        return client, _experiment_id(client, experiment, None, say)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two processes that create the tables of one fresh database at once crash.
    with FileLock(f"{path}.lock", timeout=LOCK_SECONDS):
        if not path.exists():
            _create(path)
        client = MlflowClient(uri)
        _write_ahead(path)
        return client, _experiment_id(client, experiment, (path.parent.resolve() / "artifacts").as_uri(), say)


def _create(path: Path) -> None:
    """Makes a store with MLflow's tables beside `path` and moves it there whole.

    With tables made in part, by a process that was killed, MLflow could never go on.
    """
    from mlflow import MlflowClient

    draft = path.with_name(f".{path.name}.new")
    for left in path.parent.glob(f"{draft.name}*"):
        left.unlink()
    MlflowClient(f"sqlite:///{draft}").search_experiments()
    draft.replace(path)


def _calm_mlflow(uri: str) -> None:
    """Silences MLflow's INFO lines and tracebacks (the journal reports a failure, once), and shortens its waits."""
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    if not uri.startswith("http"):
        from mlflow.store.db import utils

        utils.MAX_RETRY_COUNT = min(utils.MAX_RETRY_COUNT, CONNECT_ATTEMPTS)


def _write_ahead(path: Path) -> None:
    """Puts the SQLite file in write-ahead mode for good: readers and the writer do not wait for each other."""
    connection = sqlite3.connect(path, timeout=20.0)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()


def _experiment_id(client: Any, name: str, artifacts: str | None, say: Callable[[str], None]) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            client.create_experiment(name, artifacts)
        except Exception:  # another process may have been faster; if not, the next line fails with the real error
            if client.get_experiment_by_name(name) is None:
                raise
        found = client.get_experiment_by_name(name)
    elif found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
        say(f"tracking: the experiment {name} was deleted in MLflow; it is restored, for this run belongs to it")
    bring_up_to_date(client, found.experiment_id, say)
    return str(found.experiment_id)
