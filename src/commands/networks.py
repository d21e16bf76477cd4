"""The trained networks, and the data, that a command's run=RUN or study=NAME names."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.commands.compare import RESULT_FILE, read_run
from src.config.address import STUDIES
from src.config.augment import AT_TEST
from src.config.data import FOUND, OWN
from src.config.error import UserError
from src.config.folder import file_name
from src.config.task import task_in

if TYPE_CHECKING:
    from src.config.data import DataConfig
    from src.data.columns import Columns
    from src.runs.evaluation_data import TestData
    from src.runs.trained import Left, Trained

WHICH = "run=RUN|study=NAME [top=N] [augment.test_shift=N] [augment.test_flip=true]"
VIEWS = tuple(f"augment.{name}" for name in AT_TEST)
WHERE = {"run": "", "study": "", "storage": STUDIES}
KEYS = {**WHERE, "top": "", **dict.fromkeys(VIEWS, "")}
RUNS = Path("mlruns/hydra")  # where runs lie by default
PREDICT = ("classify", "regress", "multilabel")  # the tasks whose networks answer


def chosen_networks(options: Mapping[str, str]) -> "list[Trained]":
    """The networks that `options`, the values of KEYS, name, the best first; all have one task and see one data set.

    Of a run by default its ensemble, its folds, or the snapshots of its best network, else that network; of a study
    its best one, likewise. They answer by the views that `options` name, if any. Raises UserError.
    """
    if bool(options["run"]) == bool(options["study"]):
        given = "both are given" if options["run"] else "neither is given"
        raise UserError(f"run= or study=: {given}; accepted: one of them, the folder of a run or the name of a study.")
    top = _top(options["top"])
    left = of_study(options["study"], options["storage"], top) if options["study"] else of_run(options["run"], top)
    first = task_in(left[0].result.config).name
    if first not in PREDICT:
        raise UserError(f"its networks are of task={first}; accepted: those of task={', '.join(PREDICT)}.")
    views = [f"{key}={options[key]}" for key in VIEWS if options.get(key)]
    networks = [_seeing(one.read(), views) for one in left]
    names = sorted({one.result.dataset for one in networks})
    if len(names) > 1:
        raise UserError(f"top={top}: its networks were trained on different data ({', '.join(names)}).")
    if len(answers := {tuple(one.output_names) for one in networks}) > 1:
        differ = " and ".join(f"({', '.join(one)})" for one in sorted(answers))
        raise UserError(f"top={top}: its networks answer with different classes or numbers, {differ}; accepted: top=1.")
    return networks


def _seeing(network: "Trained", views: list[str]) -> "Trained":
    """The network with these KEY=VALUE for the views by which it answers. Raises ConfigError."""
    from src.config.kept_config import changed

    if not views:
        return network
    augment = changed({**network.result.config, "tracking": {"kind": "none"}}, views, WHICH).augment
    return replace(network, config=network.config.model_copy(update={"augment": augment}))


def output_folder(options: Mapping[str, str], below: str, studies: Path) -> Path:
    """Where a command writes: output=, else `below` in the run's folder, or the study's folder in `studies`."""
    if options["output"]:
        return Path(options["output"])
    if options["study"]:
        return studies / file_name(options["study"])
    run = Path(options["run"]).expanduser()
    return (run.parent if run.is_file() else run) / below


def _top(text: str) -> int | None:
    if text and not (text.isascii() and text.isdigit() and int(text) > 0):
        raise UserError(f"top={text}: must be a whole number; accepted: at least 1.")
    return int(text) if text else None


def of_study(name: str, storage: str, top: int | None) -> "list[Left]":
    """The `top` best networks of a study, by default those that answer together with the best one; of cross-validations
    those of all folds of the `top` best trials.

    Raises UserError where there is no such study, or it has fewer.
    """
    from src.sweep.studies.study_record import read_study
    from src.sweep.study_networks import answering_networks

    return answering_networks(read_study(name, storage), top)


def of_run(text: str, top: int | None) -> "list[Left]":
    """The `top` best networks of a run; by default those that answer together with the best one (`together`).

    Raises UserError where there is no such run, or it has fewer.
    """
    folder = Path(text).expanduser()
    folder = folder.parent if folder.name == RESULT_FILE else folder
    if not folder.is_dir():
        raise UserError(f"run={text}: no such folder; {_others(text)}")
    results = read_run(folder)

    from src.runs.trained import networks_in, together

    left = networks_in(folder, results)
    left.sort(key=lambda one: one.result.merit, reverse=True)
    if not left:
        raise UserError(f"run={text}: none of its networks has come to the end of an epoch; accepted: another run.")
    if top is None:
        return together(left)
    if top > len(left):
        raise UserError(f"top={top}: the run has left {len(left)} networks; accepted: 1 to {len(left)}.")
    return left[:top]


def _others(text: str) -> str:
    """The runs that there are, in a sentence: those most like `text`, or the latest."""
    runs = sorted(str(one.parent) for one in RUNS.glob(f"*/*/{RESULT_FILE}"))
    near = difflib.get_close_matches(text.rstrip("/"), runs, n=3, cutoff=0.8) or runs[-1:]
    return (
        f"there is {', '.join(near)}." if near else f"accepted: the folder that a run has left, {RUNS}/DATE/TIME-NAME."
    )


def data_of(networks: "Sequence[Trained]", columns: "Columns | None", changes: Iterable[str], usage: str) -> "TestData":
    """The examples that test the networks: those of their run, or, with `changes`, overrides of data as src.train takes
    them, others. columns: of networks that were trained on a table.

    Raises UserError where other data are there now than they were trained on, or their sizes do not fit.
    """
    from src.runs.evaluation_data import refuse_other_tests, test_data

    first, given = networks[0].result, list(changes)
    config = _data_config(first.config, given, usage)
    moved = config.name not in OWN and {_key(one) for one in given} <= {"data.dir"}
    other = not moved and bool(given)
    if not other:
        refuse_other_tests(networks)
    found = test_data(networks, config, columns, other)
    if not other and found.name != first.dataset.removesuffix("-expanded"):
        raise UserError(
            f"the networks were trained on {first.dataset}; here is {found.name}; accepted: the same data, by "
            "data.dir, or others, by data=NAME."
        )
    return found


def _data_config(kept: dict[str, Any], given: list[str], usage: str) -> "DataConfig":
    """The data of a kept configuration with overrides; sizes of own data are not looked up, but stay the networks'."""
    from src.config.check import parse
    from src.config.compose import composed
    from src.config.kept_config import changed

    config = {**kept, "tracking": {"kind": "none"}}
    given = [one for one in given if one != f"data={kept['data']['name']}"]
    if not any(_key(one) == "data" for one in given):
        return changed(config, given, usage).data
    data = composed(given)["data"]
    if data["name"] in OWN:
        data |= {key: kept["data"].get(key) for key in FOUND if data.get(key) is None}
    return parse({**config, "data": data}).data


def _key(change: str) -> str:
    return change.partition("=")[0]
