"""The progress of one member while the stack trains."""

import math
from dataclasses import dataclass, field
from typing import Any

from src.training.checkpoint import Checkpoint
from src.training.engines.engine import State
from src.training.result import Row
from src.training.stack import Member
from src.training.stopping import Stopping
from src.training.update.schedule import Schedule


@dataclass
class Progress:
    """A member in training: its rules, its history and its best epoch so far."""

    member: Member
    born: int  # the stack's epoch in which it began; for one that goes on, in which it would have begun
    schedule: Schedule
    stopping: Stopping
    start: float  # time.perf_counter() when it joined, minus the seconds that it had trained before
    history: list[Row] = field(default_factory=list)
    best_epoch: int | None = None
    best_score: float = math.nan  # on the validation set; NaN before the first evaluation
    done: bool = False
    pruned: bool = False
    seconds: float = 0.0  # from joining to the member's last epoch
    snapshots: dict[int, State] = field(default_factory=dict)  # the latest ones: epoch -> its state, on the CPU

    def checkpoint(self, state: State, best: State, average: State, averaged: int) -> Checkpoint:
        """The member's checkpoint, of states of it alone.

        state: as the engine holds it, best: that of its best epoch, average: the mean of so many sets of weights.
        """
        return Checkpoint(
            history=list(self.history),
            best_epoch=self.best_epoch,
            best_score=self.best_score,
            seconds=self.seconds,
            schedule=_changing(self.schedule),
            stopping=_changing(self.stopping),
            state=state,
            best=best,
            average=average,
            averaged=averaged,
            snapshots=dict(self.snapshots),
        )

    def keeps_snapshot(self, epoch: int) -> bool:
        """Whether the weights at the end of this epoch are to vote, if no later ones take their place."""
        config = self.member.config
        return config.snapshots > 0 and epoch % config.snapshot_every_epochs == 0

    def keep_snapshot(self, epoch: int, state: State) -> None:
        """Keeps the state at the end of an epoch; of more than `snapshots` the oldest one goes."""
        self.snapshots[epoch] = state
        while len(self.snapshots) > self.member.config.snapshots:
            del self.snapshots[min(self.snapshots)]

    def go_on(self, checkpoint: Checkpoint) -> None:
        """Puts a member that has not trained here yet to where the checkpoint was made."""
        self.history, self.seconds = list(checkpoint.history), checkpoint.seconds
        self.best_epoch, self.best_score = checkpoint.best_epoch, checkpoint.best_score
        self.snapshots = dict(checkpoint.snapshots)
        self.start -= self.seconds
        vars(self.schedule).update(checkpoint.schedule)
        vars(self.stopping).update(checkpoint.stopping)


def _changing(rule: Schedule | Stopping) -> dict[str, Any]:
    return {name: value for name, value in vars(rule).items() if name not in ("config", "score")}
