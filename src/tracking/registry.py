"""A graph of torch.export as a version of a model in MLflow's registry, which MLflow serves without this tool."""

import io
import warnings
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import numpy as np
import torch

import src.runs
from src.tracking.connection import connect


def register(name: str, uri: str, experiment: str, graph: Path, example: np.ndarray) -> int:
    """Logs the graph in `experiment` of the store `uri`, and registers it as `name`; returns the version.

    example: one example (1, …) as the graph takes it, from which the signature's types and sizes come.
    Raises whatever MLflow raises.
    """
    _, experiment_id = connect(uri, experiment)
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    outputs = torch.export.load(graph).module()(torch.from_numpy(example))
    signature = ModelSignature(
        Schema([TensorSpec(example.dtype, (-1, *example.shape[1:]))]),
        Schema([TensorSpec(np.dtype(np.float32), (-1, *outputs.shape[1:]))]),
    )
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)  # which the registry's follows, unless the user has set another
    try:
        mlflow.set_experiment(experiment_id=experiment_id)
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):  # MLflow's own advice and progress bars
            warnings.simplefilter("ignore")
            info: Any = mlflow.pyfunc.log_model(
                name=name,
                python_model=str(Path(src.runs.__file__).parent / "served_model.py"),
                artifacts={"graph": str(graph)},
                signature=signature,
                registered_model_name=name,
                pip_requirements=[f"{one.__name__}=={one.__version__}" for one in (mlflow, torch, np)],
            )
    finally:
        mlflow.set_tracking_uri(before)
    return int(info.registered_model_version)
