"""Two interfaces of a stack in training: observers watch it, a roster decides which members train in it."""

from collections.abc import Callable
from typing import Protocol

from src.data.dataset import Dataset
from src.training.checkpoint import Checkpoint
from src.training.result import Result, Row
from src.training.stack import Member

# Takes members, their results with weights, and the test set; returns the results with score and predictions on it.
Tested = Callable[[list[Member], list[Result], Dataset], list[Result]]
# Called at the end of each epoch after which members still train, and once more when training is stopped. The first
# argument gives the checkpoints, by number, of the members that train and have finished an epoch; the second says
# whether they are the last ones.
OfferCheckpoints = Callable[[Callable[[], dict[int, Checkpoint]], bool], None]


class Observer(Protocol):
    """An object that is told how a run goes on, such as the terminal's progress bar or the tracking."""

    def progressed(self, epoch: int, batch: int, members: int) -> None:
        """Called after each chunk: the stack's epoch from 0, mini-batches done in it, number of members in training."""

    def epoch_ended(self, rows: dict[int, Row], so_far: Callable[[int], Result]) -> None:
        """Called after each epoch with the new row of the history of each member that trained in it, by number.

        Also called within an epoch where a member stops, then with its row alone. so_far: gives the result so far,
        without a test score, of the member of a number.
        """


class Roster(Protocol):
    """Decides which members train in a stack; asked at the end of each epoch."""

    def pruned(self, rows: dict[int, Row]) -> set[int]:
        """The numbers of the members to stop now; rows: the epoch's rows of the history, by member's number."""

    def ended(self, results: dict[int, Result]) -> None:
        """Receives the finished results, by number, of members that have stopped, for whatever reason."""

    def joining(self, free: int) -> list[Member]:
        """New members of the same structure for at most `free` positions; they may go on from a checkpoint."""


class Everyone:
    """The roster of a plain run: nobody is pruned, nobody joins; `results` holds the results by member's number."""

    def __init__(self) -> None:
        self.results: dict[int, Result] = {}

    def pruned(self, rows: dict[int, Row]) -> set[int]:
        """The empty set: nobody is pruned."""
        return set()

    def ended(self, results: dict[int, Result]) -> None:
        """Adds them to `results`."""
        self.results |= results

    def joining(self, free: int) -> list[Member]:
        """The empty list: nobody joins."""
        return []
