"""A member at an evaluation of the validation set: whether it counts for it, and what it decides."""

from dataclasses import dataclass

from src.training.progress import Progress


@dataclass(frozen=True)
class Look:
    """One member at an evaluation of the validation set."""

    k: int  # its position in the engine
    number: int
    member: Progress
    done: int  # its mini-batches so far, from its own start

    @property
    def epoch(self) -> int:
        """The member's epoch, from 1."""
        return -(-self.done // self.member.schedule.batches)

    @property
    def eta(self) -> float:
        """The learning rate of its last mini-batch, as configured and not as float32 rounds it."""
        return float(self.member.schedule.etas(self.epoch - 1, self.done - 1, 1)[0])

    @property
    def is_due(self) -> bool:
        """Whether the member's rule asks for a look here; if not, this is the end of an epoch between two looks."""
        return self.member.stopping.is_due(self.done)

    @property
    def is_void(self) -> bool:
        """Whether the member has ended before the last of its mini-batches, so that nothing found here counts."""
        return self.member.stopping.had_ended(self.done)

    def keeps(self, score: float) -> bool:
        """Whether the weights that reached `score` here become those that are kept of the member."""
        member = self.member
        counts = not self.is_void and (self.is_due or member.member.config.stop.keep == "last")
        best = None if member.best_epoch is None else member.best_score
        return counts and member.stopping.keeps(score, best)

    def ends(self, score: float) -> bool:
        """Takes in the score; returns whether the member's training ends here."""
        member = self.member
        if self.is_void or self.done == member.member.config.max_epochs * member.schedule.batches:
            return True
        return self.is_due and member.stopping.checked(score, self.done)
