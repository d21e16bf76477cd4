"""What contradicts how networks see the examples (data.normalise), how often (data.sampling) and which (data.refit)."""

from src.config.data import MOST_WHITENED, WHITENED, DataConfig
from src.config.model import ConvLayer, ModelConfig
from src.config.schema import SCHEDULES, OptimConfig, PretrainConfig, StopConfig
from src.config.task import TIED, TaskConfig


def problems(data: DataConfig, model: ModelConfig, task: TaskConfig, pretrain: PretrainConfig) -> list[str]:
    """A line for each."""
    return [*_of_normalise(data, model, task), *_of_sampling(data, task, pretrain)]


def _of_normalise(data: DataConfig, model: ModelConfig, task: TaskConfig) -> list[str]:
    field, lines = f"data.normalise = {data.normalise!r}", []
    if task.name in TIED and data.normalise != "none":
        lines.append(f"{field}: task={task.name} takes each input for a probability, 0 to 1; accepted: none")
    numbers = data.channels * data.height * data.width
    if data.normalise in WHITENED and numbers > MOST_WHITENED:
        lines.append(
            f"{field}: examples of {data.channels}x{data.height}x{data.width} are {numbers:,} numbers each, and the "
            f"matrix has their square; accepted: up to {MOST_WHITENED:,} numbers, or none, centre or channel"
        )
    if (
        data.normalise == "pca"
        and model.target is None
        and any(isinstance(one, ConvLayer) for one in model.all_layers())
    ):
        lines.append(
            f"{field}: principal components are no pixels, with no neighbours that a convolution could look at; "
            "accepted: zca, whose inputs are pictures, or a network without convolutions, such as model.maps=[]"
        )
    return lines


def _of_sampling(data: DataConfig, task: TaskConfig, pretrain: PretrainConfig) -> list[str]:
    if data.sampling == "none":
        return []
    field, lines = f"data.sampling = {data.sampling!r}", []
    if task.name != "classify":
        lines.append(f"{field}: task={task.name} has no classes to draw from; accepted: none, or task=classify")
    if pretrain.wanted:
        lines.append(f"{field}: pretraining looks at no classes; accepted: none, or pretrain=none")
    if data.order != "epoch":
        lines.append(
            f"{field}: draws its examples anew in every epoch, and data.order={data.order} keeps them; accepted: "
            "data.order=epoch, or data.sampling=none"
        )
    if task.class_weights == "balanced":
        lines.append(
            f"{field}: classes are drawn equally often, and task.class_weights=balanced would weigh the rare ones once "
            "more; accepted: one of the two"
        )
    return lines


def of_refit(data: DataConfig, stop: StopConfig, optim: OptimConfig) -> list[str]:
    """A line for each choice that the validation examples would make while they are trained on."""
    if not data.refit:
        return []
    others = [name for name in SCHEDULES if name != "halve"]
    choices = {
        f"data.folds={data.folds} deals them; accepted: data.folds=null": data.folds is not None,
        f"stop={stop.rule} ends a training by them; accepted: stop=none": stop.rule != "none",
        "stop.keep=best chooses the epoch by them; accepted: stop.keep=last": stop.keep == "best",
        f"optim.schedule=halve lowers eta by them; accepted: {', '.join(others)}": optim.schedule == "halve",
    }
    return [
        f"data.refit = True: the validation examples are trained on, so they can choose nothing, and {why}, or "
        "data.refit=false"
        for why, holds in choices.items()
        if holds
    ]
