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
from src.config.task import TaskConfig
from src.tasks.supervised import Loss, Supervised
from src.tasks.targets import Targets, Units
from src.tasks.task import Number


class Regress(Supervised):
    """Outputs are numbers (B, T) at the scale of training, targets (B, T) float32; predictions are in their units."""

    def __init__(self, config: TaskConfig, targets: Targets) -> None:
        super().__init__(config, targets, RMSE, _mean_loss(config))
        self._units, self._poisson = Units(targets.scaling), config.loss == "poisson"

    def aims(self, y: Tensor) -> Tensor:
        """The targets at the scale of training."""
        return self._units.scaled(y)

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


def _mean_loss(config: TaskConfig) -> Loss:
    """The mean over T of equation (1) or (2): outputs and targets (…, B, T) -> (…, B)."""
    each: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "mse": lambda outputs, z: (outputs - z).square(),
        "mae": lambda outputs, z: (outputs - z).abs(),
        "huber": lambda outputs, z: F.huber_loss(outputs, z.expand_as(outputs), reduction="none", delta=config.delta),
        "poisson": lambda outputs, y: outputs.exp() - y * outputs,
    }
    own = each.get(config.loss_name or "", each["mse"])  # not looked at beside a loss of the user's
    return lambda outputs, y: own(outputs, y).mean(-1)


def task(config: TaskConfig, targets: Targets) -> Regress:
    """The task of a configuration; targets: their scale."""
    return Regress(config, targets)
