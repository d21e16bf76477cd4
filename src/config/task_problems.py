"""What contradicts a task: data with other targets, a loss or metrics of another task, weights for other classes."""

from src.config.data import SIZES, DataConfig
from src.config.metric import TOP, metric_named, metric_names
from src.config.problems import written
from src.config.task import KINDS, LOSSES, TASKS, TIED, TaskConfig


def problems(task: TaskConfig, data: DataConfig) -> list[str]:
    """A line for each."""
    return [*_of_metrics(task, data), *_of_loss(task, data), *_of_targets(task, data)]


def _of_targets(task: TaskConfig, data: DataConfig) -> list[str]:
    """The problem of a data set whose targets are always classes."""
    if task.kind == "classes" or data.name not in SIZES:
        return []
    return [
        f"task.name = {task.name!r}: data={data.name} has classes, and no {task.kind} to predict; accepted: "
        f"{', '.join(name for name in TASKS if name not in KINDS)}, or data with {task.kind}"
    ]


def _of_loss(task: TaskConfig, data: DataConfig) -> list[str]:
    """The problems of a loss that is another task's, and of weights that do not fit the classes."""
    own, lines = LOSSES.get(task.name, ()), []
    if own and task.loss and not task.owns_loss and task.loss not in own:
        lines.append(
            f"task.loss = {task.loss!r}: is no loss of task={task.name}; accepted: {', '.join(own)}, or a function of "
            "yours as package.module.function"
        )
    if task.owns_loss and (task.class_weights or task.label_smoothing):
        lines.append(f"task.loss = {task.loss!r}: reads neither class_weights nor label_smoothing; accepted: without")
    weights = task.class_weights
    if isinstance(weights, list) and weights and (len(weights) != data.classes or not any(weights)):
        lines.append(
            f"task.class_weights = {written(weights)}: has {len(weights)} values for {data.classes} classes; accepted: "
            "one for each, at least one above 0, or balanced"
        )
    return lines


def _of_metrics(task: TaskConfig, data: DataConfig) -> list[str]:
    """The problems of metrics that are not of the task's targets, or that every network has at its best."""
    pairs = [("task.score", task.score)] if task.score else []
    pairs += [("task.metrics", name) for name in task.metrics]
    lines = [
        f"{key} = {name!r}: is no metric of task={task.name}; accepted: {', '.join(metric_names(task.kind))}"
        for key, name in pairs
        if task.name not in TIED and metric_named(name, task.kind) is None
    ]
    for key, name in pairs:
        if (top := TOP.fullmatch(name)) and int(top[1]) >= data.classes > 1:
            lines.append(
                f"{key} = {name!r}: there are {data.classes} classes, so that it is always 1; accepted: K below that"
            )
    return lines
