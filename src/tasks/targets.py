"""What a task takes from the targets of the training split: weights of classes; the scale of numbers, which is kept.

Legend: N examples, C classes, T numbers to predict.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from src.config.schema import RunConfig
from src.data.scaling import Scaling, fitted


@dataclass(frozen=True)
class Targets:
    """What is known of the training split's targets; by default nothing, as in evaluation it need not be."""

    weights: tuple[float, ...] = ()  # of each class in the cost; empty: all count the same
    scaling: Scaling | None = None  # of T numbers, each column's mean and sd; None: networks predict them as they are


NOTHING = Targets()


def targets_of(config: RunConfig, targets: Tensor, weights: Tensor | None = None) -> Targets:
    """What the task takes from the training split's targets: classes (N,) int64 or numbers (N, T) float32.

    weights: of each example (N,) in the cost of training, by which it counts here too; None: all count the same.
    Balanced weights give every class the same part of the cost: N / (C · examples of the class); 0 for one without.
    """
    task, classes = config.task, config.data.classes
    if task.class_weights == "balanced":
        own = torch.ones(len(targets)) if weights is None else weights.cpu()
        count = torch.bincount(targets.cpu(), own.double(), minlength=classes)
        balanced = torch.where(count > 0, count.sum() / (classes * count), 0.0)
        return Targets(weights=tuple(balanced.tolist()))
    if task.kind != "numbers" or not task.standardise or task.loss == "poisson":
        return Targets(tuple(task.class_weights))
    return Targets(scaling=fitted(targets[..., None, None]) if weights is None else _weighted(targets, weights))


def _weighted(targets: Tensor, weights: Tensor) -> Scaling:
    """As src/data/scaling.py fits, but the weighted mean and standard deviation of numbers (N, T); weights: (N,)."""
    y, share = targets.double(), (weights.double() / weights.double().sum())[:, None]
    mean = (share * y).sum(0)
    sd = (share * (y - mean).square()).sum(0).sqrt().float()
    return Scaling(mean.float().tolist(), torch.where(sd > 0, sd, 1.0).tolist())


class Units:
    """Numbers (…, T) in the targets' units, and at the scale at which networks are trained; without one, the same."""

    def __init__(self, scaling: Scaling | None) -> None:
        self._scaling = scaling
        self._on: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def scaled(self, y: Tensor) -> Tensor:
        """(y − mean) / sd."""
        if self._scaling is None:
            return y
        mean, sd = self._numbers(y.device)
        return (y - mean) / sd

    def restored(self, z: Tensor) -> Tensor:
        """mean + sd · z."""
        if self._scaling is None:
            return z
        mean, sd = self._numbers(z.device)
        return mean + sd * z

    def _numbers(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Means and standard deviations (T,), copied to a device once."""
        assert self._scaling is not None
        if device not in self._on:
            mean, sd = (torch.tensor(list(one), device=device) for one in (self._scaling.mean, self._scaling.sd))
            self._on[device] = mean, sd
        return self._on[device]
