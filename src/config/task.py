"""The section task: what the networks are trained for, by which loss, and by which metrics they are judged."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError
from pydantic_core import PydanticCustomError

from src.config.error import ConfigError
from src.config.metric import ACCURACY, F1, PSEUDO_LIKELIHOOD, RECONSTRUCTION, RMSE, Metric, metric_named, metric_names
from src.config.section import PER_MEMBER, Section

# What the targets of a task are: one of several classes, numbers, or labels of which any may hold.
Kind = Literal["classes", "numbers", "labels"]

# The tasks with their scores; src/tasks/NAME.py holds the task itself.
TASKS = {
    "classify": ACCURACY,
    "regress": RMSE,
    "multilabel": F1,
    "reconstruct": RECONSTRUCTION,
    "contrast": PSEUDO_LIKELIHOOD,
}
KINDS: dict[str, Kind] = {"regress": "numbers", "multilabel": "labels"}  # of tasks whose targets are no classes

# Those whose network is one fully connected layer that is used in both directions, with the keys that they read.
TIED: dict[str, tuple[str, ...]] = {"reconstruct": ("corruption",), "contrast": ("k", "persistent")}


def _task(name: str) -> str:
    if name not in TASKS:
        raise PydanticCustomError("literal_error", "Input should be {known}", {"known": " or ".join(map(repr, TASKS))})
    return name


# The losses of a task, its own first.
LOSSES = {
    "classify": ("cross_entropy",),
    "regress": ("mse", "mae", "huber", "poisson"),
    "multilabel": ("binary_cross_entropy",),
}
_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


def _loss(name: str) -> str:
    known = [loss for losses in LOSSES.values() for loss in losses]
    if name not in known and not _DOTTED.fullmatch(name):
        listed = f"{', '.join(known)}, or a function of yours as package.module.function"
        raise PydanticCustomError("literal_error", "Input should be {known}", {"known": listed})
    return name


def _metric(name: str) -> str:
    if metric_named(name) is None:
        raise PydanticCustomError("literal_error", "Input should be {known}", {"known": " or ".join(metric_names())})
    return name


MetricName = Annotated[str, AfterValidator(_metric)]


def score_of(task: Any, name: Any = None) -> Metric:
    """The score of the task of this name: its own, or the metric that task.score names.

    The accuracy for a task, and the task's own for a name, that are not known: these are refused with all else.
    """
    own: Metric = TASKS.get(task, ACCURACY)
    return (metric_named(name) if isinstance(name, str) else None) or own


def reported(names: Any, score: Metric) -> list[Metric]:
    """The metrics of a list of names, each once, without the score; names that are not known are left out."""
    known = [metric_named(name) for name in names if isinstance(name, str)] if isinstance(names, list) else []
    return [one for one in dict.fromkeys(known) if one not in (None, score)]


# The keys of a task that not all tasks read.
TASK_KEYS: dict[str, tuple[str, ...]] = {
    "classify": ("loss", "class_weights", "label_smoothing", "score", "metrics"),
    "multilabel": ("loss", "score", "metrics"),
    "regress": ("loss", "delta", "standardise", "score", "metrics"),
    **TIED,
}


class TaskConfig(Section):
    """The task: what the networks are trained for."""

    name: Annotated[str, AfterValidator(_task)] = "classify"
    corruption: float = Field(0.0, ge=0, lt=1, json_schema_extra=PER_MEMBER)  # reconstruct: of each input, in training
    k: int = Field(1, ge=1, le=1000, json_schema_extra=PER_MEMBER)  # contrast: Gibbs steps of a chain in each update
    persistent: bool = Field(False, json_schema_extra=PER_MEMBER)  # contrast: chains go on from the last update's
    loss: Annotated[str, AfterValidator(_loss)] | None = None  # of LOSSES, or package.module.function; None: the first
    delta: float = Field(1.0, gt=0)  # huber: the error, at the targets' scale in training, from which on it is linear
    standardise: bool = True  # regress: train on targets minus their mean, divided by their sd
    score: MetricName | None = None  # what stops, prunes and ranks networks; None: the task's own
    metrics: list[MetricName] = Field([])  # reported besides
    # classify: how much each class counts in the cost; []: all the same; balanced: in total all the same
    class_weights: Literal["balanced"] | list[Annotated[float, Field(ge=0)]] = Field([])
    label_smoothing: float = Field(0.0, ge=0, lt=1)  # classify: the part of an example that all classes share

    @property
    def tied(self) -> bool:
        """Whether the network is one layer with tied weights: an autoencoder or a restricted Boltzmann machine."""
        return self.name in TIED

    @property
    def kind(self) -> Kind:
        """What the targets are; tasks that look at no targets take data with classes."""
        return KINDS.get(self.name, "classes")

    @property
    def metric(self) -> Metric:
        """The score by which networks are stopped, pruned and ranked."""
        return score_of(self.name, self.score)

    @property
    def owns_loss(self) -> bool:
        """Whether the loss is a function of the user's."""
        return self.loss is not None and "." in self.loss

    @property
    def loss_name(self) -> str | None:
        """The loss that is asked for, or else the task's own; None for a task that has one loss without a name."""
        return self.loss or next(iter(LOSSES.get(self.name, ())), None)

    @property
    def reported(self) -> list[Metric]:
        """The metrics that are reported beside the score."""
        return reported(self.metrics, self.metric)

    @property
    def votes(self) -> bool:
        """Whether the networks of an ensemble can vote, which they can on classes only."""
        return self.name == "classify"


def task_in(config: Mapping[str, Any]) -> TaskConfig:
    """The task of a kept configuration; classify for a configuration of an older version, which names none.

    Raises ConfigError for a task that this version does not know.
    """
    try:
        return TaskConfig.model_validate(config.get("task", {}))
    except ValidationError:
        known = " or ".join(TASKS)
        raise ConfigError(f"task = {config['task']!r}: is not known to this version; accepted: {known}") from None
