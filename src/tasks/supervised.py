"""What tasks with targets have in common: a loss for each example, the user's own in its place, a score and metrics.

Legend: B examples, C classes, labels or numbers to predict.
"""

from collections.abc import Callable

from torch import Tensor

from src.config.metric import Metric
from src.config.task import TaskConfig
from src.tasks.measures import Measure, measure
from src.tasks.own_loss import OwnLoss
from src.tasks.targets import Targets
from src.tasks.task import Call, Task

# Outputs (…, B, C) and targets at the scale of training, (…, B) or (…, B, C), -> each example's loss (…, B).
Loss = Callable[[Tensor, Tensor], Tensor]


class Supervised(Task):
    """A task whose networks give outputs (B, C) that are compared with targets.

    head: its loss by name, under which the cpu engine has a kernel (engines/cpu/head.py) or none; delta: huber's.
    """

    def __init__(self, config: TaskConfig, targets: Targets, running: Metric, loss: Loss) -> None:
        """running: the metric that adds up, which `scores` sums; loss: the task's own."""
        self.targets, self.running, self.score = targets, running, config.metric
        self.head, self.delta = config.loss_name, config.delta
        judged = [*([self.score] if self.score != running else []), *config.reported]
        self.measures: dict[str, Measure] = {one.name: measure(one.name, config.kind) for one in judged}
        self.loss = OwnLoss(config.loss) if config.loss and config.owns_loss else loss
        self._classes = config.kind == "classes"
        self._score_of = measure(self.score.name, config.kind)

    def aims(self, y: Tensor) -> Tensor:
        """The targets as the loss compares them with outputs; by default as they are."""
        return y

    def cost(self, call: Call, x: Tensor, y: Tensor, key: Tensor | None) -> tuple[Tensor, Tensor]:
        """The mean of the examples' losses, each times its weight, and the outputs (B, C)."""
        outputs = self.outputs(call, x, key)
        y, weights = self.parted(y, outputs.shape[-1])
        losses = self.loss(outputs, self.aims(y))
        return (losses if weights is None else weights * losses).mean(), outputs

    def parted(self, y: Tensor, outputs: int) -> tuple[Tensor, Tensor | None]:
        """Targets and weights, which are there where classes are no integers, or y has a column more than outputs."""
        if self._classes:
            return (y[..., 0].long(), y[..., 1]) if y.is_floating_point() else (y, None)
        return (y, None) if y.shape[-1] == outputs else (y[..., :outputs], y[..., outputs])

    def costs(self, outputs: Tensor, y: Tensor) -> Tensor:
        """The sum of the examples' losses: outputs (…, B, C), targets (…, B) or (…, B, C) -> (…)."""
        return self.loss(outputs, self.aims(y)).sum(-1)

    def score_of(self, predictions: Tensor, y: Tensor) -> float:
        """The score of one network's predictions (N, C) for N examples and their targets y (N,) or (N, C)."""
        return float(self._score_of(predictions[None], y))
