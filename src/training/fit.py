"""Trains checked trials of one structure: `prepare` builds and times their stack, `run` gives one Result a member."""

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from src.config.error import ConfigError
from src.config.schema import RunConfig, structure_key
from src.config.wording import number_of
from src.data.dataset import Dataset
from src.data.scaling import as_seen
from src.data.views import answers
from src.models.model import parameters_of
from src.models.own import check_network
from src.tasks.measures import defined
from src.tasks.own_loss import check_loss
from src.tasks.supervised import Supervised
from src.tasks.targets import targets_of
from src.tasks.task import task_of
from src.training.augment.augmenter import Augmenter
from src.training.chunks import Chunks
from src.training.device import begin_on, choose_device, cores
from src.training.engines.choose import EngineChoice, evaluating_engine
from src.training.engines.compilation import COMPILE_GAIN, COMPILE_SECONDS, timed
from src.training.engines.engine import Engine
from src.training.lightning import Trainer
from src.training.memory import check_memory, enough_memory, weight_bytes
from src.training.module import StackModule
from src.training.result import Result
from src.training.roster import Everyone, Observer, OfferCheckpoints, Roster
from src.training.spec import spec_of
from src.training.stack import Member, first_state, hyper_of_stack, members_of
from src.training.stopping import check_every
from src.training.voted import voted

# Seconds that a chunk should train: short enough to stop a run at its end, long enough that cutting costs nothing.
CHUNK_SECONDS = 1.0


@dataclass
class Prepared:
    """A stack that is ready to train, with what the run's header says about it."""

    members: list[Member]
    parameters: int  # weights and biases of one member
    dataset: Dataset
    device: torch.device
    engine: Engine
    chunks: Chunks
    step_seconds: float  # one mini-batch of the whole stack
    seconds: float  # estimated, for all epochs that are left

    def begin_with(self, members: list[Member]) -> None:
        """Replaces the members by the same ones with other initial weights."""
        self.members = members
        self.engine.load(first_state(members, self.engine.spec.model))

    @property
    def memory(self) -> int:
        """Bytes that the networks (weights, gradients, best weights) and the images take; working memory is extra."""
        folds = self.dataset.folds or (self.dataset,)
        splits = [self.dataset.train, *(split for fold in folds for split in (fold.validation, fold.test))]
        slots = len(self.engine.spec.rule.slots(hyper_of_stack(self.members)))
        weights = weight_bytes(self.parameters, self.members, slots, self.device)
        return weights + sum(split.inputs.nbytes for split in splits)

    @property
    def device_name(self) -> str:
        """The device in words, for headers, tags and tables."""
        if self.device.type == "cuda":
            return f"{torch.cuda.get_device_name(self.device)}, {self.device}"
        return f"{self.device.type}, {cores()} cores" if self.device.type == "cpu" else self.device.type


def prepare(
    configs: list[RunConfig],
    dataset: Dataset,
    say: Callable[[str], None] = print,
    members: list[Member] | None = None,
) -> Prepared:
    """Builds and times the stack of trials that may share one. Raises ConfigError where they may not.

    members: those that the stack begins with, new or from checkpoints; by default all members of the trials.
    """
    if len({structure_key(config) for config in configs}) > 1:
        raise ConfigError("These trials differ in what must be equal inside a stack, so they cannot train together.")
    config = configs[0]
    device, stack = check(config, dataset), members or members_of(configs)
    parameters = parameters_of(config)
    if device.type == "cuda":
        begin_on(device)
    batches = dataset.epoch_examples // config.batch_size
    for line in undefined(config, dataset):
        say(line)
    targets = targets_of(config, dataset.train.targets, dataset.train.weights)
    spec, hyper = spec_of(config, batches, dataset.scaling, targets), hyper_of_stack(stack)
    check_memory(parameters, stack, len(spec.rule.slots(hyper)), device)
    dataset = dataset.to(device)
    chunks = Chunks(
        config.data.order,
        [member.seed for member in stack],
        dataset.member_examples,
        config.batch_size,
        1,
        batches,
        sampling=dataset.sampled,
    )
    probe = next(iter(chunks)).order
    with enough_memory(len(stack), device):
        state = first_state(stack, spec.model)
        augmenter = Augmenter(dataset, config.trainer.threads)
        augmenter.set_members(stack)
        engine, step_seconds = EngineChoice(config, spec, device, say).timed(hyper, state, dataset, probe, augmenter)
        look_seconds = _seconds_a_look(engine, dataset)
    epochs = max(member.config.max_epochs - member.epochs for member in stack)
    length = config.trainer.chunk or max(1, round(CHUNK_SECONDS / step_seconds))
    chunks = Chunks(
        config.data.order,
        chunks.seeds,
        chunks.images,
        config.batch_size,
        length,
        check_every(config.stop, batches),
        config.trainer.watch,
        chunks.sampling,
    )
    seconds = epochs * batches * step_seconds
    if getattr(engine, "compiled", False):
        seconds = seconds * (1 - COMPILE_GAIN) + COMPILE_SECONDS
    seconds += epochs * -(-batches // chunks.check_every) * look_seconds * max(1, len(dataset.folds))
    looks = max((one.config.augment.view_count - 1) * (1 + one.config.snapshots) for one in stack)
    seconds += 2 * looks * look_seconds * max(1, len(dataset.folds))  # at further views, of validation and test images
    return Prepared(stack, parameters, dataset, device, engine, chunks, step_seconds, seconds)


def check(config: RunConfig, dataset: Dataset) -> torch.device:
    """The device to train on. Raises ConfigError where this machine, or these images, do not allow the run."""
    device = choose_device(config.trainer)
    sizes = {"batch_size": config.batch_size} | (
        {"pretrain.batch_size": config.pretrain.batch_size} if config.pretrain.wanted else {}
    )
    for key, size in sizes.items():
        if size > (count := dataset.epoch_examples):
            of = f"of {dataset.name}" + (
                f" in an epoch with data.sampling={dataset.sampling}" if dataset.sampled else ""
            )
            raise ConfigError(
                f"{key} = {size}: more than the {count} training {dataset.unit} {of}; accepted: 1 to {count}"
            )
    if (config.trainer.threads or 1) > cores():
        raise ConfigError(
            f"trainer.threads = {config.trainer.threads}: this process may use {cores()} cores; "
            f"accepted: 1 to {cores()}, or null"
        )
    _refuse_other_targets(config, dataset)
    if config.task.tied or config.pretrain.wanted:
        what = f"task={config.task.name}" if config.task.tied else f"pretrain={config.pretrain.task}"
        _refuse_no_probabilities(what, dataset)
    few = dataset.train.first(config.batch_size).inputs
    check_network(config, as_seen(few, dataset.scaling.on(few.device) if dataset.scaling else None))
    return device


def _refuse_other_targets(config: RunConfig, dataset: Dataset) -> None:
    """Raises ConfigError where the targets are not those of the task, or not as many as the network has outputs."""
    kind, targets = config.task.kind, dataset.train.targets
    found = number_of(targets.shape[1], "number") + " an example" if targets.dim() > 1 else "one class an example"
    needed = number_of(config.data.target_count, kind.removesuffix("s")) + " an example"
    if found != ("one class an example" if kind == "classes" else needed.replace("label", "number")):
        raise ConfigError(
            f"task = {config.task.name!r}: the targets of {dataset.name} are {found}; accepted: data with "
            + ("one class an example" if kind == "classes" else f"{needed} (data.target_count), float32")
        )
    if config.task.owns_loss:
        task = task_of(config.task, targets_of(config, targets))
        assert isinstance(task, Supervised)
        few = targets[: config.batch_size].cpu()
        check_loss(task.loss, config.data.outputs(config.task.name), task.aims(few), dataset.train.weights is not None)
    if config.task.loss == "poisson" and any(
        bool((split.targets < 0).any()) for split in (dataset.train, dataset.validation, dataset.test)
    ):
        raise ConfigError("task.loss = 'poisson': the targets hold numbers below 0; accepted: counts, 0 or more")


def undefined(config: RunConfig, dataset: Dataset) -> list[str]:
    """A line for each metric that the targets of the validation or the test set leave undefined."""
    return [
        f"The {split} set of {dataset.name} has no two classes to tell apart, so its {metric.title} is not defined: "
        f"it counts as the worst, {metric.written(metric.lost)}."
        for metric in (config.task.metric, *config.task.reported)
        for split, one in (("validation", dataset.validation), ("test", dataset.test))
        if not defined(metric.name, one.targets)
    ]


def _refuse_no_probabilities(what: str, dataset: Dataset) -> None:
    """Raises ConfigError where networks see values beyond 0 to 1; `what` takes each for a probability."""
    for split in (dataset.train, dataset.validation, dataset.test):
        if not split.inputs.is_floating_point():  # bytes, seen as value / 255
            continue
        low, high = (float(end) for end in split.inputs.aminmax())
        if low < 0 or high > 1:  # never of NaNs, the codes of a network that has diverged
            raise ConfigError(
                f"data: the {dataset.unit} of {dataset.name} hold values from {low:.4g} to {high:.4g}, and "
                f"{what} takes each input for a probability; accepted: bytes, or numbers from 0 to 1"
            )


def run(prepared: Prepared, observers: list[Observer], interrupted: Callable[[], bool] = lambda: False) -> list[Result]:
    """Trains the stack and evaluates each member's best weights on the test set; one Result a member, in order.

    interrupted: asked after each chunk; once it gives True, training ends, and members that still trained are KILLED.
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
    offer: OfferCheckpoints | None = None,
) -> None:
    """Trains the stack; `roster` decides who leaves it early and who joins it, and receives the results.

    interrupted: asked after each chunk, whether to stop; capacity: the most members that the stack may grow to, if more
    than at the start and another size costs the engine nothing; offer: called with checkpoints after each epoch.
    """

    config = prepared.members[0].config

    def tested(members: list[Member], results: list[Result], data: Dataset) -> list[Result]:
        return voted(prepared.engine, members, _tested(prepared.engine, members, results, data), data)

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
        lambda state: evaluating_engine(prepared.engine, config, prepared.engine.hyper, state),
        0 if prepared.engine.resize_seconds else capacity,
        offer,
    )
    prepared.members = [replace(member, checkpoint=None) for member in prepared.members]  # frees memory
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)  # the run's own header says what matters
    with warnings.catch_warnings():
        # Lightning's advice is on optimisers, loading workers and hardware, none of which this module uses.
        warnings.simplefilter("ignore")
        # Lightning only loops, and the engine has the device: on CUDA, Lightning would first free what graphs write to.
        trainer = Trainer(accelerator="cpu", devices=1, max_epochs=-1, barebones=True)
        # SIGTERM is left to `interrupted`, as Ctrl-C is: Lightning would raise an error, and results would be lost.
        trainer._signal_connector.register_signal_handlers = lambda: None
        with enough_memory(len(prepared.members), prepared.device):
            trainer.fit(module, train_dataloaders=prepared.chunks)


def _seconds_a_look(engine: Engine, dataset: Dataset) -> float:
    """Estimates the seconds of an evaluation of the validation set, from a part of it, timed after a warm-up."""
    validation, images = dataset.validation, min(500, len(dataset.validation))

    def look() -> object:
        part = validation.first(images)
        return engine.evaluate(part.inputs, part.targets)

    look()
    return timed(look) * len(validation) / images


def _tested(training: Engine, members: list[Member], results: list[Result], data: Dataset) -> list[Result]:
    """The members' results with score and predictions on the test set, from the weights in the results.

    Members that answer with several views of an image have their validation score by these, too.
    """
    task = training.spec.task
    state = {name: torch.stack([result.weights[name] for result in results]) for name in results[0].weights}
    engine = evaluating_engine(training, members[0].config, hyper_of_stack(members), state)
    predictions, metrics = [torch.empty(0)] * len(members), [dict[str, float]() for _ in members]
    validation_scores = [result.validation_score for result in results]
    targets = data.test.targets.cpu()
    for fold in sorted({member.fold for member in members}):
        here, part = [k for k, member in enumerate(members) if member.fold == fold], data.of_fold(fold)
        augment = [members[k].config.augment for k in here]
        every = answers(engine.predictions, part.test.inputs, here, augment)
        judged = {"test": (every, targets)}
        if task.measures or any(one.view_count > 1 for one in augment):
            validation = answers(engine.predictions, part.validation.inputs, here, augment)
            judged["validation"] = validation, part.validation.targets.cpu()
        values = {
            f"{split}_{name}": each for split, one in judged.items() for name, each in task.measured(*one).items()
        }
        for row, k in enumerate(here):
            predictions[k] = every[row]
            metrics[k] = {name: float(each[row]) for name, each in values.items()}
            if augment[row].view_count > 1 and results[k].best_epoch is not None:
                validation_scores[k] = task.score_of(judged["validation"][0][row], judged["validation"][1])
    own = {task.score.field(split) for split in ("validation", "test")}
    return [
        replace(
            result,
            probabilities=every,
            validation_score=validation,
            test_score=task.score_of(every, targets),
            metrics={name: value for name, value in found.items() if name not in own},
        )
        for result, every, validation, found in zip(results, predictions, validation_scores, metrics, strict=True)
    ]
