"""The times that a user waits: for an answer, and from Enter to the first training step.

Seconds by the clock and of processor time, on the CPU; interleaved rounds, the median with smallest and largest. Each
command is a process of its own in a folder that is thrown away. One run of each comes first and does not count: it
compiles the kernels and creates the store, which happens once a machine and once a project. The first step is where
Lightning hands the first chunk to the module, with everything built and calibrated; the process is ended there.

    python -m benchmarks.startup                         digits, about a minute on two cores
    MNIST_DIR=FOLDER python -m benchmarks.startup        MNIST besides
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import command
from benchmarks.measure import Sample
from benchmarks.report import Report
from src.config.error import UserError

ROOT = Path(__file__).resolve().parent.parent
ANSWER_SECONDS, STEP_SECONDS = 0.5, 4.0  # the goals

# A program that runs the command, ends it at its first step and prints the time. Libraries that it imports are already
# loaded when the command imports them, so their time counts all the same.
TO_FIRST_STEP = """
import os, sys, time
from src.commands import train
from src.training.module import StackModule

def first_step(*_):
    print("FIRST", time.time(), flush=True)
    os._exit(0)

StackModule.training_step = first_step
train.main()
"""


@dataclass
class Command:
    """A command line with the times that its processes have taken so far, in seconds."""

    arguments: list[str]
    status: int = 0  # the exit status that it must have
    trains: bool = False  # whether it is measured to its first step, not to its end
    goal: float | None = None  # seconds
    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def measure(self, folder: Path) -> None:
        """Runs the command once more in `folder` and notes its times. Raises UserError for another exit status."""
        call = ["-c", TO_FIRST_STEP] if self.trains else ["-m", "src.train"]
        before, start = _children_seconds(), time.time()
        ran = _run([*call, *self.arguments], folder)
        end = time.time()
        if ran.returncode != self.status:
            raise UserError(f"{self} ended with {ran.returncode} instead of {self.status}: {ran.stderr.strip()}")
        if self.trains:
            end = float(ran.stdout.rsplit("FIRST", 1)[1])
        self.wall.append(end - start)
        self.processor.append(_children_seconds() - before)

    def warm_up(self, folder: Path) -> None:
        """Runs the command once to its end, untimed, so that caches and the store exist."""
        _run(["-m", "src.train", *self.arguments, *(["max_epochs=1", "figures=false"] if self.trains else [])], folder)

    def verdict(self) -> str:
        """In words, whether the median is within the goal."""
        if self.goal is None:
            return "–"
        return f"{self.goal:g}: {'met' if Sample(tuple(self.wall)).median <= self.goal else 'not met'}"

    def __str__(self) -> str:
        return f"`{' '.join(self.arguments)}`{', to the first step' if self.trains else ''}"


def main() -> None:
    """The command."""
    options = _options()
    report = Report("Start-up, seconds (median, smallest–largest)", options.quick)
    commands = list(_commands(options.quick))
    report.say(f"{options.rounds} interleaved round{'s' if options.rounds > 1 else ''}.")
    with TemporaryDirectory() as folder:
        for one in commands:
            one.warm_up(Path(folder))
        for _ in range(options.rounds):
            for one in commands:
                one.measure(Path(folder))
    rows = [[str(one), Sample(tuple(one.wall)), Sample(tuple(one.processor)), one.verdict()] for one in commands]
    raw = {str(one): {"wall": one.wall, "processor": one.processor} for one in commands}
    report.table(["python -m src.train …", "clock", "processor", "goal"], rows, raw)
    report.save(options.json)


def _options() -> argparse.Namespace:
    parser = command.parser("startup", __doc__)
    parser.add_argument("--rounds", type=command.at_least_one, default=5, help="interleaved rounds (5)")
    options = parser.parse_args()
    if options.quick:
        options.rounds = 1
    return options


def _commands(quick: bool) -> Iterator[Command]:
    yield Command(["--help"], goal=ANSWER_SECONDS)
    yield Command(["--cfg", "job"])
    yield Command(["optim.etta=1"], status=2)
    sets = ["digits", *(["mnist"] if os.environ.get("MNIST_DIR") and not quick else [])]
    for name in sets:
        run = ["+exp=shallow", f"data={name}", "trainer.accelerator=cpu"]
        yield Command(run, trains=True, goal=STEP_SECONDS)
        yield Command([*run, "tracking=none"], trains=True, goal=STEP_SECONDS)


def _run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    if named := variables.get("MNIST_DIR"):
        variables["MNIST_DIR"] = str(Path(named).resolve())
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=variables, capture_output=True, encoding="utf-8", check=False
    )


def _children_seconds() -> float:
    """Processor time of all processes that this one has started and seen end."""
    times = os.times()
    return times.children_user + times.children_system


if __name__ == "__main__":
    command.run(main)
