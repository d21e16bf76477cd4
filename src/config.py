"""The schema of a run: every field, its type, its range, and whether it may differ inside a stack.

Nothing heavy is imported here (no torch), so a wrong command is refused within a fraction of a second. `parse` reports
everything that is wrong in one go; each line names the field, the value received, the rule and what is accepted.
"""

import difflib
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError
from pydantic.config import JsonDict

from src.address import RUNS, RUNS_RULE, STUDIES, is_run_store, lower_scheme, refuse_unusable
from src.error import UserError
from src.folder import NAME_RULE, is_name
from src.shapes import ConvPool, Dense, LayerShape, ShapeError, chain

Activation = Literal["sigmoid", "tanh", "relu", "leaky_relu", "elu", "gelu", "silu"]
Pooling = Literal["max", "l2", "none"]
Initialisation = Literal["chapter", "fan_in", "he", "glorot"]

# Marks a field whose value may differ between the members of one stack; every other field must be equal in a stack.
PER_MEMBER: JsonDict = {"per_member": True}


SEEDS = 2**32  # a seed is a whole number below this one

# Keys that say what the command does, not what a network is.
COMMANDS = ("plan", "from_study", "from_storage", "top")


class ConfigError(UserError):
    """A configuration that cannot run; the text lists every problem."""


class Section(BaseModel):
    """A part of the configuration: unknown keys are refused, and types are not guessed ("3" is no number)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class DataConfig(Section):
    """Which images, how they are split, and in which order a member sees them."""

    name: Literal["auto", "mnist", "digits", "idx"]
    dir: str | None = None  # folder with the four IDX files, plain or gzipped
    expand: Literal["none", "shifts"] = "none"  # shifts: each image and its four one-pixel moves [N6, expand_mnist.py]
    order: Literal["fixed", "once", "epoch"] = (
        "fixed"  # fixed: as stored [N6]; once: permuted; epoch: again every epoch
    )
    height: int = Field(28, ge=1)  # pixels
    width: int = Field(28, ge=1)  # pixels
    classes: int = Field(10, ge=2, le=256)
    train: int | None = Field(None, ge=1)  # images; None: all that the other splits leave
    validation: int = Field(10_000, ge=1)  # images, the last of the training file


class ConvLayer(Section):
    """One convolution with its pooling; a field left out takes the model's value."""

    conv: int = Field(ge=1)  # feature maps
    field: int | None = Field(None, ge=1)
    stride: int | None = Field(None, ge=1)
    pool: Pooling | None = None
    pool_size: int | None = Field(None, ge=1)
    pool_stride: int | None = Field(None, ge=1)
    activation: Activation | None = None


class FcLayer(Section):
    """One fully connected layer; a field left out takes the model's value."""

    fc: int = Field(ge=1)  # units
    activation: Activation | None = None
    dropout: float | None = Field(None, ge=0, lt=1)  # of the layer's inputs


def _layer_kind(value: Any) -> str | None:
    keys = set(value) if isinstance(value, dict) else {"conv" if isinstance(value, ConvLayer) else "fc"}
    return next((kind for kind in ("conv", "fc") if kind in keys), None)


Layer = Annotated[
    Annotated[ConvLayer, Tag("conv")] | Annotated[FcLayer, Tag("fc")],
    Discriminator(
        _layer_kind,
        custom_error_type="layer",
        custom_error_message="must be a layer such as {conv: 20, field: 5, pool: max} or {fc: 100, activation: relu}",
    ),
]


class ModelConfig(Section):
    """The layers before the softmax: `maps` and `hidden` in short, or any list in `layers`."""

    maps: list[Annotated[int, Field(ge=1)]] = []  # feature maps of each convolution
    hidden: list[Annotated[int, Field(ge=1)]] = []  # units of each fully connected layer
    layers: list[Layer] | None = None  # replaces maps and hidden
    activation: Activation = "sigmoid"
    field: int = Field(5, ge=1)  # side of the local receptive field, pixels
    stride: int = Field(1, ge=1)
    pool: Pooling = "max"
    pool_size: int = Field(2, ge=1)
    pool_stride: int | None = Field(None, ge=1)  # None: pool_size
    init: Initialisation = "chapter"
    dropout: float = Field(0.0, ge=0, lt=1, json_schema_extra=PER_MEMBER)  # inputs of every fully connected layer
    dropout_convention: Literal["chapter", "inverted"] = "chapter"

    def all_layers(self) -> list[ConvLayer | FcLayer]:
        """The layers before the softmax in order, before the model's values fill what they leave out."""
        if self.layers is not None:
            return list(self.layers)
        return [*(ConvLayer(conv=maps) for maps in self.maps), *(FcLayer(fc=units) for units in self.hidden)]

    def shapes(self, data: DataConfig) -> list[LayerShape]:
        """Every layer with its sizes, the softmax last. Raises ShapeError where a layer does not fit its input."""

        def plan() -> Iterator[ConvPool | Dense]:
            for layer in self.all_layers():
                activation = layer.activation or self.activation
                if isinstance(layer, FcLayer):
                    yield Dense(outputs=layer.fc, activation=activation)
                    continue
                pool = layer.pool or self.pool
                pool_size = 1 if pool == "none" else layer.pool_size or self.pool_size
                pool_stride = 1 if pool == "none" else layer.pool_stride or self.pool_stride or pool_size
                yield ConvPool(
                    maps=layer.conv,
                    field=layer.field or self.field,
                    stride=layer.stride or self.stride,
                    pool="none" if (pool, pool_size, pool_stride) == ("max", 1, 1) else pool,
                    pool_size=pool_size,
                    pool_stride=pool_stride,
                    activation=activation,
                )

        return chain((1, data.height, data.width), [*plan(), Dense(outputs=data.classes, activation="none")])

    def dropouts(self) -> list[float]:
        """Dropout probability of the inputs of every fully connected layer, the softmax last."""
        dense = [layer for layer in self.all_layers() if isinstance(layer, FcLayer)]
        return [*(self.dropout if layer.dropout is None else layer.dropout for layer in dense), self.dropout]


class OptimConfig(Section):
    """Stochastic gradient descent; what may differ inside a stack is marked."""

    eta: float = Field(gt=0, json_schema_extra=PER_MEMBER)
    lambda_: float = Field(0.0, ge=0, json_schema_extra=PER_MEMBER)  # L2; a step decays weights by eta·lambda_/batches
    l1: float = Field(0.0, ge=0, json_schema_extra=PER_MEMBER)  # L1, divided by the same number of batches
    momentum: float = Field(0.0, ge=0, lt=1, json_schema_extra=PER_MEMBER)
    schedule: Literal["constant", "inverse", "exponential", "halve"] = "constant"
    decay: float = Field(0.001, ge=0, json_schema_extra=PER_MEMBER)  # inverse: eta / (1 + decay · epoch)
    eta_end: float | None = Field(None, gt=0, json_schema_extra=PER_MEMBER)  # exponential: eta in the last epoch
    plateau_epochs: int = Field(10, ge=1, json_schema_extra=PER_MEMBER)  # halve: epochs without a better validation
    min_eta_factor: float = Field(1 / 128, gt=0, le=1)  # halve: the schedule stops halving here [N6, ch. 3]


class StopConfig(Section):
    """When a member ends before `max_epochs`."""

    rule: Literal["none", "patience_epochs", "patience_batches"] = "none"
    patience_epochs: int = Field(10, ge=1)  # epochs without a better validation accuracy [N6, ch. 3]
    patience_batches: int = Field(10_000, ge=1)  # mini-batches that are trained at least [DLT]
    patience_increase: float = Field(2.0, ge=1)  # a real improvement extends patience to this times the mini-batch
    improvement_threshold: float = Field(0.995, gt=0, le=1)  # real: validation error below this times the best


class TrainerConfig(Section):
    """Device, engine and numerics: nothing here changes what is computed, beyond rounding."""

    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "auto"
    devices: str = Field("auto", pattern=r"^(auto|cuda(:(0|[1-9]\d{0,3}))?)$")  # one GPU; auto and cuda: the first
    engine: Literal["auto", "torch", "cpu"] = "auto"
    compile: bool | Literal["auto"] = "auto"
    precision: Literal[32, "tf32", "bf16"] = 32  # CUDA only: tf32 or bf16 matrix products
    threads: int | None = Field(None, ge=1)  # None: all cores (cpu engine), or measured (torch engine on a CPU)
    chunk: int | None = Field(None, ge=1)  # mini-batches handed over in one go; None: chosen for about a second


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
    """Where runs are recorded."""

    kind: Literal["mlflow", "none"] = "mlflow"
    uri: Annotated[str, AfterValidator(_run_store)] = RUNS
    experiment: str = Field("sweepstack", min_length=1, max_length=250)  # MLflow's databases take 256


class RunConfig(Section):
    """One trial: `repeats` × `ensemble` members that train as one stack."""

    name: Annotated[str, AfterValidator(_folder_name)] = "custom"  # part of a folder's
    published: float | None = Field(None, ge=0, le=100)  # per cent, test accuracy on MNIST in the source
    data: DataConfig
    model: ModelConfig
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
        return self.repeats * self.ensemble

    def shapes(self) -> list[LayerShape]:
        """Every layer with its sizes, the softmax last."""
        return self.model.shapes(self.data)

    def shown(self) -> dict[str, Any]:
        """The configuration as plain values for files and tables; a password in tracking.uri is masked."""
        content = self.model_dump(exclude=set(COMMANDS))
        content["tracking"]["uri"] = masked(self.tracking.uri)
        return content


def parse(raw: Any, known_problems: list[str] | None = None) -> RunConfig:
    """The checked configuration of a composed one; `raw` as OmegaConf.to_container gives it.

    Raises ConfigError that lists every problem, those in `known_problems` (from the command line) first.
    """
    problems = list(known_problems or [])
    config: RunConfig | None = None
    try:
        config = RunConfig.model_validate(raw)
    except ValidationError as error:
        problems += [_explain(item) for item in error.errors()]
    problems += _cross_checks(raw)
    if problems:
        lines = "\n".join(f"  {problem}" for problem in dict.fromkeys(problems))
        count = "1 problem" if len(dict.fromkeys(problems)) == 1 else f"{len(dict.fromkeys(problems))} problems"
        raise ConfigError(f"{count} in the configuration, nothing was started:\n{lines}")
    assert config is not None
    return config if config.published is None else _claiming(config)


def _claiming(config: RunConfig) -> RunConfig:
    """`config` without its published figure where it is that of an experiment, and the run another one."""
    from src.experiment import is_as_published  # composes experiments, which most commands need not

    return config if is_as_published(config) else config.model_copy(update={"published": None})


# As SQLAlchemy reads it: all up to the next @, slashes and spaces too; MLflow's http takes the last @ before the path.
_PASSWORD = re.compile(
    r"""(://(?!\[)[^:/@\s]*(?:@[^:/\s]*(?!://))?):  # the user, such as me or me@server; a [ begins a host in IPv6
        (?!\s|\d{1,5}\b[^@\s]*(?:\s|://))  # no prose: "http://host: words", "at http://host:5000/path and me@host"
        (?:(?!\s[^@\s]*://)[^@\n])+@  # not into another address
        (?:[^/@\s]*@)*""",
    re.VERBOSE,
)


def masked(text: str) -> str:
    """`text` with every password of an address (`scheme://user:password@host`) replaced by ***.

    Where it may be prose as well it stays: a space behind the colon, or a port and a space before the @.
    """
    return _PASSWORD.sub(r"\1:***@", text)


def refuse_unusable_store(config: RunConfig) -> None:
    """Raises UserError where the runs' store cannot be written, as far as that can be told at once."""
    if config.tracking.kind != "none":
        refuse_unusable("tracking.uri", config.tracking.uri)


def structure_key(config: RunConfig) -> str:
    """Equal for two configurations exactly where their members may share a stack."""

    def shared(section: BaseModel) -> dict[str, Any]:
        kept = {}
        for name, field in type(section).model_fields.items():
            value = getattr(section, name)
            extra = field.json_schema_extra
            if isinstance(extra, dict) and extra.get("per_member"):
                continue
            kept[name] = shared(value) if isinstance(value, BaseModel) else value
        return kept

    fields = shared(config)
    for label in ("name", "published", "repeats", "ensemble", "tracking", "figures", *COMMANDS):
        del fields[label]
    return str(fields)


_PARALLEL = "trials train together as it is; hydra.launcher.max_members=N limits the networks at once"
_DIRECTION = (
    "it follows from hydra.sweeper.objectives: [validation_accuracy] is maximised, [parameters] and [seconds] minimised"
)
_SPACE = "the search space is hydra.sweeper.params in a file, KEY='interval(LOW, HIGH)' or the like in the command"

# Words of other tools, with what stands here in their place.
ELSEWHERE = {
    **dict.fromkeys(("n_jobs", "n_parallel", "max_concurrent"), _PARALLEL),
    **dict.fromkeys(("direction", "directions"), _DIRECTION),
    **dict.fromkeys(("param", "search_space"), _SPACE),
    **dict.fromkeys(("lr", "learning_rate"), "did you mean optim.eta?"),
    "weight_decay": "did you mean optim.lambda_?",
}


def unknown_key(key: str, known: list[str]) -> str:
    """The line for a key that does not exist, with what stands in its place here, or the nearest ones that do."""
    for word in key.lstrip("+~").split("."):
        if word in ELSEWHERE:
            return f"{key}: no such key; {ELSEWHERE[word]}"
    near = difflib.get_close_matches(key, known, n=3, cutoff=0.6)
    section = key.rsplit(".", 1)[0] + "." if "." in key else ""
    near = near or [name for name in known if section and name.startswith(section)]
    if not near:
        return f"{key}: no such key; python -m src.train --help lists all keys"
    return f"{key}: no such key; did you mean {_list(near)}?"


def all_keys() -> list[str]:
    """Every key of the schema in dotted form."""

    def walk(section: type[BaseModel], prefix: str) -> Iterator[str]:
        for name, field in section.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                yield from walk(field.annotation, f"{prefix}{name}.")
            else:
                yield f"{prefix}{name}"

    return list(walk(RunConfig, ""))


def text_keys() -> list[str]:
    """The keys of the schema whose values are any text."""

    def is_text(key: str) -> bool:
        section, _, name = key.rpartition(".")
        schema = RunConfig.model_fields[section].annotation if section else RunConfig
        annotation = schema.model_fields[name].annotation  # type: ignore[union-attr]
        return annotation is str or str in get_args(annotation)

    return [key for key in all_keys() if is_text(key)]


# Pydantic's wording, for the kinds of error whose own text does not say what would be accepted.
RULES = {
    "missing": "is missing and has no default",
    "finite_number": "must be a finite number",
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must be a whole number of at most 64 bits",
    "bool_type": "must be true or false",
    "string_type": "must be a text",
    "string_too_short": "must not be empty",
    "list_type": "must be a list such as [20,40]",
    "model_type": "must be a section with keys of its own",
    "dict_type": "must be a section with keys of its own",
}

_OWN_RULES = {
    "trainer.devices": "must be auto or one GPU, such as cuda:0 or cuda:1; trainer.accelerator names what is no GPU",
    "name": NAME_RULE,
    "trainer.compile": "must be auto, true or false",
    "trainer.precision": "must be 32, tf32 or bf16",
    "tracking.uri": RUNS_RULE,
    "model.layers": "must be a list of layers such as [{conv: 20, field: 5, pool: max}, {fc: 100, dropout: 0.5}]",
}


def _explain(item: Any) -> str:
    path = [part for part in item["loc"] if part not in ("conv", "fc", "bool") and not str(part).startswith("literal[")]
    if item["loc"][-1] in ("conv", "fc"):
        path.append(item["loc"][-1])
    key = ".".join(str(part) for part in path)
    if item["type"] == "extra_forbidden":
        if key in ("exp", "sweeps"):
            return f"{key}: the first line of its file must be # @package _global_"
        return _extra_layer_key(key, item["loc"]) if "layers" in path else unknown_key(key, all_keys())
    rule = RULES.get(item["type"], item["msg"].replace("Input should be", "must be").replace("String should", "must"))
    rule = _OWN_RULES.get(key, rule)
    received = "" if item["type"] == "missing" else f" = {written(item['input'])}"
    return f"{key}{received}: {rule}{_range(path, rule)}"


def _extra_layer_key(key: str, location: tuple[Any, ...]) -> str:
    layer = ConvLayer if "conv" in location[:-1] else FcLayer
    return f"{key}: no such key in a layer of this kind; accepted: {', '.join(layer.model_fields)}"


def _range(path: list[Any], rule: str) -> str:
    """What a field accepts, for errors whose rule names only a type or one end of the range."""
    section: Any = RunConfig
    field = None
    for part in path:
        fields = getattr(section, "model_fields", {})
        if part not in fields:
            return ""
        field = fields[part]
        section = field.annotation
    assert field is not None
    ends = {type(item).__name__: item for item in field.metadata}
    words = [
        f"{word} {getattr(ends[kind], attribute):.15g}"
        for kind, attribute, word in (
            ("Gt", "gt", "above"),
            ("Ge", "ge", "at least"),
            ("Lt", "lt", "below"),
            ("Le", "le", "at most"),
        )
        if kind in ends
    ]
    optional = type(None) in get_args(field.annotation)
    return f"; accepted: {' and '.join(words)}{' (or null)' if optional else ''}" if words else ""


def _cross_checks(raw: dict[str, Any]) -> list[str]:
    """Rules over several fields; each runs as soon as the sections that it reads are valid by themselves."""
    problems = []
    try:
        model, data = ModelConfig.model_validate(raw.get("model")), DataConfig.model_validate(raw.get("data"))
    except ValidationError:
        pass
    else:
        try:
            model.shapes(data)
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
        if data.name in ("mnist", "auto", "digits") and (data.height, data.width, data.classes) != (28, 28, 10):
            problems.append(
                f"data: {data.name} has 28x28 images of 10 classes, not {data.height}x{data.width} of {data.classes}; "
                "data.height, data.width and data.classes describe data=idx only"
            )
    if (problem := _seed_problem(raw)) is not None:
        problems.append(problem)
    try:
        optim = OptimConfig.model_validate(raw.get("optim"))
    except ValidationError:
        pass
    else:
        if optim.schedule == "exponential" and optim.eta_end is None:
            problems.append("optim.eta_end = null: schedule=exponential needs the last epoch's rate; accepted: above 0")
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


def _seed_problem(raw: dict[str, Any]) -> str | None:
    """A trial's members have consecutive seeds; one past the largest would be 0 again, which other members may have."""
    fields = RunConfig.model_fields
    first, repeats, ensemble = (raw.get(key, fields[key].default) for key in ("seed", "repeats", "ensemble"))
    if not all(type(value) is int for value in (first, repeats, ensemble)) or not 0 <= first < SEEDS:
        return None
    members = max(repeats, 1) * max(ensemble, 1)
    if first + members <= SEEDS:
        return None
    return (
        f"seed = {first}: its {members} members would have the seeds {first} to {first + members - 1}, and the largest "
        f"one is {SEEDS - 1}; accepted: {f'0 to {SEEDS - members}' if members <= SEEDS else 'fewer members'}"
    )


def written(value: Any) -> str:
    """A value as a message shows it, without passwords, cut to 60 characters."""
    text = masked(repr(value))
    return text if len(text) <= 60 else text[:57] + "..."


def _list(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + f" or {names[-1]}"
