"""What a user sees of a sweep: what will run, a line of progress, a table of the trials, what to type next."""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.progress import TextColumn
from rich.table import Table
from rich.text import Text

from src.config.metric import ACCURACY, Metric
from src.config.wording import number_of
from src.runs import run_words, terminal
from src.sweep.job import Job
from src.sweep.outcome import Outcome, better_first
from src.sweep.trial_row import TrialRow
from src.training.fit import Prepared
from src.training.result import Result, Row
from src.training.stack import Member

SHOWN = 20  # trials in the table at the end
PREPARING = "preparing the first stack; a first run also compiles its kernels"
LINE_SECONDS = 10.0  # without a terminal, a line at most so often


class SweepScreen:
    """Shows a sweep of `trials` trials, `done` of which ended in earlier commands; its results lie in `folder`."""

    def __init__(
        self,
        trials: int,
        folder: Path,
        done: int = 0,
        clock: Callable[[], float] = time.monotonic,
        score: Metric = ACCURACY,
    ) -> None:
        self.score = score  # of the trials' task
        self.trials, self.folder, self.before, self.clock = trials, folder, done, clock
        self._stacks = self._max_epochs = self._whole = self._longest = 0
        self.counts = dict.fromkeys(("FINISHED", "PRUNED", "FAILED", "KILLED"), 0)
        self.totals: dict[str, int] = {}  # trials by status, earlier commands' included; a study sets it
        self.best = ""  # the best trial so far, in words; set by the source of the trials
        self._epochs: list[int] = []  # member-epochs of each trial that has ended
        self._now = 0  # member-epochs trained in this command
        self._before = 0  # member-epochs that earlier attempts of its trials had trained
        self._start = self._line_at = clock()
        self._line = ""  # printed last
        self.bar = terminal.TwoLines(
            "{task.completed}/{task.total} trials", terminal.seconds_column(), TextColumn("{task.fields[left]}")
        )
        self.task = self.bar.add_task("", total=trials, completed=done, words=PREPARING, left="")

    def __enter__(self) -> "SweepScreen":
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def say(self, line: str) -> None:
        """Prints one line above the progress bar."""
        terminal.say(line)

    def stack(self, prepared: Prepared, jobs: list[Job], waiting: int) -> "SweepScreen":
        """Prints a line about a stack that begins, before the first one also what all stacks share; returns itself.

        jobs: its trials. waiting: how many trials wait for a later stack.
        """
        if not self._stacks:
            self._header(prepared)
            # What came before, such as pretraining, says nothing about epochs.
            self._start = self._line_at = self.clock()
        self._stacks += 1
        self._max_epochs = jobs[0].config.max_epochs
        self._whole = self._max_epochs * jobs[0].config.members  # epochs of a trial that trains to its end
        layers = run_words.network_words(jobs[0].config)
        trials = number_of(len(jobs), "trial")
        members = f", {len(prepared.members)} networks" if len(prepared.members) > len(jobs) else ""
        members += _going_on(prepared.members)
        wait = f"; {waiting} {'waits' if waiting == 1 else 'wait'} for the next stack" if waiting else ""
        line = f"stack {self._stacks}: {trials}{members}, {run_words.duration(prepared.seconds)}{wait}; {layers}"
        terminal.console.print(line, markup=False)
        return self

    def went_on(self, epochs: int) -> None:
        """Takes in that a trial goes on whose networks had trained so many epochs, added up, in earlier attempts."""
        self._before += epochs

    def _header(self, prepared: Prepared) -> None:
        data, config = prepared.dataset, prepared.members[0].config
        if data.warning:
            terminal.warn(data.warning)
        done = f", {self.before} of them done before" if self.before else ""
        rows = {
            "sweep": f"{config.name}: {number_of(self.trials, 'trial')}{done}; those of one structure train together, "
            "as a stack, each as if alone",
            "data": run_words.data_words(data),
            "device": f"{prepared.device_name}; engine: {prepared.engine.description}",
            "results": str(self.folder),
        }
        terminal.grid(rows)

    def progressed(self, epoch: int, batch: int, members: int) -> None:
        """Refreshes the line of progress; called after each chunk of mini-batches."""
        self._refresh()

    def _refresh(self) -> None:
        done = self.before + sum(self.counts.values())
        self.bar.update(self.task, completed=done, words=self.words(), left=self.left())

    def epoch_ended(self, rows: dict[int, Row], so_far: Callable[[int], Result]) -> None:
        """Counts the epochs that members trained; without a terminal, prints the line of progress now and then."""
        self._now += len(rows)
        self._longest = max(self._max_epochs - int(row["epoch"]) for row in rows.values())
        if not terminal.is_live() and self.clock() - self._line_at >= LINE_SECONDS:
            self._line_at = self.clock()
            done = self.before + sum(self.counts.values())
            line = f"{done}/{self.trials} trials  {self.words()}  {self.left()}".rstrip()
            if line != self._line:
                self.say(line)
            self._line = line

    def trial_ended(self, result: Outcome) -> None:
        """Counts a trial that has ended."""
        self.counts[result.status] += 1
        if result.epochs:
            self._epochs.append(result.epochs)
        self._refresh()

    def words(self) -> str:
        """The line of progress: how many trials ended in which way, and the best so far with its parameters."""
        names = {"FINISHED": "done", "PRUNED": "pruned", "FAILED": "failed", "KILLED": "killed"}
        shown = (self.counts | self.totals).items()
        counts = [f"{count} {names[status]}" for status, count in shown if count or status == "FINISHED"]
        words = [", ".join(counts)]
        if self.best:
            words.append(f"best {self.best}")
        return "  ".join(words)

    def left(self) -> str:
        """The time left, in words; empty as long as it cannot be estimated."""
        left = self._seconds_left()
        return "" if left is None else f"{'' if self._epochs else 'at most '}{run_words.duration(left)} left"

    def _seconds_left(self) -> float | None:
        """Seconds left, from the mean epochs of the trials that have ended, at first from those that a trial may take.

        None before the first epoch has ended, and where no trial is left.
        """
        if not self._now:
            return None
        trials = self.trials - self.before - sum(self.counts.values())
        if not trials:
            return None
        left = trials * (fmean(self._epochs) if self._epochs else self._whole)
        under_way = self._now + self._before - sum(self._epochs)
        # Trials that trained longer than the mean trial may still take all their epochs.
        return max(self._longest, left - under_way) * (self.clock() - self._start) / self._now

    def table(self, rows: list[TrialRow]) -> None:
        """Prints the trials, best first, and the test score of the best one alone; nothing where there are none."""
        if not rows:
            return
        figures = list(dict.fromkeys(name for one in rows for name in one.figures))
        marked = len({one.here for one in rows}) > 1
        title = Text(f"Trials, best {self.score.words('validation')} first")
        shown = Table(box=SIMPLE_HEAD, title=title, title_style="bold")
        widths = {"trial": 5, "what differs": 10, self.score.heading("validation"): 10, **dict.fromkeys(figures, 9)}
        for column, width in (widths | {"epochs": 6, "status": 8}).items():  # no number is broken, however narrow
            justify: Literal["left", "right"] = "left" if column == "what differs" else "right"
            shown.add_column(column.replace("_", " "), justify=justify, min_width=width, overflow="fold")
        ordered = sorted(better_first(rows, self.score), key=lambda one: one.status == "INFEASIBLE")
        for one in ordered[:SHOWN]:
            number = f"{one.number}{'*' if marked and one.here else ''}"
            values = [self.score.figure(one.validation_score), *(_figure(one.figures.get(name)) for name in figures)]
            shown.add_row(number, Text(one.label), *values, _plain(one.epochs), one.status)
        terminal.console.print(shown, crop=False)
        if len(rows) > SHOWN:
            self.say(f"and {len(rows) - SHOWN} more")
        if marked:
            self.say("* trained by this command")
        if any(one.status == "INFEASIBLE" for one in rows):
            self.say("INFEASIBLE: breaks a constraint; comes last, and is never the best")
        for one in rows:
            if one.best:
                tested = "" if one.test_score is None else f", test {self.score.written(one.test_score)}"
                validation = self.score.written(one.validation_score)
                self.say(f"Best: trial {one.number} ({one.label}): validation {validation}{tested}")

    def next_commands(self, commands: list[tuple[str, str]], address: str | None, uri: str) -> None:
        """Prints the commands that one may type now, each with what it is for.

        address: of the sweep's view in MLflow (its path alone where the store has no server), None without tracking.
        uri: the address of MLflow's store.
        """
        in_mlflow = [(terminal.ui_command(uri), "the trials in MLflow, in the view below")] if address else []
        terminal.next_commands([*commands, *in_mlflow])
        if address:
            self.say(f"View: {address if address.startswith('http') else f'http://127.0.0.1:5000{address}'}")


def _plain(number: float | None) -> str:
    """4,000 or 12.5; "–" for None."""
    return "–" if number is None else f"{number:,.1f}".removesuffix(".0")


def _figure(number: float | None) -> str:
    """4,000 or 12.5 or, of small ones more digits, 0.9249; "–" for None."""
    return f"{number:.4g}" if number is not None and abs(number) < 10 else _plain(number)


def _going_on(members: list[Member]) -> str:
    """How many trials go on, and after which epochs, such as ", 2 trials go on after epoch 30 to 41"; "" for none."""
    done = [member.epochs for member in members if member.epochs]
    if not done:
        return ""
    trials = len({id(member.config) for member in members if member.epochs})
    words = f"{number_of(trials, 'trial')} {'goes' if trials == 1 else 'go'} on"
    return f", {words} after epoch {' to '.join(map(str, sorted({min(done), max(done)})))}"
