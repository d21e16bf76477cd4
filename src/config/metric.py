"""The score of a task: one number a network, by which networks are stopped, pruned and ranked and sweeps searched.

This file alone decides how a score is named, compared and written. A network's scores stand under
`validation/accuracy` (`key`: an epoch's, in histories and curves), `validation_accuracy` (`field`: its result's, in
result.json, a study's attributes and objectives) and, as people read it, `validation accuracy` (`words`).
"""

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

FIELDS = ("name", "maximise", "percent")
# Units of scores that are no parts of 1.
UNITS = dict.fromkeys(["reconstruction_cost", "pseudo_likelihood"], "nats an image") | {
    "cross_entropy": "nats an example"
}


@dataclass(frozen=True)
class Metric:
    """A score: its name in keys and tables, its direction, and how it is written."""

    name: str  # such as accuracy
    maximise: bool
    percent: bool = False  # a part of 1, written in per cent

    # Names.

    def key(self, split: str) -> str:
        """Its name in an epoch's row of a history, such as validation/accuracy."""
        return f"{split}/{self.name}"

    def field(self, split: str) -> str:
        """Its name as a field of a result or a trial, such as validation_accuracy."""
        return f"{split}_{self.name}"

    @property
    def title(self) -> str:
        """Its name in sentences, without a split, such as pseudo-likelihood."""
        return self.name.replace("_", " ").replace("pseudo ", "pseudo-").replace("auroc", "AUROC")

    def words(self, split: str) -> str:
        """Its name in sentences, such as validation accuracy."""
        return f"{split} {self.title}"

    def heading(self, split: str) -> str:
        """Its name at the head of a table's column, such as validation % for the accuracy, else validation rmse."""
        return f"{split} %" if self.percent else self.words(split)

    def axis(self, split: str = "") -> str:
        """Its name at an axis, with the unit if it has one, such as validation accuracy (%)."""
        unit = "%" if self.percent else UNITS.get(self.name)
        return self.words(split).lstrip() + (f" ({unit})" if unit else "")

    @property
    def plural(self) -> str:
        """Its name in the plural, such as accuracies."""
        return f"{self.title[:-1]}ies" if self.title.endswith("y") else f"{self.title} values"

    # Comparison.

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """The direction in Optuna's words."""
        return "maximize" if self.maximise else "minimize"

    @property
    def worst(self) -> float:
        """The worst value, -inf or inf: every score is at least as good."""
        return -math.inf if self.maximise else math.inf

    @property
    def lost(self) -> float:
        """What a network without a finite cost counts as: the worst possible score, such as 0 for an accuracy."""
        return float(not self.maximise) if self.percent else self.worst

    def counted(self, value: float | None) -> float:
        """The score as a mean over networks counts it: `lost` in place of None and NaN."""
        return self.lost if value is None or math.isnan(value) else value

    def is_better(self, value: float, than: float) -> bool:
        """Whether `value` is strictly better; a NaN never is."""
        return value > than if self.maximise else value < than

    def is_as_good(self, value: float, than: float) -> bool:
        """Whether `value` is better or equal; a NaN never is."""
        return value >= than if self.maximise else value <= than

    def merit(self, value: float | None) -> float:
        """A number to sort by, higher for better scores; -inf for None and NaN, which come last."""
        if value is None or math.isnan(value):
            return -math.inf
        return value if self.maximise else -value

    def best(self, values: Sequence[float]) -> float:
        """The best of the values."""
        return max(values) if self.maximise else min(values)

    @property
    def has_error(self) -> bool:
        """Whether 1 - score is an error rate, which charts draw on a logarithmic axis."""
        return self.percent and self.maximise

    def error(self, value: float) -> float:
        """A number that falls as a network gets better: the error rate if there is one, else the score or −score."""
        if self.has_error:
            return 1 - value
        return -value if self.maximise else value

    # Output: a score in words and figures.

    @property
    def unit(self) -> str:
        """The unit as it stands behind a figure, with its space: " %", or empty."""
        return " %" if self.percent else ""

    def scaled(self, value: float) -> float:
        """The score in the unit of axes: per cent for a part of 1."""
        return 100 * value if self.percent else value

    def figure(self, value: float | None) -> str:
        """The score without its unit: per cent with two decimals, else four significant digits; – for None."""
        if value is None:
            return "–"
        return f"{100 * value:.2f}" if self.percent else f"{value:.4g}"

    def written(self, value: float | None) -> str:
        """The score as `figure` writes it, with its unit."""
        return f"{self.figure(value)}{self.unit}"

    def difference(self, value: float) -> str:
        """A difference of two scores with sign and unit; parts of 1 differ by percentage points."""
        return f"{100 * value:+.2f} points" if self.percent else f"{value:+.4g}{self.unit}"

    # As a study keeps it.

    def as_json(self) -> dict[str, Any]:
        """The fields as plain values, which `from_json` reads."""
        return asdict(self)

    @staticmethod
    def from_json(content: Any) -> "Metric":
        """The metric that a study has kept; the accuracy for a study of an older version, which kept none."""
        if not isinstance(content, dict):
            return ACCURACY
        return Metric(**{name: content[name] for name in FIELDS if name in content})


ACCURACY = Metric("accuracy", maximise=True, percent=True)
RMSE = Metric("rmse", maximise=False)  # root of the mean squared error, in the targets' units
ERROR = Metric("error", maximise=False, percent=True)  # 1 - accuracy
RECONSTRUCTION = Metric("reconstruction_cost", maximise=False)  # cross-entropy of the pixels, nats an image
PSEUDO_LIKELIHOOD = Metric("pseudo_likelihood", maximise=True)  # log of it, nats an image
F1 = Metric("f1", maximise=True, percent=True)  # mean over classes or labels

# What task.score and task.metrics may name, by what the targets are; classes have top_K_accuracy besides. Formulas:
# src/tasks/measures.py.
_OF_PROBABILITIES = {
    "accuracy": ACCURACY,
    "f1": F1,
    "auroc": Metric("auroc", maximise=True, percent=True),
    "average_precision": Metric("average_precision", maximise=True, percent=True),
    "cross_entropy": Metric("cross_entropy", maximise=False),  # natural logarithm
}
METRICS: dict[str, dict[str, Metric]] = {
    "classes": {
        **_OF_PROBABILITIES,
        "balanced_accuracy": Metric("balanced_accuracy", maximise=True, percent=True),
    },
    "labels": _OF_PROBABILITIES,
    "numbers": {
        "rmse": RMSE,
        "mae": Metric("mae", maximise=False),
        "r2": Metric("r2", maximise=True),
    },
}
TOP = re.compile(r"top_([1-9]\d{0,2})_accuracy")  # whether the class is among the so many most probable ones


def metric_named(name: str, kind: str | None = None) -> Metric | None:
    """The metric of this name for targets of this kind, or of any kind; None where there is none."""
    if kind in (None, "classes") and TOP.fullmatch(name):
        return Metric(name, maximise=True, percent=True)
    known = [METRICS[kind]] if kind else list(METRICS.values())
    return next((metrics[name] for metrics in known if name in metrics), None)


def metric_names(kind: str | None = None) -> list[str]:
    """What `metric_named` knows, as messages list it."""
    known = dict.fromkeys(name for one in ([kind] if kind else METRICS) for name in METRICS[one])
    return [*known, *(["top_K_accuracy"] if kind in (None, "classes") else [])]
