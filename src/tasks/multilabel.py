"""Which of L labels an example has, of which any may hold: binary cross-entropy; the score is the labels' mean F1.

With q = 1 / (1 + exp(−o)) of the outputs o the cost of an example is the mean over its labels of

    − y ln q − (1 − y) ln(1 − q) = ln(1 + exp(o)) − y o                                                             (1)

and a label is answered where q is above 1/2. Legend: B examples, L labels.
"""

import torch.nn.functional as F
from torch import Tensor

from src.config.metric import ACCURACY
from src.config.task import TaskConfig
from src.tasks.supervised import Supervised
from src.tasks.targets import Targets


class Multilabel(Supervised):
    """Outputs are logits (B, L), targets 0 or 1 (B, L) float32; predictions are the labels' probabilities."""

    def __init__(self, config: TaskConfig, targets: Targets) -> None:
        super().__init__(config, targets, ACCURACY, lambda outputs, y: (F.softplus(outputs) - y * outputs).mean(-1))

    def scores(self, outputs: Tensor, y: Tensor) -> Tensor:
        """The sum of the examples' shares of labels answered right: (…, B, L), (…, B, L) -> (…)."""
        right = ((outputs > 0) == (y > 0)) & outputs.isfinite()
        return right.float().mean(-1).sum(-1)

    def predictions(self, outputs: Tensor) -> Tensor:
        """The probability of each label, of the logits' shape."""
        return outputs.sigmoid()


def task(config: TaskConfig, targets: Targets) -> Multilabel:
    """The task of a configuration."""
    return Multilabel(config, targets)
