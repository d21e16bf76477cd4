"""The page of the reproduction: tables of published figures with ours beside them, notes and pictures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from src.config.metric import ACCURACY, Metric
from src.report.reproduction import Kept
from src.runs.summary import COINCIDENCE, Summary, summarise

CHAPTER = """# The chapter, reproduced

Written by `make reproduce` from the files in [reproduction/](reproduction/); do not edit. Published: M. Nielsen,
*Neural Networks and Deep Learning* (2015), chapter 6. *Chapter's rule*: of the repeats, the one with the best
validation accuracy gives the test accuracy. Mean, sample standard deviation and 95 % interval (Student's t) are over
all repeats. Time: minutes of training by the clock, on a machine that often did something else as well (core: minutes
of the run's processor time, all cores, start-up and figures included, which compare better); repeats are one stack."""

TUTORIAL = """## The tutorial's models

LISA lab, *Deep Learning Tutorials* (Theano, 0.1). Of a classifier the weights with the lowest validation error count,
of other models those of the last epoch. Mean, standard deviation, interval and time as above; epochs: the one that
counts, of those trained, for each repeat."""


@dataclass(frozen=True)
class Row:
    """A line of a table: an experiment, with the scores of its repeats."""

    name: str
    published: float | None  # as `Metric.scaled` gives it: per cent for a part of 1
    test: list[float | None]
    validation: list[float | None]
    kept: list[Kept]  # the runs that gave them
    note: str = ""
    timed: bool = True  # False: the runs' time stands in another row
    score: Metric = ACCURACY

    @property
    def summary(self) -> Summary:
        """The repeats' mean and spread, and the test score by the chapter's rule."""
        return summarise(validation=self.validation, test=self.test, score=self.score)


@dataclass(frozen=True)
class Table:
    """A table of the page. head: the Markdown above it; columns: heading -> what stands there in a row."""

    head: str
    columns: Mapping[str, Callable[[Row], str]]
    rows: Sequence[Row]


def page(tables: Sequence[Table], images: Mapping[str, str], missing: Sequence[str]) -> str:
    """The text of docs/reproduction.md. images: caption -> path from docs/. missing: runs that are still to be made."""
    lines = list[str]()
    for table in tables:
        lines += ["", *_lines(table)] if lines else _lines(table)
    if missing:
        lines += ["", f"Still to be made: {', '.join(missing)}."]
    for caption, path in images.items():
        lines += ["", f"![{caption}]({path})", "", f"*{caption}*"]
    return "\n".join(lines) + "\n"


def _lines(table: Table) -> list[str]:
    lines = [*table.head.splitlines(), "", f"| {' | '.join(table.columns)} |", "|---" * len(table.columns) + "|"]
    for row in table.rows:
        cells = [cell(row) for cell in table.columns.values()]
        lines.append(" ".join(f"| {' | '.join(cells)} |".split()))
    notes = [f"* `{row.name}`: {row.note}" for row in table.rows if row.note]
    notes += [f"* `{row.name}`: {COINCIDENCE}" for row in table.rows if row.summary.coincides]
    unrecorded = dict.fromkeys(f"`{kept.run}`" for row in table.rows for kept in row.kept if not kept.commit)
    if unrecorded:
        notes.append(f"* no commit is recorded of {', '.join(unrecorded)}: made before that was kept")
    return lines + (["", *notes] if notes else [])


def _name(row: Row) -> str:
    return f"`{row.name}`"


def _published(row: Row) -> str:
    if row.published is None:
        return "not given"
    return f"{row.published:.2f}" if row.score.percent else f"{row.published:.4g}"


def _chapters_rule(row: Row) -> str:
    return "" if row.summary.mean is None else row.score.figure(row.summary.chapter_rule)


def _mean(row: Row) -> str:
    summary = row.summary
    if summary.mean is None:
        return ""
    return row.score.figure(summary.mean) + ("" if summary.sd is None else f" ± {row.score.figure(summary.sd)}")


def _interval(row: Row) -> str:
    low, high = row.summary.low, row.summary.high
    return "" if low is None or high is None else f"{row.score.figure(low)}–{row.score.figure(high)}"


def _counted(row: Row) -> str:
    summary = row.summary
    return f"{summary.n} ({summary.left_out} diverged)" if summary.left_out else str(summary.n)


def _difference(row: Row) -> str:
    if row.summary.mean is None or row.published is None:
        return ""
    difference = row.score.scaled(row.summary.mean) - row.published
    return f"{difference:+.2f}" if row.score.percent else f"{difference:+.4g}"


def _epochs(row: Row) -> str:
    members = [member for kept in row.kept for member in kept.members]
    return ", ".join(f"{member.best_epoch or '–'} of {len(member.history)}" for member in members)


def _time(row: Row) -> str:
    if not row.timed or not row.kept:
        return ""
    seconds, core = (sum(getattr(kept, name) for kept in row.kept) for name in ("seconds", "core_seconds"))
    return f"{seconds / 60:.1f} (core {core / 60:.0f})"


def _devices(row: Row) -> str:
    return "; ".join(dict.fromkeys(kept.device for kept in row.kept))


CHAPTER_COLUMNS: dict[str, Callable[[Row], str]] = {
    "experiment": _name,
    "published %": _published,
    "chapter's rule %": _chapters_rule,
    "mean ± sd %": _mean,
    "95 % interval": _interval,
    "n": _counted,
    "mean − published": _difference,
    "time": _time,
    "device": _devices,
}
TUTORIAL_COLUMNS: dict[str, Callable[[Row], str]] = {
    "experiment": _name,
    "score": lambda row: row.score.axis("test"),
    "published": _published,
    "mean ± sd": _mean,
    "95 % interval": _interval,
    "n": _counted,
    "epochs": _epochs,
    "time": _time,
    "device": _devices,
}
