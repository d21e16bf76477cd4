"""Does this working tree compute what another revision computes, bit for bit?

REV is checked out into a temporary git worktree. Both trees then train the runs of benchmarks/replays.py side by side,
by the commands that users type (`python -m src.train`, `-m`, `python -m src.resume`), each in a folder of its own, with
that tree and the installed libraries on its path, so that it does not matter where in a tree the code lies. The files
that they leave are compared: histories, weights, votes and the trials of studies. For each run the first difference is
printed: trial, member, epoch, layer. The working tree is trained as it is, so do not edit it meanwhile.

    python -m benchmarks.same main                    all runs: some minutes on two cores
    python -m benchmarks.same HEAD~3 --only study     only those with "study" in their name
    python -m benchmarks.same HEAD --keep             leaves what both sides left

Exit status: 0 all is identical; 1 something differs; 2 REV, or a run on it, cannot be trained.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp

from benchmarks import command
from benchmarks.first_difference import Comparison, Difference, compare
from benchmarks.replays import Replay, replays
from benchmarks.report import markdown
from src.config.error import UserError

ROOT = Path(__file__).resolve().parents[1]
STOPPED = 130  # the exit status of a run that Ctrl-C has stopped
DIFFERENT, CANNOT_RUN = 1, 2
LINES = 6  # of a command's output, where it fails


@dataclass
class Side:
    """One of the two trees: trains its runs in `folder` one after another, in a thread that waits for them."""

    tree: Path
    folder: Path
    thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1), repr=False)
    process: subprocess.Popen[str] | None = field(default=None, repr=False)  # under way
    over: bool = False

    def begin(self, chosen: Sequence[Replay]) -> list[Future[tuple[str, float]]]:
        """Starts to train the runs, one after another. Each future gives an error in words, or "", and the seconds."""
        return [self.thread.submit(self._replay, one) for one in chosen]

    def _replay(self, replay: Replay) -> tuple[str, float]:
        start = time.monotonic()
        expected = replay.status if replay.stopped_after is None else STOPPED
        wrong = self._call("src.train", replay.command(), expected, replay.stopped_after)
        if not wrong and replay.stopped_after is not None:
            wrong = self._call("src.resume", [replay.folder], replay.status)
        return wrong, time.monotonic() - start

    def _call(self, module: str, arguments: list[str], expected: int, stopped_after: int | None = None) -> str:
        """Runs one command to its end; with `stopped_after`, stops it as by Ctrl-C after it has printed that epoch."""
        # Without -S, an installation of this project in the environment would add its own Hydra plugins.
        command = [sys.executable, "-S", "-m", module, *arguments]
        self.process = subprocess.Popen(
            command, cwd=self.folder, env=self._environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            encoding="utf-8", errors="replace", start_new_session=True,
        )  # fmt: skip
        if self.over:  # asked to stop while the process began
            self.process.kill()
        assert self.process.stdout is not None
        printed = list[str]()
        for line in self.process.stdout:
            printed.append(line.rstrip())
            if stopped_after is not None and re.match(rf"epoch {stopped_after}/", line):
                self.process.send_signal(signal.SIGINT)
                stopped_after = None  # a second signal would end it at once
        status = self.process.wait()
        if status == expected:
            return ""
        return "\n    ".join([f"{module} ended with {status} instead of {expected}:", *printed[-LINES:]])

    def _environment(self) -> dict[str, str]:
        """The environment of a command: one core, a home folder of its own, this tree and the libraries on its path."""
        libraries = [
            path for path in sys.path if Path(path).is_dir() and Path(path).resolve() not in (ROOT, Path.cwd())
        ]
        own = {
            "HOME": str(self.folder),
            "PYTHONPATH": os.pathsep.join([str(self.tree), *libraries]),
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "120",
        }
        return {name: text for name, text in os.environ.items() if not name.startswith("XDG_")} | own

    def stop(self) -> None:
        """Ends the command that is under way; the runs that would follow are not started."""
        self.over = True
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        self.thread.shutdown(cancel_futures=True)


@contextmanager
def two_sides(revision: str, keep: bool) -> Iterator[tuple[Side, Side]]:
    """A context with two sides: REV in a worktree of its own, and this tree; both train in a temporary folder.

    The folder is removed at the end, unless `keep`. Raises UserError where REV cannot be checked out.
    """
    folder = Path(mkdtemp(prefix="same-"))
    tree = folder / "tree"
    sides = Side(tree, folder / "old"), Side(ROOT, folder / "new")
    try:
        _git("worktree", "add", "--detach", "--quiet", str(tree), f"{revision}^{{commit}}")
        for side in sides:
            side.folder.mkdir()
        yield sides
    finally:
        for side in sides:
            side.stop()
        if tree.exists():
            _git("worktree", "remove", "--force", str(tree))
        if keep:
            print(f"Kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _git(*arguments: str) -> None:
    """Runs git; raises UserError with git's message where it fails."""
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise UserError(f"git {' '.join(arguments)}: {done.stderr.strip()}. Nothing was compared.")


def _experiments(sides: tuple[Side, Side]) -> list[str]:
    """The names for +exp=NAME that both trees have; prints those that only one has."""
    old, new = ({path.stem for path in (side.tree / "conf" / "exp").glob("*.yaml")} for side in sides)
    if old ^ new:
        print(f"Experiments that only one side has, left out: {', '.join(sorted(old ^ new))}\n")
    return sorted(old & new)


@dataclass
class Verdict:
    """The findings of all runs."""

    rows: list[list[str]] = field(default_factory=list)  # a row a run that differs
    failed: list[str] = field(default_factory=list)  # runs that REV itself cannot train
    unmatched: set[str] = field(default_factory=set)

    def take(self, replay: Replay, sides: tuple[Side, Side], wrong: list[str], seconds: float) -> None:
        """Compares one run that both sides have trained, or failed to train, and prints the outcome."""
        comparison = Comparison()
        if wrong[0]:
            self.failed.append(replay.name)
            word = f"cannot be trained on REV: {wrong[0]}"
        elif wrong[1]:
            comparison.first = Difference("the command", "ended well", "failed")
            word = f"FAILS HERE: {wrong[1]}"
        else:
            comparison = compare(replay, *(side.folder for side in sides))
            size = f"{comparison.trials} trials, {comparison.networks} networks"
            word = f"{size}: {'DIFFERENT' if comparison.first else 'identical'}"
        self.unmatched |= comparison.unmatched
        if comparison.first:
            count = f"{comparison.differing} of {comparison.trials}"
            self.rows.append([replay.name, count, *comparison.first.cells()])
        print(f"- {replay.name}, {seconds:.0f} s: {word}", flush=True)

    def told(self) -> int:
        """Prints the findings of all runs; returns the exit status."""
        print()
        if self.unmatched:
            print(f"Not compared, for only one side has it: {', '.join(sorted(self.unmatched))}.\n")
        if self.rows:
            columns = ["run", "trials that differ", "first: trial", "member", "epoch", "layer", "field", "REV", "here"]
            print("\n".join([*markdown(columns, self.rows), ""]))
        if self.failed:
            print(f"REV cannot train: {', '.join(self.failed)}.")
        print("DIFFERENT." if self.rows else "Not all could be compared." if self.failed else "Identical, bit for bit.")
        return DIFFERENT if self.rows else CANNOT_RUN if self.failed else 0


def main() -> None:
    """The command."""
    options = _options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that worktree and folder are removed then too
    start = time.monotonic()
    with two_sides(options.revision, options.keep) as sides:
        chosen = [one for one in replays(_experiments(sides)) if options.only in one.name]
        if not chosen:
            names = ", ".join(one.name for one in replays([]))
            raise UserError(f"--only {options.only!r}: in no run's name; accepted: a part of {names}")
        verdict = Verdict()
        for replay, *both in zip(chosen, *(side.begin(chosen) for side in sides), strict=True):
            wrong, seconds = zip(*(one.result() for one in both), strict=True)
            verdict.take(replay, sides, list(wrong), max(seconds))
    status = verdict.told()
    taken = os.times()
    processor = taken.children_user + taken.children_system
    print(f"{len(chosen)} runs, {time.monotonic() - start:.0f} s in all; processor time {processor:.0f} s.")
    sys.exit(status)


def _options() -> argparse.Namespace:
    parser = command.Parser(
        "python -m benchmarks.same", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("revision", metavar="REV", help="any name that git has for it")
    parser.add_argument("--only", default="", metavar="SUBSTRING", help="of the runs' names")
    parser.add_argument("--keep", action="store_true", help="keep the results of both sides, and say where")
    return parser.parse_args()


if __name__ == "__main__":
    command.run(main)
