"""Two values that every run has for the charts of MLflow's UI, and how runs of earlier versions get them.

(1) log10_error = log10(max(1 - a, FLOOR)), a the best validation score where that is a part of 1, such as an accuracy;
    other scores are drawn as they are. On an axis of accuracies one trial at 0.1 leaves 0.988 and 0.991 in one point;
    here they are as far apart as 0.88 and 0.91.
(2) The tag DATA_TAG names the data set whose validation images gave `a`; a data set with expanded training images has
    the validation images of the original one, and its name.
"""

import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from src.config.metric import ACCURACY, Metric
from src.config.wording import number_of
from src.training.result import Row

LOG_ERROR = "best/log10_error"
FLOOR = 1e-4  # the smallest error drawn, that of one image in 10,000; 0 has no logarithm
DATA_TAG = "validation_data"
EXPANDED = "-expanded"  # ends the name of a data set of which only the training images differ
DONE_TAG = "sweepstack.log10_error"  # the tag of an experiment all of whose runs have (1) and (2)
PAGE = 1000  # runs asked for at once


def best_key(score: Metric) -> str:
    """The metric that holds a network's best validation score, such as best/validation_accuracy."""
    return f"best/{score.field('validation')}"


def with_log_error(values: Row, score: Metric) -> Row:
    """The values with (1) added, where the best validation score is among them and has an error."""
    if not score.has_error or best_key(score) not in values:
        return values
    return {**values, LOG_ERROR: math.log10(max(score.error(values[best_key(score)]), FLOOR))}


def validation_data(dataset: str) -> str:
    """The data set whose validation images a run on `dataset` is judged by: of expanded MNIST that is MNIST."""
    return dataset.removesuffix(EXPANDED)


def bring_up_to_date(client: Any, experiment_id: str, say: Callable[[str], None]) -> None:
    """Gives (1) and (2) to the runs of earlier versions, which have none. Raises what the client raises.

    An experiment is searched once only. A run that trains at that time gets them at its end, if its version has them.
    """
    if DONE_TAG in client.get_experiment(experiment_id).tags:
        return
    from mlflow.entities import Metric as Value
    from mlflow.entities import RunTag
    from mlflow.exceptions import MlflowException

    changed, page = 0, None
    judged = f"metrics.`{best_key(ACCURACY)}` >= 0"  # earlier versions knew no other score
    while True:
        found = client.search_runs([experiment_id], judged, max_results=PAGE, page_token=page)
        for run in found:
            values, tags = run.data.metrics, run.data.tags
            if LOG_ERROR in values and DATA_TAG in tags:
                continue
            error = with_log_error(values, ACCURACY)[LOG_ERROR]
            value = Value(LOG_ERROR, error, run.info.end_time or run.info.start_time, 0)
            tag = RunTag(DATA_TAG, validation_data(tags.get("dataset", "unknown")))
            with suppress(
                MlflowException
            ):  # a run that was deleted meanwhile, for example, must not keep others from being tracked
                client.log_batch(run.info.run_id, metrics=[value], tags=[tag])
                changed += 1
        page = found.token
        if not page:
            break
    client.set_experiment_tag(experiment_id, DONE_TAG, "1")
    if changed:
        say(f"tracking: {number_of(changed, 'earlier run')} got {LOG_ERROR}, which the views in MLflow draw")
