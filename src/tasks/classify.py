"""Which of C classes an example belongs to: cross-entropy of the softmax; the score is the accuracy.

Source: [N6] M. Nielsen, Neural Networks and Deep Learning (2015), chapter 3: the log-likelihood cost.
Legend: B examples, C classes.
"""

import math

import torch.nn.functional as F
from torch import Tensor

from src.config.metric import ACCURACY
from src.config.schema import TaskConfig
from src.tasks.targets import Targets
from src.tasks.task import Call, Task


class Classify(Task):
    """Outputs are logits (B, C), targets classes (B,) int64; predictions are the softmax's probabilities."""

    score = ACCURACY

    def cost(self, call: Call, x: Tensor, y: Tensor, key: Tensor | None) -> tuple[Tensor, Tensor]:
        """The mean over the mini-batch of −ln softmax at the right class, and the logits (B, C)."""
        logits = self.outputs(call, x, key)
        # F.cross_entropy under vmap takes three times as many kernels.
        return -logits.log_softmax(1).gather(1, y[:, None]).mean(), logits

    def costs(self, outputs: Tensor, y: Tensor) -> Tensor:
        """The sum of the examples' cross-entropies, in nats: logits (…, B, C), classes (…, B) -> (…)."""
        classes_second = outputs.movedim(-1, 1)
        return F.cross_entropy(classes_second, y.expand(outputs.shape[:-1]), reduction="none").sum(-1)

    def scores(self, outputs: Tensor, y: Tensor) -> Tensor:
        """The count of right answers: logits (…, B, C), classes (…, B) -> (…) int64; a NaN counts as wrong."""
        best, answer = outputs.max(-1)
        return ((answer == y) & (best.abs() < math.inf)).sum(-1)

    def predictions(self, outputs: Tensor) -> Tensor:
        """The softmax's probabilities, of the logits' shape."""
        return outputs.softmax(-1)

    def score_of(self, predictions: Tensor, y: Tensor) -> float:
        """The accuracy, in 0…1, of one network's probabilities (N, C) for N examples of the classes y (N,)."""
        return float((predictions.argmax(-1) == y).double().mean())


def task(config: TaskConfig, targets: Targets) -> Classify:
    """The task of a configuration."""
    return Classify()
