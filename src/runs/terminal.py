"""The output of a run on the terminal: its header with the estimated time, a progress bar, tables, the next command."""

import io
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.panel import Panel
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table
from rich.text import Text

from src.config.address import DATABASES, RUNS, absolute
from src.config.metric import ACCURACY
from src.config.wording import command, number_of
from src.runs import run_words

if TYPE_CHECKING:  # this module must not wait for the libraries, as it shows that they are being loaded
    from src.config.schema import RunConfig
    from src.data.dataset import Dataset
    from src.runs.checkpoint import Saved
    from src.runs.summary import Summary
    from src.runs.vote import Vote
    from src.training.fit import Prepared
    from src.training.result import Result, Row

REFRESHES_A_SECOND = 2  # few, because each takes a core from the training
NOTEBOOK_COLUMNS = 100  # of the progress bar there


class _Screen(Console):
    def on_broken_pipe(self) -> None:
        """Goes on without output when its reader has gone, as `| head` does."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


console = _Screen(highlight=False)


def say(text: str) -> None:
    """Prints one line and never breaks it, because it may hold a path or a command that the user copies."""
    console.print(text, markup=False, soft_wrap=True)


def tell(text: str) -> None:
    """Prints a sentence, broken between words at the width of the terminal."""
    console.print(text, markup=False, soft_wrap=not console.is_terminal)


def warn(text: str) -> None:
    """Prints a warning in a box."""
    console.print(Panel(Text(text), title="Warning", border_style="bold yellow", padding=(0, 1)))


def header(
    prepared: "Prepared", config: "RunConfig", folder: Path, done: int = 0, start: str = "", before: float = 0.0
) -> None:
    """Prints what will be trained, on which data, device and engine, and about how long.

    done: epochs so far; start: whose weights it begins with, in words; before: seconds of pretraining.
    """
    data = prepared.dataset
    if data.warning:
        warn(data.warning)
    rows = {
        "experiment": f"{config.name}: {run_words.who(config)}",
        "network": run_words.network_words(config)
        + f" ({prepared.parameters:,} parameters{' each' if config.members > 1 else ''})",
        "data": run_words.data_words(data),
        **({"start": start} if start else {}),
        **({"pretraining": run_words.pretraining_words(config)} if config.pretrain.wanted else {}),
        "training": run_words.training_words(config),
        "device": f"{prepared.device_name}; engine: {prepared.engine.description}",
        "estimate": (f"{run_words.duration(before)} of pretraining, then " if before else "")
        + f"{run_words.duration(prepared.seconds)} for "
        + (f"the {config.max_epochs - done} after epoch {done}" if done else number_of(config.max_epochs, "epoch"))
        + (", less where networks stop early" if config.stop.rule != "none" else ""),
        "results": str(folder),
    }
    if config.plan:
        del rows["results"]
    grid(rows)


def grid(rows: dict[str, str]) -> None:
    """Prints labels and their texts in two columns."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column()
    for label, text in rows.items():
        table.add_row(label, Text(text))
    console.print(table)


def waiting(words: str) -> AbstractContextManager[object]:
    """A context that shows `words`, what is waited for, and the seconds so far; without a terminal it shows nothing."""
    spinner = SpinnerColumn(table_column=Column(no_wrap=True))
    columns: list[ProgressColumn] = [spinner, TextColumn(words, table_column=Column()), seconds_column()]
    shown = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    shown.add_task("")
    return shown


def seconds_column() -> ProgressColumn:
    """The column of a progress bar with the time since its start, no wider than it has to be."""
    return TimeElapsedColumn(table_column=Column(no_wrap=True))


def is_live() -> bool:
    """Whether a progress bar can move: in a terminal or a notebook; elsewhere lines are printed instead."""
    return console.is_terminal or console.is_jupyter


class TwoLines(Progress):
    """A progress bar as wide as the terminal, and below it, in a line of its own, the task's field `words`.

    In a notebook it is one output of plain text, which is replaced: rich's own would need ipywidgets.
    """

    def __init__(self, before: str, *after: ProgressColumn) -> None:
        """before: the text before the bar, as TextColumn takes it; after: the columns after the bar."""
        columns = (TextColumn(before), BarColumn(None), *after)
        live = console.is_terminal
        self._output: Any = None  # the notebook's
        self._shown_at = 0.0  # time.monotonic()
        super().__init__(
            *columns, console=console, expand=True, refresh_per_second=REFRESHES_A_SECOND, disable=not live
        )

    def start(self) -> None:
        """Shows the bar."""
        super().start()
        if console.is_jupyter:
            from IPython.display import display

            self._output = display(self._as_text(), raw=True, display_id=True)

    def update(self, *task: Any, **fields: Any) -> None:
        """Moves the bar."""
        super().update(*task, **fields)
        if self._output is not None and time.monotonic() - self._shown_at >= 1 / REFRESHES_A_SECOND:
            self._output.update(self._as_text(), raw=True)

    def stop(self) -> None:
        """Leaves the bar as it is."""
        super().stop()
        if self._output is not None:
            self._output.update(self._as_text(), raw=True)
            self._output = None

    def _as_text(self) -> dict[str, str]:
        self._shown_at = time.monotonic()
        page = io.StringIO()
        Console(file=page, width=NOTEBOOK_COLUMNS, force_terminal=False, force_jupyter=False).print(
            self.get_renderable()
        )
        return {"text/plain": page.getvalue().rstrip()}

    def get_renderables(self) -> Iterable[RenderableType]:
        """The bar, then the words."""
        yield self.make_tasks_table(self.tasks)
        yield from (Text(task.fields["words"]) for task in self.tasks if task.fields["words"])


class ProgressBar:
    """An observer of a run, of its pretraining too, that shows the epoch, the best validation score and the time left.

    The bar counts epochs, those of all phases together.
    """

    def __init__(self, phases: "Sequence[RunConfig]") -> None:
        """phases: the configurations of the run's parts, its own training last; `begin` says which one begins."""
        self.phases = phases
        self.before = [sum(one.max_epochs for one in phases[:number]) for number in range(len(phases))]
        self.bar = TwoLines(
            "{task.fields[part]}epoch {task.fields[epoch]}/{task.fields[epochs]}",
            TextColumn("{task.percentage:>3.0f} %"),
            seconds_column(),
            TextColumn("left"),
            TimeRemainingColumn(table_column=Column(no_wrap=True)),
        )
        epochs = sum(one.max_epochs for one in phases)
        self.task = self.bar.add_task("", total=epochs, part="", epoch=1, epochs=phases[0].max_epochs, words="")

    def begin(self, number: int, prepared: "Prepared", saved: "Saved") -> "ProgressBar":
        """The observer of part `number`, from 0, that begins, or goes on after what `saved` holds."""
        config = self.phases[number]
        self.number, self.epochs, self.batches = number, config.max_epochs, prepared.chunks.batches
        self.numbers = [member.number for member in prepared.members]  # in the trial, of the members that train
        self.score = config.task.metric
        self.best = [self.score.worst] * config.members
        for place, history in saved.histories().items():
            for row in history:
                self._take_in(place, row)
        self.part = f"layer {number + 1}, " if number + 1 < len(self.phases) else ""
        done, epoch = self.before[number] + saved.epochs, saved.epochs + 1
        self.bar.update(self.task, completed=done, part=self.part, epoch=epoch, epochs=self.epochs, words="")
        return self

    def __enter__(self) -> "ProgressBar":
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def progressed(self, epoch: int, batch: int, members: int) -> None:
        """Moves the bar."""
        done = self.before[self.number] + epoch + batch / self.batches
        self.bar.update(self.task, completed=done, epoch=epoch + 1, words=self._words(members))

    def epoch_ended(self, rows: "dict[int, Row]", so_far: "Callable[[int], Result]") -> None:
        """Takes in the scores; where no bar can move, prints a line an epoch instead."""
        for number, row in rows.items():
            self._take_in(self.numbers[number], row)
        if not is_live():
            epoch = max(int(row["epoch"]) for row in rows.values())
            say(f"{self.part}epoch {epoch}/{self.epochs}  {self._words(len(rows))}")

    def _take_in(self, place: int, row: "Row") -> None:
        value = row[self.score.key("validation")]
        if math.isfinite(row["validation/cost"]) and self.score.is_better(value, self.best[place]):
            self.best[place] = value

    def _words(self, members: int) -> str:
        known = [value for value in self.best if math.isfinite(value)]
        best, mean = (self.score.written(of(known)) if known else "–" for of in (self.score.best, fmean))
        words = f"best validation {best}"
        if len(self.best) > 1:
            words += f", mean {mean}; {members} of {len(self.best)} training"
        return words


def table(results: "list[Result]", config: "RunConfig", dataset: "Dataset", names: Sequence[str] = ()) -> None:
    """Prints a table with a line for each member: best epoch, validation and test score; on MNIST the published figure.

    names: of the members, where their seeds do not tell them apart.
    """
    shown = Table(box=SIMPLE_HEAD, title=Text(f"{config.name} on {dataset.name}"), title_style="bold")
    score = config.task.metric
    reported = [one for one in config.task.reported if any(result.metrics for result in results)]
    headings = [f"test {one.title}{one.unit}" for one in reported]
    voted = any(result.snapshots_test_score is not None for result in results)
    headings += [f"snapshots: {score.heading(split)}" for split in ("validation", "test")] if voted else []
    judged = ["validation (trained on)" if config.data.refit else "validation", "test"]
    for column in ("member", "seed", "best epoch", *map(score.heading, judged), *headings):
        shown.add_column(column, justify="right")
    if names:
        shown.add_column("network", overflow="fold")
    published = dataset.is_mnist and config.published is not None
    if published:
        shown.add_column("published %", justify="right")
    if any(result.status != "FINISHED" for result in results):
        shown.add_column("status")
    for number, result in enumerate(results):
        cells = [str(number), str(result.seed), str(result.best_epoch or "–")]
        cells += [score.figure(result.validation_score), score.figure(result.test_score)]
        cells += [one.figure(result.metrics.get(one.field("test"))) for one in reported]
        votes = (result.snapshots_validation_score, result.snapshots_test_score)
        cells += map(score.figure, votes) if voted else []
        cells += names[number : number + 1]
        # The ensemble's published figure belongs to its vote, not to a member.
        cells += [f"{config.published:.2f}" if config.ensemble == 1 else ""] if published else []
        cells += [result.status] if result.status != "FINISHED" or len(shown.columns) > len(cells) else []
        shown.add_row(*cells)
    console.print(shown)


def conclusion(
    config: "RunConfig",
    dataset: "Dataset",
    votes: "list[Vote]",
    summary: "Summary",
    folds: "Summary | None" = None,
    snapshots: "Summary | None" = None,
) -> None:
    """Prints the score of a cross-validation and the votes of ensembles, then the score by the chapter's rule with mean
    and spread, last that of the votes of snapshots."""
    if folds:
        which = f"{folds.score.words('validation')} over {config.replicates_in_words}"
        tell(f"{which}, each network by examples that it was not trained on: {folds.spread()}")
    published = dataset.is_mnist and config.published is not None
    beside = f" (published {config.published:.2f} %)" if published else ""
    for repeat, vote in enumerate(votes):
        which = f"repeat {repeat}: " if len(votes) > 1 else ""
        tell(
            f"{which}{vote.voters} networks vote: {ACCURACY.written(vote.accuracy)} by plurality{beside}, "
            f"{ACCURACY.written(vote.mean_probability_accuracy)} by mean probability; "
            f"{number_of(len(vote.errors), 'test image')} wrong"
        )
    if not votes or len(votes) > 1:
        tell(f"{summary.score.words('test')}: {summary.sentence()}{beside}")
    if snapshots:
        tell(f"{snapshots.score.words('test')} by the vote of a network's snapshots: {snapshots.sentence()}")


def next_command(config: "RunConfig", arguments: list[str] | None, folder: Path, hint: str = "") -> None:
    """Prints the commands that one would type next; `hint`, such as how to go on, comes first."""
    typed = [one for one in arguments or () if not one.startswith(("repeats=", "tracking.uri="))]
    commands = []
    if config.tracking.kind == "mlflow":
        commands.append((ui_command(config.tracking.uri), "see and compare the runs in MLflow"))
    if arguments is not None and config.members == 1:
        repeat = command("train", *typed, "repeats=3")
        commands.append((repeat, "three seeds in one stack: mean, spread, interval"))
    commands.append((command("compare", folder, "OTHER"), "two runs side by side"))
    next_commands(commands, hint)


def ui_command(uri: str) -> str:
    """The command that shows the runs of the store `uri`."""
    from src.config.address import masked

    uri = absolute(uri)
    if uri.startswith("http"):
        return f"open {masked(uri)}"
    if uri.split("+")[0].split(":")[0] in DATABASES:
        return "make ui" if uri == absolute(RUNS) else command("ui", masked(uri))
    return f"see {uri}"


def next_commands(commands: Sequence[tuple[str, str]], hint: str = "") -> None:
    """Prints commands that one would type next, with their purposes beside them, or below if lines get too long."""
    indent = " " * len("Next: ")
    width = max((len(command) for command, _ in commands), default=0)
    beside = all(len(indent) + width + 4 + len(what) <= console.width for _, what in commands)
    gap = f"\n{indent}    "
    lines = [hint] if hint else []
    lines += [f"{command:<{width}}    {what}" if beside else f"{command}{gap}{what}" for command, what in commands]
    if lines:
        say("Next: " + f"\n{indent}".join(lines))
