"""One row of the table at a sweep's end, which shows a trial."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from src.config.wording import ending
from src.sweep.outcome import Outcome, better_first


@dataclass(frozen=True)
class TrialRow:
    """One trial; scores are means over its networks, None: not known.

    The test score is shown for the best trial alone: nobody is to choose by it.
    """

    number: int  # of a study's trial, its place in the budget
    label: str  # what its settings set differently from the other trials'
    status: str  # FINISHED, INFEASIBLE, PRUNED, DIVERGED, FAILED, KILLED or RUNNING
    validation_score: float | None = None
    test_score: float | None = None
    epochs: float | None = None  # that a network trained, mean over the trial's networks
    figures: dict[str, float] = field(default_factory=dict)  # what else the trials are judged by, such as parameters
    here: bool = True  # whether it was trained by this command
    best: bool = False


def rows_of(outcomes: Sequence[Outcome]) -> list[TrialRow]:
    """The rows of one command's trials; the FINISHED one with the best validation score is marked as the best."""
    finished = [one for one in outcomes if one.status == "FINISHED"]
    finished = better_first(finished, finished[0].score) if finished else []
    return [replace(_row(one), best=one is finished[0] if finished else False) for one in outcomes]


def _row(one: Outcome) -> TrialRow:
    return TrialRow(
        one.job.number,
        one.job.label,
        ending(one.status, one.reason),
        one.validation_score,
        one.test_score,
        one.epochs / one.job.config.members,
    )
