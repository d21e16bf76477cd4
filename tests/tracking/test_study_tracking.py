"""What MLflow holds of a study: names, parents, statuses and tags, and what a kill or a silent store leaves of them."""

import base64
import json
import math
import sqlite3
import zlib
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from filelock import FileLock, Timeout

from src.config.address import sqlite_path
from src.config.files import write_json
from src.runs.summary import summarise
from src.tracking import connection, journal, view, writer
from src.tracking import study_tracking as sweep_tracking
from src.tracking.study_tracking import LIVES, NullStudyTracker, StudyTracker, Trial, open_study
from src.tracking.writer import Writer
from tests.tracking.test_tracker import artifacts, config, empty_store, history, result, row, runs

# MLflow 3.17.2 itself uses what its SQLAlchemy (2.1) calls deprecated.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)

SECONDS = 60.0  # a loaded machine is slow, not wrong


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
    about: dict[str, Any] = {
        "place": number,
        "attempt": 0,
        "label": f"eta={eta}",
        "dataset": "mnist",
        "device": "cpu",
        "seeds": [0],
    }
    about |= more
    trial = config(uri, optim={"eta": eta, "lambda_": 0.5}, repeats=len(about["seeds"]))
    return tracker.trial(trial, folder / str(number), number=number, **about)


def by_name(uri: str) -> dict[str, Any]:
    return {run.info.run_name: run for run in runs(uri)}


def written(tracker: StudyTracker) -> None:
    """Returns once what was told so far is in the store, or was tried."""
    done = Event()
    tracker._errands.tell(lambda: (tracker._settle(), done.set()))
    assert done.wait(SECONDS)


# Names, parents, statuses


def test_a_trial_is_a_child_of_its_study(uri: str, tmp_path: Path) -> None:
    tracker = study(uri, tmp_path)
    begin(tracker, uri, tmp_path, 3).finish([result()])
    tracker.finish("FINISHED")
    found = by_name(uri)
    assert set(found) == {"rates", "#3 eta=0.04"}
    parent, child = found["rates"], found["#3 eta=0.04"]
    assert (parent.data.tags["kind"], child.data.tags["kind"]) == ("study", "trial")
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert {child.data.tags[key] for key in ("study", "trial", "number", "attempt")} == {"rates", "3", "1"}
    assert parent.data.params == {"optim.eta": "interval(0.001, 1)"}


def test_members_are_children_of_their_trial_which_carries_their_means(uri: str, tmp_path: Path) -> None:
    tracker = study(uri, tmp_path)
    trial = begin(tracker, uri, tmp_path, 0, seeds=[7, 8], place=5, attempt=1)
    trial.epoch([row(1, 0.5), row(1, 0.75)])
    trial.epoch([row(2, 0.7), None])
    trial.finish([result(7, validation_score=0.25), result(8, validation_score=0.75)], {"test/mean": 0.5})
    tracker.finish("FINISHED")
    found = by_name(uri)
    name = "#5 eta=0.01 · attempt 2"
    assert set(found) == {"rates", name, f"{name} · member 0 · seed 7", f"{name} · member 1 · seed 8"}
    members = [run for run in found.values() if run.data.tags["kind"] == "member"]
    assert {run.data.tags["mlflow.parentRunId"] for run in members} == {found[name].info.run_id}
    assert {run.data.params["seed"] for run in members} == {"7", "8"}
    assert history(uri, found[name], "validation/accuracy") == [(1, 0.625), (2, 0.725)]  # who has stopped stays in it
    assert found[name].data.metrics["best/validation_accuracy"] == 0.5
    assert found[name].data.metrics["test/mean"] == 0.5


def test_the_curve_of_members_that_follow_one_another_is_their_mean(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "milliseconds", count(1).__next__)  # MLflow drops the same point at the same time
    tracker = study(uri, tmp_path)
    trial = begin(tracker, uri, tmp_path, 0, seeds=[0, 1])
    for number, accuracies in enumerate(([0.5, 0.7, 0.9], [0.6, 0.8])):
        for epoch, value in enumerate(accuracies, start=1):
            trial.epoch([row(epoch, value) if member == number else None for member in range(2)])
    trial.epoch([row(1, 0.5), row(1, 0.6)])  # its stack broke and began anew: told before
    trial.finish([result(0), result(1)])
    pruned = begin(tracker, uri, tmp_path, 1, seeds=[0, 1])
    pruned.epoch([row(1, 0.25), None])  # the second member never begins
    pruned.finish([result(0)], status="PRUNED")
    tracker.finish("FINISHED")
    found = by_name(uri)
    curve = history(uri, found["#0 eta=0.01"], "validation/accuracy")
    assert [(step, round(value, 6)) for step, value in curve] == [(1, 0.55), (2, 0.75), (3, 0.85)]
    first = found["#0 eta=0.01 · member 0 · seed 0"]
    assert history(uri, first, "validation/accuracy") == [(1, 0.5), (2, 0.7), (3, 0.9)]
    assert history(uri, found["#1 eta=0.02"], "validation/accuracy") == [(1, 0.25)]


def test_a_member_that_diverged_counts_as_nothing_right(uri: str, tmp_path: Path) -> None:
    tracker = study(uri, tmp_path)
    diverged = {"best_epoch": None, "validation_score": None, "test_score": None}
    begin(tracker, uri, tmp_path, 0, seeds=[0, 1]).finish([result(0), result(1, "FAILED", **diverged)])
    tracker.finish("FINISHED")
    trial = by_name(uri)["#0 eta=0.01"]
    means = {"best/validation_accuracy": 0.49, "test/accuracy": 0.485, "test/error": 0.515}  # with 0, as in the study
    means |= {"best/log10_error": math.log10(0.51)}  # that of the mean
    assert trial.data.metrics == pytest.approx({"seconds": 1.5} | means)
    assert trial.data.tags["status"] == "FINISHED"


def test_a_member_that_never_began_ends_with_its_trial(uri: str, tmp_path: Path) -> None:
    tracker = study(uri, tmp_path)
    begin(tracker, uri, tmp_path, 0, seeds=[4, 5]).finish([result(5, "KILLED")], status="KILLED")
    tracker.finish("KILLED")
    found = by_name(uri)
    members = [found[f"#0 eta=0.01 · member {index} · seed {index + 4}"] for index in range(2)]
    assert [run.data.tags["status"] for run in members] == ["KILLED", "KILLED"]
    assert ["test/accuracy" in run.data.metrics for run in members] == [False, True]


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
    run = by_name(uri)["#0 eta=0.01"]
    assert run.data.tags["reason"].startswith("ValueError: no room")
    assert len(run.data.tags["reason"]) == 500
    client, _ = connection.connect(uri, "sweepstack")
    assert [one.path for one in client.list_artifacts(run.info.run_id)] == ["traceback.txt"]


def test_an_abort_after_the_end_changes_nothing(uri: str, tmp_path: Path) -> None:
    tracker = study(uri, tmp_path)
    trial = begin(tracker, uri, tmp_path, 0)
    trial.finish([result()])
    trial.abort("KILLED", "Ctrl-C")
    tracker.finish("KILLED")
    assert by_name(uri)["#0 eta=0.01"].info.status == "FINISHED"
    assert by_name(uri)["rates"].info.status == "KILLED"


# What runs carry


def test_log_scaled_keys_have_logarithms_whatever_they_are(uri: str, tmp_path: Path) -> None:
    tracker = study(uri, tmp_path, log_keys={"batch_size", "optim.momentum", "model.activation"})
    begin(tracker, uri, tmp_path, 0)
    tracker.finish("FINISHED")
    params = by_name(uri)["#0 eta=0.01"].data.params
    logs = {key: float(value) for key, value in params.items() if key.startswith("log10.")}
    assert logs == {"log10.optim.eta": -2, "log10.optim.lambda_": -0.301, "log10.batch_size": 1}
    assert (params["optim.eta"], params["trial"], params["dataset"]) == ("0.01", "0", "mnist")


@pytest.mark.parametrize(
    ("params", "axes"),
    [
        ({}, ["log10.optim.eta", "optim.lambda_", "model.dropout"]),
        ({"optim.eta": "tag(log, interval(0.1, 1))", "custom_search_space": "a.b"}, ["log10.optim.eta"]),
        (
            {"optim.lambda_": "tag(log, interval(0.1, 1))", "batch_size": "choice(1, 2)"},
            ["log10.optim.lambda_", "batch_size"],
        ),
        ({"optim.lambda_": "tag(log, interval(0.1, 1)) when model.activation=relu"}, ["optim.lambda_"]),  # else 0
    ],
)
def test_a_studys_view_has_an_axis_that_every_trial_has(
    uri: str, tmp_path: Path, params: dict[str, str], axes: list[str]
) -> None:
    tracker = study(uri, tmp_path, params=params)
    tracker.finish("FINISHED")
    client, experiment_id = connection.connect(uri, "sweepstack")
    key = view.study_key("u1")
    assert tracker.address == view.view_url("", experiment_id, key)
    packed = json.loads(client.get_experiment(experiment_id).tags[view.TAGS + key])["state"].removeprefix("deflate;")
    charts = json.loads(zlib.decompress(base64.b64decode(packed)))["compareRunCharts"]
    assert [chart["selectedParams"] for chart in charts if chart["type"] == "PARALLEL"] == [axes]


def test_only_the_study_carries_the_best(uri: str, tmp_path: Path) -> None:
    tracker = study(uri, tmp_path)
    begin(tracker, uri, tmp_path, 0).finish([result()])
    tracker.progress({"done": 1, "best": 0.98})
    best = {"trial": 0, "validation_accuracy": 0.98, "params": {"optim.eta": 0.01, "model.activation": "relu"}}
    tracker.finish("FINISHED", best)
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
    assert found["#0 eta=0.01"].data.metrics["train/cost"] == 0.5
    assert found["#0 eta=0.01 · member 0 · seed 0"].data.tags["not_finite"] == "train/cost from epoch 1"
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


def test_what_the_last_process_says_of_a_study_stays_whoever_writes_last(uri: str, tmp_path: Path) -> None:
    slow, last = study(uri, tmp_path / "slow"), study(uri, tmp_path / "last")
    slow.written()  # before it looks who still runs
    last.finish("FINISHED", {"trial": 1})
    slow.finish("RUNNING", {"trial": 0})
    (parent,) = runs(uri)
    assert (parent.info.status, parent.data.tags["status"]) == ("FINISHED", "FINISHED")
    assert parent.data.metrics["best/trial"] == 1


def test_without_tracking_nothing_is_recorded(tmp_path: Path) -> None:
    about = {"study": "rates", "uid": "u1"}
    tracker = open_study(config("sqlite:///nowhere.db", tracking={"kind": "none"}), tmp_path, **about)
    assert isinstance(tracker, NullStudyTracker)
    trial = tracker.trial(config("sqlite:///nowhere.db"), tmp_path, number=0)
    trial.epoch([row(1)])
    trial.finish([result()], status="PRUNED")
    trial.abort("KILLED", "Ctrl-C")
    tracker.progress({"done": 1})
    tracker.reconcile({0: "KILLED"}, lambda number: None)
    tracker.finish("FINISHED")
    assert tracker.address is None
    assert not list(tmp_path.iterdir())


# What a kill leaves

STATES = {0: "COMPLETE", 1: "PRUNED", 2: "FAIL", 3: "KILLED"}
SEEDS = {0: [0], 1: [0, 1], 2: [0], 3: [0, 1]}
TAGS = {"COMPLETE": "FINISHED", "PRUNED": "PRUNED", "FAIL": "FAILED", "KILLED": "KILLED"}


def rows_of(number: int, seed: int) -> list[dict[str, float]]:
    return [row(epoch, 0.5 + number / 100 + seed / 1000 + epoch / 50) for epoch in (1, 2)]


def result_of(number: int, seed: int) -> Any:
    return replace(result(seed), history=rows_of(number, seed), validation_score=0.5 + number / 100)


def leave(folder: Path) -> None:
    """What four trials leave in their folders."""
    for number, seeds in SEEDS.items():
        if STATES[number] in ("COMPLETE", "PRUNED"):
            write_json(folder / str(number) / "result.json", [result_of(number, seed).as_json() for seed in seeds])
            for index, seed in enumerate(seeds):
                path = folder / str(number) / f"member-{index:02d}" / "weights.pt"
                path.parent.mkdir()
                path.write_text(f"weights {number} {seed}")


def live(tracker: StudyTracker, uri: str, folder: Path) -> None:
    """The four trials as a process tells of them that lives to their end."""
    for number, seeds in SEEDS.items():
        trial = begin(tracker, uri, folder, number, seeds=seeds)
        for rows in zip(*(rows_of(number, seed) for seed in seeds), strict=True):
            trial.epoch(rows)
        if STATES[number] in ("COMPLETE", "PRUNED"):
            summary = None
            if len(seeds) > 1:
                results = [result_of(number, seed) for seed in seeds]
                validation = [one.validation_score for one in results]
                summary = summarise(validation=validation, test=[one.test_score for one in results]).metrics()
            trial.finish([result_of(number, seed) for seed in seeds], summary, status=TAGS[STATES[number]])
        else:
            trial.abort(TAGS[STATES[number]], "ValueError: why")


def again(uri: str, folder: Path) -> Any:
    """Of a trial's number what its study knows of it."""

    def trial(number: int) -> Trial:
        eta = (number + 1) / 100
        own = config(uri, optim={"eta": eta, "lambda_": 0.5}, repeats=len(SEEDS[number]))
        about: dict[str, Any] = {"place": number, "attempt": 0, "label": f"eta={eta}", "dataset": "mnist"}
        reason = "ValueError: why" if STATES[number] == "FAIL" else ""
        return Trial(own, folder / str(number), number, device="cpu", seeds=SEEDS[number], reason=reason, **about)

    return trial


def points_of(uri: str, run_id: str) -> list[tuple[Any, ...]]:
    """Every point of a run: key, step, value."""
    connection = sqlite3.connect(sqlite_path(uri) or "")
    rows = connection.execute("SELECT key, step, value FROM metrics WHERE run_uuid = ? ORDER BY key, step", [run_id])
    found = rows.fetchall()
    connection.close()
    return found


def content(uri: str, uid: str) -> dict[str, Any]:
    """All that a study's trials and members hold, but for times, and for the epochs of those without results."""
    client, experiment_id = connection.connect(uri, "sweepstack")
    found: dict[str, Any] = {}
    for run in client.search_runs([experiment_id], f"tags.kind != 'study' and tags.`study.uid` = '{uid}'"):
        tags = {key: text for key, text in run.data.tags.items() if key not in ("mlflow.parentRunId", "study.uid")}
        own = tags.pop("sweepstack.uid").removeprefix(uid)
        points = points_of(uri, run.info.run_id)
        files = {name: path.read_text() for name, path in artifacts(run).items()}
        if STATES[int(tags["number"])] in ("FAIL", "KILLED"):
            points, files = [], {}
        if STATES[int(tags["number"])] == "KILLED":
            tags.pop("reason", None)
        params = {key: text for key, text in run.data.params.items() if key != "tracking.uri"}
        assert own not in found, "a run that is there twice"
        assert run.info.end_time is not None
        found[own] = (run.info.run_name, run.info.status, tags, params, points, files)
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the store holds of a study whose process was not killed."""
    folder = tmp_path_factory.mktemp("whole")
    uri = empty_store(folder / "mlruns", tmp_path_factory)
    leave(folder)
    tracker = study(uri, folder)
    live(tracker, uri, folder)
    tracker.finish("FINISHED")
    return content(uri, "u1")


class Mortal:
    """A process that is killed after so many writes."""

    def __init__(self, writes: int):
        self.left = writes

    def write(self, work: Callable[[], None]) -> None:
        """Does the work while the process lives."""
        self.left -= 1
        if self.left < 0:
            raise ConnectionError("the process is gone")
        work()


def killed(monkeypatch: pytest.MonkeyPatch, uri: str, folder: Path, uid: str, mortal: Mortal) -> bool:
    """A process that tells of the trials and is killed meanwhile; whether it came to that."""
    write, together = Writer.write, Writer.write_together
    with monkeypatch.context() as patch:
        patch.setattr(Writer, "write", lambda own, note: mortal.write(lambda: write(own, note)))
        patch.setattr(Writer, "write_together", lambda own, notes: mortal.write(lambda: together(own, notes)))
        tracker = study(uri, folder, uid=uid, say=lambda line: None)
        live(tracker, uri, folder)
        tracker.finish("FINISHED")
    (folder / journal.PENDING).unlink(missing_ok=True)
    return mortal.left < 0


def resume(uri: str, folder: Path, uid: str) -> None:
    tracker = study(uri, folder, uid=uid)
    tracker.reconcile(STATES, again(uri, folder))
    tracker.finish("FINISHED")


# What the client writes, every fifth time, for it is slow; transactions of one note; those of one errand.
@pytest.mark.parametrize(("way", "step"), [("client", 5), ("note", 2), ("errand", 1)])
def test_a_kill_after_any_write_leaves_what_the_next_start_puts_right(
    uri: str, tmp_path: Path, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch, way: str, step: int
) -> None:
    if way == "client":
        monkeypatch.setattr(writer, "tables", lambda client, experiment_id: None)
    if way == "errand":
        monkeypatch.setattr(sweep_tracking, "WRITE_SECONDS", 0.0)
    else:
        monkeypatch.setattr(journal, "NOTES_TOGETHER", 1)
    leave(tmp_path)
    writes, came_to_it = 0, True
    while came_to_it:
        writes, uid = writes + step, f"uid{writes}"
        came_to_it = killed(monkeypatch, uri, tmp_path, uid, Mortal(writes))
        resume(uri, tmp_path, uid)
        assert content(uri, uid) == whole, f"killed after {writes} writes"
    assert writes > 20


@pytest.mark.parametrize("way", ["client", "tables"])
def test_what_is_missing_altogether_is_logged_from_the_folders(
    uri: str, tmp_path: Path, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    if way == "client":
        monkeypatch.setattr(writer, "tables", lambda client, experiment_id: None)
    leave(tmp_path)
    resume(uri, tmp_path, "u1")
    assert content(uri, "u1") == whole


def test_two_processes_that_go_on_at_once_log_nothing_twice(uri: str, tmp_path: Path, whole: dict[str, Any]) -> None:
    leave(tmp_path)
    both = [study(uri, tmp_path / name) for name in ("one", "other")]
    for tracker in both:
        tracker.reconcile(STATES, again(uri, tmp_path))
    for tracker in both:
        tracker.finish("FINISHED")
    assert content(uri, "u1") == whole
    assert [run.info.run_name for run in runs(uri)].count("rates") == 1


@pytest.mark.parametrize(
    ("doing", "about", "lock"),
    [(StudyTracker, "_reconcile", ".reconcile.lock"), (Writer, "_create", ".lock")],  # the study's run, which all share
)
def test_what_one_process_alone_may_do_is_locked(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, doing: type, about: str, lock: str
) -> None:
    free: list[bool] = []
    original = getattr(doing, about)

    def watched(*about: Any) -> Any:
        try:
            with FileLock(f"{sqlite_path(uri)}{lock}", timeout=0):
                free.append(True)
        except Timeout:
            free.append(False)
        return original(*about)

    monkeypatch.setattr(doing, about, watched)
    tracker = study(uri, tmp_path)
    tracker.reconcile({}, {}.__getitem__)
    tracker.finish("FINISHED")
    assert free == [False]


def test_of_two_runs_of_one_study_the_older_one_stays(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, find = study(uri, tmp_path / "one"), Writer._find
    begin(first, uri, tmp_path, 0)
    first.finish("RUNNING")
    asked: list[str] = []

    def late(own: Writer, uid: str) -> str | None:  # as where another machine creates the run at the same moment
        asked.append(uid)
        return None if len(asked) == 1 else find(own, uid)

    monkeypatch.setattr(Writer, "_find", late)
    second = study(uri, tmp_path / "other")
    begin(second, uri, tmp_path, 1)
    second.finish("FINISHED")
    assert asked == ["u1", "u1"]
    assert sorted(run.info.run_name for run in runs(uri)) == ["#0 eta=0.01", "#1 eta=0.02", "rates"]
    assert len({run.data.tags.get("mlflow.parentRunId") for run in runs(uri)}) == 2  # None, and the study's


def test_a_trial_that_was_told_finished_and_that_its_study_calls_killed_is_killed(uri: str, tmp_path: Path) -> None:
    first = study(uri, tmp_path)
    begin(first, uri, tmp_path, 0, seeds=[0, 1]).finish([result(0), result(1)])
    first.finish("KILLED")
    second = study(uri, tmp_path)
    second.reconcile({0: "KILLED"}, lambda number: None)
    second.finish("FINISHED")
    ended = {(run.data.tags["status"], run.info.status) for run in runs(uri) if run.data.tags["kind"] != "study"}
    assert ended == {("KILLED", "KILLED")}


def test_members_of_which_nothing_is_known_any_more_end_with_their_trial(uri: str, tmp_path: Path) -> None:
    first = study(uri, tmp_path)
    begin(first, uri, tmp_path, 1, seeds=[0, 1])
    first.finish("KILLED")
    second = study(uri, tmp_path)
    second.reconcile({1: "PRUNED"}, lambda number: replace(again(uri, tmp_path)(number), seeds=[1]))
    second.finish("FINISHED")
    assert len(runs(uri)) == 4
    assert {run.info.status for run in runs(uri)} == {"FINISHED"}


def test_params_that_have_changed_meanwhile_stay_as_they_were(uri: str, tmp_path: Path) -> None:
    said: list[str] = []
    first = study(uri, tmp_path)
    begin(first, uri, tmp_path, 0)
    first.finish("KILLED")
    second = study(uri, tmp_path, say=said.append, params={"optim.eta": "interval(1e-3, 1)"})
    second.reconcile({0: "KILLED"}, lambda number: replace(again(uri, tmp_path)(number), dataset="digits"))
    second.finish("FINISHED")
    assert said == []
    found = by_name(uri)
    assert found["#0 eta=0.01"].data.params["dataset"] == "mnist"
    assert found["#0 eta=0.01"].info.status == "KILLED"
    assert found["rates"].data.params["optim.eta"] == "interval(0.001, 1)"


def test_a_trial_of_which_nothing_is_left_is_there_with_its_status(uri: str, tmp_path: Path) -> None:
    tracker = study(uri, tmp_path)
    tracker.reconcile({7: "PRUNED"}, lambda number: None)
    tracker.finish("FINISHED")
    run = by_name(uri)["trial · number 7"]
    assert (run.data.tags["status"], run.info.status, run.data.tags["kind"]) == ("PRUNED", "FINISHED", "trial")


def test_trials_of_processes_that_live_are_left_alone(uri: str, tmp_path: Path) -> None:
    first, second = study(uri, tmp_path / "one"), study(uri, tmp_path / "other")
    trial = begin(first, uri, tmp_path, 0)
    second.reconcile({0: "COMPLETE", 1: "RUNNING"}, {0: LIVES}.__getitem__)
    second.finish("RUNNING")
    assert by_name(uri)["rates"].info.status == "RUNNING"
    trial.finish([result()])
    first.finish("FINISHED")
    assert by_name(uri)["#0 eta=0.01"].info.status == "FINISHED"
    assert len(runs(uri)) == 2


# A store that does not answer, or says no


def test_a_store_that_does_not_answer_loses_nothing(
    uri: str, tmp_path: Path, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(tmp_path)
    said: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(Writer, "write", lambda own, note: (_ for _ in ()).throw(ConnectionError("gone")))
        patch.setattr(Writer, "write_together", Writer.write)
        tracker = study(uri, tmp_path, say=said.append)
        live(tracker, uri, tmp_path)
        tracker.finish("FINISHED")
    assert len(said) == 2
    assert "does not answer" in said[0]
    assert "log it later" in said[1]
    kept = (tmp_path / journal.PENDING).read_text()
    assert journal.log_pending(tmp_path / journal.PENDING) == 0
    assert content(uri, "u1") == whole
    assert by_name(uri)["rates"].info.status == "FINISHED"

    (tmp_path / "again.json").write_text(kept)
    assert journal.log_pending(tmp_path / "again.json") == 0
    assert content(uri, "u1") == whole


def test_what_is_kept_for_later_adds_nothing_to_what_was_put_right_meanwhile(
    uri: str, tmp_path: Path, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Writer, "write_together", lambda own, notes: (_ for _ in ()).throw(ConnectionError("gone")))
        tracker = study(uri, tmp_path, say=lambda line: None)
        live(tracker, uri, tmp_path)
        tracker.finish("FINISHED")
    resume(uri, tmp_path, "u1")
    assert content(uri, "u1") == whole
    assert journal.log_pending(tmp_path / journal.PENDING) == 0
    assert content(uri, "u1") == whole


def test_what_cannot_be_put_right_now_is_told(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(Writer, "seen", lambda own, tag, value: (_ for _ in ()).throw(ConnectionError("gone")))
    tracker = study(uri, tmp_path, say=said.append)
    tracker.reconcile({0: "KILLED"}, lambda number: None)
    tracker.finish("FINISHED")
    assert "put right when the study goes on next" in said[-1]


def test_a_deleted_run_holds_up_no_other(uri: str, tmp_path: Path) -> None:
    said: list[str] = []
    first = study(uri, tmp_path, say=said.append)
    doomed, other = begin(first, uri, tmp_path, 0), begin(first, uri, tmp_path, 1)
    written(first)
    client, _ = connection.connect(uri, "sweepstack")
    client.delete_run(by_name(uri)["#0 eta=0.01"].info.run_id)  # as a user does in the UI
    for trial in (doomed, other):
        trial.epoch([row(1)])
        trial.finish([result()])
    first.finish("FINISHED")
    assert by_name(uri)["#1 eta=0.02"].data.metrics["validation/accuracy"] == 0.9
    assert by_name(uri)["#1 eta=0.02"].info.status == "FINISHED"
    assert "refuses" in said[0]


def test_a_transaction_that_was_answered_too_late_is_not_made_twice(
    uri: str, tmp_path: Path, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    together, late = Writer.write_together, iter(range(100))

    def answered_late(own: Writer, notes: list[Any]) -> None:
        together(own, notes)
        if any(note["run"] != "u1" for note in notes) and next(late) < 2:
            raise TimeoutError("answered too late")

    leave(tmp_path)
    monkeypatch.setattr(Writer, "write_together", answered_late)
    monkeypatch.setattr(journal, "RETRY_SECONDS", 0.0)
    tracker = study(uri, tmp_path, say=lambda line: None)
    live(tracker, uri, tmp_path)
    for _ in range(5):
        written(tracker)
    tracker.finish("FINISHED")
    assert content(uri, "u1") == whole


# What it costs


def test_many_trials_are_few_transactions(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    transactions: list[int] = []
    together = Writer.write_together

    def counted(own: Writer, notes: list[Any]) -> None:
        transactions.append(len(notes))
        together(own, notes)

    monkeypatch.setattr(Writer, "write_together", counted)
    monkeypatch.setattr(sweep_tracking, "WRITE_SECONDS", 3600.0)
    tracker = study(uri, tmp_path)
    for number in range(100):
        trial = begin(tracker, uri, tmp_path, number)
        trial.epoch([row(1)])
        trial.finish([result()])
    tracker.finish("FINISHED")
    assert len(runs(uri)) == 101
    assert len(transactions) < 5
