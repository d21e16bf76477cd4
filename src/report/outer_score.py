"""The outer score of a nested study: what the best trial of each outer fold's study scores on that fold."""

from typing import Any

from src.report.study_dimension import settings
from src.runs.summary import Summary, summarise
from src.sweep.studies.study_record import Study

WHAT = "of the best trial of each, on examples that neither its training nor its choice has seen"


def outer_score(studies: list[Study]) -> Summary:
    """Mean, spread and 95 % interval of the best trials' test scores; studies: one an outer fold, at least one.

    A study without a best trial, or whose best trial has no test score, is left out and counted.
    """
    tests = [None if study.best is None else study.best.test_score for study in studies]
    return summarise(validation=tests, test=tests, score=studies[0].score)


def sentence(studies: list[Study]) -> str:
    """The outer score in one line."""
    found, total = outer_score(studies), studies[0].settings.get("nested") or len(studies)
    missing = f"; {total - found.n} of {total} outer folds have none yet" if found.n < total else ""
    return f"Outer {found.score.words('test')}: {found.spread() if found.n else 'none yet'}, {WHAT}{missing}"


def show(studies: list[Study]) -> None:
    """Prints a row for each outer fold, with its study's best trial, and the outer score."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from src.runs import terminal

    score = studies[0].score
    table = Table(box=SIMPLE_HEAD)
    for column in ("outer fold", "best trial", "parameters", *map(score.heading, ("validation", "test"))):
        table.add_column(column, overflow="fold")
    for number, study in enumerate(studies, 1):
        best = study.best
        found = ["–"] * 4
        if best is not None:
            found = [str(best.place), settings(best), *map(score.figure, (best.validation_score, best.test_score))]
        table.add_row(*map(Text, [str(number), *found]))
    terminal.console.print(table)
    terminal.say(sentence(studies))
    terminal.say(f"Studies: {', '.join(study.name for study in studies)}")


def as_json(studies: list[Study]) -> dict[str, Any]:
    """The same to be kept: the figures of the outer score (0 to 1 where it is a part) and each fold's best trial."""
    found = outer_score(studies)
    figures = {name: getattr(found, name) for name in ("n", "left_out", "mean", "sd", "low", "high")}
    return {"score": found.score.field("test"), **figures, "of": WHAT, "outer_folds": list(map(_row, studies))}


def _row(study: Study) -> dict[str, Any]:
    best, score = study.best, study.score
    row: dict[str, Any] = {"outer_fold": study.identity.get("config", {}).get("data.outer_fold"), "study": study.name}
    if best is None:
        return {**row, "trial": None}
    scores = {score.field("validation"): best.validation_score, score.field("test"): best.test_score}
    return {**row, "trial": best.place, "params": best.params, **scores, "folder": best.folder}
