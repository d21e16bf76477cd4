"""How good predictions are on a data set: the score with an interval, and for classes and labels one by one.

(1) Of an accuracy: Wilson's 95 % interval of right answers among n [E. Wilson, 1927]. Of other scores: the middle 95 %
    of the scores of RESAMPLES sets of n examples, drawn with replacement [B. Efron, 1979]; both are about the examples,
    not about training again.
(2) Precision, recall and F1 of a class; 0 where there is nothing to divide by.
(3) Expected calibration error: over BINS of equal width of the answer's probability, the mean over examples of
    |share of right answers − mean probability| of their bin [C. Guo et al., 2017].
Legend: N examples, C classes, labels or numbers.
"""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from src.config.files import write_text
from src.config.metric import ACCURACY
from src.config.task import Kind
from src.tasks.task import Task

RESAMPLES = 500
BINS = 15
NORMAL_95 = 1.959963984540054  # the normal distribution's 97.5 % point
OF_CLASS = ("precision", "recall", "f1", "support")


@dataclass(frozen=True)
class Evaluation:
    """Predictions (N, C) beside the targets of their examples, (N,) classes or (N, C).

    outputs: the names of the C classes, labels or numbers.
    """

    predictions: Tensor
    targets: Tensor
    kind: Kind
    task: Task
    outputs: Sequence[str]

    @cached_property
    def score(self) -> float:
        """The task's score."""
        return self.task.score_of(self.predictions, self.targets)

    @cached_property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the score by (1)."""
        count = len(self.targets)
        if self.kind == "classes" and self.task.score == ACCURACY:
            return wilson(round(self.score * count), count)
        generator = torch.Generator().manual_seed(0)
        drawn = [torch.randint(0, count, (count,), generator=generator) for _ in range(RESAMPLES)]
        scores = torch.tensor([self.task.score_of(self.predictions[rows], self.targets[rows]) for rows in drawn])
        low, high = torch.nanquantile(scores.double(), torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
        return low, high

    @cached_property
    def confusion(self) -> Tensor:
        """(C, C) int64: examples of each true class (row) by the class that was answered (column)."""
        count = self.predictions.shape[1]
        answers = self.predictions.argmax(1)
        return torch.bincount(self.targets * count + answers, minlength=count**2).view(count, count)

    @cached_property
    def by_class(self) -> Tensor:
        """(C, 4) float64 with the columns OF_CLASS, by (2)."""
        if self.kind == "classes":
            right, answered, there = self.confusion.diagonal(), self.confusion.sum(0), self.confusion.sum(1)
        else:
            given, true = self.predictions > 0.5, self.targets > 0.5
            right, answered, there = (given & true).sum(0), given.sum(0), true.sum(0)
        right, answered, there = right.double(), answered.double(), there.double()
        parts = [right / answered, right / there, 2 * right / (answered + there)]
        return torch.stack([*(part.nan_to_num(0.0) for part in parts), there], dim=1)

    @cached_property
    def reliability(self) -> Tensor:
        """(BINS, 3) float64: of each bin by (3) the examples, their mean probability, their share of right answers."""
        top = self.predictions.double().max(1)
        bins = (top.values * BINS).ceil().long().sub(1).clamp(0, BINS - 1)  # a bin has its upper edge
        right = (top.indices == self.targets).double()
        count = torch.bincount(bins, minlength=BINS).double()
        sums = [torch.bincount(bins, weights=each, minlength=BINS) / count for each in (top.values, right)]
        return torch.stack([count, *(each.nan_to_num(0.0) for each in sums)], dim=1)

    @property
    def calibration_error(self) -> float:
        """Equation (3)."""
        count, probability, right = self.reliability.unbind(1)
        return float((count * (right - probability).abs()).sum() / count.sum())

    def errors_by_target(self) -> Tensor:
        """(C, 2) float64 for numbers: of each the mean absolute error, and R², NaN where all targets are equal."""
        given, true = self.predictions.double(), self.targets.double()
        spread = (true - true.mean(0)).square().sum(0)
        determined = torch.where(spread > 0, 1 - (given - true).square().sum(0) / spread, math.nan)
        return torch.stack([(given - true).abs().mean(0), determined], dim=1)

    def as_json(self) -> dict[str, Any]:
        """All figures under plain names."""
        figures: dict[str, Any] = {
            "examples": len(self.targets), self.task.score.name: self.score, "interval_95": list(self.interval),
            "names": list(self.outputs),
        }  # fmt: skip
        if self.kind == "numbers":
            names = ("mae", "r2")
            return figures | dict(zip(names, self.errors_by_target().t().tolist(), strict=True))
        figures["by_class"] = [dict(zip(OF_CLASS, row, strict=True)) for row in self.by_class.tolist()]
        if self.kind == "classes":
            figures["confusion"] = self.confusion.tolist()
            figures["calibration_error"] = self.calibration_error
            figures["reliability"] = self.reliability.tolist()
        return figures

    def write_classes(self, path: Path) -> Path:
        """A CSV with a row a class or label."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["class" if self.kind == "classes" else "label", *OF_CLASS])
        writer.writerows(
            [[self.outputs[number], *row[:3], int(row[3])] for number, row in enumerate(self.by_class.tolist())]
        )
        return write_text(path, text.getvalue())


def wilson(right: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of which `right` of `count` were seen, by (1)."""
    share, z = right / count, NORMAL_95
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return max(0.0, middle - half), min(1.0, middle + half)
