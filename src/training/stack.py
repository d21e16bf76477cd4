"""The members of a stack: their trials, their seeds, and the state with which they begin or go on."""

from dataclasses import dataclass, field

import torch

from src.config.schema import RunConfig
from src.config.section import SEEDS
from src.models.model import Model
from src.training.checkpoint import Checkpoint
from src.training.engines.engine import State, without_slots
from src.training.hyper import Hyper, hyper_of


@dataclass(frozen=True)
class Member:
    """One network of a stack."""

    config: RunConfig  # its trial's
    seed: int
    repeat: int  # which of the trial's repeats it belongs to, from 0
    vote: int  # its index in the repeat's ensemble, from 0
    checkpoint: Checkpoint | None = field(default=None, repr=False, compare=False)  # None: it begins
    start: State | None = field(default=None, repr=False, compare=False)  # in place of what its seed gives, by name

    @property
    def number(self) -> int:
        """The member's index in its trial, from 0."""
        return self.repeat * self.config.ensemble + self.vote

    @property
    def fold(self) -> int:
        """The part of the examples that validates it in a cross-validation, from 0; 0 without one."""
        return self.repeat % (self.config.data.folds or 1)

    @property
    def epochs(self) -> int:
        """The number of epochs that it has trained before it joined this stack."""
        return self.checkpoint.epochs if self.checkpoint else 0


def members_of(configs: list[RunConfig]) -> list[Member]:
    """All members of the trials, in order; the seeds in a trial are consecutive from its own `seed`.

    The seed after the largest is 0; only runs that an older version has begun can get there.
    """
    return [
        Member(config, (config.seed + repeat * config.ensemble + vote) % SEEDS, repeat, vote)
        for config in configs
        for repeat in range(config.repeats * (config.data.folds or 1))
        for vote in range(config.ensemble)
    ]


def hyper_of_stack(stack: list[Member]) -> Hyper:
    """The hyperparameters and seeds of the members."""
    return hyper_of([member.config for member in stack], [member.seed for member in stack])


def initial_state(member: Member, model: Model) -> State:
    """The state with which a member begins: from its seed, but for the parameters that it brings along."""
    own = model.of(member.config).first_state(member.seed)
    return own | {name: value for name, value in (member.start or {}).items() if name in own}


def first_state(stack: list[Member], model: Model) -> State:
    """The members' state with a leading axis: that of a member's checkpoint, else its initial one (`initial_state`).

    A slot that some members have in their checkpoints is zero for the others.
    """
    each = [member.checkpoint.state if member.checkpoint else initial_state(member, model) for member in stack]
    names = {name: value for state in each for name, value in state.items()}
    return {
        name: torch.stack([state[name] if name in state else torch.zeros_like(value) for state in each])
        for name, value in names.items()
    }


def best_state(stack: list[Member], state: State) -> State:
    """The state of each member's best epoch so far, without slots, with a leading axis of members.

    From the member's checkpoint; for a member without one, its part of `state`, that of the stack.
    """
    best = {name: value.clone() for name, value in without_slots(state).items()}
    for position, member in enumerate(stack):
        for name, value in member.checkpoint.best.items() if member.checkpoint else ():
            best[name][position] = value
    return best
