"""The saved views of an experiment in MLflow's UI: which runs, which columns, which order, which charts.

One view shows the networks of all runs on the data set of the latest run; each study has a view of its trials alone.
Both sort and draw by the validation score. A study's view holds no test score, because its trials are there to be
chosen from; the view of runs has it in a column. Charts draw log10 of the error (src/tracking/log_error.py), so that
one trial that diverged does not flatten them.

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

from src.config.metric import ACCURACY, Metric
from src.tracking.log_error import DATA_TAG, LOG_ERROR, best_key, validation_data

KEY = "sweepstack"
TAGS = "mlflow.sharedViewState."  # followed by a view's key
TAG = f"{TAGS}{KEY}"
STUDY_KEY = "study-"  # begins the key of a study's view
KEPT_VIEWS = 100  # views of studies in an experiment: the UI loads all of them with every page
RUNS_IN_CHARTS = 100
CARD_HEIGHT = 400  # pixels
ERROR_WORDS = "log10 error: -2 is 99 %"  # the title of the section of charts that draw log10 of the error
CURVES = 50  # runs in a chart of curves; more cannot be told apart

# Column -> width in pixels, in the order in which the table shows them, after those of the scores.
COLUMNS = {
    "params.`optim.eta`": 100,
    "params.`optim.lambda_`": 110,
    "params.`model.dropout`": 110,
    "tags.`exp`": 110,
    "tags.`dataset`": 110,
    "tags.`status`": 100,
}
# What src/tracking/tracker.py and src/runs/summary.py log of the test images.
TESTED = ("error", "chapter_rule", "mean", "sd", "low", "high", "n", "left_out")
# The columns that every table has, under the names that the UI gives them.
FIXED_COLUMNS = {"attributes.`Run Name`": 260, "runDateAndNestInfo": 140, "duration": 80}


@dataclass(frozen=True)
class View:
    """A saved view: the key in its address, the name that the UI shows, and its fields as the UI keeps them."""

    key: str
    name: str
    state: dict[str, Any]


def members_view(dataset: str, score: Metric = ACCURACY) -> View:
    """The view of all runs' networks on the images of `dataset`, the best first; those of studies are left out."""
    return View(KEY, f"sweepstack: networks on {validation_data(dataset)}, best first", view_state(dataset, score))


def study_view(
    study: str, uid: str, keys: Sequence[str] = (), axes: Sequence[str] = (), score: Metric = ACCURACY
) -> View:
    """The view of one study's trials, the best validation score first; those that were killed are left out.

    keys: the params that are searched. axes: the params on whose axes charts draw them, such as log10.optim.eta, which
    every trial has.
    """
    drawn, title = _drawn(score)
    layout = {
        title: [_parallel([*axes], [drawn])],
        "parameters": [_scatter(axis, drawn) for axis in ("trial", *axes)],
        "validation": [_validation_curves(score), _curves("validation/cost", "log")],
        "train": [_curves("train/cost", "log"), _curves(score.key("train"))],
        "test": [_left_out(f"test/{name}") for name in (score.name, *TESTED)],
    }
    columns = {f"metrics.`{best_key(score)}`": 170, "metrics.`best/epoch`": 90}
    columns |= {f"params.`{key}`": 120 for key in keys}
    columns |= {"metrics.`seconds`": 90, "tags.`status`": 100, "tags.`trial`": 70}
    wanted = f"tags.`study.uid` = '{uid}' and tags.kind = 'trial' and tags.status != 'KILLED'"
    state = _state(wanted, score, columns, layout, {title: 1})
    return View(study_key(uid), f"study {study}", state)


def study_key(uid: str) -> str:
    """The key of a study's view."""
    return STUDY_KEY + hashlib.sha256(uid.encode()).hexdigest()[:12]


def _drawn(score: Metric) -> tuple[str, str]:
    """The metric of a network's best epoch that charts draw, and the title of their section."""
    if score.has_error:
        return LOG_ERROR, ERROR_WORDS
    return best_key(score), f"best {score.words('validation')}"


def _validation_curves(score: Metric) -> dict[str, Any]:
    return _curves("validation/error", "log") if score.has_error else _curves(score.key("validation"))


def view_state(dataset: str, score: Metric = ACCURACY) -> dict[str, Any]:
    """The fields of the view of runs, as MLflow's UI stores them."""
    drawn, title = _drawn(score)
    layout: dict[str, list[dict[str, Any]]] = {
        title: [
            _validation_curves(score),
            _parallel(["log10.optim.eta", "optim.lambda_", "model.dropout"], [drawn]),
            _scatter("log10.optim.eta", drawn),
            # Bars start at 0: those of accuracies all look alike.
            _bars("test/error" if score.has_error else score.key("test")),
        ],
        "validation": [_curves("validation/cost", "log")],
        "train": [_curves("train/cost", "log"), _curves(score.key("train"))],
    }
    wanted = (
        f"tags.kind = 'member' and tags.{DATA_TAG} = {_quoted(validation_data(dataset))} and tags.`study.uid` IS NULL"
    )
    judged = {f"metrics.`{best_key(score)}`": 170, "metrics.`best/epoch`": 90, f"metrics.`{score.key('test')}`": 110}
    return _state(wanted, score, judged | COLUMNS, layout)


def _quoted(text: str) -> str:
    """A text in quotes for MLflow's search, which has no escapes: one with both kinds is cut at the double quote."""
    return f"'{text}'" if "'" not in text else '"' + text.split('"')[0] + '"'


def _state(
    wanted: str,
    score: Metric,
    columns: dict[str, int],
    layout: dict[str, list[dict[str, Any]]],
    abreast: dict[str, int] | None = None,
) -> dict[str, Any]:
    """A view of the runs that the filter `wanted` finds, those with the best validation score first.

    layout: section -> its charts. abreast: section -> how many of them stand side by side, by default 2.
    """
    charts, sections = _charts(layout, abreast or {})
    return {
        "searchFilter": wanted,
        "orderByKey": f"metrics.`{best_key(score)}`",
        "orderByAsc": not score.maximise,
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
    """The charts and the sections that hold them, in order; the UI adds sections of its own for other metrics."""
    charts = [
        {"deleted": False, "isGenerated": False, **chart, "uuid": f"{section}-{index}", "metricSectionId": section}
        for section, members in layout.items()
        for index, chart in enumerate(members)
    ]
    shape = {"display": True, "isReordered": False, "cardHeight": CARD_HEIGHT}
    sections = [{"uuid": name, "name": name, **shape, "columns": abreast.get(name, 2)} for name in layout]
    return charts, sections


def _curves(metric: str, scale: str = "linear") -> dict[str, Any]:
    chart = {"type": "LINE", "metricKey": metric, "selectedMetricKeys": [metric], "runsCountToCompare": CURVES}
    return {**chart, "xAxisKey": "step", "scaleType": scale, "lineSmoothness": 0, "displayPoints": False}


def _left_out(metric: str) -> dict[str, Any]:
    """A chart that the UI would add by itself, marked as deleted by the user, so that it does not."""
    return {**_bars(metric), "deleted": True, "isGenerated": True}


def _bars(metric: str) -> dict[str, Any]:
    return {"type": "BAR", "runsCountToCompare": RUNS_IN_CHARTS, "metricKey": metric}


def _scatter(param: str, metric: str) -> dict[str, Any]:
    axes = {"xaxis": {"key": param, "type": "PARAM"}, "yaxis": {"key": metric, "type": "METRIC"}}
    return {"type": "SCATTER", "runsCountToCompare": RUNS_IN_CHARTS, **axes}


def _parallel(params: list[str], metrics: list[str]) -> dict[str, Any]:
    axes = {"selectedParams": params, "selectedMetrics": metrics, "showAllRuns": True}
    return {"type": "PARALLEL", "runsCountToCompare": RUNS_IN_CHARTS, **axes}


def encode(state: dict[str, Any]) -> str:
    """A view's fields as the UI stores them, compressed to a text."""
    return "deflate;" + base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()


def write_view(client: Any, experiment_id: str, view: View) -> str:
    """Saves a view in the experiment; returns its key. Raises what the client raises.

    The view of runs is not written where it is unchanged; a study's always is, so that `updatedAt` tells the latest.
    """
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
    """The tags of the oldest views of studies, which must go so that one more leaves at most KEPT_VIEWS."""
    return [TAGS + key for key, _ in study_views(tags)[KEPT_VIEWS - 1 :]]


def view_url(base: str, experiment_id: str, key: str = KEY) -> str:
    """The URL at which an MLflow server at `base` (`http://host:port`) shows the view."""
    query = f"workflowType=machine_learning&viewStateShareKey={key}&compareRunsMode=CHART"
    return f"{base.rstrip('/')}/#/experiments/{experiment_id}/runs?{query}"
