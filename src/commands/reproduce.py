"""The chapter and the tutorial reproduced: every experiment of conf/exp at full length on MNIST, three repeats each.

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
from statistics import fmean
from typing import TYPE_CHECKING, Any

from src.commands.arguments import run_command, words_and_keys
from src.commands.reproduction_runs import (
    COMPARISON,
    DATA,
    ENSEMBLES,
    FIGURES,
    ORDER_NOTES,
    ORDERS,
    RUNS,
    SAMPLES,
    TABLE,
    TUTORIAL,
    TutorialModel,
)
from src.config.error import UserError
from src.config.metric import ERROR
from src.report import reproduction_page as paper
from src.report.reproduction import Kept, computed, read, save
from src.report.reproduction_page import Row

if TYPE_CHECKING:
    from src.config.schema import RunConfig
    from src.runs.checkpoint import Saved

USAGE = "python -m src.reproduce [RUN ...] [--docs FOLDER]"
STOPPED = "Stopped. What has ended is kept; the same command goes on where this one stopped."
FOLDER = Path("mlruns/reproduction")
DOCS = Path(__file__).resolve().parents[2] / "docs"


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
            _draw_samples(run, folder)
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
    members, phases = read_run(folder), [read_run(path.parent) for path in folder.glob("pretrain-*/result.json")]
    # Status -> whether a member with it has a best epoch; any other combination means that the run was interrupted.
    ended = {"FINISHED": True, "FAILED": False}
    if any(ended.get(member.status) != (member.best_epoch is not None) for member in members):
        return None
    return Kept(
        run=run,
        config=config.shown(),
        date=datetime.date.today().isoformat(),
        device=members[0].device,
        seconds=sum(max(member.seconds for member in one) for one in (members, *phases)),
        core_seconds=core_seconds,
        members=members,
        votes=json.loads(votes.read_text(encoding="utf-8")) if config.ensemble > 1 else [],
        commit=git_commit()["git.commit"],
        counted=_counted(run, config, folder),
    )


def _counted(run: str, config: "RunConfig", folder: Path) -> dict[str, Any]:
    """The wrong answers among as many images as the run's source has counted; empty where it has counted all."""
    images = TUTORIAL[run].counted if run in TUTORIAL else None
    if images is None:
        return {}
    from src.commands.recount import recount

    return recount(folder, config, images)


def _draw_samples(run: str, folder: Path) -> None:
    """Draws the samples of a machine with as many Gibbs steps as the tutorial has."""
    if (run, SAMPLES) in FIGURES.values():
        from src.commands.sample import main as sample

        sample([f"run={folder}", f"out={folder / 'figures' / SAMPLES}"])


def _take_pictures(run: str, figures: Path, docs: Path) -> None:
    """Copies the figures that the page shows; removes those of an earlier run, even where there is no new one."""
    for source, name in FIGURES.values():
        if source == run:
            picture = _picture(docs, run, name)
            picture.unlink(missing_ok=True)
            if (figures / name).exists():
                shutil.copy(figures / name, picture)


def _picture(docs: Path, run: str, name: str) -> Path:
    """Where a figure lies for the page; name: its path from the run's folder of figures."""
    return docs / "reproduction" / f"{run}_{name.removeprefix('../').replace('/figures/', '_')}"


def _all_kept(docs: Path, configs: "dict[str, RunConfig]") -> dict[str, Kept]:
    """The kept runs that were trained with the present configurations."""
    found = {run: read(run, docs / "reproduction") for run in RUNS}
    return {run: one for run, one in found.items() if one is not None and one.answers(configs[run].shown())}


def write_page(docs: Path, configs: "dict[str, RunConfig]") -> Path:
    """Writes reproduction.md from all kept runs; returns its path."""
    kept, images = _all_kept(docs, configs), {}
    if {"conv2", "conv2_tanh"} <= set(kept):
        from src.runs.curves import compare_figure

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
    tables = [
        paper.Table(paper.CHAPTER, paper.CHAPTER_COLUMNS, list(rows(kept, configs))),
        paper.Table(paper.TUTORIAL, paper.TUTORIAL_COLUMNS, list(tutorial_rows(kept, configs))),
    ]
    missing = [run for run in RUNS if run not in kept]
    path.write_text(paper.page(tables, images, missing), encoding="utf-8")
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


def tutorial_rows(kept: dict[str, Kept], configs: "dict[str, RunConfig]") -> Iterator[Row]:
    """The rows of the tutorial's table: a classifier's with its error, another model's with the score of its task."""
    for run, model in TUTORIAL.items():
        if run in configs:
            yield _tutorial_row(run, model, configs[run], kept.get(run))


def _tutorial_row(run: str, model: TutorialModel, config: "RunConfig", kept: Kept | None) -> Row:
    members = kept.members if kept else []
    score = config.task.metric
    test, validation = [one.test_score for one in members], [one.validation_score for one in members]
    published = model.published
    if score.has_error:
        test, validation = ([None if v is None else score.error(v) for v in values] for values in (test, validation))
        published = None if config.published is None else 100 - config.published
        score = ERROR
    notes = [model.note] if model.note else []
    if kept and kept.counted:
        notes.append(counted_words(kept.counted))
    if kept and model.while_training:
        notes.append(f"ours: {last_epoch_words(kept)}")
    return Row(run, published, test, validation, [kept] if kept else [], "; ".join(notes), score=score)


def last_epoch_words(kept: Kept) -> str:
    """The score of the training images while the first and the last epoch trained, with its mean over the repeats."""
    score = kept.members[0].score
    rows = [(member.history[0], member.history[-1]) for member in kept.members]
    first, last = ([one[score.key("train")] for one in epoch] for epoch in zip(*rows, strict=True))
    return f"{score.figure(fmean(first))} in the first epoch, in the last {', '.join(map(score.figure, last))}"


def counted_words(counted: dict[str, Any]) -> str:
    """What recount.py has found, in words."""
    images = counted["images"]
    shares = [
        f"{split} error {', '.join(f'{100 * wrong / images:.2f}' for wrong in counted['wrong'][split])} %"
        for split in ("validation", "test")
    ]
    return f"over the first {images:,} images of each set, as the tutorial counts: {' and '.join(shares)}"


def _mean(values: list[Any]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
