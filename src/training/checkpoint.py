"""The checkpoint of a member, from which it goes on in any stack as if nothing had interrupted it."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from src.training.result import Row


@dataclass
class Checkpoint:
    """A member at the end of an epoch, tensors on the CPU. Data order and dropout follow from its seed and epoch."""

    history: list[Row]
    best_epoch: int | None
    best_score: float
    seconds: float  # of training
    schedule: dict[str, Any]  # the attributes of its Schedule that change in training, plain values
    stopping: dict[str, Any]  # those of its Stopping
    state: dict[str, Tensor]  # as Engine.state gives it, without the axis of members
    best: dict[str, Tensor]  # parameters and buffers of its best epoch
    average: dict[str, Tensor] = field(default_factory=dict)  # the running mean of its weights; empty without one
    averaged: int = 0  # the sets of weights in that mean
    snapshots: dict[int, dict[str, Tensor]] = field(default_factory=dict)  # epoch -> its parameters and buffers

    @property
    def epochs(self) -> int:
        """The number of epochs that it has trained."""
        return len(self.history)
