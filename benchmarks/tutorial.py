"""What an epoch of the tutorial's models costs: a bare PyTorch loop, plain Lightning, and our stacks of 1 and 8.

Seconds an epoch and network for 50,000 training images, from a share of an epoch; beside it the evaluation of 10,000
images. Contenders take turns in interleaved rounds; a number is the median of the rounds with smallest and largest, a
ratio is taken round by round. The loop and Lightning run on one thread and on all, and the better counts. Our side
trains with the engine that a run would choose. In favour of the others: neither decays the weights of `mlp`, nor
follows the progress of `rbm`.

    python -m benchmarks.tutorial                   all models, about a quarter of an hour on two cores
    python -m benchmarks.tutorial --models logistic,dae --rounds 9
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from benchmarks import command, images, peer, plain, stack, unsupervised
from benchmarks.measure import MICRO, Contender, Goal, Sample, interleaved, threaded
from benchmarks.report import Report
from src.config.check import parse
from src.config.compose import composed
from src.config.schema import RunConfig
from src.data.dataset import Dataset, Split
from src.training.augment.augmenter import Augmenter
from src.training.device import cores
from src.training.engines.choose import EngineChoice
from src.training.engines.engine import Engine
from src.training.spec import spec_of
from src.training.stack import hyper_of_stack, members_of

MODELS = {  # the overrides that make each model's configuration
    "logistic": ["+exp=logistic"],
    "mlp": ["+exp=mlp"],
    "lenet": ["+exp=lenet"],
    "dae": ["+exp=dae"],
    "rbm": ["+exp=rbm"],
    "sda": [
        "+exp=dae",
        "model.hidden=[1000]",
        "task.corruption=0.1",
        "batch_size=1",
        "optim.eta=0.001",
    ],  # its 1st layer
}
LOOP, PEER, OURS = "bare PyTorch loop", "plain Lightning", "stack"
SIZES = (1, 8)
GOAL = Goal(3, 8)
_EVALUATION_BATCH = 500
_QUICKLY = ["trainer.compile=false", "trainer.threads=1"]


def main() -> None:
    """The command."""
    options = _options()
    report = Report("Cost of an epoch of the tutorial's models (median, smallest–largest)", options.quick)
    data = images.dataset()
    splits = images.filled(data.train, images.TRAINING), images.filled(data.validation, options.images)
    data = replace(data, train=splits[0], validation=splits[1])
    report.say(
        f"Images: {images.words(data)}. {options.rounds} interleaved rounds of about {options.seconds:g} s each."
    )
    training, evaluation, raw = list[list[str]](), list[list[str]](), dict[str, Any]()
    for model in options.models:
        stacks = [_stack(_config(model, size, options.quick), data) for size in options.sizes]
        training.append(_training_row(model, data, stacks, options, raw))
        evaluation.append(_evaluation_row(model, data.validation, stacks, options, raw))
    smallest, largest = options.sizes[0], options.sizes[-1]
    ours = [f"K={size}" for size in options.sizes]
    ratios = [f"loop : K={smallest}", f"loop : K={largest}", "asked for", "met", f"Lightning : K={largest}"]
    report.say("Training, s an epoch and network:")
    report.table(["model", "loop", "Lightning", *ours, *ratios, "engine"], training, raw)
    report.say(f"Evaluation of {options.images:,} images, ms a network:")
    report.table(["model", "loop", *ours, f"loop : K={largest}"], evaluation)
    report.save(options.json)


def _options() -> argparse.Namespace:
    parser = command.parser("tutorial", __doc__)
    parser.add_argument("--models", type=command.listed(" ".join(MODELS)), default=list(MODELS), help="such as mlp,rbm")
    parser.add_argument("--rounds", type=command.at_least_one, default=5, help="interleaved rounds (5)")
    options = parser.parse_args()
    options.seconds, options.sizes, options.threads, options.images = 2.0, SIZES, cores(), images.TEST
    if options.quick:
        options.rounds, options.seconds, options.sizes, options.threads, options.images = 1, 0.0, (1, 2), 1, 100
    return options


def _config(model: str, size: int, quick: bool) -> RunConfig:
    """The configuration of a stack of `size` members."""
    config: RunConfig = parse(composed([*MODELS[model], f"repeats={size}", *(_QUICKLY if quick else [])]))
    return config


class _Stack(NamedTuple):
    """A stack of a model, with the engine that a run would train with, and torch's threads for it."""

    config: RunConfig
    engine: Engine
    threads: int


def _stack(config: RunConfig, data: Dataset) -> _Stack:
    members, spec = members_of([config]), spec_of(config, len(data.train) // config.batch_size)
    order = torch.arange(config.batch_size)[None, None]
    choice = EngineChoice(config, spec, torch.device("cpu"), say=lambda _: None)
    engine, _ = choice.timed(hyper_of_stack(members), stack.first(config), data, order, Augmenter(data, None))
    return _Stack(config, engine, torch.get_num_threads())


class _Lightning(pl.LightningModule):
    """A model without labels, trained by automatic optimisation."""

    def __init__(self, network: unsupervised.Autoencoder | unsupervised.Boltzmann, eta: float) -> None:
        super().__init__()
        self.network, self.eta = network, eta

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """The cost that Lightning minimises."""
        cost = self.network.cost(batch[0].flatten(1))
        self.log("train_loss", cost)
        return cost

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Plain stochastic gradient descent."""
        return torch.optim.SGD(self.parameters(), lr=self.eta)


def _loop(config: RunConfig, split: Split) -> Callable[[int], float]:
    """Trains so many steps by the bare loop, after a warm-up, and returns the seconds."""
    pixels, labels = peer.floats(split).tensors
    batches = len(split) // config.batch_size
    order = torch.randperm(len(split))[: batches * config.batch_size].view(batches, -1)
    eta, flat = config.optim.eta, pixels.flatten(1)
    if config.task.name == "classify":
        classifier = plain.network(config)
        return _warmed(lambda rows: plain.train(classifier, pixels, labels, rows, eta), order)
    network = unsupervised.network(config, flat.shape[1])
    return _warmed(lambda rows: network.train_on(flat, rows, eta), order)


def _warmed(train: Callable[[Tensor], float], order: Tensor) -> Callable[[int], float]:
    def run(steps: int) -> float:
        train(order[: max(1, steps // 10)])
        return train(order.repeat(-(-steps // len(order)), 1)[:steps])

    return run


def _lightning(config: RunConfig, data: TensorDataset) -> Callable[[int], float]:
    """Trains so many steps by Lightning, after a warm-up, and returns the seconds."""
    eta, inputs = config.optim.eta, data.tensors[0][0].numel()

    def module() -> pl.LightningModule:
        if config.task.name == "classify":
            return peer.Peer(config)
        return _Lightning(unsupervised.network(config, inputs), eta)

    return lambda steps: peer.step_seconds(config, data, steps, workers=0, module=module())


def _training_row(
    model: str, data: Dataset, stacks: list[_Stack], options: argparse.Namespace, raw: dict[str, Any]
) -> list[str]:
    """A row of the table of training, in seconds an epoch and network."""
    config, every = stacks[0].config, sorted({1, options.threads})
    loop, lightning = _loop(config, data.train), _lightning(config, peer.floats(data.train))
    contenders = [Contender(f"{LOOP} {count}", threaded(count, loop), smallest=2) for count in every]
    contenders += [Contender(f"{PEER} {count}", threaded(count, lightning), smallest=2) for count in every]
    for one in stacks:
        run = stack.Trained(one.engine, one.config, data.train).seconds
        size = one.config.repeats
        contenders.append(Contender(f"{OURS} {size}", threaded(one.threads, run), size, smallest=2))
    epoch = len(data.train) // config.batch_size / MICRO
    taken = {
        name: Sample(tuple(value * epoch for value in sample.values))
        for name, sample in interleaved(contenders, options.rounds, options.seconds).items()
    }
    raw[model] = {name: sample.values for name, sample in taken.items()}
    loop_taken, peer_taken = (_fastest([taken[f"{kind} {count}"] for count in every]) for kind in (LOOP, PEER))
    first, last = (taken[f"{OURS} {size}"] for size in (options.sizes[0], options.sizes[-1]))
    ratios = loop_taken.over(first), loop_taken.over(last), peer_taken.over(last)
    met = GOAL.verdict(ratios[1].median)
    times = [loop_taken, peer_taken, first, last]
    return [
        model,
        *map(str, times),
        f"{ratios[0]}×",
        f"{ratios[1]}×",
        str(GOAL),
        met,
        f"{ratios[2]}×",
        stacks[-1].engine.description,
    ]


def _evaluation_row(
    model: str, split: Split, stacks: list[_Stack], options: argparse.Namespace, raw: dict[str, Any]
) -> list[str]:
    """A row of the table of evaluation, in milliseconds a network."""
    config, (pixels, labels) = stacks[0].config, peer.floats(split).tensors
    flat = pixels.flatten(1)
    loop: Callable[[], object]
    if config.task.name == "classify":
        loop = partial(plain.evaluate, plain.network(config), pixels, labels, _EVALUATION_BATCH)
    else:
        loop = partial(unsupervised.network(config, flat.shape[1]).evaluate, flat, _EVALUATION_BATCH)
    every = sorted({1, options.threads})
    contenders = [Contender(f"{LOOP} {count}", threaded(count, _times(loop)), smallest=1) for count in every]
    for one in stacks:
        run, size = _times(partial(one.engine.evaluate, split.inputs, split.targets)), one.config.repeats
        contenders.append(Contender(f"{OURS} {size}", threaded(one.threads, run), size, smallest=1))
    taken = {
        name: Sample(tuple(value / 1000 for value in sample.values))
        for name, sample in interleaved(contenders, options.rounds, options.seconds / 4).items()
    }
    raw[f"{model}, evaluation"] = {name: sample.values for name, sample in taken.items()}
    loop_taken = _fastest([taken[f"{LOOP} {count}"] for count in every])
    ours = [taken[f"{OURS} {size}"] for size in options.sizes]
    return [model, str(loop_taken), *map(str, ours), f"{loop_taken.over(ours[-1])}×"]


def _times(evaluate: Callable[[], object]) -> Callable[[int], float]:
    def run(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            evaluate()
        return time.perf_counter() - start

    return run


def _fastest(samples: list[Sample]) -> Sample:
    """The sample with the smallest median."""
    return min(samples, key=lambda sample: sample.median)


if __name__ == "__main__":
    command.run(main)
