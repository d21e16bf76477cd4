"""Several runs side by side: a table, and their validation scores by epoch in one figure.

    python -m src.compare RUN_FOLDER RUN_FOLDER… [-o FILE.png]     (mlruns/comparison.png)

Each folder holds the result.json that a run left (src/training/result.py). The chapter's problem, tanh against sigmoid
[N6], is `python -m src.compare` of a conv2 and a conv2_tanh run.
"""

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.commands.arguments import run_command, words_and_keys
from src.config.error import UserError
from src.config.kept_config import dotted
from src.config.metric import Metric
from src.config.task import task_in
from src.tracking.log_error import validation_data
from src.training.result import Result

if TYPE_CHECKING:  # rich is imported only where a table is made, so that --help does not wait for it
    from rich.table import Table

USAGE = "python -m src.compare RUN_FOLDER RUN_FOLDER... [-o FILE.png]"
RESULT_FILE = "result.json"
DEFAULT_OUTPUT = Path("mlruns/comparison.png")
# Keys, by their beginnings, that the table leaves out, because they say nothing about what was trained.
LABELS = ("name", "published", "figures", "tracking.")

LONGEST_LABEL = 70  # the most characters of a line in a legend

Runs = dict[str, list[Result]]  # a run's name in the table -> its members


def main(arguments: list[str] | None = None) -> int:
    """The command; `arguments` without the program's name. Returns the exit status."""
    return run_command(_compare, arguments, __doc__, "Nothing was compared")


def _compare(arguments: list[str]) -> int:
    folders, options = words_and_keys(arguments, {"out": str(DEFAULT_OUTPUT)}, USAGE)
    output = Path(options["out"])
    if output.suffix != ".png":
        raise UserError(f"-o {output}: the figure is a png; accepted: a file name that ends in .png.")
    if not folders:
        raise UserError(f"the folders of the runs are missing. Usage: {USAGE}")
    runs = read_runs([Path(folder) for folder in folders])

    from rich.console import Console

    from src.runs.curves import compare_figure

    datasets, score = _datasets(runs), score_of(runs)
    drawn = dict(zip(legend(runs), runs.values(), strict=True))
    names = " and ".join(drawn) if len(drawn) <= 3 else f"{len(drawn)} runs"
    different = len({validation_data(name) for name in datasets}) > 1
    warning = " – different data" if different else ""
    try:
        compare_figure(
            drawn, output, f"{names} on {', '.join(datasets)}: {score.words('validation')} by epoch{warning}"
        )
    except OSError as error:
        raise UserError(f"-o {output}: the figure cannot be written there ({error.strerror or error}).") from None

    console = Console()
    console.print(table(runs))
    if different:
        console.print(f"Different data ({', '.join(datasets)}): these {score.plural} cannot be compared.", markup=False)
    elif len(datasets) > 1:
        console.print(f"Different training data ({', '.join(datasets)}), the same test images.", markup=False)
    console.print(f"Figure: {output}", markup=False, soft_wrap=True)
    return 0


def read_runs(folders: list[Path]) -> Runs:
    """The members of the run in each folder, in the order given, under a name that tells it from the others.

    A folder's result.json may be given in its place; a folder given twice counts once. Raises UserError that lists
    every folder without a readable result, or where fewer than two runs remain, the runs have different scores, or none
    has a validation score.
    """
    found: dict[Path, list[Result]] = {}
    problems = []
    folders = [one.parent if one.name == RESULT_FILE else one for one in folders]
    for folder in {folder.resolve(): folder for folder in folders}.values():
        try:
            found[folder] = read_run(folder)
        except UserError as error:
            problems.append(str(error))
    if problems:
        raise UserError(" ".join(problems))
    if len(found) < 2:
        raise UserError(f"only one run, {next(iter(found))}; accepted: the folders of two or more different runs.")
    runs = dict(zip(_names(found), found.values(), strict=True))
    scores = {one.score: None for members in runs.values() for one in members}
    if len(scores) > 1:
        names = " and ".join(score.name for score in scores)
        raise UserError(f"the runs have different scores ({names}); accepted: runs that are judged by the same one.")
    score = score_of(runs)
    rows = [row for members in runs.values() for one in members for row in one.history]
    if not any(row.get(score.key("validation")) is not None for row in rows):
        words = score.words("validation")
        raise UserError(f"no run has a {words} in its history; accepted: runs that finished an epoch.")
    return runs


def score_of(runs: Runs) -> Metric:
    """The score that all of the runs have."""
    return next(iter(runs.values()))[0].score


def read_run(folder: Path) -> list[Result]:
    """The members in a folder's result.json, without weights. Raises UserError where it cannot be read as one."""
    file = folder / RESULT_FILE
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder.")
    trials = sorted((path.parent for path in folder.glob(f"*/{RESULT_FILE}")), key=lambda one: (len(one.name), one))
    if trials and not file.is_file():
        shown = ", ".join(map(str, trials[:3])) + (", …" if len(trials) > 3 else "")
        raise UserError(f"{folder}: a sweep's folder; accepted: those of its trials, such as {shown}.")
    if not file.is_file():
        raise UserError(f"{folder}: holds no {RESULT_FILE}; accepted: the folder that a run leaves.")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}).") from None
    except ValueError as error:
        raise UserError(f"{file}: is no valid JSON ({error}).") from None
    if not isinstance(content, list) or not content:
        raise UserError(f"{file}: must be a list with one object per network.")
    return [_member(item, f"{file}, network {place}") for place, item in enumerate(content, start=1)]


def _member(item: Any, where: str) -> Result:
    """The member of one object of result.json; fields that this version does not know are ignored."""
    if not isinstance(item, dict):
        raise UserError(f"{where}: must be an object.")
    score = task_in(item["config"] if isinstance(item.get("config"), dict) else {}).metric
    names = [score.field(split) for split in ("validation", "test")]
    needed = ["config", "seed", "status", "history", "best_epoch", *names, "seconds", "dataset", "device"]
    missing = [name for name in needed if name not in item]
    if missing:
        raise UserError(f"{where}: lacks {', '.join(missing)}.")
    history = item["history"]
    if not (isinstance(item["config"], dict) and isinstance(history, list) and isinstance(item["dataset"], str)):
        raise UserError(f"{where}: config must be an object, history a list and dataset a text.")
    values = [item[name] for name in names]
    for row in history:
        if not isinstance(row, dict):
            raise UserError(f"{where}: history must hold one object per epoch.")
        values += row.values()
    if not all(value is None or isinstance(value, int | float) for value in values):
        raise UserError(f"{where}: {score.plural} and the figures in history must be numbers or null.")
    return Result.from_kept(item)


def _names(found: dict[Path, list[Result]]) -> list[str]:
    """A name for each run: that of its experiment; where these are equal, with the part of its folder that differs.

    That part is the folder's name, its path below the folder that all share, or its whole path.
    """
    experiments = [str(members[0].config.get("name", "custom")) for members in found.values()]
    top = os.path.commonpath([folder.resolve() for folder in found])
    pairs = list(zip(experiments, found, strict=True))
    short = [f"{name} ({_place(folder.name, name)})" for name, folder in pairs]
    below = [f"{name} ({_place(folder.resolve().relative_to(top).as_posix(), name)})" for name, folder in pairs]
    whole = [f"{name} ({folder})" for name, folder in pairs]
    return next(names for names in (experiments, short, below, whole) if len(set(names)) == len(names))


def _place(path: str, experiment: str) -> str:
    """A run's folder without the experiment at its end: 14-03-22-123456 for 14-03-22-123456-shallow."""
    return re.sub(rf"-({re.escape(experiment)}|multirun)(?=/|$)", "", path)


def _datasets(runs: Runs) -> list[str]:
    return list(dict.fromkeys(member.dataset for members in runs.values() for member in members))


def differences(runs: Runs) -> dict[str, dict[str, str]]:
    """For each run the settings, as section.key -> value, in which not all runs are equal; `-` for a missing one.

    Numbers have four significant digits if that hides no difference.
    """
    flat = {name: dotted(members[0].config) for name, members in runs.items()}
    shown: dict[str, dict[str, str]] = {name: {} for name in runs}
    for key in dict.fromkeys(key for settings in flat.values() for key in settings):
        exact, short = ([text(run[key]) if key in run else "-" for run in flat.values()] for text in (_exact, _short))
        if not key.startswith(LABELS) and len(set(exact)) > 1:
            texts = short if len(set(short)) == len(set(exact)) else exact
            for settings, text in zip(shown.values(), texts, strict=True):
                settings[key] = text
    return shown


def _exact(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else _exact(value)


def legend(runs: Runs) -> list[str]:
    """The label of each run in the figure: its experiment and, if several have the same one, the settings that differ.

    Where such labels are not unique or too long, it is the run's name in the table.
    """
    experiments = [str(members[0].config.get("name", "custom")) for members in runs.values()]
    if len(set(experiments)) == len(experiments):
        return experiments
    settings = [
        ", ".join(f"{key.rsplit('.', 1)[-1]}={text}" for key, text in own.items()) for own in differences(runs).values()
    ]
    labels = [f"{name}: {words}" for name, words in zip(experiments, settings, strict=True)]
    told_apart = len(set(labels)) == len(labels) and max(map(len, labels)) <= LONGEST_LABEL
    return labels if told_apart else list(runs)


def table(runs: Runs) -> "Table":
    """A row for each run: name, settings that differ, members, both scores (mean ± sd over members), data set.

    Where a run has snapshots, the test score of their votes stands beside. After a refit the validation score says that
    its examples were trained on.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    score = score_of(runs)
    caption = f"{score.title}: mean ± standard deviation over networks, each by itself"
    result = Table(box=box.SIMPLE_HEAD, caption=caption)
    result.add_column("run", overflow="fold", min_width=max(len(word) for name in runs for word in name.split()))
    result.add_column("what differs", overflow="fold")
    voted = any(member.snapshots_test_score is not None for members in runs.values() for member in members)
    votes = [f"snapshots: {score.heading('test')}"] if voted else []
    for heading in ("networks", score.heading("validation"), score.heading("test"), *votes):
        result.add_column(heading, justify="right", min_width=max(map(len, heading.split())))
    result.add_column("data", overflow="fold")
    differing = differences(runs)
    for name, members in runs.items():
        settings = "\n".join(f"{key}={value}" for key, value in differing[name].items()) or "nothing"
        refit = " (trained on)" if any(one.refit for one in members) else ""
        cells = [name, settings, _counted(members), _spread(score, [one.validation_score for one in members]) + refit]
        cells += [_spread(score, [one.test_score for one in members])]
        cells += [_spread(score, [one.snapshots_test_score for one in members])] if voted else []
        cells += [", ".join(dict.fromkeys(one.dataset for one in members))]
        result.add_row(*(Text(cell) for cell in cells))
    return result


def _counted(members: list[Result]) -> str:
    """The number of members, and of those that were stopped or failed."""
    unfinished = sum(member.status != "FINISHED" for member in members)
    return f"{len(members)} ({unfinished} unfinished)" if unfinished else str(len(members))


def _spread(score: Metric, values: list[float | None]) -> str:
    from src.runs.summary import summarise

    summary = summarise(validation=values, test=values, score=score)
    if summary.mean is None:
        return "none"
    return score.figure(summary.mean) + ("" if summary.sd is None else f" ± {score.figure(summary.sd)}")
