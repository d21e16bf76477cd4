"""Sixteen trials of one net, sixteen learning rates, from a cold process to their test accuracies: one side of a sweep.

    python -m benchmarks.trials ours a --epochs 2 --out FILE      all trials as one stack
    python -m benchmarks.trials lightning a --epochs 2 --out FILE one after another

Both sides look at the validation images after each epoch and at the test images at the end, start each trial from the
same initial weights, reshuffle in every epoch, and track nothing. benchmarks/sweep.py starts this program and takes the
time from outside; FILE says what the program itself saw.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

COUNT = 16
# Learning rates around the chapter's, in equal ratios.
RANGES = {"a": (0.05, 0.5), "b": (0.05, 0.5), "c": (0.01, 0.05), "d": (0.01, 0.05)}


def etas(net: str) -> list[float]:
    """The trials' learning rates."""
    low, high = RANGES[net]
    return [low * (high / low) ** (number / (COUNT - 1)) for number in range(COUNT)]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("side", choices=["ours", "lightning"])
    parser.add_argument("net", choices=list(RANGES))
    parser.add_argument("--trials", default="", help="which of the sixteen, such as 0,4,8; all without it")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=None, help="torch's, for lightning")
    parser.add_argument("--workers", type=int, default=0, help="loading processes, for lightning")
    parser.add_argument("--images", type=int, default=None, help="training images; all without it")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    numbers = [int(text) for text in options.trials.split(",") if text] or list(range(COUNT))
    run = _ours if options.side == "ours" else _lightning
    content = {"trials": numbers} | run(options.net, numbers, options)
    options.out.write_text(json.dumps(content), encoding="utf-8")


def _ours(net: str, numbers: list[int], options: argparse.Namespace) -> dict[str, Any]:
    """One stack, as `python -m src.train` would train it: calibration and Lightning included."""
    from benchmarks import images, nets
    from src.training.fit import prepare, run

    rates = etas(net)
    configs = [nets.config(net, eta=rates[number], seed=number, max_epochs=options.epochs) for number in numbers]
    start = time.perf_counter()
    results = run(prepare(configs, images.shortened(images.dataset(), options.images)), [])
    return {
        "seconds": [time.perf_counter() - start],
        "accuracies": [result.test_score or 0.0 for result in results],  # 0 for a network that diverged
    }


def _lightning(net: str, numbers: list[int], options: argparse.Namespace) -> dict[str, Any]:
    """One trial after another in plain Lightning, each with a Trainer of its own."""
    import torch

    from benchmarks import images, nets, peer, stack

    if options.threads:
        torch.set_num_threads(options.threads)
    data, rates = images.shortened(images.dataset(), options.images), etas(net)
    train, validation, test = (peer.floats(split) for split in (data.train, data.validation, data.test))
    seconds, accuracies = [], []
    for number in numbers:
        config = nets.config(net, eta=rates[number], seed=number)
        start = time.perf_counter()
        torch.manual_seed(number)
        first = {name: value[0] for name, value in stack.first(config).items()}
        module = peer.start_from(peer.Peer(config), first)
        trainer = peer.fit(
            module,
            peer.loader(train, config, options.workers),
            peer.evaluation_loader(validation),
            max_epochs=options.epochs,
        )
        accuracies.append(peer.test(trainer, module, peer.evaluation_loader(test)))
        seconds.append(time.perf_counter() - start)
    return {"seconds": seconds, "accuracies": accuracies}


if __name__ == "__main__":
    main()
