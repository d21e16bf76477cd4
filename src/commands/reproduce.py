"""The chapter reproduced: every experiment of conf/exp at full length on MNIST, three repeats each.

    python -m src.reproduce [RUN …]         all that is not there yet, or the runs named

Runs are made one after another, the short ones first, each as one stack. What a run leaves is kept at once
(src/report/reproduction.py), and a second call goes on where the first one ended, amid a run too; a run whose
configuration has changed since is made anew.
Exit status: 0 done; 1 a network of a run failed; 2 cannot run; 130 stopped by the user.
"""

import datetime
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.commands.arguments import run_command, words_and_keys
from src.config.error import UserError
from src.report.reproduction import Kept, Row, computed, page, read, save

if TYPE_CHECKING:
    from src.config.schema import RunConfig
    from src.runs.checkpoint import Saved

USAGE = "python -m src.reproduce [RUN ...] [--docs FOLDER]"
STOPPED = "Stopped. What has ended is kept; the same command goes on where this one stopped."
FOLDER = Path("mlruns/reproduction")
DOCS = Path(__file__).resolve().parents[2] / "docs"
REPEATS = 3
SHORT = ("shallow", "conv_only", "conv", "conv2", "conv2_tanh", "conv2_relu")
EXPANDED = ("expanded", "expanded_2fc100", "expanded_fc300", "expanded_2fc300", "expanded_fc1000", "expanded_2fc1000")
ENSEMBLES = {f"ensemble_{repeat + 1}": f"seed={5 * repeat}" for repeat in range(REPEATS)}  # five networks each
# Runs that ask whether the chapter's fixed order of the images explains why `conv2_relu` falls short of its figure:
# both orders, with other seeds than those of the table.
ORDERS = {
    "conv2_relu_stored": ["+exp=conv2_relu", "seed=3", "repeats=6"],
    "conv2_relu_reshuffled": ["+exp=conv2_relu", "seed=3", "repeats=6", "data.order=epoch"],
}
ORDER_NOTES = {
    "conv2_relu_stored": "`+exp=conv2_relu seed=3`: six seeds that the row above has not, in stored order",
    "conv2_relu_reshuffled": "the same six seeds with `data.order=epoch`: reshuffled before every epoch",
}
# The name of each run, with its overrides. The ensembles are three runs, because each of them takes long. `dropout`
# needs no run of its own: its networks are the ensembles' networks with the same seeds, number for number.
RUNS = (
    {name: [f"+exp={name}", f"repeats={REPEATS}"] for name in (*SHORT, *EXPANDED)}
    | {name: ["+exp=ensemble", seed] for name, seed in ENSEMBLES.items()}
    | ORDERS
)
DATA = ["data=mnist"]
# The rows of the chapter's table, in its order, without the two that come from the ensembles.
TABLE = (
    *SHORT,
    "expanded",
    "expanded_fc300",
    "expanded_fc1000",
    "expanded_2fc100",
    "expanded_2fc300",
    "expanded_2fc1000",
)
FIGURES = {  # caption -> the run and the file that shows it
    "The first layer's 20 filters, of the best network of the first ensemble": ("ensemble_1", "filters_conv1.png"),
    "The second layer's 40 maps of it": ("ensemble_1", "filters_conv2.png"),
    "The test images that the first ensemble misclassifies": ("ensemble_1", "errors.png"),
    "Validation and training of conv2_relu": ("conv2_relu", "overfitting.png"),
}
COMPARISON = "tanh against sigmoid: validation accuracy by epoch of conv2_tanh and conv2, three networks each"


def main(arguments: list[str] | None = None) -> int:
    """The command; `arguments` without the program's name. Returns the exit status."""
    return run_command(_reproduce, arguments, __doc__, "Nothing more was reproduced", STOPPED)


def _reproduce(arguments: list[str]) -> int:
    wanted, options = words_and_keys(arguments, {"docs": str(DOCS)}, USAGE)
    docs = Path(options["docs"])
    unknown = [run for run in wanted if run not in RUNS]
    if unknown:
        raise UserError(f"{', '.join(unknown)}: no such run; accepted: {', '.join(RUNS)}")
    configs = {run: configuration(run) for run in RUNS}
    there = _all_kept(docs, configs)
    missing = [run for run in RUNS if run not in there]
    todo = list(dict.fromkeys(wanted)) or missing
    print(f"{len(RUNS) - len(missing)} of {len(RUNS)} runs are there; to do now: {', '.join(todo) or 'nothing'}")
    for run in todo:
        _train(run, configs[run], docs)
        write_page(docs, configs)
    print(f"The page: {write_page(docs, configs)}")
    members = [member for kept in _all_kept(docs, configs).values() for member in kept.members]
    return 1 if any(member.status == "FAILED" for member in members) else 0


def configuration(run: str) -> "RunConfig":
    """The run's checked configuration, at full length on MNIST."""
    return _parsed([*RUNS[run], *DATA])


def _parsed(overrides: list[str]) -> "RunConfig":
    from src.config.check import parse
    from src.config.compose import composed

    return parse(composed(overrides))


def _train(run: str, config: "RunConfig", docs: Path) -> None:
    """Trains the run and keeps its results, even if something fails afterwards. Raises KeyboardInterrupt if stopped."""
    from src.commands.train import train

    folder, saved = _stopped(run, config) or (FOLDER / f"{run}-{datetime.datetime.now():%Y%m%d-%H%M%S}", None)
    start = time.process_time() - (saved.core_seconds if saved else 0.0)
    kept = None
    try:
        train(config, folder, [*RUNS[run], *DATA], saved=saved, goes_on="make reproduce")
    finally:
        kept = _read(run, config, folder, time.process_time() - start)
        if kept is not None:
            save(kept, docs / "reproduction")
            _take_pictures(run, folder / "figures", docs)
    if kept is None:
        raise KeyboardInterrupt


def _stopped(run: str, config: "RunConfig") -> "tuple[Path, Saved] | None":
    """The folder of the latest stopped run of this name and its checkpoint; None where there is none to go on from."""
    from src.runs.checkpoint import FILE, read

    for folder in sorted((path.parent for path in FOLDER.glob(f"{run}-*/{FILE}")), reverse=True):
        try:
            saved = read(folder)
        except UserError as error:
            print(error)
            continue
        if computed(saved.config) == computed(config.shown()):
            return folder, saved
    return None


def _read(run: str, config: "RunConfig", folder: Path, core_seconds: float) -> Kept | None:
    """The results that the run has left in its folder; None where it did not end."""
    from src.commands.compare import read_run
    from src.tracking.tracker import git_commit

    votes = folder / "votes.json"
    if not (folder / "result.json").exists() or (config.ensemble > 1 and not votes.exists()):
        return None
    members = read_run(folder)
    # Status -> whether a member with it has a best epoch; any other combination means that the run was interrupted.
    ended = {"FINISHED": True, "FAILED": False}
    if any(ended.get(member.status) != (member.best_epoch is not None) for member in members):
        return None
    return Kept(
        run=run,
        config=config.shown(),
        date=datetime.date.today().isoformat(),
        device=members[0].device,
        seconds=max(member.seconds for member in members),
        core_seconds=core_seconds,
        members=members,
        votes=json.loads(votes.read_text(encoding="utf-8")) if config.ensemble > 1 else [],
        commit=git_commit()["git.commit"],
    )


def _take_pictures(run: str, figures: Path, docs: Path) -> None:
    """Copies the figures that the page shows; removes those of an earlier run, even where there is no new one."""
    for source, name in FIGURES.values():
        if source == run:
            picture = _picture(docs, run, name)
            picture.unlink(missing_ok=True)
            if (figures / name).exists():
                shutil.copy(figures / name, picture)


def _picture(docs: Path, run: str, name: str) -> Path:
    return docs / "reproduction" / f"{run}_{name}"


def _all_kept(docs: Path, configs: "dict[str, RunConfig]") -> dict[str, Kept]:
    """The kept runs that were trained with the present configurations."""
    found = {run: read(run, docs / "reproduction") for run in RUNS}
    return {run: one for run, one in found.items() if one is not None and one.answers(configs[run].shown())}


def write_page(docs: Path, configs: "dict[str, RunConfig]") -> Path:
    """Writes reproduction.md from all kept runs; returns its path."""
    kept, images = _all_kept(docs, configs), {}
    if {"conv2", "conv2_tanh"} <= set(kept):
        from src.runs.figures import compare_figure

        path = _picture(docs, "conv2_tanh", "curves.png")
        runs = ("conv2_tanh", "conv2")
        named = {run: [replace(member, config={"name": run}) for member in kept[run].members] for run in runs}
        compare_figure(named, path, COMPARISON)
        images[COMPARISON] = f"reproduction/{path.name}"
    for caption, (run, name) in FIGURES.items():
        path = _picture(docs, run, name)
        if run in kept and path.exists():
            images[caption] = f"reproduction/{path.name}"
    path = docs / "reproduction.md"
    path.write_text(page(list(rows(kept, configs)), images, [run for run in RUNS if run not in kept]), encoding="utf-8")
    return path


def rows(kept: dict[str, Kept], configs: "dict[str, RunConfig]") -> Iterator[Row]:
    """The rows of the chapter's table, in its order, and of `conv2_relu` in two orders of its images."""
    for run in TABLE:
        yield _row(run, kept, configs)
    ensembles = [kept[run] for run in ENSEMBLES if run in kept]
    networks = [member for ensemble in ensembles for member in ensemble.members]
    yield Row(
        "dropout",
        _parsed(["+exp=dropout"]).published,
        [member.test_score for member in networks],
        [member.validation_score for member in networks],
        ensembles,
        "the networks of the ensembles, each by itself: the same seeds give the same networks, in the same time",
        timed=False,
    )
    yield Row(
        "ensemble",
        _parsed(["+exp=ensemble"]).published,
        [ensemble.votes[0]["accuracy"] for ensemble in ensembles],
        [_mean([member.validation_score for member in ensemble.members]) for ensemble in ensembles],
        ensembles,
        "five networks each, plurality; ranked by their mean validation accuracy",
    )
    for run in ORDERS:
        if run in configs:
            yield _row(run, kept, configs, ORDER_NOTES[run])


def _row(run: str, kept: dict[str, Kept], configs: "dict[str, RunConfig]", note: str = "") -> Row:
    members = kept[run].members if run in kept else []
    return Row(
        run,
        configs[run].published,
        [member.test_score for member in members],
        [member.validation_score for member in members],
        [kept[run]] if run in kept else [],
        note,
    )


def _mean(values: list[Any]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
