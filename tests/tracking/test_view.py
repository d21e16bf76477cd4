"""The saved view: what MLflow's UI reads from the experiment's tag."""

import base64
import json
import re
import zlib
from types import SimpleNamespace
from typing import Any

import pytest

from src.tracking import view

MEMBERS = view.members_view("mnist")
EXPERIMENT_TAG_LENGTH = 5000  # characters, MLflow's limit in the database column of older schemas


class Experiments:
    """The calls of MlflowClient that the view needs; counts what is written."""

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}
        self.writes = 0

    def get_experiment(self, experiment_id: str) -> Any:
        return SimpleNamespace(tags=dict(self.tags))

    def set_experiment_tag(self, experiment_id: str, key: str, value: str) -> None:
        assert experiment_id == "7"
        self.tags[key] = value
        self.writes += 1

    def delete_experiment_tag(self, experiment_id: str, key: str) -> None:
        del self.tags[key]


def state_in(client: Experiments) -> dict[str, Any]:
    packed = json.loads(client.tags["mlflow.sharedViewState.sweepstack"])["state"]
    kind, _, data = packed.partition(";")
    assert kind == "deflate"
    return dict(json.loads(zlib.decompress(base64.b64decode(data))))


def test_the_tag_holds_what_the_ui_unpacks() -> None:
    client = Experiments()
    assert view.write_view(client, "7", MEMBERS) == "sweepstack"
    assert state_in(client) == view.view_state("mnist")
    assert set(json.loads(client.tags[view.TAG])) == {"name", "createdAt", "updatedAt", "state"}
    assert len(client.tags[view.TAG]) < EXPERIMENT_TAG_LENGTH


def test_the_view_is_written_again_only_when_it_changed() -> None:
    client = Experiments()
    view.write_view(client, "7", MEMBERS)
    view.write_view(client, "7", MEMBERS)
    assert client.writes == 1
    client.tags[view.TAG] = json.dumps({"name": "old", "state": "deflate;old"})
    view.write_view(client, "7", MEMBERS)
    assert client.writes == 2
    assert state_in(client) == view.view_state("mnist")


def test_the_table_shows_and_sorts_what_is_compared() -> None:
    state = view.view_state("mnist")
    shown = {column.split("`")[1] for column in state["selectedColumns"]}
    compared = {"test/accuracy", "best/validation_accuracy", "optim.eta", "optim.lambda_", "dataset", "exp"}
    assert compared <= shown
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`best/validation_accuracy`", False)
    assert state["runsHiddenMode"] == "SHOW_ALL"


def test_every_chart_lies_in_a_section_under_an_id_of_its_own() -> None:
    state = view.view_state("mnist")
    charts = state["compareRunCharts"]
    assert {chart["metricSectionId"] for chart in charts} == {item["uuid"] for item in state["compareRunSections"]}
    assert len({chart["uuid"] for chart in charts}) == len(charts)
    assert {chart["type"] for chart in charts} == {"LINE", "PARALLEL", "SCATTER", "BAR"}


def test_parallel_coordinates_leave_no_member_out() -> None:
    # The UI drops a run that lacks one of the axes, and log10 of lambda_ = 0 does not exist.
    chart = next(chart for chart in view.view_state("mnist")["compareRunCharts"] if chart["type"] == "PARALLEL")
    assert chart["selectedParams"] == ["log10.optim.eta", "optim.lambda_", "model.dropout"]
    assert chart["showAllRuns"]


# A study's view


def searched() -> dict[str, Any]:
    return view.study_view(
        "rates", "u1", ["optim.eta", "model.activation"], ["log10.optim.eta", "model.activation"]
    ).state


def test_a_studys_view_shows_its_trials_alone_without_those_that_were_killed() -> None:
    wanted = "tags.`study.uid` = 'u1' and tags.kind = 'trial' and tags.status != 'KILLED'"
    assert searched()["searchFilter"] == wanted
    assert searched()["orderByKey"] == "metrics.`best/validation_accuracy`"


def test_a_studys_charts_are_drawn_on_the_axes_that_are_searched() -> None:
    charts = searched()["compareRunCharts"]
    (parallel,) = [chart for chart in charts if chart["type"] == "PARALLEL"]
    assert parallel["selectedParams"] == ["log10.optim.eta", "model.activation"]
    assert parallel["selectedMetrics"] == ["best/log10_error"]
    scatters = [(chart["xaxis"], chart["yaxis"]["key"]) for chart in charts if chart["type"] == "SCATTER"]
    assert scatters == [
        ({"key": key, "type": "PARAM"}, "best/log10_error") for key in ("trial", "log10.optim.eta", "model.activation")
    ]
    assert "validation/error" in [chart.get("metricKey") for chart in charts]
    assert "params.`optim.eta`" in searched()["selectedColumns"]


def test_a_studys_view_shows_no_test_accuracy() -> None:
    state = searched()
    assert not [column for column in state["selectedColumns"] if "test/" in column]
    tested = [chart for chart in state["compareRunCharts"] if chart.get("metricKey", "").startswith("test/")]
    assert {"test/accuracy", "test/error", "test/mean"} <= {chart["metricKey"] for chart in tested}
    assert all(chart["deleted"] for chart in tested)  # the UI makes no other one of them


@pytest.mark.parametrize(
    ("dataset", "wanted"), [("mnist", "'mnist'"), ("mnist-expanded", "'mnist'"), ("Ann's", '"Ann\'s"')]
)
def test_the_view_of_runs_shows_one_data_set_at_a_time_and_no_trials(dataset: str, wanted: str) -> None:
    own = f"tags.kind = 'member' and tags.validation_data = {wanted} and tags.`study.uid` IS NULL"
    assert view.members_view(dataset).state["searchFilter"] == own


def test_each_study_has_a_view_under_a_key_of_its_own() -> None:
    client = Experiments()
    keys = [view.write_view(client, "7", view.study_view("rates", uid)) for uid in ("u1", "u2", "u1")]
    assert keys[0] == keys[2] != keys[1]
    assert sorted(client.tags) == sorted(f"mlflow.sharedViewState.{key}" for key in keys[:2])
    assert re.fullmatch(r"study-\w+", keys[0])


def test_a_view_of_many_keys_fits_its_tag() -> None:
    client = Experiments()
    keys = [f"section{number}.some_parameter_{number}" for number in range(30)]
    view.write_view(client, "7", view.study_view("many", "u1", keys, keys))
    assert all(len(text) < EXPERIMENT_TAG_LENGTH for text in client.tags.values())


def test_the_latest_studies_come_first_and_what_is_no_view_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    client, now = Experiments(), iter([1.0, 2.0, 3.0])
    monkeypatch.setattr(view.time, "time", lambda: next(now))
    for uid in ("u1", "u2", "u1"):
        view.write_view(client, "7", view.study_view(f"name of {uid}", uid))
    client.tags |= {"mlflow.sharedViewState.study-bad": "x", "mlflow.sharedViewState.study-worse": "[]", "note": "y"}
    assert [name for _, name in view.study_views(client.tags)] == ["study name of u1", "study name of u2"]


def test_the_oldest_views_of_studies_make_room_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    client, now = Experiments(), iter(range(100))
    monkeypatch.setattr(view.time, "time", lambda: float(next(now)))
    monkeypatch.setattr(view, "KEPT_VIEWS", 3)
    view.write_view(client, "7", MEMBERS)
    for uid in ("u1", "u2", "u3", "u1", "u4"):
        view.write_view(client, "7", view.study_view(uid, uid))
    assert [name for _, name in view.study_views(client.tags)] == ["study u4", "study u1", "study u3"]
    assert view.TAG in client.tags


def test_the_address_opens_the_charts_of_the_view() -> None:
    assert view.view_url("http://127.0.0.1:5000/", "3") == (
        "http://127.0.0.1:5000/#/experiments/3/runs"
        "?workflowType=machine_learning&viewStateShareKey=sweepstack&compareRunsMode=CHART"
    )
