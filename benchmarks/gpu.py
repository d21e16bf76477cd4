"""The cost of a training step on a GPU: the torch engine in each of its ways, and plain Lightning on the same device.

    eager           every kernel started from Python
    graph           blocks of mini-batches captured as CUDA graphs: what the engine does on CUDA
    grouped+graph   the same with cuDNN's convolutions in groups, one a member, in the place of products of matrices
    compiled        the step through torch.compile, without graphs
    compiled+graph  both
    by-hand         the step without vmap and autograd (benchmarks/by_hand.py), a candidate for the engine
    by-hand+graph   the same as CUDA graphs

First µs a step and member for every net and K, then 64 trials of net c (or the first of --nets, where c is not among
them) as one stack against plain Lightning one trial after another on the same device. Interleaved rounds, medians with
smallest and largest; no start-up, capture or compilation is counted.

    python -m benchmarks.gpu                                             all of it: compiling alone takes half an hour
    python -m benchmarks.gpu --nets c,d --sizes 3,64 --ways eager,graph  a first look, a few minutes
    python -m benchmarks.gpu --parts trials --ways eager,graph           only the 64 trials
    python -m benchmarks.gpu --device cpu --quick   shows that the command works where there is no GPU

A way that fails is named in its cell of the table, and each row is printed as soon as it is measured.
benchmarks/gpu_session.sh runs this and all other checks that need a GPU within nine minutes.
"""

import argparse

import torch

from benchmarks import command, images, nets, peer, stack
from benchmarks.by_hand import ByHand
from benchmarks.measure import Contender, Goal, Sample, interleaved, threaded
from benchmarks.report import Report
from src.config.error import UserError
from src.data.dataset import Split
from src.training.device import cores
from src.training.engines.torch_engine import TorchEngine

WAYS = ("eager", "graph", "grouped+graph", "compiled", "compiled+graph", "by-hand", "by-hand+graph")
SIZES = "1 3 5 15 64 256"  # 3 and 5: the chapter's repeats and ensembles; 15: three of these together
TRIALS = 64
STEPS, SHOWN = 200, 15  # profiled steps, and kernels of them that are shown
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
    report.say(f"Images: {images.words(data)}. {options.rounds} rounds.")
    for precision in options.precision:
        # by-hand has no bf16: that needs autocast, which works on the operations that vmap sees.
        ways = [way for way in options.ways if precision != "bf16" or not way.startswith("by-hand")]
        fleet = Fleet(ways, split, precision, options)
        report.say(f"Matrix products in {precision}:")
        if "steps" in options.parts:
            _steps(fleet, options, report)
        if "kernels" in options.parts:
            _kernels(fleet, options, report)
        if "trials" in options.parts:
            _against_lightning(fleet, options, report)
    report.save(options.json)


def _options() -> argparse.Namespace:
    parser = command.parser("gpu", __doc__)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="(cuda)")
    parser.add_argument("--nets", type=command.listed("a b c d"), default=list("abcd"), help="such as a,c")
    parser.add_argument("--sizes", type=command.listed(SIZES), default=SIZES.split(), help="members, such as 1,64")
    parser.add_argument("--ways", type=command.listed(" ".join(WAYS)), default=list(WAYS), help="such as eager,graph")
    parser.add_argument(
        "--precision", type=command.listed("32 tf32 bf16"), default=["32"], help="such as tf32,bf16 (32)"
    )
    parser.add_argument(
        "--parts", type=command.listed("steps kernels trials"), default=["steps", "trials"],
        help="kernels: where a step's time goes (steps,trials)"
    )  # fmt: skip
    parser.add_argument("--rounds", type=command.at_least_one, default=5, help="interleaved rounds (5)")
    options = parser.parse_args()
    if options.device == "cpu" and not options.quick:
        parser.error("argument --device: 'cpu' goes with --quick only; benchmarks.engine measures on the CPU")
    if options.device == "cpu":
        torch.set_num_threads(1)
        options.ways = ["eager", "by-hand"]  # there are no graphs, and compiling takes long
    options.sizes, options.seconds, options.trials = [int(size) for size in options.sizes], 0.5, TRIALS
    if options.quick:
        options.rounds, options.seconds, options.trials = 2, 0.01, 2
        options.sizes, options.nets = options.sizes[:1], options.nets[:1]
    return options


class Fleet:
    """Builds and measures a stack in every way; where one way fails, the others still run."""

    def __init__(self, ways: list[str], split: Split, precision: str, options: argparse.Namespace) -> None:
        self.ways, self.split, self.precision, self.options = ways, split, precision, options
        self.device = torch.device(options.device)

    def taken(self, net: str, size: int, *others: Contender) -> tuple[dict[str, Sample | str], dict[str, Sample]]:
        """For a stack of `size` members of the net, every way's sample, or in words why there is none; and the others'.

        others: contenders that are measured in the same rounds.
        """
        cells, engines, contenders = dict[str, Sample | str](), dict[str, TorchEngine](), list[Contender]()
        for way in self.ways:
            try:
                engine = self.engine(net, size, way)
                contender = Contender(way, self.trained(engine, net, size).seconds, size)
                contender.run(contender.smallest)
            except RuntimeError as error:
                cells[way] = _failure(error)
            else:
                engines[way] = engine
                contenders.append(contender)
        contenders += others
        samples = interleaved(contenders, self.options.rounds, self.options.seconds) if contenders else {}
        cells |= {way: samples[way] if _is(way, one) else "does not work here" for way, one in engines.items()}
        return cells, {other.name: samples[other.name] for other in others}

    def engine(self, net: str, size: int, way: str) -> TorchEngine:
        engine = stack.torch_engine(
            nets.config(net, repeats=size),
            len(self.split) // nets.BATCH_SIZE,
            self.device,
            compiled=way.startswith("compiled"),
            precision=32 if self.precision == "32" else self.precision,
            kind=ByHand if way.startswith("by-hand") else TorchEngine,
        )
        if not way.endswith("graph"):
            engine.recorder = None
        if way.startswith("grouped"):
            engine.convolve_by_products(False)
        return engine

    def trained(self, engine: TorchEngine, net: str, size: int) -> stack.Trained:
        return stack.Trained(engine, nets.config(net, repeats=size), self.split.to(self.device))


def _failure(error: RuntimeError) -> str:
    """In words why a way does not work."""
    if isinstance(error, torch.OutOfMemoryError):
        return "out of memory"
    return f"failed: {str(error).strip().splitlines()[0][:100]}"


def _is(way: str, engine: TorchEngine) -> bool:
    """Whether the engine really trains in that way; where graphs or compilation fail, it goes on without them."""
    return way.endswith("graph") == (engine.recorder is not None) and way.startswith("compiled") == engine.compiled


def _steps(fleet: Fleet, options: argparse.Namespace, report: Report) -> None:
    """Measures and reports a step of every net and K in every way."""
    rows, raw = list[list[object]](), dict[str, object]()
    for net in options.nets:
        for size in options.sizes:
            taken, _ = fleet.taken(net, size)
            raw[f"{net}, K={size}"] = {way: one.values for way, one in taken.items() if isinstance(one, Sample)}
            rows.append([net, size, *(taken[way] for way in fleet.ways)])
            print(f"net {net}, K = {size}: {', '.join(f'{way} {taken[way]}' for way in fleet.ways)}", flush=True)
    print()
    report.table(["net", "K", *fleet.ways], rows, raw)


def _kernels(fleet: Fleet, options: argparse.Namespace, report: Report) -> None:
    """Reports which kernels a step of the largest K takes, how often, and how long they run, in every way."""
    for net in options.nets:
        for way in fleet.ways:
            kind, size = torch.profiler.ProfilerActivity, options.sizes[-1]
            try:
                trained = fleet.trained(fleet.engine(net, size, way), net, size)
                trained.seconds(STEPS)
                own = kind.CUDA if options.device == "cuda" else kind.CPU
                with torch.profiler.profile(activities=[own]) as profile:
                    trained.seconds(STEPS)
            except RuntimeError as error:
                report.say(f"Net {net}, K = {size}, {way}: {_failure(error)}.")
                continue
            done = STEPS + STEPS // 10  # with the warm-up of Trained.seconds
            found = [(one.self_device_time_total or one.self_cpu_time_total, one) for one in profile.key_averages()]
            found.sort(key=lambda pair: -pair[0])
            total, count = sum(time for time, _ in found), sum(one.count for _, one in found)
            report.say(
                f"Net {net}, K = {size}, {way}: {count / done:.1f} kernels a step, {total / done:.1f} µs in them."
            )
            rows = [[one.key[:90], round(one.count / done, 2), round(time / done, 2)] for time, one in found[:SHOWN]]
            report.table(["kernel", "times a step", "µs a step"], rows, {})


def _against_lightning(fleet: Fleet, options: argparse.Namespace, report: Report) -> None:
    """Measures and reports 64 trials of a net as one stack, and one at a time in plain Lightning."""
    net = "c" if "c" in options.nets else options.nets[0]
    config, floats = nets.config(net), peer.floats(fleet.split)
    accelerator = "gpu" if options.device == "cuda" else "cpu"
    setting = peer.Setting(workers=0, threads=1)
    if not options.quick:
        setting = peer.fastest_setting(config, floats, cores(), accelerator)

    def lightning(steps: int) -> float:
        return peer.step_seconds(config, floats, steps, setting.workers, accelerator=accelerator)

    plain = Contender(PEER, threaded(setting.threads, lightning))
    taken, others = fleet.taken(net, options.trials, plain)
    report.say(
        f"{options.trials} trials of net {net} as one stack, and plain Lightning one at a time with {setting}: "
        f"µs a step and member, and how many trials the stack trains in the time of one; asked for: {GOAL}."
    )
    rows: list[list[object]] = [[PEER, others[PEER], "–", "–"]]
    for way, sample in taken.items():
        ratio = others[PEER].over(sample) if isinstance(sample, Sample) else None
        rows.append([way, sample, *([f"{ratio}×", GOAL.verdict(ratio.median)] if ratio else ["–", "–"])])
    raw = {name: one.values for name, one in (taken | others).items() if isinstance(one, Sample)}
    report.table(["", "µs a step and member", f"against {PEER}", "met"], rows, raw)


if __name__ == "__main__":
    command.run(main)
