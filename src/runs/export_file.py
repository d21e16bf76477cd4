"""Networks as one graph in a file that needs nothing of this tool: pt2 (torch.export) or ONNX.

The graph takes inputs as a data set stores them, bytes, numbers or a table's columns, any number of examples, and gives
the mean of the networks' predictions: what src/runs/predictor.py computes, with preprocessing and scaling.
"""

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from src.config.error import UserError
from src.config.files import whole
from src.runs.predictor import EVALUATION_BATCH, ROWS, Predictor, predictions

FORMATS = ("pt2", "onnx")
NEEDED = {"pt2": (), "onnx": ("onnx", "onnxscript", "onnxruntime")}  # packages
MOST_DIFFERENCE = 1e-5  # between predictions of the file and ours, in units of the largest one if that is above 1
TRACED = 3  # examples with which a network is traced; torch.export takes a batch of 0 or 1 for a constant

Call = Callable[[Tensor], Tensor]


def refuse_missing(kind: str) -> None:
    """Raises UserError where a format needs packages that are not installed."""
    missing = [name for name in NEEDED[kind] if find_spec(name) is None]
    if missing:
        raise UserError(
            f"format={kind}: needs {', '.join(missing)}, which are not installed; accepted: after pip install -e "
            f"'.[export]', or format=pt2, which needs nothing more."
        )


def as_taken(inputs: Tensor) -> Tensor:
    """Inputs (N, C, H, W) as an exported graph takes them: rows of numbers as (N, C), a table's columns as they are."""
    return inputs[..., 0, 0] if inputs.dim() > ROWS and inputs.shape[-2:] == (1, 1) else inputs


def export(predictor: Predictor, inputs: Tensor, kind: str, path: Path) -> float:
    """Writes the graph to `path`, whole or not at all, once its predictions for `inputs` (N, …) agree with ours.

    Returns the largest difference. Raises UserError where it is above MOST_DIFFERENCE, or the network cannot be traced.
    """
    taken = as_taken(inputs)
    traced = taken[:TRACED].repeat(TRACED, *[1] * (taken.dim() - 1))[:TRACED]
    with torch.no_grad(), _quiet():
        predictor(traced)  # constants are made here, not in the trace
        try:
            content = {"pt2": _pt2, "onnx": _onnx}[kind](predictor, traced)
            call = {"pt2": _pt2_call, "onnx": _onnx_call}[kind](content)
            found = torch.cat([call(part) for part in taken.split(EVALUATION_BATCH)])
        except Exception as error:  # the network may be the user's, and tracing raise anything
            reason = (" ".join(str(error).split()) or repr(error))[:300]
            raise UserError(
                f"format={kind}: the networks cannot be traced as a graph ({reason}); accepted: a network that takes "
                "the same steps whatever the values of its inputs, without branches on them."
            ) from None
    difference = largest_difference(found, predictions(predictor, inputs))
    if not difference <= MOST_DIFFERENCE:
        raise UserError(
            f"format={kind}: the graph's predictions differ from the networks' by up to {difference:.2g}; accepted: at "
            f"most {MOST_DIFFERENCE:.0e}."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as draft:
        draft.write_bytes(content)
    return difference


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporters' own words: of what they will deprecate, of packages that are not there, and of failures.

    What matters of the last is in the exception.
    """
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def largest_difference(found: Tensor, ours: Tensor) -> float:
    """The largest difference of two tensors, in units of the largest of ours if that is above 1."""
    return float((found - ours).abs().max() / ours.abs().max().clamp(min=1))


def _program(predictor: Predictor, traced: Tensor) -> torch.export.ExportedProgram:
    shapes = ({0: torch.export.Dim("examples")},)
    return torch.export.export(predictor, (traced,), dynamic_shapes=shapes)


def _pt2(predictor: Predictor, traced: Tensor) -> bytes:
    content = io.BytesIO()
    torch.export.save(_program(predictor, traced), content)
    return content.getvalue()


def _pt2_call(content: bytes) -> Call:
    module: Call = torch.export.load(io.BytesIO(content)).module()
    return module


def _onnx(predictor: Predictor, traced: Tensor) -> bytes:
    made = torch.onnx.export(
        _program(predictor, traced),
        (traced,),
        dynamo=True,
        input_names=["inputs"],
        output_names=["predictions"],
        verbose=False,
    )
    assert made is not None
    content: bytes = made.model_proto.SerializeToString()
    return content


def _onnx_call(content: bytes) -> Call:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda part: torch.from_numpy(session.run(None, {"inputs": part.numpy()})[0])
