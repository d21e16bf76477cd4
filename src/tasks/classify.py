"""Which of C classes an example belongs to: cross-entropy of the softmax; the score is the accuracy.

With q = softmax of the outputs, class weights w and smoothing e the cost of an example of class y is

    − Σ_c t_c w_c ln q_c        t_y = 1 − e + e / C, else t_c = e / C                                              (1)

as torch's cross_entropy has it, but divided by the number of examples, not by their weights, so that costs add up.
Source: [N6] M. Nielsen, Neural Networks and Deep Learning (2015), chapter 3: the log-likelihood cost.
Legend: B examples, C classes.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from src.config.metric import ACCURACY
from src.config.task import TaskConfig
from src.tasks.supervised import Supervised
from src.tasks.targets import NOTHING, Targets
from src.tasks.task import Call

_PLAIN = TaskConfig()


class Classify(Supervised):
    """Outputs are logits (B, C), targets classes (B,) int64; predictions are the softmax's probabilities."""

    def __init__(self, config: TaskConfig = _PLAIN, targets: Targets = NOTHING) -> None:
        super().__init__(config, targets, ACCURACY, self._weighted)
        self._smoothing, self._tables = config.label_smoothing, dict[torch.device, Tensor]()
        self.plain = not (targets.weights or config.label_smoothing or config.owns_loss)

    def cost(self, call: Call, x: Tensor, y: Tensor, key: Tensor | None) -> tuple[Tensor, Tensor]:
        """The mean over the mini-batch of equation (1), each times its example's weight, and the logits (B, C)."""
        if not self.plain:
            return super().cost(call, x, y, key)
        logits = self.outputs(call, x, key)
        y, weights = self.parted(y, logits.shape[-1])
        # F.cross_entropy under vmap takes three times as many kernels.
        own = logits.log_softmax(1).gather(1, y[:, None])
        return -(own if weights is None else own * weights[:, None]).mean(), logits

    def costs(self, outputs: Tensor, y: Tensor) -> Tensor:
        """The sum of the examples' costs, in nats: logits (…, B, C), classes (…, B) -> (…)."""
        if not self.plain:
            return super().costs(outputs, y)
        classes_second = outputs.movedim(-1, 1)
        return F.cross_entropy(classes_second, y.expand(outputs.shape[:-1]), reduction="none").sum(-1)

    def _weighted(self, logits: Tensor, y: Tensor) -> Tensor:
        """Equation (1): logits (…, B, C), classes (…, B) -> (…, B)."""
        return -(logits.log_softmax(-1) * self.table(logits.shape[-1], logits.device)[y]).sum(-1)

    def table(self, classes: int, device: torch.device) -> Tensor:
        """t_c w_c of equation (1) for each class y: (C, C) float32, copied to a device once."""
        if device not in self._tables:  # from plain numbers: what is computed under vmap must not be kept
            weights, shared = self.targets.weights or (1.0,) * classes, self._smoothing / classes
            rows = [
                [(shared + (1 - self._smoothing) * (y == c)) * weight for c, weight in enumerate(weights)]
                for y in range(classes)
            ]
            self._tables[device] = torch.tensor(rows, device=device)
        return self._tables[device]

    def scores(self, outputs: Tensor, y: Tensor) -> Tensor:
        """The count of right answers: logits (…, B, C), classes (…, B) -> (…) int64; a NaN counts as wrong."""
        best, answer = outputs.max(-1)
        return ((answer == y) & (best.abs() < math.inf)).sum(-1)

    def predictions(self, outputs: Tensor) -> Tensor:
        """The softmax's probabilities, of the logits' shape."""
        return outputs.softmax(-1)


def task(config: TaskConfig, targets: Targets) -> Classify:
    """The task of a configuration; targets: the weights of the classes."""
    return Classify(config, targets)
