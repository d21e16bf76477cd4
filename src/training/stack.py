"""From trials to members: who is in the stack, with which seed and which initial weights."""

from dataclasses import dataclass

import torch

from src.config import RunConfig
from src.nets.init import initial_weights
from src.training.engine import Members


@dataclass(frozen=True)
class Member:
    """One network: its trial's configuration, its seed, and its place among the trial's repeats and votes."""

    config: RunConfig
    seed: int
    repeat: int
    vote: int


def members_of(configs: list[RunConfig]) -> list[Member]:
    """All members of the trials, in order; a trial's seeds are consecutive from its own `seed`."""
    return [
        Member(config, (config.seed + repeat * config.ensemble + vote) % 2**32, repeat, vote)
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


def first_weights(stack: list[Member]) -> dict[str, torch.Tensor]:
    """Every member's initial weights, each from its own seed, stacked along axis K."""
    each = [initial_weights(member.config.shapes(), member.config.model.init, member.seed) for member in stack]
    return {name: torch.stack([weights[name] for weights in each]) for name in each[0]}
