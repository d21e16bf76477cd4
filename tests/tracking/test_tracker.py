"""What MLflow holds of a trial, and the command that logs what a run could not."""

import functools
import math
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from src.config.schema import RunConfig
from src.tracking import connection, journal, log_error
from src.tracking import tracker as tracking
from src.tracking.__main__ import main
from src.tracking.tracker import NullTracker, open_tracker
from src.training.result import Result

# MLflow 3.17.2 itself uses what its SQLAlchemy (2.1) calls deprecated.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)


@functools.cache
def raced(folder: Path) -> list[tuple[int, str, str]]:
    """Starts two processes at once on a fresh database, folder/mlflow.db; each one's status, output and errors.

    Creating MLflow's tables takes seconds: this happens once for all tests, whichever of them comes first.
    """
    path = folder / "mlflow.db"
    code = """
import sys
from src.tracking import connection
client, experiment = connection.connect(sys.argv[1], "raced")
print(client.create_run(experiment).info.status)
"""
    command = [sys.executable, "-c", code, f"sqlite:///{path}"]
    both = [
        subprocess.Popen(command, cwd=tracking.ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ended = [(process.communicate(timeout=200), process.returncode) for process in both]
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return [(status, out.strip(), err) for (out, err), status in ended]


def empty_store(folder: Path, factory: pytest.TempPathFactory) -> str:
    """The address of a store of one's own in `folder`, with MLflow's tables and without runs of `sweepstack`."""
    ready = factory.getbasetemp() / "empty-store"
    raced(ready)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(ready / "mlflow.db", folder)
    return f"sqlite:///{folder}/mlflow.db"


@pytest.fixture
def uri(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return empty_store(tmp_path / "mlruns", tmp_path_factory)


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
    values: dict[str, Any] = {"best_epoch": 2, "validation_score": 0.98, "test_score": 0.97, "seconds": 1.5}
    return Result(config={}, seed=seed, status=status, history=[], dataset="mnist", device="cpu", **{**values, **more})


def runs(uri: str, experiment: str = "sweepstack") -> list[Any]:
    """All runs in the order of their creation."""
    client, experiment_id = connection.connect(uri, experiment)
    found = client.search_runs([experiment_id], order_by=["attributes.start_time ASC"])
    return sorted(found, key=lambda run: (run.info.start_time, "mlflow.parentRunId" in run.data.tags))


def history(uri: str, run: Any, key: str) -> list[tuple[int, float]]:
    client, _ = connection.connect(uri, "sweepstack")
    return [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, key)]


def artifacts(run: Any) -> dict[str, Path]:
    root = Path(run.info.artifact_uri.removeprefix("file://"))
    return {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}


# Without a store


def test_tracking_none_never_imports_mlflow() -> None:
    code = """
import sys
from pathlib import Path
from src.config.schema import RunConfig
from src.tracking.tracker import open_tracker
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
    assert run.info.run_name == "shallow · seed 4 · eta=0.1"
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
    assert (parent.info.run_name, parent.data.tags["kind"]) == ("shallow · 3 repeats · digits", "repeats")
    assert sorted(child.info.run_name for child in children) == [
        f"shallow · seed {seed} · digits" for seed in (7, 8, 9)
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


def test_members_of_different_configurations_have_their_own_params(uri: str, tmp_path: Path) -> None:
    wide = config(uri, model={"hidden": [50]})
    opened(config(uri, repeats=2), tmp_path, members=[("left", config(uri)), ("right", wide)])
    found = {run.info.run_name: run.data.params for run in runs(uri)}
    assert found["shallow · left"]["model.hidden"] != found["shallow · right"]["model.hidden"] == "[50]"
    assert "model.hidden" not in found["shallow · 2 repeats"]  # which says what they share
    assert found["shallow · 2 repeats"]["optim.eta"] == found["shallow · left"]["optim.eta"]


def test_an_epoch_is_one_step_of_every_member_that_still_trains(uri: str, tmp_path: Path) -> None:
    tracker = opened(config(uri, repeats=2), tmp_path)
    tracker.epoch([row(1, 0.5), row(1, 0.6)])
    tracker.epoch([row(2, 0.7), None])
    _, *members = runs(uri)
    curves = {run.data.params["seed"]: history(uri, run, "validation/accuracy") for run in members}
    assert curves == {"0": [(1, 0.5), (2, 0.7)], "1": [(1, 0.6)]}
    assert "epoch" not in members[0].data.metrics
    assert sorted(run.data.metrics["validation/error"] for run in members) == pytest.approx([0.3, 0.4])


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
    diverged = {"best_epoch": None, "validation_score": None, "test_score": None}
    results = [result(0), result(1, "FAILED", vote=1, **diverged)]
    tracker.finish(results, {"test/mean": 0.97, "test/sd": math.nan}, [folder / "curves.png", tmp_path / "report.md"])

    parent, *members = runs(uri)
    first, second = sorted(members, key=lambda run: run.data.params["seed"])
    assert first.data.metrics == pytest.approx(
        {"best/epoch": 2, "best/validation_accuracy": 0.98, "test/accuracy": 0.97, "test/error": 0.03, "seconds": 1.5}
        | {"best/log10_error": math.log10(0.02)}
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
    assert not (folder / journal.PENDING).exists()


def test_a_trial_that_goes_on_writes_what_its_runs_lack_and_its_last_result(uri: str, tmp_path: Path) -> None:
    trial = config(uri, repeats=2)
    curves = [[row(epoch, 0.1 * epoch, images_per_second=7.0 + again) for epoch in (1, 2, 3)] for again in range(3)]
    for again, (accuracy, epochs) in enumerate([(0.5, 2), (0.4, 1), (0.5, 3)]):
        tracker = opened(trial, tmp_path, run="one", resumed="after epoch 1" if again else "")
        assert [run.info.status for run in runs(uri)] == ["RUNNING"] * 3
        for epoch in curves[again][:epochs]:
            tracker.epoch([epoch, epoch])
        if again == 1:
            tracker.abort("KILLED", "the disk was full")
        else:
            tracker.finish([result(seed, test_score=accuracy) for seed in (0, 1)], {"test/mean": accuracy})
    parent, *members = runs(uri)
    assert [run.info.status for run in (parent, *members)] == ["FINISHED"] * 3
    assert [run.data.tags["resumed"] for run in (parent, *members)] == ["after epoch 1"] * 3
    for member in members:
        assert history(uri, member, "validation/accuracy") == [(epoch, 0.1 * epoch) for epoch in (1, 2, 3)]
        assert history(uri, member, "images_per_second") == [(1, 7.0), (2, 7.0), (3, 9.0)]
        assert member.data.metrics["test/accuracy"] == 0.5
        assert member.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert parent.data.metrics["test/mean"] == 0.5


def test_a_result_that_was_said_before_another_one_counts_again(uri: str, tmp_path: Path) -> None:
    for again, accuracy in enumerate([0.5, 0.4, 0.5]):
        tracker = opened(config(uri), tmp_path, run="one", resumed="after epoch 1" if again else "")
        (tmp_path / journal.PENDING).write_text("what the store did not take when the trial was stopped")
        tracker.finish([result(test_score=accuracy)])
    (run,) = runs(uri)
    assert run.data.tags["reason"] == ""
    assert not (tmp_path / journal.PENDING).exists()
    assert run.data.metrics["test/accuracy"] == 0.5
    assert history(uri, run, "test/accuracy") == [(0, 0.5), (0, 0.4), (0, 0.5)]


def test_runs_of_an_earlier_version_get_what_the_views_need_once(uri: str) -> None:
    client, experiment = connection.connect(uri, "sweepstack")
    old = client.create_run(experiment, tags={"dataset": "mnist-expanded"}).info.run_id
    client.log_metric(old, "best/validation_accuracy", 0.98)
    client.delete_experiment_tag(experiment, log_error.DONE_TAG)
    said: list[str] = []
    for _ in range(2):
        connection.connect(uri, "sweepstack", said.append)
    (run,) = runs(uri)
    assert run.data.tags[log_error.DATA_TAG] == "mnist"
    assert run.data.metrics[log_error.LOG_ERROR] == pytest.approx(math.log10(0.02))
    assert said == ["tracking: 1 earlier run got best/log10_error, which the views in MLflow draw"]


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


def test_long_values_are_cut_to_what_mlflow_accepts(uri: str, tmp_path: Path) -> None:
    assert len(tracking.flatten({"model": {"maps": [20] * 4000}})["model.maps"]) == tracking.VALUE_LENGTH
    opened(config(uri, model={"hidden": [100] * 4000}), tmp_path)
    assert len(runs(uri)[0].data.params["model.hidden"]) == tracking.VALUE_LENGTH


# The command


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
    assert "usage: python -m src.tracking" in capsys.readouterr().err


# What computed the numbers


def test_a_source_tree_outside_git_has_no_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tracking.git_commit.cache_clear()
    monkeypatch.setattr(tracking, "ROOT", tmp_path)
    assert tracking.git_commit() == {"git.commit": "unknown", "git.dirty": "unknown"}
    tracking.git_commit.cache_clear()


@pytest.mark.parametrize(("status", "dirty"), [("", "false"), (" M src/commands/train.py", "true")])
def test_a_changed_source_tree_says_so(monkeypatch: pytest.MonkeyPatch, status: str, dirty: str) -> None:
    answers = {"rev-parse": f"{tracking.ROOT}\nabc123", "status": status}
    monkeypatch.setattr(tracking, "_ask_git", lambda *words: answers[words[0]])
    tracking.git_commit.cache_clear()
    assert tracking.git_commit()["git.commit"] == "abc123"
    assert tracking.git_commit()["git.dirty"] == dirty
    tracking.git_commit.cache_clear()


def test_somebody_elses_checkout_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "_ask_git", lambda *words: "/elsewhere\nabc123")
    tracking.git_commit.cache_clear()
    assert tracking.git_commit()["git.commit"] == "unknown"
    tracking.git_commit.cache_clear()


def test_an_unknown_user_and_an_uninstalled_package_stop_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("uid 4711")

    monkeypatch.setattr(tracking.getpass, "getuser", nobody)
    assert tracking._user() == "unknown"
    assert tracking._version("surely-not-installed") == "unknown"


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("eta=0.2939 activation=relu hidden=[100]", "eta=0.294 relu [100]"),
        ("optim.eta=1e-05 data.expand=true max_epochs=20", "eta=1e-05 expand=true max_epochs=20"),
        ("model.layers=[{conv: 20, field: 5}] note", "[{conv: 20, field: 5}] note"),
    ],
)
def test_a_runs_name_has_the_fewest_letters_that_tell_it_from_others(label: str, name: str) -> None:
    assert tracking.short_label(label) == name
