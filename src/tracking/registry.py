"""A graph of torch.export as a version of a model in MLflow's registry, which MLflow serves without this tool."""

import io
import warnings
from contextlib import redirect_stderr
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

import src.runs
from src.config.files import write_json
from src.tracking.connection import connect


def register(
    name: str, uri: str, experiment: str, graph: Path, example: np.ndarray, description: dict[str, Any]
) -> int:
    """Logs the graph in `experiment` of the store `uri`, and registers it as `name`; returns the version.

    example: one example (1, …) as the graph takes it, from which the signature's types and sizes come; description: of
    its inputs and outputs (src/runs/export_description.py); with columns of a table the model takes these.
    Raises whatever MLflow raises.
    """
    _, experiment_id = connect(uri, experiment)
    import mlflow

    signature = _signature(graph, example, description)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)  # which the registry's follows, unless the user has set another
    try:
        mlflow.set_experiment(experiment_id=experiment_id)
        with TemporaryDirectory() as folder, warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")  # MLflow's own advice and progress bars
            described = write_json(Path(folder) / "description.json", description)
            info: Any = mlflow.pyfunc.log_model(
                name=name,
                python_model=str(Path(src.runs.__file__).parent / "served_model.py"),
                artifacts={"graph": str(graph), "description": str(described)},
                signature=signature,
                registered_model_name=name,
                pip_requirements=[f"{one.__name__}=={one.__version__}" for one in (mlflow, torch, np)],
            )
    finally:
        mlflow.set_tracking_uri(before)
    return int(info.registered_model_version)


def _signature(graph: Path, example: np.ndarray, description: dict[str, Any]) -> Any:
    """What the model takes and gives: arrays, or of a table its columns and a column for each output."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec
    from mlflow.types.schema import AnyType

    columns = description["inputs"].get("columns")
    if columns is not None:
        # Of any type, as MLflow refuses a column of whole numbers where it expects others: the model looks at them.
        takes = Schema([ColSpec(AnyType(), one["name"]) for one in columns])
        answer = [ColSpec(DataType.string, "prediction")] if description["outputs"]["kind"] == "classes" else []
        gives = [*answer, *(ColSpec(DataType.double, name) for name in description["outputs"]["names"])]
        return ModelSignature(takes, Schema(gives))
    outputs = torch.export.load(graph).module()(torch.from_numpy(example))
    return ModelSignature(
        Schema([TensorSpec(example.dtype, (-1, *example.shape[1:]))]),
        Schema([TensorSpec(np.dtype(np.float32), (-1, *outputs.shape[1:]))]),
    )
