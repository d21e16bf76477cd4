"""The schema of a run: every field, its type, its range, and whether it may differ inside a stack.

Nothing heavy is imported here (no torch), so a wrong command is refused within a fraction of a second. `parse` reports
everything that is wrong in one go; each line names the field, the value received, the rule and what is accepted.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, ValidationError
from pydantic_core import PydanticCustomError

from src.config.address import RUNS, STUDIES, is_run_store, lower_scheme, masked
from src.config.error import ConfigError
from src.config.folder import is_name
from src.config.metric import ACCURACY, F1, PSEUDO_LIKELIHOOD, RECONSTRUCTION, RMSE, Metric, metric_named, metric_names
from src.config.model import ModelConfig
from src.config.section import PER_MEMBER, Section, is_per_member
from src.config.shapes import LayerShape

SEEDS = 2**32  # a seed is a whole number below this one

# Keys that choose what the command does; no network depends on them.
COMMANDS = ("plan", "from_study", "from_storage", "top")


# The data sets whose images have a fixed size: (channels, height, width, classes). For others the user gives it.
SIZES = {"auto": (1, 28, 28, 10), "mnist": (1, 28, 28, 10), "digits": (1, 28, 28, 10), "cifar10": (3, 32, 32, 10)}


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

# The user's own data, whose sizes are found in the files: src/config/check.py sets them where a command line does not.
OWN = ("arrays", "table", "folder", "function")
FOUND = ("channels", "height", "width", "classes", "target_count", "shape")  # these sizes

# The keys of data that only some sources read.
_DEALT = ("test", "split")
DATA_KEYS: dict[str, tuple[str, ...]] = {
    "arrays": ("path", *_DEALT),
    "table": ("path", "target", "drop", "columns", "group", "time", *_DEALT),
    "folder": _DEALT,
    "function": ("function", *_DEALT),
}


# A number of examples, or below 1 a part of all of them.
Size = Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0, lt=1)]


class DataConfig(Section):
    """The examples, their splits, and the order in which a member sees them."""

    name: Literal["auto", "mnist", "digits", "idx", "cifar10", "arrays", "table", "folder", "function"]
    dir: str | None = None  # folder with the four IDX files, plain or gzipped; folder: with one folder a class
    path: str | None = Field(None, min_length=1)  # arrays: a .npz file; table: a .csv or .parquet file
    # function: package.module.name of a function that gives arrays
    function: str | None = Field(None, pattern=r"^[^\W\d]\w*(\.[^\W\d]\w*)+$")
    target: str | list[str] | None = None  # table: the column to predict, or several
    drop: list[str] = Field([])  # table: columns that are no inputs
    columns: list[str] | None = None  # table: those that are; None: all others
    # own data: how examples are dealt to splits that the source does not have. auto: by
    # data.group or data.time if set, else stratified for classes, else random
    split: Literal["auto", "random", "stratified", "group", "time"] = "auto"
    group: str | None = None  # table: rows with the same value in this column stay together
    time: str | None = None  # table: rows with the latest values in this column test, those before validate
    test: Size | None = None  # test examples of own data
    expand: Literal["none", "shifts"] = "none"  # shifts: each image and its four one-pixel moves [N6, expand_mnist.py]
    normalise: Literal["none", "channel"] = "none"  # channel: mean 0, sd 1 of each channel over the training images
    order: Literal["fixed", "once", "epoch"] = (
        "fixed"  # fixed: as stored [N6]; once: permuted; epoch: again every epoch
    )
    channels: int = Field(1, ge=1)  # 1: grey; 3: red, green, blue
    height: int = Field(28, ge=1)  # pixels
    width: int = Field(28, ge=1)  # pixels
    classes: int = Field(10, ge=2, le=256)
    target_count: int = Field(1, ge=1)  # numbers or labels to predict, of tasks other than classify
    shape: list[Annotated[int, Field(ge=1)]] | None = None  # an example as an own network sees it; None: an image
    train: int | None = Field(None, ge=1)  # images; None: all but those for validation
    validation: Size = 10_000  # examples: of own data, see split; else the last of the training file
    split_seed: int = Field(0, ge=0, lt=SEEDS)  # of how examples are dealt to splits and folds
    folds: int | None = Field(None, ge=2, le=1000)  # cross-validation: each member is validated by a part of its own

    outer_folds: int | None = Field(None, ge=2, le=1000)  # each fold in turn is the test set: nested cross-validation
    outer_fold: int = Field(0, ge=0)  # the one that is, from 0

    def outputs(self, task: str) -> int:
        """The outputs that a network needs for `task`: one a class, or one a number or label to predict."""
        return self.target_count if task in KINDS else self.classes

    @property
    def example(self) -> tuple[int, ...]:
        """The shape of one example as an own network sees it."""
        return (self.channels, self.height, self.width) if self.shape is None else tuple(self.shape)


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


class PretrainConfig(Section):
    """The training of each hidden layer by itself, on the codes of the layer below, before the network's own."""

    task: Literal["none", "reconstruct", "contrast"] = "none"
    corruption: list[Annotated[float, Field(ge=0, lt=1)]] = Field([0.0], json_schema_extra=PER_MEMBER)
    k: int = Field(1, ge=1, le=1000, json_schema_extra=PER_MEMBER)  # contrast: Gibbs steps of a chain
    persistent: bool = Field(False, json_schema_extra=PER_MEMBER)  # contrast: chains go on from the last update's
    eta: float = Field(0.01, gt=0, json_schema_extra=PER_MEMBER)
    batch_size: int = Field(10, ge=1)
    max_epochs: int = Field(15, ge=0)  # of each layer

    @property
    def wanted(self) -> bool:
        """Whether layers are pretrained."""
        return self.task != "none" and self.max_epochs > 0


# The update rules (src/training/update/NAME.py), each with those of its keys that not all rules read.
Rule = Literal["sgd", "adam", "adamw", "rmsprop", "adagrad", "muon"]
RULES: dict[str, tuple[str, ...]] = {
    "sgd": ("momentum", "nesterov"),
    "adam": ("beta1", "beta2", "epsilon"),
    "adamw": ("beta1", "beta2", "epsilon"),
    "rmsprop": ("alpha", "epsilon"),
    "adagrad": ("epsilon",),
    "muon": ("momentum", "nesterov", "beta1", "beta2", "epsilon", "eta_adamw"),
}

# The schedules of eta (src/training/update/schedule.py), each with those of its keys that not all schedules read.
Schedule = Literal["constant", "inverse", "exponential", "halve", "cosine", "one_cycle", "steps"]
SCHEDULES: dict[str, tuple[str, ...]] = {
    "constant": (),
    "inverse": ("decay",),
    "exponential": ("eta_end",),
    "halve": ("plateau_epochs", "min_eta_factor"),
    "cosine": ("eta_end",),
    "one_cycle": (),
    "steps": ("steps", "step_factor"),
}
BY_STEP = ("cosine", "one_cycle", "steps")  # schedules that change eta within an epoch


def unread(options: dict[str, tuple[str, ...]], chosen: str) -> set[str]:
    """The keys that are read by other options of RULES or SCHEDULES, given as `options`, but not by the chosen one."""
    return {key for keys in options.values() for key in keys} - set(options[chosen])


class OptimConfig(Section):
    """Update rule (src/training/update/RULE.py), decay and schedule; PER_MEMBER marks what may differ in a stack."""

    rule: Rule = "sgd"
    nesterov: bool = False  # sgd, muon: Nesterov's form of momentum
    eta: float = Field(gt=0, json_schema_extra=PER_MEMBER)
    lambda_: float = Field(0.0, ge=0, json_schema_extra=PER_MEMBER)  # L2; a step decays weights by eta·lambda_/batches
    l1: float = Field(0.0, ge=0, json_schema_extra=PER_MEMBER)  # L1, divided by the same number of batches
    weight_decay: float = Field(0.0, ge=0, json_schema_extra=PER_MEMBER)  # decoupled: w <- w - eta·weight_decay·w
    decay_all: bool = False  # whether what decays are all parameters, or only those of two or more dimensions
    momentum: float = Field(0.0, ge=0, lt=1, json_schema_extra=PER_MEMBER)
    beta1: float = Field(0.9, ge=0, lt=1, json_schema_extra=PER_MEMBER)  # of the gradients' running mean
    beta2: float = Field(0.999, ge=0, lt=1, json_schema_extra=PER_MEMBER)  # of their squares' running mean
    alpha: float = Field(0.99, ge=0, lt=1, json_schema_extra=PER_MEMBER)  # rmsprop: of their squares' running mean
    epsilon: float = Field(1e-8, gt=0, json_schema_extra=PER_MEMBER)  # added to the root of what squares came to
    eta_adamw: float | None = Field(None, gt=0, json_schema_extra=PER_MEMBER)  # muon: of the rest; None: eta
    clip_norm: float | None = Field(None, gt=0, json_schema_extra=PER_MEMBER)  # of the gradient of all parameters
    max_norm: float | None = Field(None, gt=0, json_schema_extra=PER_MEMBER)  # of each unit's incoming weights
    schedule: Schedule = "constant"
    decay: float = Field(0.001, ge=0, json_schema_extra=PER_MEMBER)  # inverse: eta / (1 + decay · epoch)
    eta_end: float | None = Field(None, gt=0, json_schema_extra=PER_MEMBER)  # in the last epoch; cosine: None is 0
    plateau_epochs: int = Field(10, ge=1, json_schema_extra=PER_MEMBER)  # halve: epochs without a better validation
    min_eta_factor: float = Field(1 / 128, gt=0, le=1)  # halve: the schedule stops halving here [N6, ch. 3]
    steps: list[Annotated[float, Field(gt=0)]] = Field(
        []
    )  # steps: where eta falls; below 1 of all mini-batches, else epochs
    step_factor: float = Field(0.1, gt=0, le=1, json_schema_extra=PER_MEMBER)  # steps: by this factor
    warmup_steps: int = Field(0, ge=0, json_schema_extra=PER_MEMBER)  # mini-batches in which eta rises from 0

    @property
    def by_step(self) -> bool:
        """Whether eta changes within an epoch, by its schedule or by a warm-up."""
        return self.schedule in BY_STEP or self.warmup_steps > 0


class StopConfig(Section):
    """When a member ends before `max_epochs`."""

    rule: Literal["none", "patience_epochs", "patience_batches"] = "none"
    patience_epochs: int = Field(10, ge=1)  # epochs without a better validation score [N6, ch. 3]
    patience_batches: int = Field(10_000, ge=1)  # mini-batches that are trained in any case [DLT]
    patience_increase: float = Field(2.0, ge=1)  # a real improvement at mini-batch t extends patience to this times t
    improvement_threshold: float = Field(0.995, gt=0, le=1)  # real: validation error below this times the best
    keep: Literal["best", "last"] = "best"  # last: the weights of the last epoch with a finite cost are the result


class TrainerConfig(Section):
    """Device, engine and numerics; they change results by rounding at most."""

    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "auto"
    devices: str = Field("auto", pattern=r"^(auto|cuda(:(0|[1-9]\d{0,3}))?)$")  # one GPU; auto and cuda: the first
    engine: Literal["auto", "torch", "cpu"] = "auto"
    compile: bool | Literal["auto"] = "auto"
    precision: Literal[32, "tf32", "bf16"] = 32  # CUDA only: tf32 or bf16 matrix products
    threads: int | None = Field(None, ge=1)  # None: all cores (cpu engine), or measured (torch engine on a CPU)
    chunk: int | None = Field(None, ge=1)  # mini-batches of a chunk; None: as many as train in about a second


def _run_store(uri: str) -> str:
    uri = lower_scheme(uri)
    if not is_run_store(uri):
        raise ValueError
    return uri


def _folder_name(name: str) -> str:
    if not is_name(name):
        raise ValueError
    return name


class TrackingConfig(Section):
    """The store in which runs are recorded."""

    kind: Literal["mlflow", "none"] = "mlflow"
    uri: Annotated[str, AfterValidator(_run_store)] = RUNS
    experiment: str = Field("sweepstack", min_length=1, max_length=250)  # MLflow's databases take 256


class RunConfig(Section):
    """One trial: `repeats` × `data.folds` × `ensemble` members that train as one stack."""

    name: Annotated[str, AfterValidator(_folder_name)] = "custom"  # part of a folder's
    published: float | None = Field(None, ge=0, le=100)  # per cent, test accuracy on MNIST in the source
    data: DataConfig
    model: ModelConfig
    task: TaskConfig = TaskConfig()
    pretrain: PretrainConfig = PretrainConfig()
    optim: OptimConfig
    stop: StopConfig
    trainer: TrainerConfig
    tracking: TrackingConfig
    batch_size: int = Field(10, ge=1)
    max_epochs: int = Field(60, ge=1)
    repeats: int = Field(1, ge=1)  # the same configuration with consecutive seeds
    ensemble: int = Field(1, ge=1)  # networks that vote; a repeat is then one whole ensemble
    seed: int = Field(0, ge=0, lt=SEEDS, json_schema_extra=PER_MEMBER)  # of the first member, those of others follow
    figures: bool = True
    plan: bool = False  # say what would be trained, how long it takes and what memory it needs, and train nothing
    from_study: str | None = Field(None, min_length=1)  # train nothing: the best networks of this study vote
    from_storage: str = STUDIES  # where that study lies
    top: int = Field(5, ge=1)  # how many of its networks vote

    @property
    def members(self) -> int:
        """Networks that this trial trains."""
        return self.replicates * self.ensemble

    @property
    def replicates(self) -> int:
        """Members, or ensembles of them, whose scores the result's mean and interval are of: repeats × folds."""
        return self.repeats * (self.data.folds or 1)

    @property
    def replicates_in_words(self) -> str:
        """Their number in words, such as 3 repeats, 5 folds, or 3 repeats of 5 folds."""
        repeats = f"{self.repeats} repeats"
        if self.data.folds is None:
            return repeats
        return f"{self.data.folds} folds" if self.repeats == 1 else f"{repeats} of {self.data.folds} folds"

    def shapes(self) -> list[LayerShape]:
        """Every layer with its sizes, the softmax last; with tied weights the one layer."""
        return self.model.shapes(self.data, self.task.name)

    def shown(self) -> dict[str, Any]:
        """The configuration as plain values for files and tables; a password in tracking.uri is masked."""
        content = self.model_dump(exclude=set(COMMANDS))
        content["tracking"]["uri"] = masked(self.tracking.uri)
        return content


def default_values() -> dict[str, Any]:
    """Each key's value where it is not given, `section.key` -> value: also how versions without the key behaved."""

    def walk(section: type[BaseModel], prefix: str) -> Iterator[tuple[str, Any]]:
        for name, field in section.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                yield from walk(field.annotation, f"{prefix}{name}.")
            elif not field.is_required():
                yield f"{prefix}{name}", field.get_default(call_default_factory=True)

    return dict(walk(RunConfig, ""))


def structure_key(config: RunConfig) -> str:
    """A text that is equal for two configurations if and only if their members may share a stack."""

    def shared(section: BaseModel) -> dict[str, Any]:
        kept = {}
        for name, field in type(section).model_fields.items():
            value = getattr(section, name)
            if is_per_member(field) and value is not None:  # None counts: it trains in another way
                continue
            kept[name] = shared(value) if isinstance(value, BaseModel) else value
        return kept

    fields, model = shared(config), config.model
    fields["model"]["args"] = {name: model.args[name] for name in sorted(set(model.args) - set(model.per_member))}
    for label in ("name", "published", "repeats", "ensemble", "tracking", "figures", *COMMANDS):
        del fields[label]
    return str(fields)
