"""A trial as the table at a sweep's end shows it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from src.config.words import ending
from src.sweep.outcome import Outcome, better_first


@dataclass(frozen=True)
class TrialRow:
    """Accuracies in 0…1; None: not known. The test accuracy is for the best trial alone: nobody is to choose by it."""

    number: int
    label: str  # what differs
    status: str  # FINISHED, INFEASIBLE, PRUNED, DIVERGED, FAILED, KILLED or RUNNING
    validation_accuracy: float | None = None
    test_accuracy: float | None = None
    epochs: float | None = None  # of a network, the mean over the trial's
    figures: dict[str, float] = field(default_factory=dict)  # what else the trials are judged by, such as parameters
    here: bool = True  # whether it was trained by this command
    best: bool = False


def rows_of(outcomes: Sequence[Outcome]) -> list[TrialRow]:
    """Of the trials of one command; the best is the one with the highest validation accuracy of those FINISHED."""
    finished = better_first([one for one in outcomes if one.status == "FINISHED"])
    return [replace(_row(one), best=one is finished[0] if finished else False) for one in outcomes]


def _row(one: Outcome) -> TrialRow:
    return TrialRow(
        one.job.number,
        one.job.label,
        ending(one.status, one.reason),
        one.validation_accuracy,
        one.test_accuracy,
        one.epochs / one.job.config.members,
    )
