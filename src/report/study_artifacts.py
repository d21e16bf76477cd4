"""Logs files of a report to the study's run in MLflow, as artifacts in the folder `report`."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from src.config.address import masked, sqlite_path
from src.sweep.studies.study_record import Study
from src.tracking.connection import set_environment
from src.tracking.readable import can_be_written
from src.tracking.writer import UID_TAG

FOLDER = "report"


def log_artifacts(study: Study, uri: str, paths: Sequence[Path]) -> str:
    """Logs the files to the study's own run in the MLflow store at `uri`; returns a line for the user on how that went.

    The run is found by the study's uid, or by its name where it has none; the latest of several is taken. Pictures go
    to report/figures. Raises whatever MLflow raises where the store does not answer.
    """
    path = sqlite_path(uri)
    if path is not None and not path.is_file():
        return f"not logged, there is no store at {path}"
    if path is not None and not can_be_written(path):
        return f"not logged, the store at {path} can only be read"
    set_environment()
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    run = _run_of(client, study)
    if run is None:
        return f"not logged, {masked(uri)} has no run of this study"
    for file in paths:
        client.log_artifact(run.info.run_id, str(file), FOLDER if file.suffix != ".png" else f"{FOLDER}/figures")
    return f"logged to the run {run.info.run_name!r} as artifact {FOLDER}/"


def _run_of(client: Any, study: Study) -> Any:
    """The study's run, the latest of several; None where there is none."""
    uid = study.attributes.get("uid")
    tag, wanted = ("study", study.name) if uid is None else (UID_TAG, uid)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    found = client.search_runs(experiments, "tags.kind = 'study'", order_by=["attributes.start_time DESC"])
    return next((run for run in found if run.data.tags.get(tag) == wanted), None)
