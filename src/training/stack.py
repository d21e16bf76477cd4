"""From trials to members: who is in the stack, with which seed, and the weights with which they begin or go on."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from src.config.schema import SEEDS, RunConfig
from src.models.init import initial_weights
from src.training.checkpoint import Checkpoint
from src.training.engines.engine import Members


@dataclass(frozen=True)
class Member:
    """One network: its trial's configuration, its seed, its place among the trial's repeats and votes; where it was."""

    config: RunConfig
    seed: int
    repeat: int
    vote: int
    checkpoint: Checkpoint | None = field(default=None, repr=False, compare=False)  # None: it begins

    @property
    def place(self) -> int:
        """Its number in the trial, from 0."""
        return self.repeat * self.config.ensemble + self.vote

    @property
    def epochs(self) -> int:
        """How many it has done."""
        return self.checkpoint.epochs if self.checkpoint else 0


def members_of(configs: list[RunConfig]) -> list[Member]:
    """All members of the trials, in order; a trial's seeds are consecutive from its own `seed`.

    Only one that was begun by an older version can come past the largest, and goes on with 0.
    """
    return [
        Member(config, (config.seed + repeat * config.ensemble + vote) % SEEDS, repeat, vote)
        for config in configs
        for repeat in range(config.repeats)
        for vote in range(config.ensemble)
    ]


def hyperparameters(stack: list[Member]) -> Members:
    """What differs between the members, as tensors with leading axis K."""
    optims = [member.config.optim for member in stack]
    return Members(
        lambda_=torch.tensor([optim.lambda_ for optim in optims]),
        l1=torch.tensor([optim.l1 for optim in optims]),
        momentum=torch.tensor([optim.momentum for optim in optims]),
        dropout=torch.tensor([member.config.model.dropouts() for member in stack]),
        seed=torch.tensor([member.seed for member in stack]),
    )


def first_weights(stack: list[Member]) -> dict[str, Tensor]:
    """Every member's initial weights, each from its own seed, or those of its checkpoint, stacked along axis K."""
    return _stacked(
        [
            member.checkpoint.weights
            if member.checkpoint
            else initial_weights(member.config.shapes(), member.config.model.init, member.seed)
            for member in stack
        ]
    )


def first_velocities(stack: list[Member]) -> dict[str, Tensor]:
    """Those of the members' checkpoints, zeros for who begins; empty where nobody has any."""
    each = [member.checkpoint.velocities if member.checkpoint else {} for member in stack]
    some = next(filter(None, each), None)
    if some is None:
        return {}
    zeros = {name: torch.zeros_like(value) for name, value in some.items()}
    return _stacked([own or zeros for own in each])


def best_weights(stack: list[Member], weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Those of each member's best epoch so far; of who begins, its own of `weights`, the stack's."""
    best = {name: value.clone() for name, value in weights.items()}
    for place, member in enumerate(stack):
        for name, value in member.checkpoint.best.items() if member.checkpoint else ():
            best[name][place] = value
    return best


def _stacked(each: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([own[name] for own in each]) for name in each[0]}
