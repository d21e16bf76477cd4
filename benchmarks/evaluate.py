"""The cost of evaluating an image: our two engines, and plain PyTorch with mini-batches of 500.

Microseconds an image and member over 10,000 images, cost and accuracy both, on the CPU; interleaved rounds, the median
with smallest and largest. Plain PyTorch and the torch engine run on one thread or on all, whichever is the faster here.

    python -m benchmarks.evaluate                   all nets, about two minutes on two cores
    python -m benchmarks.evaluate --nets a,c
"""

import argparse
import time
from collections.abc import Callable

import torch

from benchmarks import command, images, nets, peer, plain, stack
from benchmarks.measure import Contender, Sample, interleaved, threaded
from benchmarks.report import Report
from src.data.dataset import Split
from src.training.device import cores
from src.training.engines.engine import Engine

PLAIN, OURS = "plain PyTorch, mini-batches of 500", "cpu engine"
SIZES = (1, 5, 16)
UNIT = 500  # images that count as one step of a contender


def main() -> None:
    """The command."""
    options = _options()
    report = Report("Cost of evaluation, µs an image and member (median, smallest–largest)", options.quick)
    data = images.dataset()
    split = images.filled(data.test, options.images)
    report.say(f"{len(split):,} test images of {data.name}; {options.rounds} interleaved rounds.")
    taken = {net: _measure(net, split, options) for net in options.nets}
    report.samples(taken)
    rows, raw = list[list[str]](), dict[str, tuple[float, ...]]()
    for net, samples in taken.items():
        best = min((name for name in samples if name.startswith(OURS)), key=lambda name: samples[name].median)
        ratio = samples[PLAIN].over(samples[best])
        raw[net] = ratio.values
        rows.append([net, best.removeprefix(f"{OURS}, "), f"{ratio}×"])
    report.table(["net", "best", f"against {PLAIN}"], rows, raw)
    report.save(options.json)


def _options() -> argparse.Namespace:
    parser = command.parser("evaluate", __doc__)
    parser.add_argument("--nets", type=command.listed("a b c d"), default=list("abcd"), help="such as a,c")
    parser.add_argument("--rounds", type=command.at_least_one, default=5, help="interleaved rounds (5)")
    options = parser.parse_args()
    options.images, options.sizes, options.threads, options.seconds = images.TEST, SIZES, cores(), 0.3
    if options.quick:
        options.rounds, options.images, options.sizes, options.threads, options.seconds = 2, UNIT, (1, 3), 1, 0.0
    return options


def _measure(net: str, split: Split, options: argparse.Namespace) -> dict[str, Sample]:
    """Every contender's sample for one net; a step is UNIT images."""
    network = plain.network(nets.config(net))
    pixels, labels = peer.floats(split).tensors

    def loop(units: int) -> float:
        return _seconds(lambda n: plain.evaluate(network, pixels[:n], labels[:n], UNIT), units, len(split))

    def ours(engine: Engine) -> Callable[[int], float]:
        return lambda units: _seconds(lambda n: engine.evaluate(split.inputs[:n], split.targets[:n]), units, len(split))

    contenders = [Contender(PLAIN, threaded(_fastest(loop, options.threads), loop), smallest=1)]
    for size in options.sizes:
        run = ours(stack.torch_engine(nets.config(net, repeats=size), batches=1))
        run = threaded(_fastest(run, options.threads), run)
        contenders.append(Contender(f"torch engine, K={size}", run, size, smallest=1))
    smallest = min(2 * cores(), len(split) // UNIT)  # so that all threads work: one takes UNIT images at a time
    for size in options.sizes:
        members = nets.config(net, repeats=size)
        contenders.append(Contender(f"{OURS}, K={size}", ours(stack.cpu_engine(members, batches=1)), size, smallest))
    taken = interleaved(contenders, options.rounds, options.seconds)
    return {name: Sample(tuple(value / UNIT for value in sample.values)) for name, sample in taken.items()}


def _seconds(evaluate: Callable[[int], object], units: int, images: int) -> float:
    """Seconds to evaluate `units` · UNIT images, at most `images` at a time."""
    whole, rest = divmod(units * UNIT, images)
    start = time.perf_counter()
    for count in [images] * whole + [rest] * (rest > 0):
        evaluate(count)
    return time.perf_counter() - start


def _fastest(run: Callable[[int], float], threads: int) -> int:
    """1 or `threads`, whichever makes `run` the faster."""
    taken = {}
    for count in sorted({1, threads}):
        torch.set_num_threads(count)
        run(1)
        taken[count] = run(1)
    return min(taken, key=lambda count: taken[count])


if __name__ == "__main__":
    command.run(main)
