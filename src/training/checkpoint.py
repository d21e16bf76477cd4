"""What a member goes on from, in whatever stack, as if nothing had happened."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from src.training.result import Row


@dataclass
class Checkpoint:
    """A member at the end of an epoch, on the CPU. Data order and dropout need nothing: seed and epoch give both."""

    history: list[Row]
    best_epoch: int | None
    best_score: float
    seconds: float  # of training
    schedule: dict[str, Any]  # what its rules have noted, plain values
    stopping: dict[str, Any]
    state: dict[str, Tensor]  # as the engine gives it, without the axis of members
    best: dict[str, Tensor]  # that of its best epoch, without what the update rule keeps

    @property
    def epochs(self) -> int:
        """How many are done."""
        return len(self.history)
