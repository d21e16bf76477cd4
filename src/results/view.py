"""The saved views of an experiment in MLflow's UI: which runs, which columns, which order, which charts.

One shows the members of all runs, and each study has one of its own, of its trials alone.

MLflow keeps a shared view in the experiment's tag `mlflow.sharedViewState.KEY`, as JSON {name, createdAt, updatedAt,
state} with state = "deflate;" + base64(zlib(JSON)). Undocumented; fields read from the UI of MLflow 3.17.2, which is
pinned. A UI that does not know a field passes over it.
"""

import base64
import hashlib
import json
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

KEY = "sweepstack"
TAGS = "mlflow.sharedViewState."  # followed by a view's key
TAG = f"{TAGS}{KEY}"
STUDY_KEY = "study-"  # begins the key of a study's view
NAME = "sweepstack: members, best first"
KEPT_VIEWS = 100  # of studies, in an experiment: the UI loads all of them with every page
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


@dataclass(frozen=True)
class View:
    """A saved view: the key in its address, the name that the UI shows, and its fields as the UI keeps them."""

    key: str
    name: str
    state: dict[str, Any]


def members_view() -> View:
    """The members of all runs, by their test accuracy."""
    return View(KEY, NAME, view_state())


def study_view(study: str, uid: str, keys: Sequence[str] = (), axes: Sequence[str] = ()) -> View:
    """The trials of one study, by the validation accuracy that it searches for; those that were killed are left out.

    keys: the params that are searched. axes: the same as they are drawn, such as log10.optim.eta; every trial has them.
    """
    best = "best/validation_accuracy"
    layout = {
        "study": [_parallel([*axes], [best])],
        "parameters": [_scatter(axis, best) for axis in ("trial", *axes)],
        "validation": [_curves("validation/accuracy"), _curves("validation/error", "log")],
        "train": [_curves("train/cost"), _curves("train/accuracy")],
    }
    columns = {f"metrics.`{best}`": 170, "metrics.`test/accuracy`": 110, "metrics.`best/epoch`": 90}
    columns |= {f"params.`{key}`": 120 for key in keys}
    columns |= {"metrics.`seconds`": 90, "tags.`status`": 100, "tags.`trial`": 70}
    wanted = f"tags.`study.uid` = '{uid}' and tags.kind = 'trial' and tags.status != 'KILLED'"
    state = _state(wanted, f"metrics.`{best}`", columns, layout, {"study": 1})
    return View(study_key(uid), f"study {study}", state)


def study_key(uid: str) -> str:
    """The key of a study's view."""
    return STUDY_KEY + hashlib.sha256(uid.encode()).hexdigest()[:12]


def view_state() -> dict[str, Any]:
    """The fields of the members' view as MLflow's UI keeps them."""
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
    return _state("tags.kind = 'member'", "metrics.`test/accuracy`", COLUMNS, layout)


def _state(
    wanted: str,
    best: str,
    columns: dict[str, int],
    layout: dict[str, list[dict[str, Any]]],
    abreast: dict[str, int] | None = None,
) -> dict[str, Any]:
    """A view of the runs that the filter `wanted` finds, those with the highest `best` first.

    layout: section -> its charts. abreast: section -> how many of them stand side by side, by default 2.
    """
    charts, sections = _charts(layout, abreast or {})
    return {
        "searchFilter": wanted,
        "orderByKey": best,
        "orderByAsc": False,
        "selectedColumns": list(columns),
        "columnOrder": [*FIXED_COLUMNS, *columns],
        "columnWidths": {**FIXED_COLUMNS, **columns},
        "runsHiddenMode": "SHOW_ALL",
        "hideEmptyCharts": True,
        "compareRunCharts": charts,
        "compareRunSections": sections,
        "isAccordionReordered": True,  # keeps the order of the sections; otherwise the UI sorts them by name
    }


def _charts(
    layout: dict[str, list[dict[str, Any]]], abreast: dict[str, int]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The charts and the sections that hold them, in order. Other metrics get sections of the UI's own."""
    charts = [
        {**chart, "uuid": f"{section}-{index}", "metricSectionId": section, "deleted": False, "isGenerated": False}
        for section, members in layout.items()
        for index, chart in enumerate(members)
    ]
    shape = {"display": True, "isReordered": False, "cardHeight": CARD_HEIGHT}
    sections = [{"uuid": name, "name": name, **shape, "columns": abreast.get(name, 2)} for name in layout]
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


def write_view(client: Any, experiment_id: str, view: View | None = None) -> str:
    """Saves a view in the experiment, by default the members'; returns its key. Raises what the client raises.

    One that is there is not written again; that of a study is, so that `updatedAt` tells the latest ones.
    """
    view = view or members_view()
    tags = client.get_experiment(experiment_id).tags
    old, state = tags.get(TAGS + view.key), encode(view.state)
    if old is not None and view.key == KEY and json.loads(old).get("state") == state:
        return view.key
    if old is None and view.key != KEY:
        for key in _outdated(tags):
            client.delete_experiment_tag(experiment_id, key)
    now = int(time.time() * 1000)
    content = {"name": view.name, "createdAt": now, "updatedAt": now, "state": state}
    client.set_experiment_tag(experiment_id, TAGS + view.key, json.dumps(content))
    return view.key


def study_views(tags: dict[str, str]) -> list[tuple[str, str]]:
    """(key, name) of the views of studies in an experiment's tags, the latest first; what is no view is passed over."""
    found = []
    for tag, text in tags.items():
        if tag.startswith(TAGS + STUDY_KEY):
            try:
                content = json.loads(text)
                found.append((int(content["updatedAt"]), tag.removeprefix(TAGS), str(content["name"])))
            except (ValueError, KeyError, TypeError):
                continue
    return [(key, name) for _, key, name in sorted(found, reverse=True)]


def _outdated(tags: dict[str, str]) -> list[str]:
    """The tags of studies' views that give room to one more."""
    return [TAGS + key for key, _ in study_views(tags)[KEPT_VIEWS - 1 :]]


def view_url(base: str, experiment_id: str, key: str = KEY) -> str:
    """Where a server at `base` (`http://host:port`) shows the view."""
    query = f"workflowType=machine_learning&viewStateShareKey={key}&compareRunsMode=CHART"
    return f"{base.rstrip('/')}/#/experiments/{experiment_id}/runs?{query}"
