"""What a training step costs: plain Lightning, a bare PyTorch loop, and our two engines.

Microseconds a step (one mini-batch of 10 images) and member, on the CPU, from a steady run: no start-up of any side is
counted. Contenders take turns in interleaved rounds; a number is the median of the rounds with smallest and largest, a
ratio is taken round by round. All sides reshuffle: the loop, and every member of ours, have their own permutation.

    python -m benchmarks.engine                     all nets, about five minutes on two cores
    python -m benchmarks.engine --nets a,c --rounds 9
"""

import argparse

import torch

from benchmarks import command, images, nets, peer, plain, stack
from benchmarks.measure import Contender, Goal, Sample, interleaved, threaded
from benchmarks.report import Report
from src.data.dataset import Split
from src.training.device import cores

PEER, LEAN = "plain Lightning", "Lightning without torchmetrics and self.log"
OURS = "cpu engine"
SIZES = (1, 5, 16, 64)  # members of the cpu engine's stacks
# The goals, as ratios of microseconds a step and member.
PEER_GOALS = {"a": Goal(50, 150), "b": Goal(15, 30), "c": Goal(10, 20), "d": Goal(10, 18)}
LOOP_GOALS = {"a": Goal(8, 20), "b": Goal(5, 13), "c": Goal(5, 11), "d": Goal(5, 11)}
_FEW = 4  # the fewest steps of a sample for contenders whose steps may take a second on a busy machine


def main() -> None:
    """The command."""
    options = _options()
    report = Report("Cost of a training step, µs a step and member (median, smallest–largest)", options.quick)
    data = images.dataset()
    split = images.filled(data.train, images.TRAINING)
    report.say(
        f"Images: {images.words(data)}. {options.rounds} interleaved rounds of about {options.seconds:g} s each."
    )
    taken = {net: _measure(net, split, options, report) for net in options.nets}
    report.samples(taken)
    _compare(taken, loop_name(options.threads), report)
    report.save(options.json)


def _options() -> argparse.Namespace:
    parser = command.parser("engine", __doc__)
    parser.add_argument("--nets", type=command.listed("a b c d"), default=list("abcd"), help="such as a,c")
    parser.add_argument("--rounds", type=command.at_least_one, default=7, help="interleaved rounds (7)")
    parser.add_argument("--compiled", action="store_true", help="also the torch engine compiled (half a minute a net)")
    parser.add_argument("--threads", type=command.at_least_one, default=cores(), help="most for torch (all cores)")
    options = parser.parse_args()
    options.seconds, options.sizes = 0.5, SIZES
    if options.quick:
        options.rounds, options.seconds, options.sizes, options.threads = 2, 0.01, (1, 3), 1
    return options


def _measure(net: str, split: Split, options: argparse.Namespace, report: Report) -> dict[str, Sample]:
    """Every contender's sample for one net."""
    config, floats, batches = nets.config(net), peer.floats(split), len(split) // nets.BATCH_SIZE
    every = sorted({1, options.threads})  # counts of threads
    pixels, labels = floats.tensors
    setting = peer.Setting(workers=0, threads=1)
    if not options.quick:
        setting = peer.fastest_setting(config, floats, options.threads)
    report.say(f"Net {net}: plain Lightning with {setting}.")

    def lightning(name: str, metrics: bool) -> Contender:
        def run(steps: int) -> float:
            return peer.step_seconds(config, floats, steps, setting.workers, metrics)

        return Contender(name, threaded(setting.threads, run))

    def loop(steps: int) -> float:
        plain.train(network, pixels, labels, order[: max(1, steps // 10)], config.optim.eta)  # warms up
        return plain.train(network, pixels, labels, order[:steps], config.optim.eta)

    contenders = [lightning(PEER, True), lightning(LEAN, False)]
    network, order = plain.network(config), torch.randperm(len(split)).view(-1, nets.BATCH_SIZE)
    contenders += [Contender(loop_name(threads), threaded(threads, loop), smallest=_FEW) for threads in every]
    alone = stack.Trained(stack.torch_engine(config, batches), config, split)
    for threads in every:
        name = f"torch engine, eager, K=1, {_threads(threads)}"
        contenders.append(Contender(name, threaded(threads, alone.seconds), smallest=_FEW))
    if options.compiled:
        compiled = stack.Trained(stack.torch_engine(config, batches, compiled=True), config, split)
        name = f"torch engine, compiled, K=1, {_threads(options.threads)}"
        contenders.append(Contender(name, threaded(options.threads, compiled.seconds)))
    for size in options.sizes:
        members = nets.config(net, repeats=size)
        own = stack.Trained(stack.cpu_engine(members, batches), members, split)
        contenders.append(Contender(f"{OURS}, K={size}", own.seconds, size))
    return interleaved(contenders, options.rounds, options.seconds)


def loop_name(threads: int) -> str:
    """The name of the bare loop on so many threads."""
    return f"bare PyTorch loop, {_threads(threads)}"


def _threads(count: int) -> str:
    return f"{count} thread" + ("s" if count > 1 else "")


def _compare(taken: dict[str, dict[str, Sample]], loop: str, report: Report) -> None:
    """Reports the ratios of the cpu engine at its best K to Lightning and the bare loop (all threads), with goals."""
    report.say("The cpu engine at its best K against the others: ratio round by round; asked for: at least / goal.")
    rows, raw = list[list[str]](), dict[str, dict[str, tuple[float, ...]]]()
    columns = list[str]()
    for net, samples in taken.items():
        best = min((name for name in samples if name.startswith(OURS)), key=lambda name: samples[name].median)
        others = {PEER: PEER_GOALS[net], LEAN: None, loop_name(1): None, loop: LOOP_GOALS[net]}
        columns, row, raw[net] = ["net", "best"], [net, best.removeprefix(f"{OURS}, ")], {}
        for other, goal in others.items():
            ratio = samples[other].over(samples[best])
            raw[net][other] = ratio.values
            columns += [f"against {other}", *(["asked for", "met"] if goal else [])]
            row += [f"{ratio}×", *([str(goal), goal.verdict(ratio.median)] if goal else [])]
        rows.append(row)
    report.table(columns, rows, raw)


if __name__ == "__main__":
    command.run(main)
