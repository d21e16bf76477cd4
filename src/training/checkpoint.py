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
    best_accuracy: float
    seconds: float  # of training
    schedule: dict[str, Any]  # what its rules have noted, plain values
    stopping: dict[str, Any]
    weights: dict[str, Tensor]  # as the engine gives them, without the axis of members
    velocities: dict[str, Tensor]  # the same; empty where it has no momentum
    best: dict[str, Tensor]  # the weights of its best epoch

    @property
    def epochs(self) -> int:
        """How many are done."""
        return len(self.history)
