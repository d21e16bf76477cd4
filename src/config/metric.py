"""The score of a task: one number a network, which stops, prunes, ranks and is what a sweep looks for.

Here alone is said how a score is called, compared and written. A network's scores stand under
`validation/accuracy` (`key`: an epoch's, in histories and curves), `validation_accuracy` (`field`: its result's, in
result.json, a study's attributes and objectives) and, as people read it, `validation accuracy` (`words`).
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

FIELDS = ("name", "maximise", "percent")


@dataclass(frozen=True)
class Metric:
    """A score: its name in keys and tables, its direction, and how it is written."""

    name: str  # such as accuracy
    maximise: bool
    percent: bool = False  # a part of 1, written in per cent

    # How it is called.

    def key(self, split: str) -> str:
        """Of an epoch, such as validation/accuracy."""
        return f"{split}/{self.name}"

    def field(self, split: str) -> str:
        """Of a result or a trial, such as validation_accuracy."""
        return f"{split}_{self.name}"

    def words(self, split: str) -> str:
        """Such as validation accuracy."""
        return f"{split} {self.name}"

    def heading(self, split: str) -> str:
        """Of a column of a table: validation %, where that says which score it is; else validation rmse."""
        return f"{split} %" if self.percent else self.words(split)

    def axis(self, split: str = "") -> str:
        """With the unit: validation accuracy (%)."""
        return f"{self.words(split)} (%)".lstrip() if self.percent else self.words(split).lstrip()

    @property
    def plural(self) -> str:
        """Such as accuracies."""
        return f"{self.name[:-1]}ies" if self.name.endswith("y") else f"{self.name} values"

    # How it is compared.

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """As Optuna calls it."""
        return "maximize" if self.maximise else "minimize"

    @property
    def worst(self) -> float:
        """What every score is better than, or as good as."""
        return -math.inf if self.maximise else math.inf

    @property
    def lost(self) -> float:
        """What a network without a finite cost counts as: nothing right, 0 of 1; of other scores the worst."""
        return float(not self.maximise) if self.percent else self.worst

    def counted(self, value: float | None) -> float:
        """The score as a mean over networks counts it: `lost` where there is none, or a NaN."""
        return self.lost if value is None or math.isnan(value) else value

    def is_better(self, value: float, than: float) -> bool:
        """Strictly; a NaN is better than nothing."""
        return value > than if self.maximise else value < than

    def is_as_good(self, value: float, than: float) -> bool:
        """Better or equal; a NaN is not."""
        return value >= than if self.maximise else value <= than

    def merit(self, value: float | None) -> float:
        """To sort by: the higher, the better; -inf for None and NaN, which are worse than all."""
        if value is None or math.isnan(value):
            return -math.inf
        return value if self.maximise else -value

    def best(self, values: Sequence[float]) -> float:
        """The best of some."""
        return max(values) if self.maximise else min(values)

    @property
    def has_error(self) -> bool:
        """Whether 1 - score is an error, of which charts draw the logarithm."""
        return self.percent and self.maximise

    def error(self, value: float) -> float:
        """What falls as a network gets better: 1 − a part of 1, else the score, or its negative where that rises."""
        if self.has_error:
            return 1 - value
        return -value if self.maximise else value

    # How it is written.

    @property
    def unit(self) -> str:
        """What stands behind a figure."""
        return " %" if self.percent else ""

    def scaled(self, value: float) -> float:
        """In the unit that axes have."""
        return 100 * value if self.percent else value

    def figure(self, value: float | None) -> str:
        """Without its unit: two decimals of a percentage, else four digits that count; – where there is none."""
        if value is None:
            return "–"
        return f"{100 * value:.2f}" if self.percent else f"{value:.4g}"

    def written(self, value: float | None) -> str:
        """With its unit."""
        return f"{self.figure(value)}{self.unit}"

    def difference(self, value: float) -> str:
        """With its sign and unit; parts of 1 differ by percentage points."""
        return f"{100 * value:+.2f} points" if self.percent else f"{value:+.4g}{self.unit}"

    # How a study keeps it.

    def as_json(self) -> dict[str, Any]:
        """What `from_json` takes."""
        return asdict(self)

    @staticmethod
    def from_json(content: Any) -> "Metric":
        """The score that a study says it has; the accuracy where it says nothing, as older ones do."""
        if not isinstance(content, dict):
            return ACCURACY
        return Metric(**{name: content[name] for name in FIELDS if name in content})


ACCURACY = Metric("accuracy", maximise=True, percent=True)
