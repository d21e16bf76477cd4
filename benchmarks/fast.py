"""How long a network of exp/fast takes to its test accuracy: in a stack, alone, in plain Lightning and in a bare loop.

The seconds of a member run from the first step to the end of the last evaluation: training, what is evaluated after the
epochs, and the test images. Data, compilation of kernels and the calibration before the first step are not counted, on
any side. All four train the same network from He's initial weights by the same rates, momentum and decay, step by step,
on 32-bit floats, and take turns in rounds. The accuracy is the mean over all members of the stacks, 95 % interval by
Student's t.

    python -m benchmarks.fast                 30 seeds in stacks, three rounds of the others: five minutes
    python -m benchmarks.fast --seeds 6 --rounds 1
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import TensorDataset

from benchmarks import command, peer, plain
from benchmarks.measure import Goal, Sample
from benchmarks.report import Report
from src.config.check import parse
from src.config.compose import composed
from src.config.schema import RunConfig
from src.data.dataset import Dataset
from src.data.load import load
from src.data.scaling import as_seen
from src.runs.summary import summarise
from src.training.device import cores
from src.training.fit import prepare, run
from src.training.update.schedule import Schedule

STACK = 10  # members of a stack
IN_STACK, ALONE, PEER, LOOP = "in a stack of 10", "alone", "plain Lightning", "bare PyTorch loop"
MOST_SECONDS = {IN_STACK: Goal(2, 1), ALONE: Goal(3, 2)}  # at most, and goal


def main() -> None:
    """The command."""
    options = _options()
    report = Report("Seconds of a network of exp/fast, first step to test accuracy (median, smallest–largest)",
                    options.quick)  # fmt: skip
    config = _config(options, 0)
    dataset = load(config.data, config.task.kind)
    report.say(f"{dataset.name}, {len(dataset.train):,} training images, {config.max_epochs} epochs.")
    ways: dict[str, Callable[[int], tuple[float, list[float]]]] = {
        IN_STACK: lambda turn: _ours(_config(options, STACK * turn, repeats=STACK), dataset),
        ALONE: lambda turn: _ours(_config(options, turn), dataset),
        PEER: lambda turn: _lightning(_config(options, turn), dataset),
        LOOP: lambda turn: _loop(_config(options, turn), dataset),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    scores: dict[str, list[float]] = {name: [] for name in ways}
    stacks = -(-options.seeds // STACK)
    for turn in range(max(stacks, options.rounds)):
        for name in [*ways][turn % len(ways) :] + [*ways][: turn % len(ways)]:
            if turn < (stacks if name == IN_STACK else options.rounds):
                torch.set_num_threads(1 if options.quick else cores())
                took, found = ways[name](turn)
                seconds[name].append(took)
                scores[name] += found
                print(f"{name}: {took:.2f} s a network, {100 * np.mean(found):.2f} %", flush=True)
    print()
    rows = []
    for name in ways:
        sample, own = Sample(tuple(seconds[name])), summarise(validation=scores[name], test=scores[name])
        goal = MOST_SECONDS.get(name)
        met = "–" if goal is None else _verdict(sample.median, goal)
        rows.append([name, sample, own.spread(), goal or "–", met])
    columns = ["", "seconds a network", "test accuracy", "asked for, s", "met"]
    report.table(columns, rows, {"seconds": seconds, "scores": scores})
    report.save(options.json)


def _options() -> argparse.Namespace:
    parser = command.parser("fast", __doc__)
    parser.add_argument("--seeds", type=command.at_least_one, default=30, help="networks in stacks (30)")
    parser.add_argument("--rounds", type=command.at_least_one, default=3, help="of the others (3)")
    options = parser.parse_args()
    if options.quick:
        options.seeds = options.rounds = 1
    return options


def _config(options: argparse.Namespace, seed: int, repeats: int = 1) -> RunConfig:
    changes = ["data=digits", "data.train=null", "data.validation=100", "max_epochs=1"] if options.quick else []
    return parse(composed(["+exp=fast", "figures=false", f"seed={seed}", f"repeats={repeats}", *changes]))


def _verdict(seconds: float, goal: Goal) -> str:
    return "goal met" if seconds <= goal.goal else "least met" if seconds <= goal.least else "not met"


def _ours(config: RunConfig, dataset: Dataset) -> tuple[float, list[float]]:
    """Seconds a member, and the test accuracies."""
    prepared = prepare([config], dataset, lambda line: None)
    start = time.perf_counter()
    results = run(prepared, [])
    return (time.perf_counter() - start) / len(results), [result.test_score or 0.0 for result in results]


def _etas(config: RunConfig, batches: int) -> np.ndarray:
    """The rate of every step."""
    schedule = Schedule(config.optim, config.max_epochs, config.task.metric, batches)
    return np.concatenate([schedule.etas(e, e * batches, batches) for e in range(config.max_epochs)])


def _network(config: RunConfig) -> nn.Sequential:
    torch.manual_seed(config.seed)
    network = plain.network(config)
    for module in network:
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            assert module.bias is not None
            nn.init.zeros_(module.bias)
    return network


def _optimiser(network: nn.Module, config: RunConfig, batches: int) -> torch.optim.Optimizer:
    """torch's own; weights decay, biases do not."""
    weights = [one for one in network.parameters() if one.dim() > 1]
    biases = [one for one in network.parameters() if one.dim() == 1]
    optim = config.optim
    groups: list[dict[str, Any]] = [{"params": weights, "weight_decay": optim.lambda_ / batches}, {"params": biases}]
    return torch.optim.SGD(groups, lr=optim.eta, momentum=optim.momentum, nesterov=optim.nesterov)


def _floats(dataset: Dataset) -> list[TensorDataset]:
    scaling = dataset.scaling.on(torch.device("cpu")) if dataset.scaling else None
    splits = dataset.train, dataset.validation, dataset.test
    return [TensorDataset(as_seen(split.inputs, scaling), split.targets) for split in splits]


class _Fast(peer.Peer):
    """The plain project with the rates of every step."""

    def __init__(self, config: RunConfig, batches: int) -> None:
        super().__init__(config)
        self.network, self.config, self.batches = _network(config), config, batches

    def configure_optimizers(self) -> Any:
        """SGD with momentum, its rate set before every step."""
        optimiser, etas = _optimiser(self.network, self.config, self.batches), _etas(self.config, self.batches)
        factor = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: etas[min(step, len(etas) - 1)] / self.config.optim.eta
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": factor, "interval": "step"}}


def _lightning(config: RunConfig, dataset: Dataset) -> tuple[float, list[float]]:
    train, validation, test = _floats(dataset)
    module = _Fast(config, len(train) // config.batch_size)
    loaders = [peer.evaluation_loader(validation), peer.evaluation_loader(test)]
    start = time.perf_counter()
    trainer = peer.fit(module, peer.loader(train, config), loaders[0], max_epochs=config.max_epochs)
    score = peer.test(trainer, module, loaders[1])
    return time.perf_counter() - start, [score]


def _loop(config: RunConfig, dataset: Dataset) -> tuple[float, list[float]]:
    (x, y), validation, test = (one.tensors for one in _floats(dataset))
    batches = len(x) // config.batch_size
    network, etas = _network(config), _etas(config, batches)
    optimiser = _optimiser(network, config, batches)
    start, step = time.perf_counter(), 0
    for _ in range(config.max_epochs):
        order = torch.randperm(len(x))[: batches * config.batch_size].view(batches, -1)
        network.train()
        for rows in order:
            for group in optimiser.param_groups:
                group["lr"] = float(etas[step])
            plain.step(network, optimiser, x[rows], y[rows])
            step += 1
        plain.evaluate(network, validation[0], validation[1], peer.EVALUATION_BATCH)
    _, score = plain.evaluate(network, test[0], test[1], peer.EVALUATION_BATCH)
    return time.perf_counter() - start, [score]


if __name__ == "__main__":
    command.run(main)
