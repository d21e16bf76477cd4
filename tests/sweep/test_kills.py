"""A study that is killed (`kill -9`) while it trains and starts anew is whole, in Optuna, in MLflow and in its folders.

The same as a script, longer: python -m benchmarks.kills
"""

import os
import shutil
import signal
import sqlite3
from contextlib import closing

import pytest
import sqlalchemy
from sqlalchemy import event

from benchmarks.kills import PROCESSES, SWEEP, disagreements, kill_and_resume, live, stored
from src.tracking.connection import connect
from tests.tracking.test_tracker import empty_store

# MLflow 3.17.2 itself uses what its SQLAlchemy (2.1) calls deprecated.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)

TRIALS = 10


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """The folder of a study that was killed three times and has ended; not to be changed."""
    folder = tmp_path_factory.mktemp("killed")
    empty_store(folder / "mlruns", tmp_path_factory)
    lives = kill_and_resume(folder, kills=3, trials=TRIALS, seed=1)
    assert lives.killed >= 2
    return folder


def test_a_study_that_was_killed_thrice_is_whole(killed):
    assert disagreements(killed, TRIALS) == []


def test_two_processes_at_once_train_every_trial_once(tmp_path, tmp_path_factory):
    empty_store(tmp_path / "mlruns", tmp_path_factory)
    arguments = [*SWEEP, f"hydra.sweeper.n_trials={TRIALS}"]
    both = [PROCESSES.Process(target=live, args=(tmp_path, arguments), daemon=True) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0], (tmp_path / "printed.txt").read_text()
    assert disagreements(tmp_path, TRIALS) == []
    assert len(stored(tmp_path)) == TRIALS


def _make_half_a_store(uri):
    """Is killed when a column has been added to MLflow's tables, and not yet written down that it has."""
    before = ""

    def watch(connection, cursor, statement, *_):
        nonlocal before
        if before.startswith("ALTER TABLE") and statement.startswith("UPDATE alembic_version"):
            os.kill(os.getpid(), signal.SIGKILL)
        before = statement.strip()

    event.listen(sqlalchemy.Engine, "before_cursor_execute", watch)
    connect(uri, "killed")


def test_who_is_killed_while_mlflow_makes_its_tables_spoils_nothing(tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    process = PROCESSES.Process(target=_make_half_a_store, args=(uri,), daemon=True)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    again, experiment = connect(uri, "killed")
    assert again.create_run(experiment).info.status == "RUNNING"


@pytest.mark.parametrize(
    ("store", "change", "words"),
    [
        ("studies.db", "update trials set state = 'RUNNING' where number = 0", "is RUNNING"),
        ("studies.db", "update trial_values set value = 0.123", "value 0.123, in MLflow"),
        ("studies.db", "update trial_params set param_value = 0.99 where param_name = 'optim.eta'", "params"),
        ("studies.db", "update trial_intermediate_values set intermediate_value = 0.5", "curve"),
        (
            "studies.db",
            "update trial_user_attributes set value_json = '1' where key = 'place' and value_json = '0'",
            "place 0: 0 trials count",
        ),
        ("mlflow.db", "update runs set status = 'RUNNING'", "instead of one FINISHED run"),
        ("mlflow.db", "update tags set value = 'FAILED' where key = 'status'", "in MLflow ('FAILED', 'FINISHED')"),
        ("mlflow.db", "update tags set value = '99' where key = 'number'", "has 0 runs in MLflow"),
    ],
)
def test_what_is_lost_or_different_would_be_found(store, change, words, killed, tmp_path):
    shutil.copytree(killed / "mlruns", tmp_path / "mlruns")
    with closing(sqlite3.connect(tmp_path / "mlruns" / store)) as database:
        database.execute(change)
        database.commit()
    assert any(words in line for line in disagreements(tmp_path, TRIALS))


def test_a_lost_file_would_be_found(killed, tmp_path):
    shutil.copytree(killed / "mlruns", tmp_path / "mlruns")
    next(tmp_path.rglob("weights.pt")).unlink()
    assert any("weights.pt is missing" in line for line in disagreements(tmp_path, TRIALS))
