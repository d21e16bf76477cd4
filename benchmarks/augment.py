"""What changing training images costs: each way of src/config/augment.py, alone and beside the training of conv2.

Microseconds a mini-batch of 10 MNIST images, on the CPU. Alone: one thread changes them, and nothing else runs. Beside
the training: a step of conv2 (benchmarks/nets.py, c) with the images as they are and changed, on the cpu engine with as
many threads as named, and as many that change images. One network leaves the other cores free for that; one network a
core leaves none. Interleaved rounds, the median with smallest and largest; ratios are taken round by round.

    python -m benchmarks.augment                    about four minutes on two cores
    python -m benchmarks.augment --rounds 3         about two minutes
    python -m benchmarks.augment --figure FILE.png  no measurement: a picture of nine images, changed in each way
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import command, images, nets, stack
from benchmarks.measure import Contender, Sample, interleaved
from benchmarks.report import Report
from src.config.augment import AugmentConfig
from src.config.compose import composed
from src.config.schema import RunConfig
from src.data.dataset import Dataset, Split
from src.data.scaling import BYTE
from src.runs.augmented_figure import augmented_figure
from src.training.augment.augmenter import Augmenter
from src.training.augment.kernels import changed
from src.training.augment.strengths import colours_of, strengths_of, turns_of
from src.training.device import cores
from src.training.stack import members_of

NONE = "none"
GROUPS = ("mnist", "simard", "ciresan")  # of conf/augment
KEYS: dict[str, dict[str, Any]] = {
    "shift": {"shift": 2.0},
    "rotate": {"rotate": 10.0},
    "shear": {"shear": 10.0},
    "scale": {"scale": 0.1},
    "flip": {"flip": 0.5},
    "crop": {"crop": 2},
    "brightness, contrast": {"brightness": 0.2, "contrast": 0.2},
    "cutout": {"cutout": 8},
}
ALONE_IMAGES = 2_000
GOAL = 0.25  # of a step


def main() -> None:
    """The command."""
    options = _options()
    if options.figure:
        _draw(options.figure)
        return
    report = Report("Cost of changed images, µs a mini-batch of 10 (median, smallest–largest)", options.quick)
    data = images.dataset()
    report.say(f"Images: {images.words(data, repeated=False)}. {options.rounds} interleaved rounds.")
    ways = {NONE: {}, **_ways()}
    if options.quick:
        ways = {name: ways[name] for name in (NONE, "augment=simard")}
    alone = interleaved([Contender(way, _alone(ways[way], data)) for way in ways], options.rounds, options.seconds / 5)
    settings = {_title(1, threads): (1, threads) for threads in sorted({1, options.threads})}
    settings |= {_title(options.threads, options.threads): (options.threads, options.threads)}
    taken = {
        title: interleaved(
            [Contender(way, _beside(_members(ways[way], count), threads, data)) for way in ways],
            options.rounds,
            options.seconds,
        )
        for title, (count, threads) in settings.items()
    }
    rows = [[way, str(alone[way]), *(str(samples[way]) for samples in taken.values())] for way in ways]
    raw = {"alone": _values(alone), **{title: _values(samples) for title, samples in taken.items()}}
    report.table(["augment", "alone, 1 thread", *(f"a step, {title}" for title in taken)], rows, raw)
    _gains(taken, report)
    report.save(options.json)


def _options() -> argparse.Namespace:
    parser = command.parser("augment", __doc__)
    parser.add_argument("--rounds", type=command.at_least_one, default=7, help="interleaved rounds (7)")
    parser.add_argument("--figure", type=command.new_file, metavar="FILE", help="draw the images to FILE.png instead")
    options = parser.parse_args()
    options.seconds, options.threads = 0.5, cores()
    if options.quick:
        options.rounds, options.seconds, options.threads = 2, 0.01, 1
    return options


def _draw(path: Path) -> None:
    """Draws nine digits of different classes, changed in each way; by a member of seed 0 in its first step."""
    data = images.dataset()
    firsts = [int((data.train.targets == digit).nonzero()[0, 0]) for digit in range(1, 10)]
    split = Split(data.train.inputs[firsts], data.train.targets[firsts])
    augments = {name: AugmentConfig.model_validate(strengths) for name, strengths in _ways().items()}
    augmented_figure(augments, split, path, f"{data.name}: nine training images, changed in each way")


def _title(count: int, threads: int) -> str:
    return f"K={count}, {threads} thread" + ("s" if threads > 1 else "")


def _ways() -> dict[str, dict[str, Any]]:
    """The strengths of each way, by its name."""
    groups = {f"augment={name}": composed(["data=mnist", f"augment={name}"])["augment"] for name in GROUPS}
    return KEYS | groups


def _members(strengths: dict[str, Any], count: int) -> RunConfig:
    return nets.config("c", repeats=count, augment=strengths)


def _alone(strengths: dict[str, Any], data: Dataset) -> Callable[[int], float]:
    """Seconds in which one thread changes the images of so many mini-batches."""
    config, train = AugmentConfig.model_validate(strengths), data.train
    stored, shape = train.inputs.flatten(1).numpy(), tuple(train.inputs.shape[1:])
    own = turns_of(train.targets, config.half_angle), strengths_of(config), colours_of(train.inputs[:1], False)
    out = np.empty((ALONE_IMAGES, stored.shape[1]), np.float32)

    def run(steps: int) -> float:
        turns, numbers, colours = own
        start = time.perf_counter()
        for first in range(0, steps * nets.BATCH_SIZE, ALONE_IMAGES):
            order = np.arange(first, min(first + ALONE_IMAGES, steps * nets.BATCH_SIZE)) % len(stored)
            room, step = out[: len(order)], first // nets.BATCH_SIZE
            arguments = shape, np.uint32(1), step, nets.BATCH_SIZE, numbers, colours, room
            changed(stored, np.float32(BYTE), order, turns, *arguments)
        return time.perf_counter() - start

    return run


def _beside(config: RunConfig, threads: int, data: Dataset) -> Callable[[int], float]:
    """Seconds in which a stack trains so many steps, as one chunk, after a warm-up."""
    trained = stack.Trained(stack.cpu_engine(config, len(data.train) // nets.BATCH_SIZE, threads), config, data.train)
    augmenter = Augmenter(data, threads)
    augmenter.set_members(members_of([config]))

    def train(steps: int) -> None:
        order = trained.order.repeat(1, -(-steps // trained.order.shape[1]), 1)[:, :steps]
        augmenter.train(trained.engine, data.train, order, torch.tensor(0), trained.eta)

    def run(steps: int) -> float:
        train(max(1, steps // 10))
        start = time.perf_counter()
        train(steps)
        return time.perf_counter() - start

    return run


def _values(samples: dict[str, Sample]) -> dict[str, tuple[float, ...]]:
    return {way: one.values for way, one in samples.items()}


def _gains(taken: dict[str, dict[str, Sample]], report: Report) -> None:
    """Reports by how much a step is longer, as a part of the step with the images as they are."""
    report.say(f"How much longer a step is than with images as they are, round by round; wanted: below {GOAL:.0%}.")
    rows = []
    for way in [way for way in next(iter(taken.values())) if way != NONE]:
        longer = [samples[way].over(samples[NONE]) for samples in taken.values()]
        rows.append(
            [
                way,
                *(
                    f"{one.median - 1:+.0%} ({min(one.values) - 1:+.0%} to {max(one.values) - 1:+.0%})"
                    for one in longer
                ),
            ]
        )
    report.table(["augment", *taken], rows)


if __name__ == "__main__":
    command.run(main)
