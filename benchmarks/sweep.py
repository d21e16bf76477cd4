"""Sixteen trials end to end: ours as one stack in one process, and plain Lightning one trial after another.

Sixteen learning rates, two epochs each, from the start of a cold process to sixteen test accuracies: imports, loading
of the images, calibration, validation after each epoch and the test images count, on both sides; nothing is tracked.
Our kernels come from their cache, as in every run but a machine's first. Lightning runs all trials of net a; of the
others --peer-trials, evenly spaced among the sixteen, from which its time for sixteen is worked out (start-up counted
once).
Two processes at once share the cores between them, and are worked out from a few trials as well.

    python -m benchmarks.sweep                      nets a and c, a quarter of an hour on two cores with MNIST
    python -m benchmarks.sweep --nets a             nine minutes; net c alone eight
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import command, images, nets, peer, trials
from benchmarks.measure import Goal, Sample
from benchmarks.report import Report
from src.config.error import UserError
from src.training.device import cores

ROOT = Path(__file__).resolve().parent.parent
GOALS = {"a": Goal(30, 80), "c": Goal(10, 25)}  # against one after another
RUNS, MOST_SECONDS = 3, 60.0  # our side runs so many times, but does not begin another run after so many seconds
OURS, ALONE, PAIR = "ours, one stack", "Lightning, one after another", "Lightning, two processes"


@dataclass(frozen=True)
class Side:
    """One way of running the sixteen trials: its time, and the accuracies of those trials that were really run."""

    seconds: Sample  # for sixteen trials, process start included
    accuracies: dict[int, float]  # trial -> test accuracy
    own: Sample | None = None  # seconds a trial

    @property
    def measured(self) -> str:
        """In words, how the seconds were measured or worked out."""
        if len(self.accuracies) == trials.COUNT:
            return f"measured, n = {self.seconds.n}"
        return f"worked out from {len(self.accuracies)} trials"


def main() -> None:
    """The command."""
    options = _options()
    report = Report(f"{trials.COUNT} trials × {options.epochs} epochs, from a cold process to the test accuracies",
                    options.quick)  # fmt: skip
    data = images.dataset()
    report.say(f"Images: {images.words(data, repeated=False)}; both sides reshuffle in every epoch. s: seconds.")
    sides = {net: _measure(net, options, report) for net in options.nets}
    rows = []
    for net, taken in sides.items():
        for name, side in taken.items():
            same = taken[ALONE].accuracies.keys() & side.accuracies.keys()  # the trials that both sides ran
            mean = [100 * sum(side.accuracies[number] for number in same) / len(same) if same else float("nan")]
            mean.append(100 * sum(side.accuracies.values()) / len(side.accuracies))
            each = "–" if side.own is None else str(side.own)
            rows.append([net, name, str(side.seconds), side.measured, each, f"{mean[0]:.2f} %", f"{mean[1]:.2f} %"])
    raw = {net: {name: vars(side) | {"seconds": side.seconds.values, "own": side.own and side.own.values}
                 for name, side in taken.items()} for net, taken in sides.items()}  # fmt: skip
    report.say("Common trials: those that Lightning ran one after another as well.")
    columns = ["net", "side", "s for 16", "how", "s a trial", "mean test accuracy, common trials", "all that ran"]
    report.table(columns, rows, raw)
    report.table(
        ["net", f"against {ALONE}", "asked for: at least / goal", "met", f"against {PAIR}"],
        [_ratios(net, taken) for net, taken in sides.items()],
    )
    report.save(options.json)


def _options() -> argparse.Namespace:
    parser = command.parser("sweep", __doc__)
    parser.add_argument("--nets", type=command.listed("a b c d"), default=["a", "c"], help="such as a,c")
    parser.add_argument("--peer-trials", type=command.at_least_one, default=4, help="of the nets but a (4)")
    parser.add_argument("--epochs", type=command.at_least_one, default=2, help="(2)")
    options = parser.parse_args()
    if options.peer_trials > trials.COUNT:
        parser.error(f"argument --peer-trials: {options.peer_trials} is not accepted; accepted: 1 to {trials.COUNT}")
    options.images = None
    if options.quick:
        options.nets, options.peer_trials, options.epochs, options.images = options.nets[:1], 2, 1, 100
    return options


def _measure(net: str, options: argparse.Namespace, report: Report) -> dict[str, Side]:
    setting = peer.Setting(workers=0, threads=1)
    if not options.quick:
        floats = peer.floats(images.filled(images.dataset().train, images.TRAINING))
        setting = peer.fastest_setting(nets.config(net), floats, cores())
        _run([_Program("ours", net, [0], 1, 100)])  # fills the cache of kernels
    report.say(f"Net {net}: plain Lightning one after another with {setting}.")

    def program(side: str, numbers: list[int]) -> _Program:
        return _Program(side, net, numbers, options.epochs, options.images)

    ours = list[_Ran]()
    while not ours or (len(ours) < RUNS and sum(ran.seconds for ran in ours) < MOST_SECONDS and not options.quick):
        ours += _run([program("ours", list(range(trials.COUNT)))])
    count = trials.COUNT if net == "a" and not options.quick else options.peer_trials
    alone = _run([program("lightning", _spaced(count)).set(setting)])
    few = _spaced(max(2, options.peer_trials // (1 if net == "a" else 2)))
    half = peer.Setting(workers=0, threads=max(1, cores() // 2))
    pair = _run([program("lightning", few[start::2]).set(half) for start in range(2)])
    return {OURS: _ours(ours), ALONE: _lightning(alone, trials.COUNT), PAIR: _lightning(pair, trials.COUNT // 2)}


def _spaced(count: int) -> list[int]:
    """`count` of the trials, evenly spaced."""
    return [number * trials.COUNT // count for number in range(count)]


@dataclass(frozen=True)
class _Program:
    """A call of benchmarks/trials.py."""

    side: str
    net: str
    numbers: list[int]
    epochs: int
    images: int | None
    setting: peer.Setting | None = None

    def set(self, setting: peer.Setting) -> "_Program":
        return _Program(self.side, self.net, self.numbers, self.epochs, self.images, setting)

    def command(self, out: Path) -> list[str]:
        numbers = ",".join(map(str, self.numbers))
        words = ["-m", "benchmarks.trials", self.side, self.net, "--trials", numbers, "--epochs", str(self.epochs)]
        words += ["--images", str(self.images)] if self.images else []
        if self.setting:
            words += ["--threads", str(self.setting.threads), "--workers", str(self.setting.workers)]
        return [sys.executable, *words, "--out", str(out)]


@dataclass(frozen=True)
class _Ran:
    """The time that a program took, measured from outside, and its own output."""

    seconds: float
    own: list[float]  # seconds a trial, or of the whole stack
    accuracies: dict[int, float]


def _run(programs: list[_Program]) -> list[_Ran]:
    """Runs the programs side by side and waits for all. Raises UserError with the end of a failed one's output."""
    with TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.json" for number in range(len(programs))]
        start = time.perf_counter()
        processes = [
            subprocess.Popen(
                program.command(path), cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, encoding="utf-8"
            )
            for program, path in zip(programs, paths, strict=True)
        ]
        ran = []
        for process, path in zip(processes, paths, strict=True):
            _, words = process.communicate()
            seconds = time.perf_counter() - start
            if process.returncode:
                last = words.strip().splitlines()[-1] if words.strip() else "it said nothing"
                raise UserError(f"A program of this benchmark failed, so nothing was measured: {last}")
            said = json.loads(path.read_text(encoding="utf-8"))
            ran.append(_Ran(seconds, said["seconds"], dict(zip(said["trials"], said["accuracies"], strict=True))))
    return ran


def _ours(ran: list[_Ran]) -> Side:
    return Side(Sample(tuple(one.seconds for one in ran)), ran[0].accuracies)


def _lightning(ran: list[_Ran], trials_each: int) -> Side:
    """Lightning's side, worked out from processes that ran side by side, for `trials_each` trials in each of them.

    The time is that of the process that would end last.
    """
    seconds = max(one.seconds + sum(one.own) * (trials_each / len(one.own) - 1) for one in ran)
    accuracies = {number: value for one in ran for number, value in one.accuracies.items()}
    return Side(Sample((seconds,)), accuracies, Sample(tuple(own for one in ran for own in one.own)))


def _ratios(net: str, taken: dict[str, Side]) -> list[str]:
    """Both ratios of medians in words, the first with its goal."""
    ours, goal = taken[OURS].seconds.median, GOALS.get(net)
    alone, pair = (taken[name].seconds.median / ours for name in (ALONE, PAIR))
    asked = [str(goal), goal.verdict(alone)] if goal else ["–", "–"]
    return [net, f"{alone:.1f}×", *asked, f"{pair:.1f}×"]


if __name__ == "__main__":
    command.run(main)
