"""What trained networks answer: python -m src.predict run=RUN|study=NAME input=FILE [FILE ...] [KEY=VALUE ...]

RUN is the folder of a run, mlruns/hydra/DATE/TIME-NAME. An input is a table (.csv or .parquet) with the columns that
the networks were trained on, a picture of any size (PNG, JPEG, …), an array (.npy, or .npz with one array or one named
x), a folder with such files, or a pattern such as 'digits/*.png'. In a table what is missing counts as in training, a
category that is not known as none of them; the column to predict may be there or not. For networks that were trained on
digits a picture is made like MNIST's: grey, light on dark, the digit in a box of 20 × 20 pixels and centred by mass;
for data=folder like the others there, else its middle is resized. Answers go to the terminal and to a CSV with a row an
example; beside it FILE.png shows what the networks saw of pictures. Of several networks the mean of their predictions
counts.

    top=N              so many of the best networks; by default a study's best, a run's ensemble, folds or its best,
                       a network with snapshots by their vote (top=1: without);
                       of a study of cross-validations so many of the best trials, with the networks of all folds
    augment.test_shift=1   pixels: they answer with the mean over an image and the same moved by up to so many, and with
                       augment.test_flip=true over each of these and its mirror image; by default as in training
    storage=URL        where the study lies, if not in mlruns/studies.db
    invert=auto        digits: light on dark if the border is light; yes or no: light and dark are exchanged, or not
    output=predictions.csv
Exit status: 0 done; 2 nothing was predicted; 130 stopped by the user.
"""

from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING

from src.commands.arguments import run_command, words_and_keys
from src.commands.networks import KEYS, WHICH, chosen_networks
from src.config.error import UserError
from src.config.wording import number_of

if TYPE_CHECKING:
    from torch import Tensor

    from src.config.data import DataConfig
    from src.data.columns import Columns
    from src.runs.answers import Answers
    from src.runs.image_file import Seen
    from src.runs.trained import Trained

USAGE = f"python -m src.predict {WHICH} input=FILE [FILE ...] [invert=auto] [output=predictions.csv]"
INVERT = {"auto": None, "yes": True, "no": False}
SHOWN = 20  # answers on the terminal


def main(arguments: list[str] | None = None) -> int:
    """The command; `arguments` without the program's name. Returns the exit status."""
    return run_command(_predict, arguments, __doc__, "Nothing was predicted")


def _predict(arguments: list[str]) -> int:
    defaults = {**KEYS, "input": None, "invert": "auto", "output": "predictions.csv"}
    words, options = words_and_keys(arguments, defaults, USAGE)
    output = Path(options["output"])
    if output.suffix != ".csv":
        raise UserError(f"output={output}: the answers are a table; accepted: a file name that ends in .csv.")
    if options["invert"] not in INVERT:
        raise UserError(f"invert={options['invert']}: accepted: {', '.join(INVERT)}.")
    texts = [options["input"], *words]
    if output.resolve() in [Path(text).expanduser().resolve() for text in texts]:
        raise UserError(f"output={output}: is an input, which it would overwrite; accepted: another name.")
    files = [one for one in files_of(texts) if one.resolve() != output.resolve()]  # of a folder: what was written there
    if not files:
        raise UserError(f"input={options['input']}: holds earlier answers alone; accepted: pictures, arrays or tables.")
    networks = chosen_networks(options)

    from src.runs import terminal
    from src.runs.answers import Answers
    from src.runs.predictor import Predictor, predictions

    first, predictor = networks[0], Predictor(networks)
    inputs, names, seen = _inputs(files, first.config.data, predictor.columns, INVERT[options["invert"]])
    answers = Answers(names, predictions(predictor, inputs), first.config.task.kind, first.output_names)
    _show(answers, networks)
    answers.write(output)
    terminal.say(f"Answers: {output}")
    if seen:
        picture = output.with_suffix(".png")
        _draw(seen, answers, picture)
        terminal.say(f"Picture: {picture}, what the networks saw")
    return 0


def files_of(texts: list[str]) -> list[Path]:
    """The files that paths, folders and patterns name, each once. Raises one UserError for all that name none."""
    from src.data.table import ENDINGS
    from src.runs import array_file, image_file

    kinds = (*image_file.SUFFIXES, *array_file.SUFFIXES, *ENDINGS)
    files, problems = dict[Path, None](), list[str]()
    for text in texts:
        path = Path(text).expanduser()
        if path.is_dir():
            found = sorted(one for one in path.rglob("*") if one.suffix.lower() in kinds and one.is_file())
            problems += (
                []
                if found
                else [f"input={text}: a folder without pictures, arrays or tables; accepted: {_list(kinds)}."]
            )
        elif path.is_file():
            found = [path]
            problems += [] if path.suffix.lower() in kinds else [f"input={text}: accepted: {_list(kinds)}."]
        else:
            matches = glob(str(path), recursive=True)  # noqa: PTH207 (Path.glob takes no absolute pattern)
            found = sorted(one for one in map(Path, matches) if one.is_file())
            problems += [] if found else [f"input={text}: no such file or folder, and no pattern that names one."]
        files.update(dict.fromkeys(found))
    if problems:
        raise UserError(" ".join(problems))
    return list(files)


def _list(kinds: tuple[str, ...]) -> str:
    return ", ".join(kinds)


def _inputs(
    files: list[Path], data: "DataConfig", columns: "Columns | None", invert: bool | None
) -> "tuple[Tensor, list[str], list[Seen]]":
    """All inputs as networks take them, their names, and what was done to pictures. Raises one UserError.

    columns: of networks that were trained on a table.
    """
    import torch

    from src.data.table import ENDINGS
    from src.runs import array_file, image_file, table_file

    parts: list[Tensor] = []
    seen: list[Seen] = []
    names, problems = list[str](), list[str]()
    for path in files:
        try:
            if columns is not None or path.suffix.lower() in ENDINGS:
                parts.append(table_file.read_table(path, columns))
                names += [f"{path}[{row}]" for row in range(len(parts[-1]))]
            elif path.suffix.lower() in array_file.SUFFIXES:
                parts.append(array_file.read_array(path, data))
                names += [str(path)] if len(parts[-1]) == 1 else [f"{path}[{row}]" for row in range(len(parts[-1]))]
            else:
                seen.append(image_file.read_image(path, data, invert))
                parts.append(torch.from_numpy(seen[-1].image.copy())[None])
                names.append(str(path))
        except UserError as error:
            problems.append(str(error))
    if seen and len(seen) < len(files):
        problems.append("pictures and arrays: accepted: files of one kind at a time.")
    if len({part.dtype for part in parts}) > 1:
        problems.append("bytes and other numbers: accepted: arrays of one kind at a time.")
    if problems:
        raise UserError(" ".join(problems))
    inputs = torch.cat(parts)
    if not len(inputs):
        raise UserError("input: the arrays hold no example; accepted: at least one.")
    return inputs, names, seen


def _show(answers: "Answers", networks: "list[Trained]") -> None:
    """Prints who answers, and a table with the first answers."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from src.runs import terminal

    kind = answers.kind
    names = networks[0].name if len(networks) == 1 else f"the mean of {number_of(len(networks), 'network')}"
    terminal.grid({"networks": f"{networks[0].config.name}, {names}; trained on {networks[0].result.dataset}"})
    rows = [answers.words(number) for number in range(min(SHOWN, len(answers.names)))]
    table = Table(box=SIMPLE_HEAD)
    table.add_column("input", overflow="fold")
    numbers = answers.columns if kind == "numbers" else []
    heads = {"classes": ["class", "second", "third"], "labels": ["labels"], "numbers": numbers}[kind]
    for head in heads:
        table.add_column(head, justify="right")
    for name, row in zip(answers.names, rows, strict=False):
        cells = [", ".join(row)] if kind == "labels" else row
        table.add_row(*(Text(cell) for cell in [name, *cells]))
    terminal.console.print(table)
    if len(answers.names) > len(rows):
        terminal.say(f"and {number_of(len(answers.names) - len(rows), 'more example')}.")


def _draw(seen: "list[Seen]", answers: "Answers", path: Path) -> None:
    from src.runs.seen_figure import seen_figure

    names = [Path(name).name for name in answers.names]
    said = [answers.words(number)[0] for number in range(len(names))]
    seen_figure(seen, names, said, path, "Each file, and what the networks saw of it")
