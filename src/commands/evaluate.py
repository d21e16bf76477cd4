"""How good trained networks are on a data set: python -m src.evaluate run=RUN|study=NAME [data=NAME] [KEY=VALUE ...]

RUN is the folder of a run, mlruns/hydra/DATE/TIME-NAME. The score is given with its 95 % interval for as many examples;
for classes also precision, recall and F1 of each, the confusion matrix, and how far the probabilities can be trusted.
By default on the run's own test split; data=NAME and keys data.KEY=VALUE, as of src.train, name other data, such as
data.path=new.csv: their test split counts, of own data that have none all examples; classes count by their names. Of
several networks the mean of their predictions counts. All is written to a folder.

    top=N              so many of the best networks; by default a study's best, a run's ensemble, folds or its best,
                       a network with snapshots by their vote (top=1: without);
                       of a study of cross-validations so many of the best trials, with the networks of all folds
    augment.test_shift=1   pixels: they answer with the mean over an image and the same moved by up to so many, and with
                       augment.test_flip=true over each of these and its mirror image; by default as in training
    storage=URL        where the study lies, if not in mlruns/studies.db
    output=FOLDER      RUN/evaluation, or mlruns/evaluations/STUDY; the name of other data or views follows
Exit status: 0 done; 2 nothing was evaluated; 130 stopped by the user.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from src.commands.arguments import run_command, words_and_keys
from src.commands.networks import KEYS, VIEWS, WHICH, chosen_networks, data_of, output_folder
from src.config.error import UserError
from src.config.files import write_json
from src.config.folder import file_name
from src.config.wording import number_of

if TYPE_CHECKING:
    from src.runs.evaluation import Evaluation
    from src.runs.evaluation_data import TestData

USAGE = f"python -m src.evaluate {WHICH} [data=NAME] [data.KEY=VALUE ...] [output=FOLDER]"
STUDIES_FOLDER = Path("mlruns/evaluations")
MOST_COLUMNS = 12  # classes of a confusion matrix on the terminal


def main(arguments: list[str] | None = None) -> int:
    """The command; `arguments` without the program's name. Returns the exit status."""
    return run_command(_evaluate, arguments, __doc__, "Nothing was evaluated")


def _evaluate(arguments: list[str]) -> int:
    changes = [one for one in arguments if one.startswith(("data=", "data."))]
    rest = [one for one in arguments if one not in changes]
    words, options = words_and_keys(rest, {**KEYS, "output": ""}, USAGE)
    if words:
        raise UserError(f"{' '.join(words)}: accepted: keys of data, and {', '.join(KEYS)}, output. Usage: {USAGE}")
    networks = chosen_networks(options)

    from src.runs import terminal
    from src.runs.evaluation import Evaluation
    from src.runs.predictor import Predictor, predictions
    from src.tasks.task import task_of

    predictor, first = Predictor(networks), networks[0]
    data = data_of(networks, predictor.columns, changes, USAGE)
    given = predictions(predictor, data.inputs)
    kind, task = first.config.task.kind, task_of(first.config.task)
    evaluation = Evaluation(given, data.targets, kind, task, first.output_names)
    who = first.name if len(networks) == 1 else number_of(len(networks), "network")
    views = max(one.config.augment.view_count for one in networks)
    who += f", {views} views of an image" if views > 1 else ""
    _show(evaluation, f"{first.config.name}, {who}", data)
    given_views = any(options[key] for key in VIEWS)
    folder = _folder(options, [*([data.name] if changes else []), *([f"views-{views}"] if given_views else [])])
    title = f"{first.config.name} on {data.name}" + (f", {views} views" if views > 1 else "")
    for path in _written(evaluation, folder, title, views):
        terminal.say(f"Written: {path}")
    return 0


def _folder(options: dict[str, str], others: list[str]) -> Path:
    """Where all is written; others: what is not the run's own, the name of other data, and other views."""
    folder = output_folder(options, "evaluation", STUDIES_FOLDER)
    return folder if options["output"] else folder.joinpath(*map(file_name, others))


def _show(evaluation: "Evaluation", who: str, data: "TestData") -> None:
    """Prints the score with its interval, then the tables of classes, labels or numbers."""
    from src.runs import terminal
    from src.runs.evaluation import OF_CLASS

    score, (low, high) = evaluation.task.score, evaluation.interval
    rows = {
        "networks": who,
        "data": f"{data.name}, {data.which}",
        score.title: f"{score.written(evaluation.score)}, 95 % interval {score.figure(low)}–{score.figure(high)}",
    }
    if evaluation.kind == "classes":
        rows["calibration"] = f"expected error of the probabilities {100 * evaluation.calibration_error:.2f} points"
    terminal.grid(rows)
    if evaluation.kind == "numbers":
        errors = [
            [evaluation.outputs[n], *(f"{value:.4g}" for value in row)]
            for n, row in enumerate(evaluation.errors_by_target().tolist())
        ]
        _table(["number", "mean absolute error", "R²"], errors)
        return
    each = [
        [evaluation.outputs[n], *(f"{100 * value:.2f}" for value in row[:3]), f"{int(row[3]):,}"]
        for n, row in enumerate(evaluation.by_class.tolist())
    ]
    _table(
        ["class" if evaluation.kind == "classes" else "label", *(f"{name} %" for name in OF_CLASS[:3]), "support"], each
    )
    if evaluation.kind == "classes" and len(each) <= MOST_COLUMNS:
        matrix = [[evaluation.outputs[n], *map(str, row)] for n, row in enumerate(evaluation.confusion.tolist())]
        _table(["true \\ answer", *(row[0] for row in matrix)], matrix)


def _table(heads: list[str], rows: list[list[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from src.runs import terminal

    table = Table(box=SIMPLE_HEAD)
    for head in heads:
        table.add_column(Text(head), justify="right")
    for row in rows:
        table.add_row(*map(Text, row))
    terminal.console.print(table)


def _written(evaluation: "Evaluation", folder: Path, title: str, views: int) -> list[Path]:
    """Writes the figures and numbers of an evaluation by so many views of an image; returns their paths."""
    from src.runs.evaluation_figures import confusion_figure, numbers_figure, reliability_figure

    paths = [write_json(folder / "evaluation.json", {"views": views, **evaluation.as_json()})]
    score = evaluation.task.score
    title = f"{title}: {score.title} {score.written(evaluation.score)}"
    if evaluation.kind == "numbers":
        paths.append(folder / "numbers.png")
        numbers_figure(evaluation, paths[-1], title)
        return paths
    paths.append(evaluation.write_classes(folder / "classes.csv"))
    if evaluation.kind == "classes":
        paths += [folder / "confusion.png", folder / "reliability.png"]
        confusion_figure(evaluation, paths[-2], title)
        error = f"expected calibration error {100 * evaluation.calibration_error:.2f} points"
        reliability_figure(evaluation.reliability, paths[-1], f"{title}, {error}")
    return paths
