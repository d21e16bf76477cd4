"""Who watches a stack, and who decides on the members that train in it."""

from collections.abc import Callable
from typing import Protocol

from src.training.checkpoint import Checkpoint
from src.training.result import Result, Row
from src.training.stack import Member

# Members and their results, which hold weights -> the same results with what the test set says.
Tested = Callable[[list[Member], list[Result]], list[Result]]
# Is offered checkpoints at the end of each epoch, unless nobody is left, and told if they are the last ones: by number,
# of the members that train and have done an epoch.
OfferCheckpoints = Callable[[Callable[[], dict[int, Checkpoint]], bool], None]


class Observer(Protocol):
    """Someone who watches a run: the terminal, the tracking."""

    def progressed(self, epoch: int, batch: int, members: int) -> None:
        """After each chunk: the stack's epoch from 0, mini-batches done in it, members still training."""

    def epoch_ended(self, rows: dict[int, Row], so_far: Callable[[int], Result]) -> None:
        """After each epoch: member's number -> the row of its history, without those that had stopped before.

        Also within an epoch, where a member stops there: then with its row alone.
        `so_far` gives a member's result up to here, without test score, for who wants to keep it.
        """


class Roster(Protocol):
    """Who decides on who trains; asked once an epoch, before anyone leaves or joins."""

    def pruned(self, rows: dict[int, Row]) -> set[int]:
        """The members that are to leave now, by number; `rows` are those of the epoch that ended."""

    def ended(self, results: dict[int, Result]) -> None:
        """Members that train no more, whatever the reason, with their finished results."""

    def joining(self, free: int) -> list[Member]:
        """New members of the same structure for at most `free` positions; they may go on from a checkpoint."""


class Everyone:
    """The roster of a plain run: nobody is pruned, nobody joins; `results` by member."""

    def __init__(self) -> None:
        self.results: dict[int, Result] = {}

    def pruned(self, rows: dict[int, Row]) -> set[int]:
        """Nobody."""
        return set()

    def ended(self, results: dict[int, Result]) -> None:
        """Keeps them."""
        self.results |= results

    def joining(self, free: int) -> list[Member]:
        """Nobody."""
        return []
