"""What a network is trained for: the cost that its training lowers, and the score that stops, prunes and ranks it.

A task speaks of one network. Legend: B examples in a mini-batch, C classes; outputs are what the network gives for a
mini-batch, with the examples as the first axis of one network's, such as logits (B, C).
"""

from collections.abc import Callable
from importlib import import_module
from typing import Protocol

from torch import Tensor

from src.config.metric import Metric
from src.config.schema import TaskConfig

# A network as it is now: its inputs (B, …) float32, and the key of the step's random numbers (None: it evaluates)
# -> its outputs, float32.
Call = Callable[[Tensor, Tensor | None], Tensor]


class Task(Protocol):
    """One file of src/tasks holds one, under the name that `task=NAME` gives, as `TASK`."""

    score: Metric

    def cost(self, call: Call, x: Tensor, y: Tensor, key: Tensor | None) -> tuple[Tensor, Tensor]:
        """The mean cost (a scalar) of a mini-batch, inputs x (B, …) and targets y (B, …), and the outputs for it."""

    def costs(self, outputs: Tensor, y: Tensor) -> Tensor:
        """The sum of the examples' costs; outputs (…, B, C) and y (…, B) with any axes before them: (…)."""

    def scores(self, outputs: Tensor, y: Tensor) -> Tensor:
        """The sum of the examples' scores (…), whose mean is the network's; NaN is the worst."""

    def predictions(self, outputs: Tensor) -> Tensor:
        """What is kept of the outputs for the test set, and voted with."""

    def score_of(self, predictions: Tensor, y: Tensor) -> float:
        """One network's score from its predictions for all examples."""


def task_of(config: TaskConfig) -> Task:
    """The task that `config` names."""
    task: Task = import_module(f"src.tasks.{config.name}").TASK
    return task
