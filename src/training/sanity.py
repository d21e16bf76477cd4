"""Two more looks at a network before it is trained: its first cost, and whether it can learn a few examples by heart.

Source: [CS231n] A. Karpathy et al., notes, "Neural Networks Part 3: Sanity checks". Legend: B examples.
"""

import time
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from src.config.schema import RunConfig
from src.data.dataset import Dataset
from src.tasks.task import Task
from src.training.fit import prepare
from src.training.gradient_check import FloatingMember

HIGH = 1.5  # times the cost at chance: above, the first weights are too large
LEARNT = 0.1  # of the first cost: below, the examples are known by heart
EPOCHS, SECONDS = 2_000, 20.0  # at most


@dataclass(frozen=True)
class FirstCost:
    """The mean cost of examples in evaluation, with the first weights, and where all of the network's outputs are 0."""

    cost: float
    at_chance: float

    @property
    def is_high(self) -> bool:
        """Whether it is far above chance, or not finite."""
        return not self.cost <= HIGH * self.at_chance


@dataclass(frozen=True)
class ByHeart:
    """The mean cost of a few examples before training on them alone, and after so many epochs."""

    examples: int
    before: float
    after: float
    epochs: int
    score: float  # after it

    @property
    def learnt(self) -> bool:
        """Whether the network knows them by heart."""
        return self.after <= LEARNT * self.before


def first_cost(member: FloatingMember, task: Task, x: Tensor, y: Tensor) -> FirstCost:
    """The cost of inputs x (B, …) and targets y (B, …) in evaluation; a classifier's at chance is ln C."""

    def nothing(x: Tensor, key: Tensor | None) -> Tensor:
        return torch.zeros_like(member(x, key))

    with torch.no_grad():
        cost, chance = (float(task.costs(task.outputs(call, x), y)) / len(x) for call in (member, nothing))
    return FirstCost(cost, chance)


def by_heart(config: RunConfig, dataset: Dataset, examples: int) -> ByHeart:
    """Trains one network on the first training examples alone, with the configuration's own update rule and rate.

    Without decay of the weights, and at a constant rate. It ends once they are learnt, after EPOCHS or SECONDS.
    """
    few = replace(dataset.first(examples), sampling="none")
    decay = {"lambda_": 0.0, "l1": 0.0, "weight_decay": 0.0, "schedule": "constant", "warmup_steps": 0}
    changes = {
        "optim": config.optim.model_copy(update=decay),
        "batch_size": min(config.batch_size, len(few.train)),
        "max_epochs": EPOCHS,
        "repeats": 1,
        "ensemble": 1,
        "data": config.data.model_copy(update={"folds": None}),
    }
    config = config.model_copy(update=changes)
    prepared = prepare([config], few, lambda line: None)
    engine, train = prepared.engine, prepared.dataset.train
    means = engine.evaluate(train.inputs, train.targets)
    before, epochs, end = float(means.cost[0]), 0, time.monotonic() + SECONDS
    while float(means.cost[0]) > LEARNT * before and epochs < EPOCHS and time.monotonic() < end:
        for chunk in prepared.chunks:
            engine.train(train.inputs, train.targets, chunk.order, chunk.first_step, torch.tensor([config.optim.eta]))
        epochs += 1
        means = engine.evaluate(train.inputs, train.targets)
    return ByHeart(len(train), before, float(means.cost[0]), epochs, float(means.score[0]))
