"""The reproduction of a book chapter's table of results: a file a run, and the page that is written from the files.

docs/reproduction/RUN.json   what one run of reproduce.py left: configuration, its members with their validation
                             curves, its votes, device and time; small, and committed, so that an interrupted
                             reproduction goes on anywhere
docs/reproduction.md         the page: for each row of the chapter's table the published accuracy and ours
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.config.error import ConfigError, UserError
from src.config.files import finite, write_text
from src.config.kept_config import recalled
from src.runs.summary import COINCIDENCE, Summary, summarise
from src.training.result import Result

CURVES = ("epoch", "train/accuracy", "validation/accuracy", "validation/cost")  # what the file keeps of an epoch
# Settings that change where and how fast a run trains, or what is said of it, but not what it computes.
NOT_COMPUTED = ("trainer", "tracking", "figures", "published")

HEAD = """# The chapter, reproduced

Written by `make reproduce` from the files in [reproduction/](reproduction/); do not edit. Published: M. Nielsen,
*Neural Networks and Deep Learning* (2015), chapter 6. *Chapter's rule*: of the repeats, the one with the best
validation accuracy gives the test accuracy. Mean, sample standard deviation and 95 % interval (Student's t) are over
all repeats. Time: minutes of training by the clock, on a machine that often did something else as well (core: minutes
of the run's processor time, all cores, start-up and figures included, which compare better); repeats are one stack.

| experiment | published % | chapter's rule % | mean ± sd % | 95 % interval | n | mean − published | time | device |
|---|---|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Kept:
    """One run of the reproduction, as its file holds it."""

    run: str
    config: dict[str, Any]
    date: str  # when it ended
    device: str
    seconds: float  # of training, by the clock
    core_seconds: float  # of the process's processors, start-up and figures included
    members: list[Result]  # without config, weights and probabilities
    votes: list[dict[str, Any]]  # src/runs/vote.py, one a repeat of an ensemble
    commit: str = ""  # of the program that ran it

    def answers(self, config: dict[str, Any]) -> bool:
        """Whether the run computed what `config` says; keys that did not exist then count with their defaults."""
        try:
            own = recalled(self.config).shown()
        except ConfigError:
            return False
        return computed(own) == computed(config)


@dataclass(frozen=True)
class Row:
    """A line of the page's table: an experiment, with the accuracies (0…1) of its repeats."""

    name: str
    published: float | None  # per cent
    test: list[float | None]
    validation: list[float | None]
    kept: list[Kept]  # the runs that gave them
    note: str = ""
    timed: bool = True  # False: the runs' time stands in another row

    @property
    def summary(self) -> Summary:
        """The repeats' mean and spread, and the test accuracy by the chapter's rule."""
        return summarise(validation=self.validation, test=self.test)


def computed(config: dict[str, Any]) -> dict[str, Any]:
    """The part of a configuration on which results depend, as JSON would hold it."""
    kept: dict[str, Any] = json.loads(json.dumps({k: v for k, v in config.items() if k not in NOT_COMPUTED}))
    return kept


def save(kept: Kept, folder: Path) -> Path:
    """Writes the run to RUN.json in `folder`, one line a member, whole or not at all; returns the path."""
    members = []
    for member in kept.members:
        history = [{key: _rounded(row.get(key)) for key in CURVES} for row in member.history]
        scalars = {key: _rounded(value) for key, value in member.as_json().items()}
        members.append(finite(scalars | {"config": {}, "history": history}))
    whole = {key: value for key, value in kept.__dict__.items() if key != "members"}
    lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in whole.items()]
    listed = ",\n".join(f"  {json.dumps(member, allow_nan=False)}" for member in members)
    text = "{\n" + ",\n".join([*lines, f' "members": [\n{listed}\n ]']) + "\n}\n"
    return write_text(folder / f"{kept.run}.json", text)


def read(run: str, folder: Path) -> Kept | None:
    """Reads a run from its file in `folder`; None where there is none yet. Raises UserError where it cannot be read."""
    path = folder / f"{run}.json"
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        members = [Result.from_kept(member) for member in content["members"]]
        return Kept(**{**content, "members": members})
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise UserError(f"{path}: cannot be read ({error}); delete it, and the run is made anew.") from None


def page(rows: Sequence[Row], images: Mapping[str, str], missing: Sequence[str]) -> str:
    """The text of docs/reproduction.md. images: caption -> path from docs/. missing: runs that are still to be made."""
    lines = HEAD.splitlines()
    lines += [_line(row) for row in rows]
    notes = [f"* `{row.name}`: {row.note}" for row in rows if row.note]
    notes += [f"* `{row.name}`: {COINCIDENCE}" for row in rows if row.summary.coincides]
    unrecorded = dict.fromkeys(f"`{kept.run}`" for row in rows for kept in row.kept if not kept.commit)
    if unrecorded:
        notes.append(f"* no commit is recorded of {', '.join(unrecorded)}: made before that was kept")
    lines += ["", *notes] if notes else []
    if missing:
        lines += ["", f"Still to be made: {', '.join(missing)}."]
    for caption, path in images.items():
        lines += ["", f"![{caption}]({path})", "", f"*{caption}*"]
    return "\n".join(lines) + "\n"


def _line(row: Row) -> str:
    summary = row.summary
    published = "not given" if row.published is None else f"{row.published:.2f}"
    counted = f"{summary.n} ({summary.left_out} diverged)" if summary.left_out else str(summary.n)
    if summary.mean is None:
        return f"| `{row.name}` | {published} | | | | {counted} | | | |"
    mean, interval, difference = f"{100 * summary.mean:.2f}", "", ""
    if summary.sd is not None and summary.low is not None and summary.high is not None:
        mean += f" ± {100 * summary.sd:.2f}"
        interval = f"{100 * summary.low:.2f}–{100 * summary.high:.2f}"
    if row.published is not None:
        difference = f"{100 * summary.mean - row.published:+.2f}"
    seconds, core = (sum(getattr(kept, name) for kept in row.kept) for name in ("seconds", "core_seconds"))
    time = f"{seconds / 60:.1f} (core {core / 60:.0f})" if row.timed else ""
    devices = "; ".join(dict.fromkeys(kept.device for kept in row.kept))
    cells = [f"`{row.name}`", published, f"{100 * (summary.chapter_rule or 0):.2f}", mean, interval, counted]
    return f"| {' | '.join([*cells, difference, time, devices])} |"


def _rounded(value: Any) -> Any:
    """A float rounded to six decimals; any other value as it is."""
    return round(value, 6) if isinstance(value, float) else value
