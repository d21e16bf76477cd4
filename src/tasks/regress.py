"""To predict T numbers of an example; the score is the root of the mean squared error, in the targets' own units.

Networks are trained on targets y at scale: z = (y − mean) / sd with each column's mean and sd over the training split,
so that a learning rate suits targets of any size. With the network's outputs o an example's cost is the mean over T of

    mse        (o − z)²                                          predictions are mean + sd · o                      (1)
    mae        |o − z|
    huber      (o − z)² / 2 where |o − z| < delta, else delta · (|o − z| − delta / 2)
    poisson    exp(o) − y · o, with y as it is                   predictions are exp(o)                             (2)

Legend: B examples, T numbers to predict.
"""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from src.config.metric import RMSE
from src.config.schema import TaskConfig
from src.tasks.targets import Targets, Units
from src.tasks.task import Call, Number, Task


class Regress(Task):
    """Outputs are numbers (B, T) at the scale of training, targets (B, T) float32; predictions are in their units."""

    score = RMSE

    def __init__(self, config: TaskConfig, targets: Targets) -> None:
        self.targets = targets
        self._units, self._poisson = Units(targets.scaling), config.loss == "poisson"
        self._loss = losses(config)

    def cost(self, call: Call, x: Tensor, y: Tensor, key: Tensor | None) -> tuple[Tensor, Tensor]:
        """The mean of equation (1) or (2) over the mini-batch and T, and the outputs (B, T)."""
        outputs = self.outputs(call, x, key)
        return self._loss(outputs, self._units.scaled(y)).mean(), outputs

    def costs(self, outputs: Tensor, y: Tensor) -> Tensor:
        """The sum of the examples' costs: outputs (…, B, T), targets (…, B, T) -> (…)."""
        return self._loss(outputs, self._units.scaled(y)).mean(-1).sum(-1)

    def scores(self, outputs: Tensor, y: Tensor) -> Tensor:
        """The sum over examples of the squared errors' mean over T, in squared units: (…, B, T), (…, B, T) -> (…)."""
        return (self.predictions(outputs) - y).square().mean(-1).sum(-1)

    def finish(self, mean: Number) -> Number:
        """The root: `scores` are squares."""
        root: Number = mean**0.5
        return root

    def predictions(self, outputs: Tensor) -> Tensor:
        """The numbers that the outputs stand for, in the targets' units, of the outputs' shape."""
        return outputs.exp() if self._poisson else self._units.restored(outputs)

    def score_of(self, predictions: Tensor, y: Tensor) -> float:
        """The root of the mean squared error of one network's predictions (N, T) for targets y (N, T)."""
        return float((predictions.double() - y.double()).square().mean().sqrt())


def losses(config: TaskConfig) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of each number, of outputs and targets of one shape, by equations (1) and (2)."""
    each: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "mse": lambda outputs, z: (outputs - z).square(),
        "mae": lambda outputs, z: (outputs - z).abs(),
        "huber": lambda outputs, z: F.huber_loss(outputs, z.expand_as(outputs), reduction="none", delta=config.delta),
        "poisson": lambda outputs, y: outputs.exp() - y * outputs,
    }
    return each[config.loss or "mse"]


def task(config: TaskConfig, targets: Targets) -> Regress:
    """The task of a configuration; targets: their scale."""
    return Regress(config, targets)
