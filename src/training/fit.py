"""From checked trials of one structure to a Result a member: `prepare` builds and times the stack, `run` trains it."""

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from src.config.error import ConfigError
from src.config.schema import RunConfig, TrainerConfig, structure_key
from src.config.shapes import LayerShape, parameter_count
from src.data.dataset import Dataset
from src.training.chunks import Chunks
from src.training.engines.engine import Engine, Members
from src.training.engines.torch_engine import (
    COMPILE_GAIN,
    COMPILE_SECONDS,
    TorchEngine,
    compilation_pays,
    fastest_threads,
    timed,
)
from src.training.lightning import Trainer
from src.training.module import Everyone, Keep, Observer, Roster, StackModule
from src.training.result import Result
from src.training.stack import Member, first_velocities, first_weights, hyperparameters, members_of
from src.training.stopping import check_every

# Seconds of work handed over in one go: short enough to stop at, long enough that handing over costs nothing.
CHUNK_SECONDS = 1.0
# Seconds that the calibration's timed probe should last, after one mini-batch to warm up.
PROBE_SECONDS = 0.3


@dataclass
class Prepared:
    """A stack that is ready to train, and what its header says about it."""

    members: list[Member]
    layers: list[LayerShape]
    dataset: Dataset
    device: torch.device
    engine: Engine
    chunks: Chunks
    step_seconds: float  # one mini-batch of the whole stack
    seconds: float  # estimated, for all epochs that are left

    @property
    def memory(self) -> int:
        """Bytes that the networks (weights, gradients, best weights) and the images take, without working memory."""
        splits = (self.dataset.train, self.dataset.validation, self.dataset.test)
        return _weight_bytes(self.layers, len(self.members)) + sum(split.images.nbytes for split in splits)

    @property
    def device_name(self) -> str:
        """For headers, tags and tables."""
        if self.device.type == "cuda":
            return f"{torch.cuda.get_device_name(self.device)}, {self.device}"
        return f"{self.device.type}, {cores()} cores" if self.device.type == "cpu" else self.device.type


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def choose_device(config: TrainerConfig) -> torch.device:
    """The device of `trainer.accelerator` and `trainer.devices`, a GPU with its number; raises ConfigError.

    auto takes the first GPU where CUDA finds one, else the CPU.
    """
    wanted = "cuda" if config.devices != "auto" else {"gpu": "cuda"}.get(config.accelerator, config.accelerator)
    available = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    available += ["mps"] if torch.backends.mps.is_available() else []
    if wanted == "auto" and config.engine == "cpu":
        wanted = "cpu"
    if wanted == "auto":
        wanted = "cuda" if "cuda" in available else "cpu"
    if wanted not in available:
        named = config.devices != "auto"
        key = f"trainer.devices = {config.devices!r}" if named else f"trainer.accelerator = {config.accelerator!r}"
        raise ConfigError(
            f"{key}: this machine has no such device that torch can use{_hidden() if wanted == 'cuda' else ''}; "
            f"accepted here: {'auto, with trainer.accelerator=' if named else ''}auto, {', '.join(available)}"
        )
    if config.precision != 32 and wanted != "cuda":
        raise ConfigError(
            f"trainer.precision = {config.precision!r}: needs CUDA, and this run is on {wanted}; accepted: 32"
        )
    return _gpu(config.devices) if wanted == "cuda" else torch.device(wanted)


def _gpu(wanted: str) -> torch.device:
    """The GPU of `trainer.devices`, which torch may use. Raises ConfigError where there is none of that number."""
    index = int(wanted.partition(":")[2] or 0)
    count = torch.cuda.device_count()
    if index and index >= count:
        known = [f"cuda:{one} ({torch.cuda.get_device_name(one)})" for one in range(count)]
        raise ConfigError(
            f"trainer.devices = {wanted!r}: torch finds no GPU of that number{_hidden()}; "
            f"accepted here: auto, {', '.join(known)}"
        )
    return torch.device("cuda", index)


def _begin_on(device: torch.device) -> None:
    """Makes a GPU the one for all that names none: on the first a context would begin else. Raises ConfigError."""
    try:
        torch.cuda.set_device(device)
    except RuntimeError as error:  # it may be another's alone, or broken
        raise ConfigError(
            f"trainer.devices: {device} is there but cannot be used ({str(error).splitlines()[0]}); accepted: another "
            f"of the {torch.cuda.device_count()} GPUs, or trainer.accelerator=cpu"
        ) from error


def _hidden() -> str:
    """What keeps torch from finding a GPU, if something does, in parentheses."""
    if torch.version.cuda is None:
        return f" (torch {torch.__version__} is built without CUDA)"
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return "" if visible is None else f" (CUDA_VISIBLE_DEVICES = {visible!r} decides which it finds, counted from 0)"


class TooLargeError(ConfigError):
    """A stack that the device's memory cannot hold."""


def prepare(
    configs: list[RunConfig],
    dataset: Dataset,
    say: Callable[[str], None] = print,
    members: list[Member] | None = None,
) -> Prepared:
    """Members, engine and chunks for trials that may share a stack. Raises ConfigError where they may not.

    members: those that begin or go on, where not all of the trials' do at once.
    """
    if len({structure_key(config) for config in configs}) > 1:
        raise ConfigError("These trials differ in what must be equal inside a stack, so they cannot train together.")
    config = configs[0]
    device, layers, stack = check(config, dataset), config.shapes(), members or members_of(configs)
    if device.type == "cuda":
        _begin_on(device)
    _check_memory(layers, len(stack), device)
    dataset = dataset.to(device)
    batches = len(dataset.train) // config.batch_size
    chunks = Chunks(config.data.order, [m.seed for m in stack], len(dataset.train), config.batch_size, 1, batches)
    probe = next(iter(chunks)).order
    with _enough_memory(len(stack), device):
        engine, step_seconds = _engine(config, layers, stack, dataset, device, probe, say)
        if velocities := first_velocities(stack):  # training the probe has spoilt them
            engine.load(first_weights(stack), velocities)
        look_seconds = _seconds_a_look(engine, dataset)
    epochs = max(member.config.max_epochs - member.epochs for member in stack)
    length = config.trainer.chunk or max(1, round(CHUNK_SECONDS / step_seconds))
    chunks = Chunks(
        config.data.order, chunks.seeds, chunks.images, config.batch_size, length, check_every(config.stop, batches)
    )
    seconds = epochs * batches * step_seconds
    if getattr(engine, "compiled", False):
        seconds = seconds * (1 - COMPILE_GAIN) + COMPILE_SECONDS
    seconds += epochs * look_seconds
    return Prepared(stack, layers, dataset, device, engine, chunks, step_seconds, seconds)


def check(config: RunConfig, dataset: Dataset) -> torch.device:
    """The device to train on. Raises ConfigError for what this machine, or these images, cannot serve."""
    device = choose_device(config.trainer)
    if config.batch_size > len(dataset.train):
        raise ConfigError(
            f"batch_size = {config.batch_size}: more than the {len(dataset.train)} training images of {dataset.name}; "
            f"accepted: 1 to {len(dataset.train)}"
        )
    if (config.trainer.threads or 1) > cores():
        raise ConfigError(
            f"trainer.threads = {config.trainer.threads}: this process may use {cores()} cores; "
            f"accepted: 1 to {cores()}, or null"
        )
    return device


def _weight_bytes(layers: list[LayerShape], members: int) -> int:
    return 3 * 4 * members * parameter_count(layers)  # three float32 copies: weights, gradients, best weights


def _check_memory(layers: list[LayerShape], members: int, device: torch.device) -> None:
    """Raises ConfigError for a stack whose weights, gradients and best weights cannot fit the device at all."""
    if device.type == "cuda":
        _, room = torch.cuda.mem_get_info(device)
    elif hasattr(os, "sysconf"):
        room = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    else:
        return
    needed = _weight_bytes(layers, members)
    if needed > room:
        raise TooLargeError(
            f"model: {members} members of {parameter_count(layers):,} parameters need {needed / 2**30:,.0f} GiB, and "
            f"{device} has {room / 2**30:,.0f}; accepted: smaller layers, or fewer repeats"
        )


@contextmanager
def _enough_memory(members: int, device: torch.device) -> Iterator[None]:
    """Raises TooLargeError where the device runs out of memory."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TooLargeError(
            f"model: {members} members of this network do not fit into the memory of {device} "
            f"({str(error).splitlines()[0]}); accepted: smaller layers, or fewer repeats"
        ) from error


def run(prepared: Prepared, observers: list[Observer], interrupted: Callable[[], bool] = lambda: False) -> list[Result]:
    """Trains the stack and evaluates each member's best weights on the test set; one Result a member, in order.

    `interrupted` is asked after each chunk; once it says True, training ends and the results are KILLED.
    """
    everyone = Everyone()
    run_roster(prepared, everyone, observers, interrupted)
    return [everyone.results[number] for number in range(len(prepared.members))]


def run_roster(
    prepared: Prepared,
    roster: Roster,
    observers: list[Observer],
    interrupted: Callable[[], bool] = lambda: False,
    capacity: int = 0,
    keep: Keep | None = None,
) -> None:
    """Trains the stack; who leaves it early and who takes a free place is up to `roster`, which gets the results.

    capacity: members up to which the stack may grow where another size costs nothing, if more than at the start.
    keep: is offered checkpoints.
    """

    def tested(members: list[Member], results: list[Result]) -> list[Result]:
        return _tested(prepared, members, results)

    module = StackModule(
        prepared.members,
        prepared.engine,
        prepared.chunks,
        prepared.dataset,
        prepared.device_name,
        roster,
        tested,
        observers,
        interrupted,
        0 if prepared.engine.resize_seconds else capacity,
        keep,
    )
    prepared.members = [replace(member, checkpoint=None) for member in prepared.members]  # seated: memory is free
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)  # the run's own header says what matters
    with warnings.catch_warnings():
        # Lightning advises on optimisers, workers and hardware that a chunked, self-optimising module does not use.
        warnings.simplefilter("ignore")
        # Lightning only drives, the engine has the device: on CUDA Lightning would begin by freeing what graphs hold.
        trainer = Trainer(accelerator="cpu", devices=1, max_epochs=-1, barebones=True)
        # SIGTERM is for `interrupted`, as Ctrl-C is; Lightning would raise at it, and lose what there is to hand over.
        trainer._signal_connector.register_signal_handlers = lambda: None
        with _enough_memory(len(prepared.members), prepared.device):
            trainer.fit(module, train_dataloaders=prepared.chunks)


def _engine(
    config: RunConfig,
    layers: list[LayerShape],
    stack: list[Member],
    dataset: Dataset,
    device: torch.device,
    order: Tensor,
    say: Callable[[str], None],
) -> tuple[Engine, float]:
    """The engine by `trainer.engine`, timed: (engine with its initial weights, seconds a step)."""
    weights, members = first_weights(stack), hyperparameters(stack)
    train = dataset.train
    batches = len(train) // config.batch_size
    eta, start = torch.tensor([member.config.optim.eta for member in stack]), torch.zeros(len(stack), dtype=torch.int64)

    def seconds_a_step(engine: Engine) -> float:
        """Trains a throwaway probe and puts the initial weights back."""

        def probe(steps: int) -> float:
            chunk = order.repeat(1, steps, 1)
            return timed(lambda: engine.train(train.images, train.labels, chunk, start, eta)) / steps

        probe(1)
        rough = probe(1)
        result = probe(max(1, min(200, round(PROBE_SECONDS / rough)))) if rough < PROBE_SECONDS else rough
        engine.load(weights)
        return result

    try:
        reason = _cpu_engine_reason(config, layers, device, say)
        if reason is None:
            engine: Engine = _cpu_engine(config, layers, members, weights, batches)
            return engine, seconds_a_step(engine)
        if config.trainer.engine == "cpu":
            say(f"trainer.engine=cpu cannot serve this run ({reason}); the torch engine does.")
    except MemoryError:
        raise
    except Exception as error:  # Numba may be missing, or refuse its settings, while it is imported or compiles
        say(_without_kernels(config, error))

    def torch_engine(compiled: bool) -> TorchEngine:
        convention, precision = config.model.dropout_convention, config.trainer.precision
        return TorchEngine(layers, members, weights, batches, convention, device, precision, compiled, say)

    engine = torch_engine(compiled=False)
    if device.type == "cpu":
        if config.trainer.threads:
            torch.set_num_threads(config.trainer.threads)
        else:
            fastest_threads(lambda: seconds_a_step(engine), cores())
    step_seconds = seconds_a_step(engine)
    wanted = config.trainer.compile
    if wanted == "auto":
        # On a GPU it is not measured yet, and CUDA graphs already spare what a compilation spares most.
        wanted = device.type == "cpu" and compilation_pays(step_seconds, config.max_epochs * batches)
    return (torch_engine(compiled=True) if wanted else engine), step_seconds


def _cpu_engine_reason(
    config: RunConfig, layers: list[LayerShape], device: torch.device, say: Callable[[str], None] = print
) -> str | None:
    """Why the CPU engine does not serve this run; None where it does."""
    if config.trainer.engine == "torch":
        return "trainer.engine=torch"
    if config.trainer.compile is True:
        return "trainer.compile=true"
    if device.type != "cpu":
        return f"the device is {device.type}"
    with warnings.catch_warnings(record=True) as odd:
        from src.training.engines import cpu
    for one in odd:  # a NUMBA_ variable that Numba cannot read, and leaves alone: its first line says which
        say(str(one.message).strip().splitlines()[0])
    return cpu.unsupported(layers)


def _cpu_engine(
    config: RunConfig, layers: list[LayerShape], members: Members, weights: dict[str, Tensor], batches: int
) -> Engine:
    import numba

    from src.training.engines import cpu

    if numba.config.DISABLE_JIT:  # interpreted, the kernels fail somewhere, or take hours
        raise RuntimeError("Numba's compiler is turned off")
    threads = config.trainer.threads or cores()
    return cpu.CpuEngine(layers, members, weights, batches, config.model.dropout_convention, threads)


def _without_kernels(config: RunConfig, error: Exception) -> str:
    """One line: that `error` keeps the kernels from training here, and the torch engine does.

    Raises ConfigError where trainer.engine=cpu asks for them.
    """
    reason = f"{type(error).__name__}: {(str(error).strip().splitlines() or ['no reason given'])[0]}"
    if variables := [f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith("NUMBA_")]:
        reason += f"; the environment sets {', '.join(variables)}"
    if config.trainer.engine == "cpu":
        raise ConfigError(
            f"trainer.engine = 'cpu': its kernels cannot be used here ({reason}); "
            "accepted: auto or torch, which train without them, more slowly"
        ) from error
    return f"The cpu engine's kernels cannot be used here ({reason}); the torch engine trains, more slowly."


def _seconds_a_look(engine: Engine, dataset: Dataset) -> float:
    """Seconds that evaluating the validation set takes, from a part of it; the first time warms up."""
    validation, images = dataset.validation, min(500, len(dataset.validation))

    def look() -> object:
        return engine.evaluate(validation.images[:images], validation.labels[:images])

    look()
    return timed(look) * len(validation) / images


def _tested(prepared: Prepared, members: list[Member], results: list[Result]) -> list[Result]:
    """The members' results with accuracy and probabilities on the test set, from the weights that they hold."""
    test = prepared.dataset.test
    weights = {name: torch.stack([result.weights[name] for result in results]) for name in results[0].weights}
    probabilities = _evaluating_engine(prepared, members, weights).probabilities(test.images).cpu()
    labels = test.labels.cpu()
    accuracies = [float((own.argmax(-1) == labels).double().mean()) for own in probabilities]
    return [
        replace(result, probabilities=own, test_accuracy=accuracy)
        for result, own, accuracy in zip(results, probabilities, accuracies, strict=True)
    ]


def _evaluating_engine(prepared: Prepared, members: list[Member], weights: dict[str, Tensor]) -> Engine:
    """An engine of its own: the training one goes on with other weights."""
    config = members[0].config
    seated: Members = hyperparameters(members)
    convention, batches = config.model.dropout_convention, prepared.chunks.batches
    if isinstance(prepared.engine, TorchEngine):
        return TorchEngine(
            prepared.layers, seated, weights, batches, convention, prepared.device, config.trainer.precision
        )
    return _cpu_engine(config, prepared.layers, seated, weights, batches)
