"""What a network is trained for: the cost that its training lowers, and the score that stops, prunes and ranks it.

A task knows one network, not the stack. Legend: B examples in a mini-batch, C classes; outputs are what a task needs of
one network's answer to a mini-batch, with the examples as their first axis, such as logits (B, C).
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Protocol, TypeVar

from torch import Tensor

from src.config.metric import Metric
from src.config.task import TaskConfig
from src.tasks.measures import Measure
from src.tasks.targets import NOTHING, Targets

# A call of the network with its present weights: inputs (B, …) float32 and the key of the step's random numbers (None
# in evaluation) -> what the network gives, float32.
Call = Callable[[Tensor, Tensor | None], Tensor]
Number = TypeVar("Number", float, Tensor)


class Task(Protocol):
    """What networks are trained for; for task=NAME src/tasks/NAME.py gives it by its function `task`."""

    score: Metric
    running: Metric  # that of `scores`, which add up: the score itself, or what stands for it while networks train
    measures: Mapping[str, Measure] = MappingProxyType({})  # the score, if it does not add up, and metrics, by name
    targets: Targets = NOTHING  # what it has taken from the targets of the training split

    def outputs(self, call: Call, x: Tensor, key: Tensor | None = None) -> Tensor:
        """The outputs (B, …) for inputs x (B, …); by default what the network gives. Without a key: in evaluation."""
        return call(x, key)

    def cost(self, call: Call, x: Tensor, y: Tensor, key: Tensor | None) -> tuple[Tensor, Tensor]:
        """The mean cost (a scalar) of a mini-batch, inputs x (B, …) and targets y (B, …), and the outputs for it.

        With weights w behind the targets (`Split.trained_on`) it is the mean of w_i · cost_i.
        """

    def parted(self, y: Tensor, outputs: int) -> tuple[Tensor, Tensor | None]:
        """Of what an engine is trained on, targets and the examples' weights (…, B); None where all count the same.

        y: (…, B), or (…, B, T); outputs: the network's, C. By default there are no weights.
        """
        return y, None

    def costs(self, outputs: Tensor, y: Tensor) -> Tensor:
        """The sum of the examples' costs: outputs (…, B, C) and targets y (…, B), with any leading axes -> (…)."""

    def scores(self, outputs: Tensor, y: Tensor) -> Tensor:
        """The sum of the examples' scores, shapes as in `costs`; their mean's `finish` is `running`, NaN the worst."""

    def finish(self, mean: Number) -> Number:
        """The value of `running` for the mean of examples' scores; by default that mean."""
        return mean

    def monitors(self, outputs: Tensor) -> dict[str, Tensor]:
        """Sums over examples, (…) each, of what else is watched in evaluation, by name; by default nothing is.

        Their means stand in the history for the validation set and for as many of the training examples.
        """
        return {}

    def predictions(self, outputs: Tensor) -> Tensor:
        """The part of the outputs that is kept for the test set and that ensembles vote with, such as probabilities."""

    def measured(self, predictions: Tensor, y: Tensor) -> dict[str, Tensor]:
        """The measures (K,) of K networks, by name, from their predictions (K, N, …) for all N examples, targets y."""
        return {name: of(predictions, y) for name, of in self.measures.items()}

    def score_of(self, predictions: Tensor, y: Tensor) -> float:
        """One network's score from its predictions (N, …) for all N examples and their targets y (N,)."""


def task_of(config: TaskConfig, targets: Targets = NOTHING) -> Task:
    """The task that `config` names; targets: of the training split. To predict, those that a run has kept will do."""
    task: Task = import_module(f"src.tasks.{config.name}").task(config, targets)
    return task
