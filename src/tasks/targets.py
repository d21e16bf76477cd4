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


def targets_of(config: RunConfig, targets: Tensor) -> Targets:
    """What the task takes from the training split's targets: classes (N,) int64 or numbers (N, T) float32.

    Balanced weights give every class the same part of the cost: N / (C · examples of the class); 0 for one without.
    """
    task, classes = config.task, config.data.classes
    if task.class_weights == "balanced":
        count = torch.bincount(targets, minlength=classes).double()
        weights = torch.where(count > 0, len(targets) / (classes * count), 0.0)
        return Targets(weights=tuple(weights.tolist()))
    scaled = task.kind == "numbers" and task.standardise and task.loss != "poisson"
    return Targets(tuple(task.class_weights), fitted(targets[..., None, None]) if scaled else None)


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
