"""plan=true: what a sweep would train, for how long and in what memory; nothing is trained but a few timed steps."""

from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from src.config.schema import RunConfig, structure_key
from src.config.wording import number_of
from src.data.load import load
from src.runs import run_words, terminal
from src.sweep.pretraining import estimated_seconds
from src.training.fit import prepare
from src.training.stack import members_of


def show_plan(configs: Iterable[RunConfig], limit: int | None, of: int | None = None) -> None:
    """Prints a line for each structure that the trials `configs` have.

    limit: the most members of a stack, None: no limit. of: how many trials the sweep will have, where `configs` is only
    a sample of them. The time assumes one stack after another, each at full size, and that no trial ends early.
    """
    groups: dict[str, list[RunConfig]] = {}
    for config in configs:
        groups.setdefault(structure_key(config), []).append(config)
    sampled = sum(map(len, groups.values()))
    share = (of or sampled) / sampled
    table = Table(box=SIMPLE_HEAD, title=Text("Plan"), title_style="bold")
    for column in ("network", "trials", "members", "in a stack", "memory", "time"):
        table.add_column(column, justify="left" if column == "network" else "right", overflow="fold")
    total = 0.0
    for group in groups.values():
        trials = [members_of([config]) for config in group]
        members = [member for trial in trials for member in trial]
        together = list(trials[0])
        for trial in trials[1:]:
            if limit is None or len(together) + len(trial) <= limit:
                together += trial
        with terminal.waiting("Timing a few steps; a first run also compiles its kernels"):
            dataset = load(group[0].data, group[0].task.kind)
            prepared = prepare(group, dataset, terminal.say, together)
            once = prepared.seconds + estimated_seconds(group[0], dataset, len(together))
        seconds = once * share * len(members) / len(together)
        total += seconds
        about = "~" if share != 1 else ""
        table.add_row(
            Text(run_words.network_words(group[0])),
            f"{about}{round(share * len(group))}",
            f"{about}{round(share * len(members))}",
            str(len(together)),
            run_words.size(prepared.memory),
            run_words.duration(seconds).removeprefix("about "),
        )
    terminal.console.print(table)
    time = f"{run_words.duration(total)} in all if none ends early"
    terminal.say(f"{number_of(of or sampled, 'trial')}, {time}. Nothing was trained: plan=true.")
