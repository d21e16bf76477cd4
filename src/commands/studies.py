"""All studies of a store and how far they are: python -m src.studies [storage=URL]

A study is `running` while a process works on it, `done` once its budget is used up, and otherwise `stopped`: the
command that started it goes on with it, after failures with a larger hydra.sweeper.max_failures.
Exit status: 0 done; 2 there is no such store.
"""

from collections import Counter
from typing import TYPE_CHECKING, Any

from src.commands.arguments import key_values, run_command

if TYPE_CHECKING:  # imported where they are needed, so that --help does not wait for them
    from rich.table import Table

    from src.sweep.studies.study_record import Study, Trial

WORDS = {"FAIL": "failed"}
OPEN = ("RUNNING", "KILLED")  # states of trials that are still to be trained
USAGE = "python -m src.studies [storage=URL]"


def main(arguments: list[str] | None = None) -> int:
    """The command; `arguments` without the program's name. Returns the exit status."""
    return run_command(_list, arguments, __doc__, "Nothing to list")


def _list(arguments: list[str]) -> int:
    from src.config.address import STUDIES
    from src.sweep.studies.study_record import FIRST_SWEEP, read_studies

    options = key_values(arguments, {"storage": STUDIES}, USAGE)
    studies = read_studies(options["storage"])
    if not studies:
        print(f"No study yet. A first one: {FIRST_SWEEP}")
        return 0

    from rich.console import Console

    console = Console(highlight=False)
    console.print(table(studies))
    for study in sorted(studies, key=_changed)[-1:]:
        console.print(f"Next: {next_command(study)}", markup=False, soft_wrap=True)
    return 0


def table(studies: "list[Study]") -> "Table":
    """A table with a row for each study: name, state, trials by their states, best trial, last change."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=SIMPLE_HEAD)
    for heading in ("study", "state", "trials", "best"):
        shown.add_column(heading, overflow="fold")
    shown.add_column("last change", no_wrap=True)
    for study in studies:
        cells = [study.name, state(study), _trials(study), _best(study), _changed(study) or "–"]
        shown.add_row(*map(Text, cells))
    return shown


def state(study: "Study") -> str:
    """The state of a study in words: `running`, `done` or `stopped`, with the trials that are left and why it ended."""
    running = {trial.place for trial in study.places if trial.state == "RUNNING" and _lives(trial)}
    left = study.left
    if running:
        return f"running, {len(running)} now" + ("" if left is None else f", {len(left - running)} to start")
    if left is None:
        return "no budget known"
    if not left:
        return "done"
    if _target_reached(study):
        return f"done, target {study.settings['target']:g} reached"
    failed, limit = study.count()["FAIL"], study.settings.get("max_failures")
    reason = f" after {failed} failures" if isinstance(limit, int) and failed and failed >= limit else ""
    return f"stopped{reason}, {len(left)} left"


def _lives(trial: "Trial") -> bool:
    """Whether the process that trains the trial lives; on another machine, whether it gave a sign of life lately."""
    from src.sweep.studies.worker import HEARTBEAT_SECONDS, lives

    known = lives(trial.worker) if "pid" in trial.worker else None
    return known if known is not None else trial.silent is not None and trial.silent < HEARTBEAT_SECONDS


def _target_reached(study: "Study") -> bool:
    target, best = study.settings.get("target"), study.best
    if not isinstance(target, int | float) or best is None or best.value is None:
        return False
    return best.value >= target if study.maximised[0] else best.value <= target


def _trials(study: "Study") -> str:
    """How many trials are done, of how many, and the states of all that have begun."""
    states = Counter(_state_word(trial) for trial in study.places)
    done = sum(trial.state not in OPEN for trial in study.places)
    total = "" if study.total is None else f" of {study.total}"
    return f"{done}{total}" + (
        f": {', '.join(f'{number} {word}' for word, number in states.items())}" if states else ""
    )


def _state_word(trial: "Trial") -> str:
    if trial.state in OPEN and not (trial.state == "RUNNING" and _lives(trial)):
        return "interrupted"
    return WORDS.get(trial.kind, trial.kind.lower())


def _best(study: "Study") -> str:
    from src.report.study_quantity import quantities

    best, quantity = study.best, quantities(study)[0]
    if best is None:
        return "–"
    words = f"{quantity.figure(best.value)}{quantity.unit} (trial {best.place})"
    return f"{words}, front of {len(study.front())}" if len(study.maximised) > 1 else words


def _changed(study: "Study") -> str:
    times: list[Any] = [trial.ended or trial.started for trial in study.trials]
    return max((f"{time:%Y-%m-%d %H:%M}" for time in times if time), default="")


def next_command(study: "Study") -> str:
    """The command that one would type next: to go on with a stopped study, or to look at one that is done or fails."""
    typed = study.attributes.get("command")
    if state(study).startswith("stopped,"):
        return (
            typed if isinstance(typed, str) else f"the command that started {study.name}, again: it goes on from there"
        )
    return study.command("report")
