"""The score of a task: one number a network, which stops, prunes, ranks and is what a sweep looks for."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A score: its name in keys and tables, its direction, and how it is written."""

    name: str  # such as accuracy: validation/accuracy in a history, validation_accuracy as a study's objective
    maximise: bool
    percent: bool = False  # a part of 1, written in per cent

    @property
    def worst(self) -> float:
        """What every score is better than, or as good as."""
        return -math.inf if self.maximise else math.inf

    def is_better(self, value: float, than: float) -> bool:
        """Strictly; a NaN is better than nothing."""
        return value > than if self.maximise else value < than

    def is_as_good(self, value: float, than: float) -> bool:
        """Better or equal; a NaN is not."""
        return value >= than if self.maximise else value <= than

    def error(self, value: float) -> float:
        """What falls as a network gets better: 1 − a part of 1, else the score, or its negative where that rises."""
        if self.percent and self.maximise:
            return 1 - value
        return -value if self.maximise else value

    def written(self, value: float) -> str:
        """As tables show it: two decimals of a percentage, else four digits that count."""
        return f"{100 * value:.2f} %" if self.percent else f"{value:.4g}"


ACCURACY = Metric("accuracy", maximise=True, percent=True)
