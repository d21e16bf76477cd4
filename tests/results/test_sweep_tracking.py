"""What MLflow holds of a study: names, parents, statuses and tags, and what a kill or a silent store leaves of them."""

import math
from pathlib import Path
from typing import Any

import pytest

from src.results import journal
from src.results.sweep_tracking import NullStudyTracker, StudyTracker, open_study
from tests.results.test_tracking import config, empty_store, history, result, row, runs

# MLflow 3.17.2 itself uses what its SQLAlchemy (2.1) calls deprecated.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)


@pytest.fixture
def uri(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return empty_store(tmp_path / "mlruns", tmp_path_factory)


def study(uri: str, folder: Path, **more: Any) -> StudyTracker:
    about: dict[str, Any] = {"study": "rates", "uid": "u1", "params": {"optim.eta": "interval(0.001, 1)"}}
    tracker = open_study(config(uri), folder, **{**about, **more})
    assert isinstance(tracker, StudyTracker)
    return tracker


def begin(tracker: StudyTracker, uri: str, folder: Path, number: int, **more: Any) -> Any:
    """Trial `number`, its eta (number + 1) / 100, of one member unless `seeds` says otherwise."""
    eta = (number + 1) / 100
    about = {"place": number, "attempt": 0, "label": f"eta={eta}", "dataset": "mnist", "device": "cpu", "seeds": [0]}
    trial = config(uri, optim={"eta": eta, "lambda_": 0.5})
    return tracker.trial(trial, folder / str(number), number=number, **{**about, **more})


def by_name(uri: str) -> dict[str, Any]:
    return {run.info.run_name: run for run in runs(uri)}


# Names, parents, statuses


def test_a_trial_is_a_child_of_its_study(uri: str, tmp_path: Path) -> None:
    tracker = study(uri, tmp_path)
    begin(tracker, uri, tmp_path, 3).finish([result()])
    tracker.finish("FINISHED")
    found = by_name(uri)
    assert set(found) == {"rates", "trial 3 · eta=0.04"}
    parent, child = found["rates"], found["trial 3 · eta=0.04"]
    assert (parent.data.tags["kind"], child.data.tags["kind"]) == ("study", "trial")
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert {child.data.tags[key] for key in ("study", "trial", "number", "attempt")} == {"rates", "3", "1"}
    assert parent.data.params == {"optim.eta": "interval(0.001, 1)"}


def test_members_are_children_of_their_trial_which_carries_their_means(uri: str, tmp_path: Path) -> None:
    tracker = study(uri, tmp_path)
    trial = begin(tracker, uri, tmp_path, 0, seeds=[7, 8], place=5, attempt=1)
    trial.epoch([row(1, 0.5), row(1, 0.75)])
    trial.epoch([row(2, 0.7), None])
    trial.finish([result(7, validation_accuracy=0.25), result(8, validation_accuracy=0.75)])
    tracker.finish("FINISHED")
    found = by_name(uri)
    name = "trial 5 · eta=0.01 · attempt 2"
    assert set(found) == {"rates", name, f"{name} · member 0 · seed 7", f"{name} · member 1 · seed 8"}
    members = [run for run in found.values() if run.data.tags["kind"] == "member"]
    assert {run.data.tags["mlflow.parentRunId"] for run in members} == {found[name].info.run_id}
    assert {run.data.params["seed"] for run in members} == {"7", "8"}
    assert history(uri, found[name], "validation/accuracy") == [(1, 0.625), (2, 0.7)]
    assert found[name].data.metrics["best/validation_accuracy"] == 0.5


def test_a_mean_over_some_members_is_no_mean_of_the_trial(uri: str, tmp_path: Path) -> None:
    tracker = study(uri, tmp_path)
    diverged = {"best_epoch": None, "validation_accuracy": None, "test_accuracy": None}
    begin(tracker, uri, tmp_path, 0, seeds=[0, 1]).finish([result(0), result(1, "FAILED", **diverged)])
    tracker.finish("FINISHED")
    trial = by_name(uri)["trial 0 · eta=0.01"]
    assert trial.data.metrics == {"seconds": 1.5}
    assert trial.data.tags["status"] == "FINISHED"


@pytest.mark.parametrize(
    ("status", "mlflow"),
    [("FINISHED", "FINISHED"), ("PRUNED", "FINISHED"), ("FAILED", "FAILED"), ("KILLED", "KILLED")],
)
def test_four_ends_are_four_tags(uri: str, tmp_path: Path, status: str, mlflow: str) -> None:
    tracker = study(uri, tmp_path)
    begin(tracker, uri, tmp_path, 0, seeds=[0, 1]).finish([result(0, status), result(1, status)], status=status)
    begin(tracker, uri, tmp_path, 1).abort(status, "why")
    tracker.finish("FINISHED")
    ended = [run for run in runs(uri) if run.data.tags["kind"] != "study"]
    assert [(run.data.tags["status"], run.info.status) for run in ended] == [(status, mlflow)] * 4


def test_a_trial_that_failed_carries_its_traceback(uri: str, tmp_path: Path) -> None:
    tracker = study(uri, tmp_path)
    text = "Traceback (most recent call last):\n  File ...\nValueError: " + "no room " * 100
    begin(tracker, uri, tmp_path, 0).abort("FAILED", text)
    tracker.finish("FINISHED")
    run = by_name(uri)["trial 0 · eta=0.01"]
    assert run.data.tags["reason"].startswith("ValueError: no room")
    assert len(run.data.tags["reason"]) == 500
    client, _ = journal.connect(uri, "sweepstack")
    assert [one.path for one in client.list_artifacts(run.info.run_id)] == ["traceback.txt"]


def test_an_abort_after_the_end_changes_nothing(uri: str, tmp_path: Path) -> None:
    tracker = study(uri, tmp_path)
    trial = begin(tracker, uri, tmp_path, 0)
    trial.finish([result()])
    trial.abort("KILLED", "Ctrl-C")
    tracker.finish("KILLED")
    assert by_name(uri)["trial 0 · eta=0.01"].info.status == "FINISHED"
    assert by_name(uri)["rates"].info.status == "KILLED"


# What runs carry


def test_log_scaled_keys_have_logarithms_whatever_they_are(uri: str, tmp_path: Path) -> None:
    tracker = study(uri, tmp_path, log_keys={"batch_size", "optim.momentum", "model.activation"})
    begin(tracker, uri, tmp_path, 0)
    tracker.finish("FINISHED")
    params = by_name(uri)["trial 0 · eta=0.01"].data.params
    logs = {key: float(value) for key, value in params.items() if key.startswith("log10.")}
    assert logs == {"log10.optim.eta": -2, "log10.optim.lambda_": -0.301, "log10.batch_size": 1}
    assert (params["optim.eta"], params["trial"], params["dataset"]) == ("0.01", "0", "mnist")


def test_only_the_study_carries_the_best(uri: str, tmp_path: Path) -> None:
    (tmp_path / "report.md").write_text("what was found")
    tracker = study(uri, tmp_path)
    begin(tracker, uri, tmp_path, 0).finish([result()])
    tracker.progress({"done": 1, "best": 0.98})
    best = {"trial": 0, "validation_accuracy": 0.98, "params": {"optim.eta": 0.01, "model.activation": "relu"}}
    tracker.finish("FINISHED", best, [tmp_path / "report.md"])
    found = by_name(uri)
    data = found["rates"].data
    assert data.metrics == {"study/done": 1, "study/best": 0.98, "best/trial": 0, "best/validation_accuracy": 0.98}
    assert history(uri, found["rates"], "study/best") == [(1, 0.98)]
    assert (data.tags["best.optim.eta"], data.tags["best.model.activation"]) == ("0.01", "relu")
    others = [run.data for name, run in found.items() if name != "rates"]
    assert others
    assert not any(key == "best/trial" for other in others for key in other.metrics)
    assert not any(key.startswith("best.") for other in others for key in other.tags)


def test_values_that_are_not_finite_are_left_out_and_named(uri: str, tmp_path: Path) -> None:
    tracker = study(uri, tmp_path)
    trial = begin(tracker, uri, tmp_path, 0, seeds=[0, 1])
    trial.epoch([row(1, **{"train/cost": math.nan}), row(1, **{"train/cost": 0.5})])
    tracker.progress({"done": 1, "best": math.nan})
    tracker.finish("KILLED")
    found = by_name(uri)
    assert found["trial 0 · eta=0.01"].data.metrics["train/cost"] == 0.5
    assert found["trial 0 · eta=0.01 · member 0 · seed 0"].data.tags["not_finite"] == "train/cost from epoch 1"
    assert found["rates"].data.metrics == {"study/done": 1}


# A study that goes on


def test_a_study_that_goes_on_is_one_run(uri: str, tmp_path: Path) -> None:
    first = study(uri, tmp_path)
    begin(first, uri, tmp_path, 0).finish([result()])
    first.finish("KILLED", {"trial": 0, "validation_accuracy": 0.5})
    second = study(uri, tmp_path)
    begin(second, uri, tmp_path, 1).finish([result()])
    second.finish("FINISHED", {"trial": 1, "validation_accuracy": 0.75})
    found = by_name(uri)
    assert len(runs(uri)) == 3
    assert {run.data.tags.get("mlflow.parentRunId") for run in runs(uri)} == {None, found["rates"].info.run_id}
    assert (found["rates"].info.status, found["rates"].data.tags["status"]) == ("FINISHED", "FINISHED")
    assert found["rates"].data.metrics == {"best/trial": 1, "best/validation_accuracy": 0.75}


def test_a_study_that_another_process_goes_on_with_stays_open(uri: str, tmp_path: Path) -> None:
    study(uri, tmp_path).finish("FINISHED")
    study(uri, tmp_path).finish("RUNNING")
    (parent,) = runs(uri)
    assert (parent.info.status, parent.data.tags["status"]) == ("RUNNING", "RUNNING")


def test_without_tracking_nothing_is_recorded(tmp_path: Path) -> None:
    about = {"study": "rates", "uid": "u1"}
    tracker = open_study(config("nowhere", tracking={"kind": "none"}), tmp_path, **about)
    assert isinstance(tracker, NullStudyTracker)
    trial = tracker.trial(config("nowhere"), tmp_path, number=0)
    trial.epoch([row(1)])
    trial.finish([result()], status="PRUNED")
    trial.abort("KILLED", "Ctrl-C")
    tracker.progress({"done": 1})
    tracker.finish("FINISHED")
    assert not list(tmp_path.iterdir())
