"""What a training step costs on a GPU: the torch engine in each of its ways, and plain Lightning on the same device.

    eager           every kernel started from Python
    graph           blocks of mini-batches captured as CUDA graphs: what the engine does on CUDA
    compiled        the step through torch.compile, without graphs
    compiled+graph  both
    by-hand         the step without vmap and autograd (benchmarks/by_hand.py), a candidate for the engine
    by-hand+graph   the same as CUDA graphs

First µs a step and member for every net and K, then 64 trials of net c as one stack against plain Lightning one trial
after another on the same device. Interleaved rounds, medians with smallest and largest; no start-up, capture or
compilation is counted.

    python -m benchmarks.gpu                                             all of it: compiling alone takes half an hour
    python -m benchmarks.gpu --nets c,d --sizes 3,64 --ways eager,graph  a first look, a few minutes
    python -m benchmarks.gpu --device cpu --quick   shows that the command works where there is no GPU
"""

import argparse

import torch

from benchmarks import command, images, nets, peer, stack
from benchmarks.by_hand import ByHand
from benchmarks.measure import Contender, Goal, Sample, interleaved, threaded
from benchmarks.report import Report
from src.data.dataset import Split
from src.error import UserError
from src.training.fit import cores
from src.training.torch_engine import TorchEngine

WAYS = ("eager", "graph", "compiled", "compiled+graph", "by-hand", "by-hand+graph")
SIZES = "1 3 5 15 64 256"  # 3 and 5: the chapter's repeats and ensembles; 15: three of these together
TRIALS_NET, TRIALS = "c", 64
GOAL = Goal(20, 60)  # of 64 trials against plain Lightning one at a time, on the same GPU
PEER = "plain Lightning"


def main() -> None:
    """The command. Raises UserError where the device is not there."""
    options = _options()
    if options.device == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "torch finds no CUDA device on this machine, so there is nothing to measure on; run this on a machine with "
            "an NVIDIA GPU and a CUDA build of torch. (--device cpu --quick only shows that the command works.)"
        )
    report = Report(f"Cost of a training step on {options.device}, µs a step and member (median, smallest–largest)",
                    options.quick)  # fmt: skip
    data = images.dataset()
    split = images.filled(data.train, images.TRAINING)
    report.say(f"Images: {images.words(data)}. Matrix products in {options.precision}. {options.rounds} rounds.")
    rows, raw = list[list[object]](), dict[str, object]()
    for net in options.nets:
        for size in options.sizes:
            taken = _ways(net, size, split, options)
            raw[f"{net}, K={size}"] = {
                way: sample.values for way, sample in taken.items() if isinstance(sample, Sample)
            }
            rows.append([net, size, *(taken[way] for way in options.ways)])
    report.table(["net", "K", *options.ways], rows, raw)
    _against_lightning(split, options, report)
    report.save(options.json)


def _options() -> argparse.Namespace:
    parser = command.parser("gpu", __doc__)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="(cuda)")
    parser.add_argument("--nets", type=command.listed("a b c d"), default=list("abcd"), help="such as a,c")
    parser.add_argument("--sizes", type=command.listed(SIZES), default=SIZES.split(), help="members, such as 1,64")
    parser.add_argument("--ways", type=command.listed(" ".join(WAYS)), default=list(WAYS), help="such as eager,graph")
    parser.add_argument("--precision", choices=["32", "tf32", "bf16"], default="32", help="of matrix products (32)")
    parser.add_argument("--rounds", type=command.at_least_one, default=5, help="interleaved rounds (5)")
    options = parser.parse_args()
    if options.device == "cpu" and not options.quick:
        parser.error("argument --device: 'cpu' goes with --quick only; benchmarks.engine measures on the CPU")
    if options.device == "cpu":
        torch.set_num_threads(1)
        options.ways = ["eager", "by-hand"]  # there are no graphs, and compiling takes long
    if options.precision == "bf16":  # which rests on autocast, and that on the operations that vmap sees
        options.ways = [way for way in options.ways if not way.startswith("by-hand")]
    options.sizes, options.seconds, options.trials = [int(size) for size in options.sizes], 0.5, TRIALS
    if options.quick:
        options.rounds, options.seconds, options.trials = 2, 0.01, 2
        options.sizes, options.nets = options.sizes[:1], options.nets[:1]
    return options


def _engine(net: str, size: int, way: str, split: Split, options: argparse.Namespace) -> TorchEngine:
    """K members of the net."""
    engine = stack.torch_engine(
        nets.config(net, repeats=size),
        len(split) // nets.BATCH_SIZE,
        torch.device(options.device),
        compiled=way.startswith("compiled"),
        precision=32 if options.precision == "32" else options.precision,
        kind=ByHand if way.startswith("by-hand") else TorchEngine,
    )
    if not way.endswith("graph"):
        engine.recorder = None
    return engine


def _contender(way: str, engine: TorchEngine, net: str, size: int, split: Split) -> Contender:
    """The engine as it trains; `split` is on the CPU."""
    return Contender(way, stack.Trained(engine, nets.config(net, repeats=size), split.to(engine.device)).seconds, size)


def _ways(net: str, size: int, split: Split, options: argparse.Namespace) -> dict[str, Sample | str]:
    """Every way's sample for one net and K, or in words why there is none."""
    try:
        engines = {way: _engine(net, size, way, split, options) for way in options.ways}
        contenders = [_contender(way, engine, net, size, split) for way, engine in engines.items()]
        taken = interleaved(contenders, options.rounds, options.seconds)
    except torch.OutOfMemoryError:
        return dict.fromkeys(options.ways, "out of memory")
    return {way: taken[way] if _is(way, engine) else "does not work here" for way, engine in engines.items()}


def _is(way: str, engine: TorchEngine) -> bool:
    """Whether the engine still trains in that way: where one does not work it says so, and goes on without."""
    return way.endswith("graph") == (engine.recorder is not None) and way.startswith("compiled") == engine.compiled


def _against_lightning(split: Split, options: argparse.Namespace, report: Report) -> None:
    """64 trials of net c as one stack and one at a time."""
    config, floats = nets.config(TRIALS_NET), peer.floats(split)
    accelerator = "gpu" if options.device == "cuda" else "cpu"
    setting = peer.Setting(workers=0, threads=1)
    if not options.quick:
        setting = peer.fastest_setting(config, floats, cores(), accelerator)

    def lightning(steps: int) -> float:
        return peer.step_seconds(config, floats, steps, setting.workers, accelerator=accelerator)

    engines = {way: _engine(TRIALS_NET, options.trials, way, split, options) for way in options.ways}
    contenders = [_contender(way, engine, TRIALS_NET, options.trials, split) for way, engine in engines.items()]
    contenders.append(Contender(PEER, threaded(setting.threads, lightning)))
    taken = interleaved(contenders, options.rounds, options.seconds)
    report.say(
        f"{options.trials} trials of net {TRIALS_NET} as one stack, and plain Lightning one at a time with {setting}: "
        f"µs a step and member, and how many trials the stack trains in the time of one; asked for: {GOAL}."
    )
    rows: list[list[object]] = [[PEER, taken[PEER], "–", "–"]]
    for way in (way for way in options.ways if _is(way, engines[way])):
        ratio = taken[PEER].over(taken[way])
        rows.append([way, taken[way], f"{ratio}×", GOAL.verdict(ratio.median)])
    report.table(
        ["", "µs a step and member", f"against {PEER}", "met"], rows, {name: one.values for name, one in taken.items()}
    )


if __name__ == "__main__":
    command.run(main)
