"""The model that MLflow serves: it loads a graph of torch.export and needs torch, numpy and MLflow, nothing of ours.

MLflow copies this file into the model and runs it there ("models from code").
"""

from typing import Any

import mlflow
import numpy as np
import torch


class ServedModel(mlflow.pyfunc.PythonModel):
    """Inputs as the signature has them, an array (N, …) -> predictions (N, C) float32."""

    def load_context(self, context: Any) -> None:
        """Loads the graph beside the model."""
        self.graph = torch.export.load(context.artifacts["graph"]).module()

    def predict(self, context: Any, model_input: np.ndarray, params: dict[str, Any] | None = None) -> np.ndarray:
        """The predictions for inputs of the signature's type and shape."""
        with torch.no_grad():
            answer: np.ndarray = self.graph(torch.from_numpy(np.ascontiguousarray(model_input))).numpy()
        return answer


mlflow.models.set_model(ServedModel())
