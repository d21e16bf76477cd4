"""From raw values to a checked configuration; `parse` reports everything that is wrong in one go."""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from src.config import augment, data_problems, own_data, own_network, task_problems
from src.config.address import refuse_unusable
from src.config.augment import AugmentConfig
from src.config.data import SIZES, DataConfig
from src.config.error import ConfigError
from src.config.model import NORMS_OVER_EXAMPLES, TIED_ACTIVATIONS, ConvLayer, ModelConfig
from src.config.problems import explain, written
from src.config.schema import OptimConfig, PretrainConfig, RunConfig, StopConfig, TrainerConfig
from src.config.section import SEEDS
from src.config.shapes import LayerShape, ShapeError
from src.config.task import TIED, TaskConfig
from src.config.unread import typed, unread_keys


def parse(raw: Any, known_problems: list[str] | None = None) -> RunConfig:
    """The checked configuration of a composed one; `raw` as OmegaConf.to_container gives it.

    Raises ConfigError that lists every problem, those in `known_problems` (from the command line) first.
    """
    problems = list(known_problems or [])
    raw, unread_data = own_data.with_sizes(raw)
    config: RunConfig | None = None
    try:
        config = RunConfig.model_validate(raw)
    except ValidationError as error:
        problems += [explain(item) for item in error.errors()]
    problems += [*_cross_checks(raw), *unread_data]
    if problems:
        raise _refused(problems)
    assert config is not None
    return config if config.published is None else _claiming(config)


def _refused(problems: list[str]) -> ConfigError:
    each = list(dict.fromkeys(problems))
    lines = "\n".join(f"  {problem}" for problem in each)
    count = "1 problem" if len(each) == 1 else f"{len(each)} problems"
    return ConfigError(f"{count} in the configuration, nothing was started:\n{lines}")


def _claiming(config: RunConfig) -> RunConfig:
    """`config`, without its published figure if that is an experiment's and the run trains something else."""
    from src.config.experiment import is_as_published  # composes experiments, which most commands need not

    return config if is_as_published(config) else config.model_copy(update={"published": None})


def refuse_unusable_store(config: RunConfig) -> None:
    """Raises UserError where the store of tracking.uri cannot be written, as far as that can be found out at once."""
    if config.tracking.kind != "none":
        refuse_unusable("tracking.uri", config.tracking.uri)


def refuse_unread_keys(config: RunConfig, overrides: Sequence[str], kept: bool = False) -> None:
    """Raises ConfigError where a run sets keys that nothing of what it chooses reads; overrides: of its command.

    kept: whether the configuration is that of an earlier trial, in which only the overrides must be read: a sweep over
    update rules has set the keys of all of them.
    """
    own = typed(overrides)
    if lines := [one for one in unread_keys([config], overrides) if not kept or one.partition(" ")[0] in own]:
        raise _refused(lines)


def _cross_checks(raw: dict[str, Any]) -> list[str]:
    """The problems between fields; each rule is checked if the sections that it reads are valid by themselves."""
    problems = []
    try:
        model, data = ModelConfig.model_validate(raw.get("model")), DataConfig.model_validate(raw.get("data"))
    except ValidationError:
        pass
    else:
        try:
            layers = model.shapes(data, _task_name(raw))
            problems += _batch_problems(raw.get("batch_size"), layers)
            problems += _hidden_problems(raw.get("optim"), layers) if model.target is None else []
        except ShapeError as error:
            problems.append(f"model: {error}")
        if data.name == "idx" and data.dir is None:
            problems.append(
                "data.dir = null: data=idx needs the folder that holds the four IDX files; accepted: a path"
            )
        if data.name == "digits" and data.dir is not None:
            problems.append(
                f"data.dir = {written(data.dir)}: data=digits reads no folder, its images come with scikit-learn; "
                "accepted: null, or data=mnist or data=idx"
            )
        problems += own_data.problems(data)
        if (problem := _size_problem(data)) is not None:
            problems.append(problem)
        if data.folds is not None and data.expand != "none":
            problems.append(
                f"data.expand = {data.expand!r}: with data.folds={data.folds}, copies of an image that validates would "
                "be trained on; accepted: none"
            )
        problems += own_network.problems(model, _task_name(raw), raw.get("pretrain", {}))
    problems += _pretraining_problems(raw) + _task_problems(raw) + _augment_problems(raw) + _data_problems(raw)
    each = (_seed_problem, _vote_problem, _snapshots_problem)
    problems += [problem for one in each if (problem := one(raw)) is not None]
    try:
        optim = OptimConfig.model_validate(raw.get("optim"))
    except ValidationError:
        pass
    else:
        if optim.schedule == "exponential" and optim.eta_end is None:
            problems.append("optim.eta_end = null: schedule=exponential needs the last epoch's rate; accepted: above 0")
        if optim.schedule == "steps" and not optim.steps:
            problems.append(
                "optim.steps = []: schedule=steps needs where eta falls; accepted: a list such as [0.5,0.75] (parts of "
                "the whole training) or [20,40] (epochs)"
            )
    try:
        trainer = TrainerConfig.model_validate(raw.get("trainer"))
    except ValidationError:
        pass
    else:
        if trainer.engine == "cpu" and trainer.accelerator in ("gpu", "cuda", "mps"):
            problems.append(
                f"trainer.engine = 'cpu': cannot run on trainer.accelerator={trainer.accelerator}; use engine=torch"
            )
        others = [f"trainer.accelerator={trainer.accelerator}"] if trainer.accelerator in ("cpu", "mps") else []
        others += ["trainer.engine=cpu"] if trainer.engine == "cpu" else []
        if trainer.devices != "auto" and others:
            problems.append(
                f"trainer.devices = {trainer.devices!r}: names a GPU, which contradicts {' and '.join(others)}; "
                "accepted with that: auto"
            )
    return problems


def _pretraining_problems(raw: dict[str, Any]) -> list[str]:
    """The problems of pretraining with the network, the task and the data; none where nothing is pretrained."""
    try:
        own = PretrainConfig.model_validate(raw.get("pretrain", {}))
        model, data = ModelConfig.model_validate(raw.get("model")), DataConfig.model_validate(raw.get("data"))
    except ValidationError:
        return []
    if own.task == "none" or model.target is not None:
        return []
    problems, layers, field = [], model.all_layers(), f"pretrain = {own.task!r}"
    if _task_name(raw) != "classify":
        problems.append(f"{field}: the layers of task={_task_name(raw)} have no others below; accepted: none")
    if model.start is not None:
        problems.append(f"{field}: model.start gives the weights already; accepted: one of the two")
    accepted = TIED_ACTIVATIONS[own.task]
    for number, layer in enumerate(layers, start=1):
        activation = layer.activation or model.activation
        if isinstance(layer, ConvLayer):
            problems.append(f"{field}: layer {number} is a convolution; accepted: fully connected layers only")
        elif activation not in accepted or (number < len(layers) and activation != "sigmoid"):
            problems.append(
                f"{field}: layer {number} has activation = {activation!r}; accepted: sigmoid, for a layer's codes are "
                "the probabilities that the next one is trained on"
            )
        if (layer.norm or model.norm) != "none":
            problems.append(
                f"{field}: layer {number} has norm = {layer.norm or model.norm!r}, so its codes are not those that the "
                "next layer is trained on; accepted: none"
            )
    if not all(model.bias if layer.bias is None else layer.bias for layer in layers):
        problems.append(f"{field}: a layer without biases cannot be pretrained; accepted: model.bias=true")
    if not layers:
        problems.append(f"{field}: there is no hidden layer; accepted: model.hidden with at least one")
    if len(own.corruption) not in (1, len(layers)):
        problems.append(
            f"pretrain.corruption = {written(own.corruption)}: has {len(own.corruption)} values for {len(layers)} "
            "hidden layers; accepted: one for each, or one for all"
        )
    if data.folds is not None:
        problems.append(
            f"data.folds = {data.folds}: pretraining trains all its members on the same images; accepted: null"
        )
    if data.normalise != "none":
        problems.append(
            f"data.normalise = {data.normalise!r}: pretraining takes inputs for probabilities; accepted: none"
        )
    return problems


def _task_problems(raw: dict[str, Any]) -> list[str]:
    """The problems of a task with its data."""
    try:
        task, data = TaskConfig.model_validate(raw.get("task", {})), DataConfig.model_validate(raw.get("data"))
    except ValidationError:
        return []
    return task_problems.problems(task, data)


def _augment_problems(raw: dict[str, Any]) -> list[str]:
    """The problems of changed images with the data and the training."""
    try:
        own = AugmentConfig.model_validate(raw.get("augment", {}))
        data, task = DataConfig.model_validate(raw.get("data")), TaskConfig.model_validate(raw.get("task", {}))
        pretrain = PretrainConfig.model_validate(raw.get("pretrain", {}))
    except ValidationError:
        return []
    return augment.problems(own, data, task, pretrain.wanted)


def _data_problems(raw: dict[str, Any]) -> list[str]:
    """The problems of how networks see the examples, and which, with the network, the task and the training."""
    try:
        model, data = ModelConfig.model_validate(raw.get("model")), DataConfig.model_validate(raw.get("data"))
        task = TaskConfig.model_validate(raw.get("task", {}))
        pretrain = PretrainConfig.model_validate(raw.get("pretrain", {}))
        stop, optim = StopConfig.model_validate(raw.get("stop", {})), OptimConfig.model_validate(raw.get("optim"))
    except ValidationError:
        return []
    return data_problems.problems(data, model, task, pretrain) + data_problems.of_refit(data, stop, optim)


def _task_name(raw: dict[str, Any]) -> str:
    """The name of the task, as far as it is valid; else that of the default."""
    try:
        return TaskConfig.model_validate(raw.get("task", {})).name
    except ValidationError:
        return TaskConfig().name


def _batch_problems(batch_size: Any, layers: list[LayerShape]) -> list[str]:
    """The problems of norms over a mini-batch that would have a single value to take mean and variance of."""
    alone = [
        f"batch_size = 1: layer {number} has norm = {layer.norm!r}, which needs two examples or more in a mini-batch; "
        "accepted: at least 2"
        for number, layer in enumerate(layers, start=1)
        if layer.norm in NORMS_OVER_EXAMPLES and layer.normed == 1
    ]
    return alone if batch_size == 1 else []


def _hidden_problems(optim: Any, layers: list[LayerShape]) -> list[str]:
    """The problem of an update rule for the layers between the first and the last one, where there are none."""
    if not isinstance(optim, dict) or optim.get("rule") != "muon" or len(layers) > 2:
        return []
    return [
        "optim.rule = 'muon': trains the layers between the first and the last one, of which this network has none; "
        "accepted: two hidden layers or more, such as model.hidden=[100,100], or optim=adamw"
    ]


def _size_problem(data: DataConfig) -> str | None:
    """The problem where a size is set for a data set whose images have a fixed one; None where there is none."""
    channels, height, width, classes = own = SIZES.get(
        data.name, (data.channels, data.height, data.width, data.classes)
    )
    if own == (data.channels, data.height, data.width, data.classes):
        return None
    colours = ("", "") if channels == data.channels else (f"x{channels}", f"x{data.channels}")
    given = f"{data.height}x{data.width}{colours[1]} of {data.classes}"
    return (
        f"data: {data.name} has {height}x{width}{colours[0]} images of {classes} classes, not {given}; "
        "data.channels, data.height, data.width and data.classes describe data=idx only"
    )


def _vote_problem(raw: dict[str, Any]) -> str | None:
    """The problem where an ensemble is asked for in a task without classes to vote on; None where there is none."""
    ensemble = raw.get("ensemble", 1)
    try:
        task = TaskConfig.model_validate(raw.get("task", {}))
    except ValidationError:
        return None
    if task.votes or not isinstance(ensemble, int) or ensemble <= 1:
        return None
    return f"ensemble = {ensemble}: its networks vote, which those of task={task.name} cannot; accepted: 1"


def _snapshots_problem(raw: dict[str, Any]) -> str | None:
    """The problem of snapshots that a training is too short for, or that cannot vote; None where there is none."""
    fields, tied = RunConfig.model_fields, _task_name(raw) in TIED
    keys = ("snapshots", "snapshot_every_epochs", "max_epochs")
    count, every, epochs = (raw.get(key, fields[key].default) for key in keys)
    if not all(type(value) is int and value > 0 for value in (count, every, epochs)):
        return None
    if tied:
        return f"snapshots = {count}: their predictions vote, of which task={_task_name(raw)} has none; accepted: 0"
    if count * every <= epochs:
        return None
    apart = "" if every == 1 else f" {every} epochs apart"
    return (
        f"snapshots = {count}:{apart} need {count * every} epochs, and max_epochs is {epochs}; "
        f"accepted: 0 to {epochs // every}"
    )


def _seed_problem(raw: dict[str, Any]) -> str | None:
    """The problem where a trial's consecutive seeds would pass the largest one and begin again at 0; else None."""
    fields = RunConfig.model_fields
    first, repeats, ensemble = (raw.get(key, fields[key].default) for key in ("seed", "repeats", "ensemble"))
    if not all(type(value) is int for value in (first, repeats, ensemble)) or not 0 <= first < SEEDS:
        return None
    folds = (raw.get("data") or {}).get("folds")
    members = max(repeats, 1) * max(ensemble, 1) * (folds if type(folds) is int and folds > 0 else 1)
    if first + members <= SEEDS:
        return None
    return (
        f"seed = {first}: its {members} members would have the seeds {first} to {first + members - 1}, and the largest "
        f"one is {SEEDS - 1}; accepted: {f'0 to {SEEDS - members}' if members <= SEEDS else 'fewer members'}"
    )
