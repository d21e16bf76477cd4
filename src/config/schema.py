"""The schema of a run: every field, its type, its range, and whether it may differ inside a stack.

Nothing heavy is imported here (no torch), so a wrong command is refused within a fraction of a second. `parse` reports
everything that is wrong in one go; each line names the field, the value received, the rule and what is accepted.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field

from src.config.address import RUNS, STUDIES, is_run_store, lower_scheme, masked
from src.config.augment import AugmentConfig
from src.config.average import AverageConfig
from src.config.data import DataConfig
from src.config.folder import is_name
from src.config.model import ModelConfig
from src.config.section import PER_MEMBER, SEEDS, Section, is_per_member
from src.config.shapes import LayerShape
from src.config.task import TaskConfig

# Keys that choose what the command does; no network depends on them.
COMMANDS = ("plan", "from_study", "from_storage", "top")


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
    "cosine": ("eta_end", "cycles"),
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
    cycles: int = Field(1, ge=1, json_schema_extra=PER_MEMBER)  # cosine: so many times eta falls, from its height
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


# The rules of early stopping (src/training/stopping.py), each with those of its keys that not all rules read.
StopRule = Literal["none", "patience_epochs", "patience_batches"]
STOPS: dict[str, tuple[str, ...]] = {
    "none": (),
    "patience_epochs": ("patience_epochs",),
    "patience_batches": ("patience_batches", "patience_increase", "improvement_threshold"),
}


class StopConfig(Section):
    """When a member ends before `max_epochs`."""

    rule: StopRule = "none"
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
    watch: bool = False  # whether the history says how far each layer's weights move and what its activations are


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
    augment: AugmentConfig = AugmentConfig()
    model: ModelConfig
    task: TaskConfig = TaskConfig()
    pretrain: PretrainConfig = PretrainConfig()
    optim: OptimConfig
    average: AverageConfig = AverageConfig()
    stop: StopConfig
    trainer: TrainerConfig
    tracking: TrackingConfig
    batch_size: int = Field(10, ge=1)
    max_epochs: int = Field(60, ge=1)
    repeats: int = Field(1, ge=1)  # the same configuration with consecutive seeds
    ensemble: int = Field(1, ge=1)  # networks that vote; a repeat is then one whole ensemble
    snapshots: int = Field(0, ge=0, json_schema_extra=PER_MEMBER)  # of each network, which vote (src/training/voted.py)
    snapshot_every_epochs: int = Field(1, ge=1, json_schema_extra=PER_MEMBER)  # from one snapshot to the next
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
