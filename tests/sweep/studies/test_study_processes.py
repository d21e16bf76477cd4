"""Several processes work on one study at once: no place is lost, and none is filled twice."""

import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from src.config.error import StoreError
from src.sweep.space.settings import StudySettings
from src.sweep.studies import lock as locks
from tests.sweep.children import PROCESSES, check_finished, crash, in_file, start, stored, work

TRIALS = 60


def _work_together(settings: StudySettings, barrier: Any) -> None:
    barrier.wait()
    work(settings)


def _train(settings: StudySettings, processes: int) -> None:
    """Starts so many processes at one moment, and waits until all have ended."""
    barrier = PROCESSES.Barrier(processes)
    workers = [start(_work_together, settings, barrier) for _ in range(processes)]
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * processes


def test_two_processes_make_and_finish_a_study_in_sqlite(tmp_path):
    settings = in_file(tmp_path, n_trials=TRIALS)
    _train(settings, 2)
    check_finished(settings)  # no rule says that a process that starts late gets a trial
    assert len(stored(settings)) == TRIALS


def test_a_grid_of_two_processes_has_every_point_once(tmp_path):
    settings = in_file(tmp_path, n_trials=TRIALS, sampler="grid")
    space = {"optim.eta": "range(0.1, 0.6, 0.1)", "model.dropout": "0.0,0.4", "model.activation": "sigmoid,tanh,relu"}
    barrier = PROCESSES.Barrier(2)
    workers = [start(_walk_grid, settings, space, barrier) for _ in range(2)]
    for worker in workers:
        worker.join()
    points = [tuple(sorted(trial.params.items())) for trial in stored(settings)]
    assert len(points) == len(set(points)) == 5 * 2 * 3


def _walk_grid(settings: StudySettings, space: dict[str, str], barrier: Any) -> None:
    barrier.wait()
    work(settings, params=space)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a PostgreSQL server that lives as long as this module's tests."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [Path(shutil.which("initdb") or "")]
    if not programs[-1].is_file():
        pytest.skip("no PostgreSQL server is installed (Debian: apt-get install postgresql)")
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("no driver for PostgreSQL is installed (pip install -e '.[postgresql]')")
    # The server refuses to run as root.
    user: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}
    with tempfile.TemporaryDirectory() as name, socket.create_server(("127.0.0.1", 0)) as free:
        folder, port = Path(name), free.getsockname()[1]
        free.close()
        if user:
            shutil.chown(folder, user["user"])
        _run(programs[-1], "-D", folder / "data", "-U", "sweep", "--auth=trust", "--no-sync", **user)
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        control = programs[-1].with_name("pg_ctl")
        _run(control, "-D", folder / "data", "-l", folder / "log", "-o", options, "-w", "start", **user)
        try:
            yield f"postgresql+psycopg://sweep@127.0.0.1:{port}/postgres"
        finally:
            _run(control, "-D", folder / "data", "-m", "immediate", "-w", "stop", **user)


def _run(*command: Any, **options: Any) -> None:
    ran = subprocess.run(
        [str(part) for part in command], cwd="/", capture_output=True, text=True, check=False, **options
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_four_processes_make_and_finish_a_study_in_postgresql(server):
    settings = StudySettings(study_name="four", storage=server, n_trials=TRIALS)
    _train(settings, 4)
    check_finished(settings)  # no rule says that a process that starts late gets a trial
    assert len(stored(settings)) == TRIALS


def test_a_study_in_postgresql_goes_on_after_a_kill(server):
    settings = StudySettings(study_name="killed", storage=server, n_trials=6, pruner="asha")
    crash(settings, 3)
    _train(settings, 2)
    check_finished(settings)
    assert len(stored(settings)) == 6 + 3


def test_a_lock_that_is_held_too_long_in_postgresql_is_an_error(server, monkeypatch):
    monkeypatch.setattr(locks, "WAIT_SECONDS", 0.01)
    one, two, other = (locks.study_lock(server, name) for name in ("study", "study", "other"))
    with closing(one), closing(two), closing(other), one:
        with other:
            pass
        with pytest.raises(StoreError, match=r"held the study's lock .* no trial is lost"), two:
            pass


def test_a_server_that_ends_the_connection_has_ended_the_lock():
    class Gone(locks._ServerLock):
        def _acquire(self, connection):
            pass

        def _release(self, connection):
            raise DBAPIError("SELECT unlock", {}, OSError("server closed the connection"))

    lock = Gone("sqlite://", "study")
    with lock:
        pass
    assert lock._connection is None
