"""The queue of notes and the store behind it: what happens when MLflow is not there, or says no."""

import json
import math
import os
import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from src.config.address import sqlite_path
from src.config.error import StoreError
from src.tracking import connection, journal, log_error
from src.tracking.__main__ import main
from src.tracking.journal import Journal, log_pending
from tests.tracking.test_tracker import artifacts, config, empty_store, history, opened, raced, result, row, runs

# MLflow 3.17.2 itself uses what its SQLAlchemy (2.1) calls deprecated.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Flaky:
    """A client whose every call fails while `down`; with `late`, create_run fails after it has done its work."""

    def __init__(self, client: Any):
        self.client, self.down, self.late, self.calls = client, False, False, 0

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.down:
                raise ConnectionError("http://me:secret@host refused\nand much more text")
            answer = getattr(self.client, name)(*args, **kwargs)
            if self.late and name == "create_run":
                raise TimeoutError("answered too late")
            return answer

        return call


@pytest.fixture
def uri(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return empty_store(tmp_path / "mlruns", tmp_path_factory)


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch) -> list[Flaky]:
    """Puts a Flaky around every client that is connected from now on."""
    made: list[Flaky] = []
    connect = connection.connect

    def connected(*args: Any) -> tuple[Any, str]:
        client, experiment_id = connect(*args)
        made.append(Flaky(client))
        return made[-1], experiment_id

    monkeypatch.setattr(journal, "connect", connected)
    return made


@pytest.fixture
def silent_server() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


# What goes to the store


def test_a_connected_epoch_takes_one_call_a_member(uri: str, tmp_path: Path, flaky: list[Flaky]) -> None:
    tracker = opened(config(uri, repeats=3), tmp_path)
    before = flaky[0].calls
    tracker.epoch([row(1), row(1), row(1)])
    assert flaky[0].calls - before == 3


def test_what_exceeds_mlflows_batches_goes_in_several(uri: str, tmp_path: Path) -> None:
    client, experiment_id = connection.connect(uri, "sweepstack")
    run = client.create_run(experiment_id)
    queue = Journal(uri, "sweepstack", tmp_path, runs={"a": run.info.run_id})
    queue.batch(
        "a",
        metrics={f"m{index}": float(index) for index in range(1500)},
        params={f"p{index}": "x" for index in range(250)},
        tags={f"t{index}": "x" for index in range(150)},
    )
    queue.flush()
    data = client.get_run(run.info.run_id).data
    assert not queue.notes
    assert (len(data.metrics), len(data.params)) == (1500, 250)
    assert len([tag for tag in data.tags if tag.startswith("t")]) == 150


# A store that does not answer


def test_training_goes_on_when_the_server_is_gone(uri: str, tmp_path: Path, flaky: list[Flaky]) -> None:
    said: list[str] = []
    clock = Clock()
    tracker = opened(config(uri, repeats=2), tmp_path, say=said.append, clock=clock)
    tracker.epoch([row(1), row(1)])
    flaky[0].down = True
    for epoch in range(2, 6):
        tracker.epoch([row(epoch), row(epoch)])
    assert len(said) == 1
    assert "does not answer" in said[0]
    assert "secret" not in said[0]
    assert "\n" not in said[0]

    flaky[0].down = False
    clock.now += journal.RETRY_SECONDS
    tracker.epoch([row(6), row(6)])
    assert len(said) == 2
    assert "answers again" in said[1]
    _, *members = runs(uri)
    for member in members:
        assert [step for step, _ in history(uri, member, "validation/accuracy")] == [1, 2, 3, 4, 5, 6]


def test_a_dead_store_is_tried_at_most_every_30_seconds(uri: str, tmp_path: Path, flaky: list[Flaky]) -> None:
    clock = Clock()
    tracker = opened(config(uri), tmp_path, say=lambda line: None, clock=clock)
    flaky[0].down = True
    tracker.epoch([row(1)])
    tried = flaky[0].calls
    for epoch in range(2, 30):
        clock.now += 1
        tracker.epoch([row(epoch)])
    assert flaky[0].calls == tried
    clock.now += 2
    tracker.epoch([row(30)])
    assert flaky[0].calls == tried + 1


def test_a_long_outage_is_made_up_in_few_requests(uri: str, tmp_path: Path, flaky: list[Flaky]) -> None:
    clock = Clock()
    tracker = opened(config(uri, repeats=2), tmp_path, say=lambda line: None, clock=clock)
    flaky[0].down = True
    for epoch in range(1, 101):
        tracker.epoch([row(epoch), row(epoch)])
    flaky[0].down = False
    before = flaky[0].calls
    clock.now += 30
    tracker.epoch([row(101), row(101)])
    assert flaky[0].calls - before == 2
    assert len(history(uri, runs(uri)[1], "eta")) == 101


def test_the_last_try_at_the_end_does_not_wait_for_its_turn(uri: str, tmp_path: Path, flaky: list[Flaky]) -> None:
    tracker = opened(config(uri), tmp_path, say=lambda line: None, clock=Clock())
    flaky[0].down = True
    tracker.epoch([row(1)])
    flaky[0].down = False
    tracker.finish([result()])
    assert runs(uri)[0].info.status == "FINISHED"
    assert not (tmp_path / journal.PENDING).exists()


def test_a_run_whose_creation_was_answered_too_late_is_not_created_twice(
    uri: str, tmp_path: Path, flaky: list[Flaky], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Flaky, "__init__", lambda self, client: self.__dict__.update(client=client, down=False, late=True, calls=0)
    )
    clock = Clock()
    tracker = opened(config(uri), tmp_path, say=lambda line: None, clock=clock)
    flaky[0].late = False
    clock.now += 30
    tracker.epoch([row(1)])
    (run,) = runs(uri)
    assert run.data.metrics["validation/accuracy"] == 0.9
    assert run.data.params["optim.eta"] == "0.1"


def test_a_server_that_never_was_there_costs_seconds_and_loses_nothing(uri: str, tmp_path: Path) -> None:
    folder = tmp_path / "trial"
    (folder / "member-00").mkdir(parents=True)
    (folder / "member-00" / "weights.pt").write_bytes(b"weights")
    (folder / "curves.png").write_bytes(b"a picture")
    said: list[str] = []
    start = time.monotonic()
    tracker = opened(config(closed_port(), ensemble=2), folder, say=said.append, clock=Clock())
    tracker.epoch([row(1), row(1, math.nan)])
    tracker.finish([result(0), result(1)], {"vote/accuracy": 0.99}, [folder / "curves.png"])
    assert time.monotonic() - start < 20  # with MLflow's own settings: minutes
    assert len(said) == 2
    pending = folder / journal.PENDING
    assert str(pending) in said[1]

    moved = tmp_path / "moved"  # paths inside the folder stay valid
    folder.rename(moved)
    assert main([str(moved / journal.PENDING), uri]) == 0
    parent, *members = runs(uri)
    assert parent.data.metrics == {"vote/accuracy": 0.99}
    assert len(members) == 2
    assert {run.info.status for run in (parent, *members)} == {"FINISHED"}
    assert {key for run in (parent, *members) for key in artifacts(run)} == {
        "config.yaml",
        "figures/curves.png",
        "weights.pt",
    }
    assert not (moved / journal.PENDING).exists()


def test_a_server_that_never_answers_costs_seconds(
    silent_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    said: list[str] = []
    start = time.monotonic()
    opened(config(silent_server), tmp_path, say=said.append)
    assert time.monotonic() - start < 15  # one try of 1 s, without retries; the import of MLflow may come on top
    assert "does not answer" in said[0]


def test_a_database_that_cannot_be_opened_costs_seconds(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").mkdir()
    said: list[str] = []
    start = time.monotonic()
    opened(config(f"sqlite:///{tmp_path}/mlflow.db"), tmp_path, say=said.append)
    assert time.monotonic() - start < 15  # MLflow by itself tries for 100 s
    assert "does not answer" in said[0]


def test_pending_notes_are_logged_once_however_often_they_are_replayed(uri: str, tmp_path: Path) -> None:
    tracker = opened(config(closed_port()), tmp_path, say=lambda line: None)
    tracker.epoch([row(1)])
    tracker.finish([result()])
    path = tmp_path / journal.PENDING
    again = tmp_path / "again.json"
    again.write_text(path.read_text())
    assert log_pending(path, uri) == 0
    assert log_pending(again, uri) == 0
    (run,) = runs(uri)
    assert history(uri, run, "validation/accuracy") == [(1, 0.9)]
    assert run.data.metrics["test/accuracy"] == 0.97


def test_a_replay_without_the_server_keeps_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tracker = opened(config(closed_port()), tmp_path, say=lambda line: None)
    tracker.finish([result()])
    path = tmp_path / journal.PENDING
    before = [(note["do"], note["run"]) for note in json.loads(path.read_text())["notes"]]
    assert main([str(path)]) == 1
    assert [(note["do"], note["run"]) for note in json.loads(path.read_text())["notes"]] == before
    assert f"still left in {path}" in capsys.readouterr().out


def test_what_the_store_refuses_is_kept_and_holds_up_nothing(uri: str, tmp_path: Path) -> None:
    said: list[str] = []
    tracker = opened(config(uri, repeats=2), tmp_path, say=said.append)
    client, _ = connection.connect(uri, "sweepstack")
    _, first, second = sorted(runs(uri), key=lambda run: run.info.run_name)
    client.delete_run(first.info.run_id)  # as a user does in the UI
    tracker.epoch([row(1), row(1)])
    tracker.epoch([row(2), row(2)])
    assert [step for step, _ in history(uri, second, "eta")] == [1, 2]
    assert len(said) == 1
    assert "refuses" in said[0]
    tracker.finish([result(0), result(1)])
    assert client.get_run(second.info.run_id).info.status == "FINISHED"
    client.restore_run(first.info.run_id)
    assert log_pending(tmp_path / journal.PENDING) == 0
    assert [step for step, _ in history(uri, first, "eta")] == [1, 2]


def test_a_file_that_is_gone_holds_up_nothing(uri: str, tmp_path: Path, flaky: list[Flaky]) -> None:
    picture = tmp_path / "curves.png"
    picture.write_bytes(b"a picture")
    tracker = opened(config(uri), tmp_path, say=lambda line: None, clock=Clock())
    flaky[0].down = True
    tracker.finish([result()], artifacts=[picture, tmp_path / "never.png"])
    picture.unlink()
    assert log_pending(tmp_path / journal.PENDING, say=lambda line: None) == 1
    assert runs(uri)[0].info.status == "FINISHED"


def test_passwords_reach_no_message_no_file_and_no_param(tmp_path: Path) -> None:
    address = closed_port().replace("//", "//me:secret@")
    said: list[str] = []
    opened(config(address), tmp_path, say=said.append).finish([result()])
    assert "secret" not in (tmp_path / journal.PENDING).read_text()
    assert "me:***@" in (tmp_path / journal.PENDING).read_text()
    assert "secret" not in "".join(said)


# The store


def test_two_processes_may_start_on_a_fresh_store(uri: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert raced(tmp_path_factory.getbasetemp() / "empty-store") == [(0, "RUNNING", "")] * 2
    assert len(runs(uri, "raced")) == 2


def test_readers_do_not_wait_for_the_writer(uri: str, tmp_path: Path) -> None:
    opened(config(uri), tmp_path)
    connection = sqlite3.connect(sqlite_path(uri) or "")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_a_deleted_experiment_is_restored(uri: str, tmp_path: Path) -> None:
    client, experiment_id = connection.connect(uri, "sweepstack")
    client.delete_experiment(experiment_id)
    said: list[str] = []
    opened(config(uri), tmp_path, say=said.append)
    assert "restored" in said[0]
    assert len(runs(uri)) == 1


def test_an_experiment_that_another_process_creates_meanwhile_is_used() -> None:
    class Racing:
        found: Any = None

        def get_experiment_by_name(self, name: str) -> Any:
            return self.found

        def create_experiment(self, name: str, artifacts: str | None) -> None:
            self.found = SimpleNamespace(experiment_id="5", lifecycle_stage="active", tags={log_error.DONE_TAG: "1"})
            raise RuntimeError("exists already")

        def get_experiment(self, experiment_id: str) -> Any:
            return self.found

    assert connection._experiment_id(Racing(), "sweepstack", None, print) == "5"


def test_an_experiment_that_cannot_be_created_is_an_error() -> None:
    class Full:
        def get_experiment_by_name(self, name: str) -> Any:
            return None

        def create_experiment(self, name: str, artifacts: str | None) -> None:
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="disk is full"):
        connection._experiment_id(Full(), "sweepstack", None, print)


def test_a_users_own_settings_of_mlflow_win(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", "a.b,localhost")
    connection.connect(uri, "sweepstack")
    assert os.environ["no_proxy"] == "a.b,localhost,127.0.0.1,::1"  # a proxy does not reach this machine's stores
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_a_runs_name_is_cut_to_what_every_database_takes(tmp_path: Path) -> None:
    queue = Journal("postgresql://host/base", "sweepstack", tmp_path)
    queue.add({"do": "run", "run": "1", "name": "a" * 251})
    queue.add({"do": "run", "run": "2", "name": "b" * 250})
    assert [len(note["name"]) for note in queue.notes] == [250, 250]
    assert queue.notes[0]["name"].endswith("…")


def test_a_store_that_was_removed_is_no_store_that_answers(uri: str, tmp_path: Path) -> None:
    said: list[str] = []
    queue = Journal(uri, "sweepstack", tmp_path, say=said.append)
    queue.add({"do": "run", "run": "1", "parent": None, "name": "a", "tags": {}, "time": 0})
    queue.flush()
    (sqlite_path(uri) or Path()).unlink()
    queue.batch("1", tags={"a": "b"})
    queue.flush()
    assert "removed or replaced" in said[-1]
    assert len(queue.notes) == 1
    with pytest.raises(StoreError, match="removed or replaced"):
        queue.close()
