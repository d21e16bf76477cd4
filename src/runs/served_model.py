"""The model that MLflow serves: it loads a graph of torch.export and needs torch, numpy, pandas and MLflow, not us.

MLflow copies this file into the model and runs it there ("models from code").
Legend: N examples, C outputs, D columns of a table.
"""

import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import torch

UNKNOWN = -1  # the code of a category that the networks do not know


class ServedModel(mlflow.pyfunc.PythonModel):
    """Inputs as the signature has them, an array (N, …) -> predictions (N, C) float32.

    Of a table the rows, a DataFrame with its own columns, texts of categories among them -> a DataFrame with a column
    for each output, and before them that of the most probable class.
    """

    def load_context(self, context: Any) -> None:
        """Loads the graph beside the model, and what it takes and gives."""
        self.graph = torch.export.load(context.artifacts["graph"]).module()
        self.description = json.loads(Path(context.artifacts["description"]).read_text(encoding="utf-8"))

    def predict(self, context: Any, model_input: np.ndarray, params: dict[str, Any] | None = None) -> Any:
        """The predictions for inputs as the signature has them; of a table `model_input` is a DataFrame.

        Raises ValueError where a column is missing, or holds texts in place of numbers.
        """
        columns = self.description["inputs"].get("columns")
        return self._answers(model_input) if columns is None else self._of_table(model_input, columns)

    def _of_table(self, frame: Any, columns: list[dict[str, Any]]) -> Any:
        import pandas as pd

        if missing := [one["name"] for one in columns if one["name"] not in frame.columns]:
            raise ValueError(f"The table has no column {', '.join(missing)}; the model was trained on it.")
        answers = self._answers(np.stack([coded(frame[one["name"]], one) for one in columns], 1))
        outputs = self.description["outputs"]
        frame = pd.DataFrame(answers.astype("float64"), columns=outputs["names"])
        if outputs["kind"] == "classes":
            best = [outputs["names"][index] for index in answers.argmax(1)]
            frame.insert(0, "prediction", best, allow_duplicates=True)
        return frame

    def _answers(self, inputs: Any) -> np.ndarray:
        with torch.no_grad():
            answers: np.ndarray = self.graph(torch.from_numpy(np.ascontiguousarray(inputs))).numpy()
            return answers


def coded(values: Any, column: dict[str, Any]) -> np.ndarray:
    """A column of a table as numbers (N,) float64: of categories the index of each value, NaN where one is missing.

    Raises ValueError where a column of numbers holds texts.
    """
    if column["kind"] == "number":
        numbers: np.ndarray = values.to_numpy(dtype="float64", na_value=np.nan)
        return numbers
    codes = {value: float(code) for code, value in enumerate(column["values"])}

    def code(value: Any) -> float:
        text = str(value)  # 2 is read as 2.0 where a value beside it is missing
        short = text.removesuffix(".0") if isinstance(value, float) else text
        return codes.get(text, codes.get(short, UNKNOWN))

    missing = values.isna()
    return np.array([np.nan if gone else code(value) for value, gone in zip(values, missing, strict=True)])


mlflow.models.set_model(ServedModel())
