"""The saved view: what MLflow's UI reads from the experiment's tag."""

import base64
import json
import zlib
from types import SimpleNamespace
from typing import Any

from src.results import view

EXPERIMENT_TAG_LENGTH = 5000  # characters, MLflow's limit in the database column of older schemas


class Experiments:
    """The two calls of MlflowClient that the view needs; counts what is written."""

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}
        self.writes = 0

    def get_experiment(self, experiment_id: str) -> Any:
        return SimpleNamespace(tags=dict(self.tags))

    def set_experiment_tag(self, experiment_id: str, key: str, value: str) -> None:
        assert experiment_id == "7"
        self.tags[key] = value
        self.writes += 1


def state_in(client: Experiments) -> dict[str, Any]:
    packed = json.loads(client.tags["mlflow.sharedViewState.sweepstack"])["state"]
    kind, _, data = packed.partition(";")
    assert kind == "deflate"
    return dict(json.loads(zlib.decompress(base64.b64decode(data))))


def test_the_tag_holds_what_the_ui_unpacks() -> None:
    client = Experiments()
    assert view.write_view(client, "7") == "sweepstack"
    assert state_in(client) == view.view_state()
    assert set(json.loads(client.tags[view.TAG])) == {"name", "createdAt", "updatedAt", "state"}
    assert len(client.tags[view.TAG]) < EXPERIMENT_TAG_LENGTH


def test_the_view_is_written_again_only_when_it_changed() -> None:
    client = Experiments()
    view.write_view(client, "7")
    view.write_view(client, "7")
    assert client.writes == 1
    client.tags[view.TAG] = json.dumps({"name": "old", "state": "deflate;old"})
    view.write_view(client, "7")
    assert client.writes == 2
    assert state_in(client) == view.view_state()


def test_the_table_shows_and_sorts_what_is_compared() -> None:
    state = view.view_state()
    shown = {column.split("`")[1] for column in state["selectedColumns"]}
    compared = {"test/accuracy", "best/validation_accuracy", "optim.eta", "optim.lambda_", "dataset", "exp"}
    assert compared <= shown
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`test/accuracy`", False)
    assert state["runsHiddenMode"] == "SHOW_ALL"


def test_every_chart_lies_in_a_section_under_an_id_of_its_own() -> None:
    state = view.view_state()
    charts = state["compareRunCharts"]
    assert {chart["metricSectionId"] for chart in charts} == {item["uuid"] for item in state["compareRunSections"]}
    assert len({chart["uuid"] for chart in charts}) == len(charts)
    assert {chart["type"] for chart in charts} == {"LINE", "PARALLEL", "SCATTER", "BAR"}


def test_parallel_coordinates_leave_no_member_out() -> None:
    # The UI drops a run that lacks one of the axes, and log10 of lambda_ = 0 does not exist.
    chart = next(chart for chart in view.view_state()["compareRunCharts"] if chart["type"] == "PARALLEL")
    assert chart["selectedParams"] == ["log10.optim.eta", "optim.lambda_", "model.dropout"]
    assert chart["showAllRuns"]


def test_the_address_opens_the_charts_of_the_view() -> None:
    assert view.view_url("http://127.0.0.1:5000/", "3") == (
        "http://127.0.0.1:5000/#/experiments/3/runs"
        "?workflowType=machine_learning&viewStateShareKey=sweepstack&compareRunsMode=CHART"
    )
