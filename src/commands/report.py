"""The report on a study: python -m src.report study=NAME [storage=URL] [out=FOLDER] [tracking.uri=URI]

Writes FOLDER/report.html (one file, no network), FOLDER/report.md and the figures, by default to mlruns/reports/NAME,
and logs them to the study's run in MLflow. A study that still runs is reported as far as it is; a second call writes
anew. Of a nested study (hydra.sweeper.nested) NAME is the common one: the outer score and the outer folds' studies are
printed, each of which has a report of its own.
Exit status: 0 done; 2 there is no such study, or the folder cannot be written; 130 stopped.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from src.commands.arguments import key_values, run_command
from src.config.error import UserError
from src.config.folder import file_name

if TYPE_CHECKING:
    from src.sweep.studies.study_record import Study

USAGE = "python -m src.report study=NAME [storage=URL] [out=FOLDER] [tracking.uri=URI]"
FOLDER = Path("mlruns/reports")
REASON_LENGTH = 200  # the most characters that are shown of a store's own message


def main(arguments: list[str] | None = None) -> int:
    """The command; `arguments` without the program's name. Returns the exit status."""
    return run_command(_report, arguments, __doc__, "Nothing was reported")


def _report(arguments: list[str]) -> int:
    from src.config.address import RUNS, STUDIES, absolute, lower_scheme
    from src.sweep.studies.study_record import read_study

    defaults = {"study": None, "storage": STUDIES, "out": "", "tracking.uri": RUNS}
    options = key_values(arguments, defaults, USAGE)
    try:
        study = read_study(options["study"], options["storage"])
    except UserError:
        if _told_outer(options["study"], options["storage"]):
            return 0
        raise
    paths = written(study, Path(options["out"]) if options["out"] else None)
    print(summary(study))
    print(f"Report: {paths[0]}\n        {paths[1]}")
    print(f"MLflow: {_log(study, absolute(lower_scheme(options['tracking.uri'])), paths)}")
    return 0


def _told_outer(name: str, storage: str) -> bool:
    """Whether this is the common name of a nested study's outer folds; says their score then."""
    from src.report.outer_score import show
    from src.sweep.studies.outer_studies import read_outer

    studies = read_outer(name, storage)
    if studies:
        show(studies)
        print("Report of an outer fold: " + studies[0].command("report"))
    return bool(studies)


def written(study: "Study", folder: Path | None) -> list[Path]:
    """Writes the report to `folder`, by default mlruns/reports/NAME; returns the paths of html, Markdown and figures.

    Raises UserError where the folder cannot be written.
    """
    from src.report.study_report import write_report

    folder = folder or FOLDER / file_name(study.name)
    try:
        return write_report(study, folder)
    except OSError as error:
        raise UserError(f"out={folder}: cannot be written ({error.strerror or error}).") from None


def summary(study: "Study") -> str:
    """One line about the best trial."""
    from src.report.study_dimension import settings
    from src.report.study_quantity import quantities, value_spread

    best, quantity = study.best, quantities(study)[0]
    if best is None:
        return "No trial is complete yet."
    spread = value_spread(study, best)
    n = f" (n = {spread.n})" if spread.n else ""
    return f"Best: trial {best.place}, {quantity.label} {quantity.spread(spread)}{quantity.unit}{n}: {settings(best)}"


def _log(study: "Study", uri: str, paths: list[Path]) -> str:
    """Logs the report to the study's run in MLflow; returns a line that says whether that worked."""
    from src.config.address import masked
    from src.report.study_artifacts import log_artifacts

    try:
        return log_artifacts(study, uri, paths)
    except Exception as error:  # the report is written, even if the store fails
        return f"not logged ({masked(' '.join(str(error).split()))[:REASON_LENGTH]})"
