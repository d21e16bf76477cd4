"""The saved view of an experiment in MLflow's UI: which columns, which order, which charts.

MLflow keeps a shared view in the experiment's tag `mlflow.sharedViewState.KEY`, as JSON {name, createdAt, updatedAt,
state} with state = "deflate;" + base64(zlib(JSON)). Undocumented; fields read from the UI of MLflow 3.17.2, which is
pinned. A UI that does not know a field passes over it.
"""

import base64
import json
import time
import zlib
from typing import Any

KEY = "sweepstack"
TAG = f"mlflow.sharedViewState.{KEY}"
NAME = "sweepstack: members, best first"
RUNS_IN_CHARTS = 100
CARD_HEIGHT = 400  # pixels
CURVES = 50  # runs in a chart of curves; more cannot be told apart

# Column -> width in pixels, in the order in which the table shows them.
COLUMNS = {
    "metrics.`test/accuracy`": 110,
    "metrics.`best/validation_accuracy`": 170,
    "metrics.`best/epoch`": 90,
    "params.`optim.eta`": 100,
    "params.`optim.lambda_`": 110,
    "params.`model.dropout`": 110,
    "tags.`exp`": 110,
    "tags.`dataset`": 110,
    "tags.`status`": 100,
}
# The columns that every table has, under the names that the UI gives them.
FIXED_COLUMNS = {"attributes.`Run Name`": 260, "runDateAndNestInfo": 140, "duration": 80}


def view_state() -> dict[str, Any]:
    """The view's fields as MLflow's UI keeps them."""
    charts, sections = _charts()
    return {
        "searchFilter": "tags.kind = 'member'",
        "orderByKey": "metrics.`test/accuracy`",
        "orderByAsc": False,
        "selectedColumns": list(COLUMNS),
        "columnOrder": [*FIXED_COLUMNS, *COLUMNS],
        "columnWidths": {**FIXED_COLUMNS, **COLUMNS},
        "runsHiddenMode": "SHOW_ALL",
        "hideEmptyCharts": True,
        "compareRunCharts": charts,
        "compareRunSections": sections,
        "isAccordionReordered": True,  # keeps the order of the sections; otherwise the UI sorts them by name
    }


def _charts() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The charts and the sections that hold them, in order. Other metrics get sections of the UI's own."""
    layout: dict[str, list[dict[str, Any]]] = {
        "results": [
            _curves("validation/accuracy"),
            _curves("validation/error", "log"),  # tells 0.99 from 0.995 even beside a diverged member
            _parallel(["log10.optim.eta", "optim.lambda_", "model.dropout"], ["best/validation_accuracy"]),
            _scatter("log10.optim.eta", "best/validation_accuracy"),
            _bars("test/error"),  # bars start at 0: those of accuracies all look alike
        ],
        "validation": [_curves("validation/cost")],
        "train": [_curves("train/cost"), _curves("train/accuracy")],
    }
    charts = [
        {**chart, "uuid": f"{section}-{index}", "metricSectionId": section, "deleted": False, "isGenerated": False}
        for section, members in layout.items()
        for index, chart in enumerate(members)
    ]
    shape = {"display": True, "isReordered": False, "columns": 2, "cardHeight": CARD_HEIGHT}
    sections = [{"uuid": name, "name": name, **shape} for name in layout]
    return charts, sections


def _curves(metric: str, scale: str = "linear") -> dict[str, Any]:
    chart = {"type": "LINE", "metricKey": metric, "selectedMetricKeys": [metric], "runsCountToCompare": CURVES}
    return {**chart, "xAxisKey": "step", "scaleType": scale, "lineSmoothness": 0, "displayPoints": False}


def _bars(metric: str) -> dict[str, Any]:
    return {"type": "BAR", "runsCountToCompare": RUNS_IN_CHARTS, "metricKey": metric}


def _scatter(param: str, metric: str) -> dict[str, Any]:
    axes = {"xaxis": {"key": param, "type": "PARAM"}, "yaxis": {"key": metric, "type": "METRIC"}}
    return {"type": "SCATTER", "runsCountToCompare": RUNS_IN_CHARTS, **axes}


def _parallel(params: list[str], metrics: list[str]) -> dict[str, Any]:
    axes = {"selectedParams": params, "selectedMetrics": metrics, "showAllRuns": True}
    return {"type": "PARALLEL", "runsCountToCompare": RUNS_IN_CHARTS, **axes}


def encode(state: dict[str, Any]) -> str:
    """The state as the UI stores it."""
    return "deflate;" + base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()


def write_view(client: Any, experiment_id: str) -> str:
    """Saves the view in the experiment, unless it is there already; returns its key. Raises what the client raises."""
    state = encode(view_state())
    old = client.get_experiment(experiment_id).tags.get(TAG)
    if old is None or json.loads(old).get("state") != state:
        now = int(time.time() * 1000)
        view = {"name": NAME, "createdAt": now, "updatedAt": now, "state": state}
        client.set_experiment_tag(experiment_id, TAG, json.dumps(view))
    return KEY


def view_url(base: str, experiment_id: str, key: str = KEY) -> str:
    """Where a server at `base` (`http://host:port`) shows the view."""
    query = f"workflowType=machine_learning&viewStateShareKey={key}&compareRunsMode=CHART"
    return f"{base.rstrip('/')}/#/experiments/{experiment_id}/runs?{query}"
