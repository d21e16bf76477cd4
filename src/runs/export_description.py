"""What an exported graph takes and gives, as plain data for the JSON file beside it and for MLflow's model."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from src.data.columns import UNKNOWN, Columns
from src.runs.export_file import as_taken
from src.runs.trained import Trained

OUTPUTS = {
    "classes": "the probability of each class",
    "labels": "the probability that each label holds",
    "numbers": "predicted numbers in the units of the data",
}


def description(networks: Sequence[Trained], columns: Columns | None, inputs: Tensor) -> dict[str, Any]:
    """Type and shape of the inputs, of a table each column with the codes of its categories; the outputs' names.

    columns: of networks that were trained on a table; inputs: examples (N, …) as a Predictor takes them.
    """
    first, taken = networks[0], as_taken(inputs)
    kind = first.config.task.kind
    takes: dict[str, Any] = {
        "type": str(taken.dtype).removeprefix("torch."),
        "shape": ["examples", *taken.shape[1:]],
    }
    if columns is not None:
        takes["columns"] = [column.as_json() for column in columns.columns]
        takes["codes"] = f"a category is the index of its value; a missing value NaN; one not in the list {UNKNOWN}"
    gives = {"kind": kind, "names": first.output_names, "is": OUTPUTS[kind]}
    return {
        "inputs": takes,
        "outputs": gives if len(networks) == 1 else gives | {"mean_of": len(networks)},
        "networks": [one.name for one in networks],
        "views": [one.config.augment.view_count for one in networks],  # of an image, over which each one's mean is
        "trained_on": first.result.dataset,
    }
