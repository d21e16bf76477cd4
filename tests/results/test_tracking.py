"""What MLflow holds of a trial, and what happens when MLflow is not there."""

import json
import math
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from src.config import RunConfig
from src.results import tracking
from src.results.result import Result
from src.results.tracking import Journal, NullTracker, log_pending, main, open_tracker

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


@pytest.fixture(scope="module")
def raced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[int, str, str]]]:
    """A fresh database that two processes started on at once, and what became of them: status, output, errors."""
    path = tmp_path_factory.getbasetemp() / "empty-store" / "mlflow.db"  # test_ui.py copies it
    code = """
import sys
from src.results import tracking
client, experiment = tracking.connect(sys.argv[1], "raced")
print(client.create_run(experiment).info.status)
"""
    command = [sys.executable, "-c", code, f"sqlite:///{path}"]
    both = [
        subprocess.Popen(command, cwd=tracking.ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ended = [(process.communicate(timeout=200), process.returncode) for process in both]
    return path, [(status, out.strip(), err) for (out, err), status in ended]


@pytest.fixture(scope="module")
def empty_store(raced: tuple[Path, Any]) -> Path:
    """A database with MLflow's tables; creating them takes seconds, so each test gets a copy."""
    path, _ = raced
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path


@pytest.fixture
def uri(empty_store: Path, tmp_path: Path) -> str:
    path = tmp_path / "mlruns" / "mlflow.db"
    path.parent.mkdir()
    shutil.copy(empty_store, path)
    return f"sqlite:///{path}"


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch) -> list[Flaky]:
    """Puts a Flaky around every client that is connected from now on."""
    made: list[Flaky] = []
    connect = tracking.connect

    def connected(*args: Any) -> tuple[Any, str]:
        client, experiment_id = connect(*args)
        made.append(Flaky(client))
        return made[-1], experiment_id

    monkeypatch.setattr(tracking, "connect", connected)
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


def config(uri: str, **changes: Any) -> RunConfig:
    base: dict[str, Any] = {
        "name": "shallow",
        "data": {"name": "mnist"},
        "model": {"maps": [20], "hidden": [100]},
        "optim": {"eta": 0.1, "lambda_": 0.0},
        "stop": {},
        "trainer": {},
        "tracking": {"uri": uri},
    }
    return RunConfig.model_validate({**base, **changes})


def opened(config: RunConfig, folder: Path, **more: Any) -> Any:
    seeds = list(range(config.seed, config.seed + config.members))
    return open_tracker(config, folder, **{"dataset": "mnist", "device": "cpu", "seeds": seeds, **more})


def row(epoch: int, accuracy: float = 0.9, **more: float) -> dict[str, float]:
    return {"epoch": epoch, "eta": 0.1, "validation/accuracy": accuracy, **more}


def result(seed: int = 0, status: str = "FINISHED", **more: Any) -> Result:
    values: dict[str, Any] = {"best_epoch": 2, "validation_accuracy": 0.98, "test_accuracy": 0.97, "seconds": 1.5}
    return Result(config={}, seed=seed, status=status, history=[], dataset="mnist", device="cpu", **{**values, **more})


def runs(uri: str, experiment: str = "sweepstack") -> list[Any]:
    """All runs in the order of their creation."""
    client, experiment_id = tracking.connect(uri, experiment)
    found = client.search_runs([experiment_id], order_by=["attributes.start_time ASC"])
    return sorted(found, key=lambda run: (run.info.start_time, "mlflow.parentRunId" in run.data.tags))


def history(uri: str, run: Any, key: str) -> list[tuple[int, float]]:
    client, _ = tracking.connect(uri, "sweepstack")
    return [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, key)]


def artifacts(run: Any) -> dict[str, Path]:
    root = Path(run.info.artifact_uri.removeprefix("file://"))
    return {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}


# Without a store


def test_tracking_none_never_imports_mlflow() -> None:
    code = """
import sys
from pathlib import Path
from src.config import RunConfig
from src.results.tracking import open_tracker
config = RunConfig.model_validate({"data": {"name": "mnist"}, "model": {}, "optim": {"eta": 1.0}, "stop": {},
                                   "trainer": {}, "tracking": {"kind": "none"}})
tracker = open_tracker(config, Path("nowhere"), dataset="mnist", device="cpu", seeds=[0])
tracker.epoch([{"epoch": 1}])
tracker.finish([], None, [])
tracker.abort("KILLED", "Ctrl-C")
print(type(tracker).__name__, [name for name in ("mlflow", "torch", "sqlalchemy") if name in sys.modules])
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=tracking.ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.split("\n")[0] == f"{NullTracker.__name__} []"


# What is recorded


def test_a_trial_of_one_member_is_one_run(uri: str, tmp_path: Path) -> None:
    opened(config(uri, seed=4), tmp_path, label="eta=0.1", tags={"sweep": "rates"})
    (run,) = runs(uri)
    assert run.info.run_name == "shallow · eta=0.1 · seed 4"
    tags = run.data.tags
    assert {key: tags[key] for key in ("kind", "exp", "dataset", "device", "sweep")} == {
        "kind": "member",
        "exp": "shallow",
        "dataset": "mnist",
        "device": "cpu",
        "sweep": "rates",
    }
    assert tags["version.torch"].startswith("2.")
    assert tags["version.python"] == sys.version.split()[0]
    assert {"git.commit", "git.dirty", "version.lightning", "version.sweepstack"} <= set(tags)
    assert "mlflow.parentRunId" not in tags


def test_params_are_the_flat_configuration_with_logarithms_of_what_is_positive(uri: str, tmp_path: Path) -> None:
    opened(config(uri), tmp_path, dataset="digits")
    params = runs(uri)[0].data.params
    assert params["optim.eta"] == "0.1"
    assert params["model.maps"] == "[20]"
    assert params["data.dir"] == "null"
    assert params["trainer.engine"] == "auto"
    assert params["dataset"] == "digits"
    assert float(params["log10.optim.eta"]) == -1
    assert "log10.optim.lambda_" not in params  # lambda_ = 0


def test_repeats_are_children_of_one_run_and_differ_in_their_seed(uri: str, tmp_path: Path) -> None:
    opened(config(uri, repeats=3, seed=7), tmp_path, dataset="digits")
    parent, *children = runs(uri)
    assert (parent.info.run_name, parent.data.tags["kind"]) == ("shallow · digits · 3 repeats", "repeats")
    assert sorted(child.info.run_name for child in children) == [
        f"shallow · digits · seed {seed}" for seed in (7, 8, 9)
    ]
    assert {child.data.params["seed"] for child in children} == {"7", "8", "9"}
    for child in children:
        assert child.data.tags["kind"] == "member"
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id


@pytest.mark.parametrize(
    ("repeats", "ensemble", "parent", "last"),
    [(1, 2, "ensemble of 2", "seed 1"), (2, 2, "2 ensembles of 2", "repeat 1 · seed 3")],
)
def test_an_ensemble_says_so(uri: str, tmp_path: Path, repeats: int, ensemble: int, parent: str, last: str) -> None:
    opened(config(uri, repeats=repeats, ensemble=ensemble), tmp_path)
    found = {run.info.run_name: run.data.tags["kind"] for run in runs(uri)}
    assert found[f"shallow · {parent}"] == "ensemble"
    assert found[f"shallow · {last}"] == "member"
    assert len(found) == 1 + repeats * ensemble


def test_given_names_replace_the_seeds(uri: str, tmp_path: Path) -> None:
    opened(config(uri, repeats=2), tmp_path, names=["left", "right"])
    assert {"shallow · left", "shallow · right"} <= {run.info.run_name for run in runs(uri)}


def test_an_epoch_is_one_step_of_every_member_that_still_trains(uri: str, tmp_path: Path) -> None:
    tracker = opened(config(uri, repeats=2), tmp_path)
    tracker.epoch([row(1, 0.5), row(1, 0.6)])
    tracker.epoch([row(2, 0.7), None])
    _, *members = runs(uri)
    curves = {run.data.params["seed"]: history(uri, run, "validation/accuracy") for run in members}
    assert curves == {"0": [(1, 0.5), (2, 0.7)], "1": [(1, 0.6)]}
    assert "epoch" not in members[0].data.metrics
    assert sorted(run.data.metrics["validation/error"] for run in members) == pytest.approx([0.3, 0.4])


def test_a_connected_epoch_takes_one_call_a_member(uri: str, tmp_path: Path, flaky: list[Flaky]) -> None:
    tracker = opened(config(uri, repeats=3), tmp_path)
    before = flaky[0].calls
    tracker.epoch([row(1), row(1), row(1)])
    assert flaky[0].calls - before == 3


def test_a_value_that_is_not_finite_is_left_out_and_named(uri: str, tmp_path: Path) -> None:
    tracker = opened(config(uri), tmp_path)
    tracker.epoch([row(1, **{"train/cost": 0.5})])
    tracker.epoch([row(2, **{"train/cost": math.nan, "weight_norm/a": math.inf})])
    tracker.epoch([row(3, **{"train/cost": math.nan})])
    (run,) = runs(uri)
    assert history(uri, run, "train/cost") == [(1, 0.5)]
    assert "weight_norm/a" not in run.data.metrics
    assert len(history(uri, run, "validation/accuracy")) == 3
    assert run.data.tags["not_finite"] == "train/cost, weight_norm/a from epoch 2"


def test_results_weights_and_figures_are_kept_and_runs_end(uri: str, tmp_path: Path) -> None:
    folder = tmp_path / "trial"
    for index in range(2):
        (folder / f"member-{index:02d}").mkdir(parents=True)
        torch.save({"layers.0.bias": torch.full((3,), float(index))}, folder / f"member-{index:02d}" / "weights.pt")
    (folder / "curves.png").write_bytes(b"a picture")
    (tmp_path / "report.md").write_text("elsewhere")
    tracker = opened(config(uri, ensemble=2), folder)
    diverged = {"best_epoch": None, "validation_accuracy": None, "test_accuracy": None}
    results = [result(0), result(1, "FAILED", vote=1, **diverged)]
    tracker.finish(results, {"test/mean": 0.97, "test/sd": math.nan}, [folder / "curves.png", tmp_path / "report.md"])

    parent, *members = runs(uri)
    first, second = sorted(members, key=lambda run: run.data.params["seed"])
    assert first.data.metrics == pytest.approx(
        {"best/epoch": 2, "best/validation_accuracy": 0.98, "test/accuracy": 0.97, "test/error": 0.03, "seconds": 1.5}
    )
    assert second.data.metrics == {"seconds": 1.5}
    assert parent.data.metrics == {"test/mean": 0.97}
    assert [run.info.status for run in (parent, first, second)] == ["FINISHED", "FINISHED", "FAILED"]
    assert [run.data.tags["status"] for run in (parent, first, second)] == ["FINISHED", "FINISHED", "FAILED"]
    assert second.data.tags["vote"] == "1"
    assert set(artifacts(parent)) == {"config.yaml", "figures/curves.png", "report.md"}
    weights = torch.load(artifacts(second)["weights.pt"], weights_only=True)
    assert torch.equal(weights["layers.0.bias"], torch.ones(3))
    assert artifacts(parent)["config.yaml"].is_relative_to(tmp_path / "mlruns" / "artifacts")
    assert not (folder / tracking.PENDING).exists()


def test_single_values_are_drawn_as_bars(uri: str, tmp_path: Path) -> None:
    tracker = opened(config(uri), tmp_path)
    tracker.finish([result()])
    # MLflow's UI draws a curve as soon as a step is above 0.
    assert history(uri, runs(uri)[0], "test/accuracy") == [(0, 0.97)]


def test_the_kept_configuration_runs_again(uri: str, tmp_path: Path) -> None:
    from omegaconf import OmegaConf

    trained = config(uri)
    opened(trained, tmp_path)
    kept = OmegaConf.to_container(OmegaConf.load(artifacts(runs(uri)[0])["config.yaml"]))
    assert RunConfig.model_validate(kept) == trained


@pytest.mark.parametrize(
    ("members", "trial"),
    [
        (["FINISHED", "FINISHED"], "FINISHED"),
        (["FINISHED", "FAILED"], "FINISHED"),
        (["FAILED", "FAILED"], "FAILED"),
        (["FINISHED", "KILLED"], "KILLED"),
    ],
)
def test_a_trial_failed_when_no_member_finished(members: list[str], trial: str) -> None:
    assert tracking.trial_status(members) == trial


def test_an_aborted_trial_leaves_no_run_open(uri: str, tmp_path: Path) -> None:
    tracker = opened(config(uri, repeats=2), tmp_path)
    tracker.abort("KILLED", "Ctrl-C")
    assert [run.info.status for run in runs(uri)] == ["KILLED"] * 3
    assert runs(uri)[0].data.tags["reason"] == "Ctrl-C"


def test_what_exceeds_mlflows_batches_goes_in_several(uri: str, tmp_path: Path) -> None:
    client, experiment_id = tracking.connect(uri, "sweepstack")
    run = client.create_run(experiment_id)
    journal = Journal(uri, "sweepstack", tmp_path, runs={"a": run.info.run_id})
    journal.batch(
        "a",
        metrics={f"m{index}": float(index) for index in range(1500)},
        params={f"p{index}": "x" for index in range(250)},
        tags={f"t{index}": "x" for index in range(150)},
    )
    journal.flush()
    data = client.get_run(run.info.run_id).data
    assert not journal.notes
    assert (len(data.metrics), len(data.params)) == (1500, 250)
    assert len([tag for tag in data.tags if tag.startswith("t")]) == 150


def test_long_values_are_cut_to_what_mlflow_accepts(uri: str, tmp_path: Path) -> None:
    assert len(tracking.flatten({"model": {"maps": [20] * 4000}})["model.maps"]) == tracking.VALUE_LENGTH
    opened(config(uri, model={"hidden": [100] * 4000}), tmp_path)
    assert len(runs(uri)[0].data.params["model.hidden"]) == tracking.VALUE_LENGTH


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
    clock.now += tracking.RETRY_SECONDS
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
    assert not (tmp_path / tracking.PENDING).exists()


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
    pending = folder / tracking.PENDING
    assert str(pending) in said[1]

    moved = tmp_path / "moved"  # paths inside the folder stay valid
    folder.rename(moved)
    assert main([str(moved / tracking.PENDING), uri]) == 0
    parent, *members = runs(uri)
    assert parent.data.metrics == {"vote/accuracy": 0.99}
    assert len(members) == 2
    assert {run.info.status for run in (parent, *members)} == {"FINISHED"}
    assert {key for run in (parent, *members) for key in artifacts(run)} == {
        "config.yaml",
        "figures/curves.png",
        "weights.pt",
    }
    assert not (moved / tracking.PENDING).exists()


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
    path = tmp_path / tracking.PENDING
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
    path = tmp_path / tracking.PENDING
    before = [(note["do"], note["run"]) for note in json.loads(path.read_text())["notes"]]
    assert main([str(path)]) == 1
    assert [(note["do"], note["run"]) for note in json.loads(path.read_text())["notes"]] == before
    assert f"still left in {path}" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["[]", "no json", "{}"])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    assert main([str(path)]) == 2
    assert "was not written by a run's tracking" in capsys.readouterr().err
    assert path.read_text() == text


def test_the_command_says_how_it_is_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert main([str(tmp_path / "missing.json")]) == 2
    assert "usage: python -m src.results.tracking" in capsys.readouterr().err


def test_what_the_store_refuses_is_kept_and_holds_up_nothing(uri: str, tmp_path: Path) -> None:
    said: list[str] = []
    tracker = opened(config(uri, repeats=2), tmp_path, say=said.append)
    client, _ = tracking.connect(uri, "sweepstack")
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
    assert log_pending(tmp_path / tracking.PENDING) == 0
    assert [step for step, _ in history(uri, first, "eta")] == [1, 2]


def test_a_file_that_is_gone_holds_up_nothing(uri: str, tmp_path: Path, flaky: list[Flaky]) -> None:
    picture = tmp_path / "curves.png"
    picture.write_bytes(b"a picture")
    tracker = opened(config(uri), tmp_path, say=lambda line: None, clock=Clock())
    flaky[0].down = True
    tracker.finish([result()], artifacts=[picture, tmp_path / "never.png"])
    picture.unlink()
    assert log_pending(tmp_path / tracking.PENDING, say=lambda line: None) == 1
    assert runs(uri)[0].info.status == "FINISHED"


# The store


def test_two_processes_may_start_on_a_fresh_store(raced: tuple[Path, list[tuple[int, str, str]]]) -> None:
    path, ended = raced
    assert ended == [(0, "RUNNING", "")] * 2
    assert len(runs(f"sqlite:///{path}", "raced")) == 2


def test_readers_do_not_wait_for_the_writer(uri: str, tmp_path: Path) -> None:
    opened(config(uri), tmp_path)
    connection = sqlite3.connect(tracking.sqlite_path(uri) or "")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_a_deleted_experiment_is_restored(uri: str, tmp_path: Path) -> None:
    client, experiment_id = tracking.connect(uri, "sweepstack")
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
            self.found = SimpleNamespace(experiment_id="5", lifecycle_stage="active", tags={})
            raise RuntimeError("exists already")

        def get_experiment(self, experiment_id: str) -> Any:
            return self.found

        def set_experiment_tag(self, experiment_id: str, key: str, value: str) -> None:
            self.found.tags[key] = value

    assert tracking._experiment_id(Racing(), "sweepstack", None, print) == "5"


def test_an_experiment_that_cannot_be_created_is_an_error() -> None:
    class Full:
        def get_experiment_by_name(self, name: str) -> Any:
            return None

        def create_experiment(self, name: str, artifacts: str | None) -> None:
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="disk is full"):
        tracking._experiment_id(Full(), "sweepstack", None, print)


def test_a_users_own_settings_of_mlflow_win(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    tracking.connect(uri, "sweepstack")
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_passwords_reach_no_message_no_file_and_no_param(tmp_path: Path) -> None:
    address = closed_port().replace("//", "//me:secret@")
    said: list[str] = []
    opened(config(address), tmp_path, say=said.append).finish([result()])
    assert "secret" not in (tmp_path / tracking.PENDING).read_text()
    assert "me:***@" in (tmp_path / tracking.PENDING).read_text()
    assert "secret" not in "".join(said)


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("sqlite:///mlruns/mlflow.db", "mlruns/mlflow.db"),
        ("sqlite:////data/mlflow.db?timeout=5", "/data/mlflow.db"),
        ("sqlite+pysqlite:///a.db", "a.db"),
        ("sqlite:///:memory:", None),
        ("postgresql://host/base", None),
        ("http://127.0.0.1:5000", None),
    ],
)
def test_only_sqlite_addresses_have_a_file(uri: str, path: str | None) -> None:
    assert tracking.sqlite_path(uri) == (None if path is None else Path(path))


def test_a_relative_store_is_found_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert tracking.absolute("sqlite:///mlruns/m.db") == f"sqlite:///{tmp_path}/mlruns/m.db"
    assert tracking.absolute("http://host:5000") == "http://host:5000"


# What computed the numbers


def test_a_source_tree_outside_git_has_no_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tracking._git.cache_clear()
    monkeypatch.setattr(tracking, "ROOT", tmp_path)
    assert tracking._git() == {"git.commit": "unknown", "git.dirty": "unknown"}
    tracking._git.cache_clear()


@pytest.mark.parametrize(("status", "dirty"), [("", "false"), (" M src/train.py", "true")])
def test_a_changed_source_tree_says_so(monkeypatch: pytest.MonkeyPatch, status: str, dirty: str) -> None:
    answers = {"rev-parse": f"{tracking.ROOT}\nabc123", "status": status}
    monkeypatch.setattr(tracking, "_ask_git", lambda *words: answers[words[0]])
    tracking._git.cache_clear()
    assert tracking._git()["git.commit"] == "abc123"
    assert tracking._git()["git.dirty"] == dirty
    tracking._git.cache_clear()


def test_somebody_elses_checkout_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "_ask_git", lambda *words: "/elsewhere\nabc123")
    tracking._git.cache_clear()
    assert tracking._git()["git.commit"] == "unknown"
    tracking._git.cache_clear()


def test_an_unknown_user_and_an_uninstalled_package_stop_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("uid 4711")

    monkeypatch.setattr(tracking.getpass, "getuser", nobody)
    assert tracking._user() == "unknown"
    assert tracking._version("surely-not-installed") == "unknown"
