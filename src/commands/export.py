"""Trained networks as one graph: python -m src.export run=RUN|study=NAME output=FILE.pt2|FILE.onnx [KEY=VALUE ...]

RUN is the folder of a run, mlruns/hydra/DATE/TIME-NAME. The graph takes what a data set stores, bytes of images
(N, channels, height, width) or rows of numbers (N, columns), and gives predictions: probabilities of classes, or
numbers in their units; of several networks their mean. Of a table it takes the columns as they are, (N, columns)
float64, NaN where a value is missing, and categories as codes; FILE.json beside it lists inputs, codes and outputs. The
graph is compared with the networks on their test set before the file gets its name. pt2 is read by
torch.export.load(FILE).module(), ONNX by onnxruntime; neither needs this tool.

    top=N              so many of the best networks; by default a study's best, a run's ensemble, folds or its best,
                       a network with snapshots by their vote (top=1: without);
                       of a study of cross-validations so many of the best trials, with the networks of all folds
    augment.test_shift=1   pixels: they answer with the mean over an image and the same moved by up to so many, and with
                       augment.test_flip=true over each of these and its mirror image; by default as in training
    storage=URL        where the study lies, if not in mlruns/studies.db
    format=pt2         or onnx; by default what the file's name ends in
    register=true      pt2: the graph becomes a version of a model in MLflow, in the run's tracking store
    name=NAME          that model's, by default the study's or the run's
    tracking.uri=URI   another store
    data.dir=FOLDER    where the data lie, if not where they lay; own data: data.path=FILE
Exit status: 0 done; 2 nothing was exported; 130 stopped by the user.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.commands.arguments import key_values, run_command
from src.commands.networks import KEYS, WHICH, chosen_networks, data_of
from src.config.error import UserError
from src.config.files import write_json
from src.config.wording import number_of

if TYPE_CHECKING:
    from torch import Tensor

    from src.runs.trained import Trained

USAGE = f"python -m src.export {WHICH} output=FILE.pt2|FILE.onnx [format=pt2|onnx] [register=true]"
FORMATS = ("pt2", "onnx")
DEFAULTS = {
    "output": None,
    "format": "",
    "register": "false",
    "name": "",
    "tracking.uri": "",
    "data.dir": "",
    "data.path": "",
}


def main(arguments: list[str] | None = None) -> int:
    """The command; `arguments` without the program's name. Returns the exit status."""
    return run_command(_export, arguments, __doc__, "Nothing was exported")


def _export(arguments: list[str]) -> int:
    options = key_values(arguments, {**KEYS, **DEFAULTS}, USAGE)
    output = Path(options["output"])
    kind = options["format"] or output.suffix.removeprefix(".")
    _check(options, output, kind)

    from src.runs.export_file import export, refuse_missing

    refuse_missing(kind)
    networks = chosen_networks(options)

    from src.runs import terminal
    from src.runs.export_description import description
    from src.runs.predictor import Predictor

    predictor, first = Predictor(networks), networks[0]
    changes = [f"{key}={options[key]}" for key in ("data.dir", "data.path") if options[key]]
    data = data_of(networks, predictor.columns, changes, USAGE)
    with terminal.waiting("Tracing"):
        difference = export(predictor, data.inputs, kind, output)
    described = description(networks, predictor.columns, data.inputs)
    beside = write_json(output.with_name(f"{output.name}.json"), described)
    terminal.say(
        f"Graph: {output}, {number_of(len(networks), 'network')}; its predictions for {len(data.inputs):,} examples of "
        f"{data.name} differ from the networks' by at most {difference:.1e}"
    )
    terminal.say(f"Its inputs and outputs: {beside}")
    if options["register"] == "true":
        name = options["name"] or options["study"] or first.config.name
        terminal.say(f"MLflow: {_register(name, options['tracking.uri'], first, output, data.inputs, described)}")
    return 0


def _check(options: dict[str, str], output: Path, kind: str) -> None:
    """Raises one UserError for values that are not accepted."""
    problems = []
    if kind not in FORMATS:
        problems.append(f"format={kind or output.suffix}: accepted: {' or '.join(FORMATS)}.")
    elif output.suffix != f".{kind}":
        problems.append(f"output={output}: accepted for format={kind}: a file name that ends in .{kind}.")
    if options["register"] not in ("true", "false"):
        problems.append(f"register={options['register']}: accepted: true or false.")
    elif options["register"] == "true" and kind == "onnx":
        problems.append("register=true: a model in MLflow holds a pt2 graph; accepted: format=pt2.")
    if problems:
        raise UserError(" ".join(problems))


def _register(name: str, uri: str, network: "Trained", graph: Path, inputs: "Tensor", described: dict[str, Any]) -> str:
    from src.config.address import absolute, lower_scheme, masked
    from src.runs.export_file import as_taken
    from src.tracking.registry import register

    store = absolute(lower_scheme(uri or network.config.tracking.uri))
    try:
        example = as_taken(inputs[:1]).numpy()
        version = register(name, store, network.config.tracking.experiment, graph, example, described)
    except Exception as error:  # MLflow's stores raise whatever their databases and servers make of it
        reason = masked(" ".join(str(error).split()))[:300]
        raise UserError(f"register=true: the model is in {graph}, but not in {masked(store)} ({reason}).") from None
    ending = ".csv -t csv" if "columns" in described["inputs"] else ".json"
    serve = f"MLFLOW_TRACKING_URI={masked(store)} mlflow models predict -m models:/{name}/{version} --env-manager local"
    return f"version {version} of the model {name}\n        {serve} -i INPUTS{ending}"
