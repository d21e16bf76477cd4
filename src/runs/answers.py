"""What networks answer, example by example: as a table's rows, a file, and a picture of what the networks saw.

Legend: N examples, C classes, labels or numbers.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from src.config.files import write_text
from src.config.task import Kind

LIKELY = 3  # classes that a table shows of an example


@dataclass(frozen=True)
class Answers:
    """Predictions (N, C) with the names of the inputs.

    kind: what they are, as `TaskConfig.kind` has it; outputs: the names of the C classes, labels or numbers.
    """

    names: Sequence[str]
    predictions: Tensor
    kind: Kind
    outputs: Sequence[str]

    @property
    def columns(self) -> list[str]:
        """The names of the C columns of predictions: p0, p_setosa, prediction for one number, else its name."""
        if self.kind == "numbers":
            return ["prediction"] if len(self.outputs) == 1 else list(self.outputs)
        return [f"p{name}" if name.isdecimal() else f"p_{name}" for name in self.outputs]

    def words(self, number: int) -> list[str]:
        """The answer to one example in words: the most probable classes, the labels that hold, or the numbers."""
        row = self.predictions[number]
        if self.kind == "numbers":
            return [f"{value:.6g}" for value in row.tolist()]
        if self.kind == "labels":
            return [f"{self.outputs[index]} {100 * p:.1f} %" for index, p in enumerate(row.tolist()) if p > 0.5] or [
                "none"
            ]
        likely = row.sort(descending=True, stable=True)
        pairs = zip(likely.indices.tolist()[:LIKELY], likely.values.tolist(), strict=False)
        return [f"{self.outputs[index]} {100 * p:.1f} %" for index, p in pairs]

    def write(self, path: Path) -> Path:
        """A CSV with a row an example: input, the answer, its probability for classes, then all predictions."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        answer = {"numbers": [], "labels": ["labels"], "classes": ["prediction", "probability"]}[self.kind]
        writer.writerow(["input", *answer, *self.columns])
        for name, row in zip(self.names, self.predictions.tolist(), strict=True):
            writer.writerow([name, *self._answer(row), *row])
        return write_text(path, text.getvalue())

    def _answer(self, row: list[float]) -> list[object]:
        if self.kind == "numbers":
            return []
        if self.kind == "labels":
            return [" ".join(self.outputs[index] for index, p in enumerate(row) if p > 0.5)]
        best = max(range(len(row)), key=row.__getitem__)
        return [self.outputs[best], row[best]]
