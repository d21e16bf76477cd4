"""What a training step of a user's own network costs: plain Lightning, a bare PyTorch loop, and our torch engine.

Microseconds a step and member on the CPU, of three classes of torch.nn (model.target): an MLP 784-100-10 at
mini-batches of 10 and an MLP 64-128-128-10 with AdamW at 128, of 784 and 64 inputs, and two convolutions with a dense
layer at 10. Ours is a stack of 8: under vmap, compiled, and one by one. Contenders take turns in interleaved rounds; a
number is the median of the rounds with smallest and largest, a ratio is taken round by round.

    python -m benchmarks.own                        all nets, about six minutes on two cores
    python -m benchmarks.own --nets mlp --rounds 9
"""

import argparse
import time
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.utils.data import TensorDataset

from benchmarks import command, nets, peer, stack
from benchmarks.measure import Contender, Goal, Sample, interleaved, threaded
from benchmarks.plain import step as one_step
from benchmarks.report import Report
from src.config.check import parse
from src.config.schema import RunConfig
from src.data.dataset import Split
from src.models.own import own_model
from src.training.engines.one_by_one import ChannelsLast, OneByOne

PEER, LOOP = "plain Lightning", "bare PyTorch loop"
WAYS = ("vmap, eager", "vmap, compiled", "one by one", "one by one, channels last")
MEMBERS, EXAMPLES = 8, 5_120
GOALS = {"mlp": Goal(15, 15), "wide": Goal(15, 15), "conv": Goal(2, 2)}  # against plain Lightning


class Mlp(nn.Sequential):
    """Dense layers with ReLU."""

    def __init__(self, sizes: list[int]) -> None:
        layers: list[nn.Module] = [nn.Flatten()]
        for inputs, outputs in pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        super().__init__(*layers[:-1])


class Conv(nn.Sequential):
    """Two convolutions with pooling, and two dense layers."""

    def __init__(self) -> None:
        parts = [nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(20, 40, 5), nn.MaxPool2d(2), nn.ReLU()]
        super().__init__(*parts, nn.Flatten(), nn.Linear(640, 100), nn.ReLU(), nn.Linear(100, 10))


NETS: dict[str, dict[str, Any]] = {
    "mlp": {"target": "Mlp", "args": {"sizes": [784, 100, 10]}, "rule": "sgd", "batch_size": 10, "side": 28},
    "wide": {"target": "Mlp", "args": {"sizes": [64, 128, 128, 10]}, "rule": "adamw", "batch_size": 128, "side": 8},
    "conv": {"target": "Conv", "args": {}, "rule": "sgd", "batch_size": 10, "side": 28},
}
TITLES = {
    "mlp": "784-100-10, SGD, mini-batch 10",
    "wide": "64-128-128-10, AdamW, mini-batch 128",
    "conv": "two convolutions, SGD, mini-batch 10",
}


class Peer(peer.Peer):
    """The plain project around one of these networks."""

    def __init__(self, config: RunConfig, metrics: bool = True) -> None:
        super().__init__(config.model_copy(update={"model": nets.config("a").model}), metrics)
        self.network, self.rule = plain(config), config.optim.rule  # type: ignore[assignment]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """torch's own, as anyone would write it."""
        return _optimiser(self.network, self.rule, self.eta)


def main() -> None:
    """The command."""
    options = _options()
    report = Report("Cost of a step of an own network, µs a step and member (median, smallest–largest)", options.quick)
    report.say(f"{options.rounds} interleaved rounds of about {options.seconds:g} s each, one thread, a stack of 8.")
    taken = {net: _measure(net, options) for net in options.nets}
    report.samples(taken, TITLES)
    rows = []
    for net, samples in taken.items():
        best = min((name for name in samples if name in WAYS), key=lambda name: samples[name].median)
        ratio = samples[PEER].over(samples[best])
        goal = GOALS[net]
        rows.append(
            [net, best, f"{ratio}×", str(goal), goal.verdict(ratio.median), f"{samples[LOOP].over(samples[best])}×"]
        )
    report.table(["net", "best", f"against {PEER}", "asked for", "met", f"against {LOOP}"], rows)
    report.save(options.json)


def _options() -> argparse.Namespace:
    parser = command.parser("own", __doc__)
    parser.add_argument("--nets", type=command.listed(" ".join(NETS)), default=list(NETS), help="such as mlp,conv")
    parser.add_argument("--rounds", type=command.at_least_one, default=7, help="interleaved rounds (7)")
    options = parser.parse_args()
    options.seconds = 0.5
    if options.quick:
        options.rounds, options.seconds = 1, 0.01
    return options


def config(net: str, repeats: int = 1) -> RunConfig:
    """A trial of `net` with `repeats` members."""
    own = NETS[net]
    return parse(
        {
            "data": {"name": "idx", "dir": "-", "height": own["side"], "width": own["side"], "order": "epoch"},
            "model": {"target": f"benchmarks.own.{own['target']}", "args": own["args"]},
            "optim": {"rule": own["rule"], "eta": 0.001},
            "stop": {},
            "trainer": {},
            "tracking": {"kind": "none"},
            "batch_size": own["batch_size"],
            "repeats": repeats,
            "figures": False,
        }
    )


def plain(config: RunConfig) -> nn.Module:
    """The network itself, without anything of ours."""
    own = own_model(config)
    kind = {"Mlp": Mlp, "Conv": Conv}[own.target.rpartition(".")[2]]
    network: nn.Module = kind(**own.own_arguments)
    return network


def _optimiser(network: nn.Module, rule: str, eta: float) -> torch.optim.Optimizer:
    kind = torch.optim.AdamW if rule == "adamw" else torch.optim.SGD
    return kind(network.parameters(), lr=eta)


def _measure(net: str, options: argparse.Namespace) -> dict[str, Sample]:
    """Every contender's sample for one net."""
    alone, members = config(net), config(net, repeats=MEMBERS)
    generator, side = torch.Generator().manual_seed(0), alone.data.height
    pixels = torch.rand(EXAMPLES, 1, side, side, generator=generator)
    split = Split(pixels, torch.randint(0, 10, (EXAMPLES,), generator=generator))
    floats, batches = TensorDataset(pixels, split.targets), EXAMPLES // alone.batch_size

    def lightning(steps: int) -> float:
        return peer.step_seconds(alone, floats, steps, workers=0, module=Peer(alone))

    network, order = plain(alone), torch.randperm(EXAMPLES)[: batches * alone.batch_size].view(batches, -1)
    optimiser = _optimiser(network, alone.optim.rule, alone.optim.eta)

    def loop(steps: int) -> float:
        start = time.perf_counter()
        for step in range(steps):
            one_step(network, optimiser, pixels[order[step % batches]], split.targets[order[step % batches]])
        return time.perf_counter() - start

    eager = stack.torch_engine(members, batches)
    compiled = stack.torch_engine(members, batches, compiled=not options.quick)
    turns = [stack.torch_engine(members, batches, kind=kind) for kind in (OneByOne, ChannelsLast)]
    engines = dict(zip(WAYS, (eager, compiled, *turns), strict=True))
    ours = [
        Contender(name, threaded(1, stack.Trained(engine, members, split).seconds), MEMBERS, smallest=4)
        for name, engine in engines.items()
    ]
    others = [Contender(PEER, threaded(1, lightning)), Contender(LOOP, threaded(1, loop))]
    return interleaved([*others, *ours], options.rounds, options.seconds)


if __name__ == "__main__":
    command.run(main)
