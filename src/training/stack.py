"""From trials to members: who is in the stack, with which seed, and the state with which they begin or go on."""

from dataclasses import dataclass, field

import torch

from src.config.schema import SEEDS, RunConfig
from src.models.model import Model
from src.training.checkpoint import Checkpoint
from src.training.engines.engine import State, without_slots
from src.training.hyper import Hyper, hyper_of


@dataclass(frozen=True)
class Member:
    """One network: its trial's configuration, its seed, which of the trial's repeats and votes it is; where it was."""

    config: RunConfig
    seed: int
    repeat: int
    vote: int
    checkpoint: Checkpoint | None = field(default=None, repr=False, compare=False)  # None: it begins

    @property
    def number(self) -> int:
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


def hyper_of_stack(stack: list[Member]) -> Hyper:
    """What differs between the members."""
    return hyper_of([member.config for member in stack], [member.seed for member in stack])


def first_state(stack: list[Member], model: Model) -> State:
    """Every member's state at its start, from its own seed, or that of its checkpoint; slots of some are all's."""
    each = [member.checkpoint.state if member.checkpoint else model.first_state(member.seed) for member in stack]
    names = {name: value for state in each for name, value in state.items()}
    return {
        name: torch.stack([state[name] if name in state else torch.zeros_like(value) for state in each])
        for name, value in names.items()
    }


def best_state(stack: list[Member], state: State) -> State:
    """That of each member's best epoch so far, without slots; of who begins, its own of `state`, the stack's."""
    best = {name: value.clone() for name, value in without_slots(state).items()}
    for position, member in enumerate(stack):
        for name, value in member.checkpoint.best.items() if member.checkpoint else ():
            best[name][position] = value
    return best
