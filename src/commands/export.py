"""Trained networks as one graph: python -m src.export run=RUN|study=NAME output=FILE.pt2|FILE.onnx [KEY=VALUE ...]

RUN is the folder of a run, mlruns/hydra/DATE/TIME-NAME. The graph takes what a data set stores, bytes of images
(N, channels, height, width) or rows of numbers (N, columns), and gives predictions: probabilities of classes, or
numbers in their units; of several networks their mean. It is compared with the networks on their test set before the
file gets its name. pt2 is read by torch.export.load(FILE).module(), ONNX by onnxruntime; neither needs this tool.

    top=N              so many of the best networks; by default a study's best, a run's ensemble or its best
    storage=URL        where the study lies, if not in mlruns/studies.db
    format=pt2         or onnx; by default what the file's name ends in
    register=true      pt2: the graph becomes a version of a model in MLflow, in the run's tracking store
    name=NAME          that model's, by default the study's or the run's
    tracking.uri=URI   another store
    data.dir=FOLDER    where the data lie, if not where they lay
Exit status: 0 done; 2 nothing was exported; 130 stopped by the user.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from src.commands.arguments import key_values, run_command
from src.commands.networks import KEYS, WHICH, chosen_networks, data_of
from src.config.error import UserError
from src.config.wording import number_of

if TYPE_CHECKING:
    from torch import Tensor

    from src.runs.trained import Trained

USAGE = f"python -m src.export {WHICH} output=FILE.pt2|FILE.onnx [format=pt2|onnx] [register=true]"
FORMATS = ("pt2", "onnx")
DEFAULTS = {"output": None, "format": "", "register": "false", "name": "", "tracking.uri": "", "data.dir": ""}


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
    first = networks[0]
    dataset = data_of(first, [f"data.dir={options['data.dir']}"] if options["data.dir"] else [], USAGE)

    from src.runs import terminal
    from src.runs.predictor import Predictor

    inputs = dataset.test.inputs
    with terminal.waiting("Tracing"):
        difference = export(Predictor(networks), inputs, kind, output)
    terminal.say(
        f"Graph: {output}, {number_of(len(networks), 'network')}; its predictions for {len(inputs):,} examples of "
        f"{dataset.name} differ from the networks' by at most {difference:.1e}"
    )
    if options["register"] == "true":
        name = options["name"] or options["study"] or first.config.name
        terminal.say(f"MLflow: {_register(name, options['tracking.uri'], first, output, inputs)}")
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


def _register(name: str, uri: str, network: "Trained", graph: Path, inputs: "Tensor") -> str:
    from src.config.address import absolute, lower_scheme, masked
    from src.runs.export_file import as_taken
    from src.tracking.registry import register

    store = absolute(lower_scheme(uri or network.config.tracking.uri))
    try:
        version = register(name, store, network.config.tracking.experiment, graph, as_taken(inputs[:1]).numpy())
    except Exception as error:  # MLflow's stores raise whatever their databases and servers make of it
        reason = masked(" ".join(str(error).split()))[:300]
        raise UserError(f"register=true: the model is in {graph}, but not in {masked(store)} ({reason}).") from None
    serve = f"MLFLOW_TRACKING_URI={masked(store)} mlflow models predict -m models:/{name}/{version} --env-manager local"
    return f"version {version} of the model {name}\n        {serve} -i INPUTS.json"
