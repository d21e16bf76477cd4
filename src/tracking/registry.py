"""A graph of torch.export as a version of a model in MLflow's registry, which MLflow serves without this tool."""

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
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    try:
        mlflow.set_experiment(experiment_id=experiment_id)
        info: Any = mlflow.pyfunc.log_model(
            name=name,
            python_model=str(Path(src.runs.__file__).parent / "served_model.py"),
            artifacts={"graph": str(graph)},
            signature=signature,
            registered_model_name=name,
            pip_requirements=[
                f"mlflow=={mlflow.__version__}",
                f"torch=={torch.__version__}",
                f"numpy=={np.__version__}",
            ],
        )
    finally:
        mlflow.set_tracking_uri(before[0])
        mlflow.set_registry_uri(before[1])
    return int(info.registered_model_version)
