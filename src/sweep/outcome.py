"""What became of one trial, in a few figures; accuracies in 0…1."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any, Protocol, TypeVar

from src.config.shapes import parameter_count
from src.sweep.job import Job
from src.training.result import Result, Status

DIVERGED = "diverged: no finite validation cost in any epoch"


@dataclass(frozen=True)
class Outcome:
    """Means are over all of the trial's members; one that diverged counts as 0 in both accuracies."""

    job: Job
    status: Status  # FINISHED, PRUNED, KILLED or FAILED
    validation_accuracy: float | None = None  # of each member's best epoch
    test_accuracy: float | None = None  # with those weights
    epochs: int = 0  # trained, by all members together
    seconds: float = 0.0  # until the last member ended; where they trained one by one, of all together
    reason: str = ""
    members: list[dict[str, Any]] = field(default_factory=list)

    def as_status(self, status: Status) -> "Outcome":
        """The same, counted as `status`."""
        return replace(self, status=status)

    def attributes(self) -> dict[str, Any]:
        """What a study keeps of the trial beside its value."""
        return {
            "label": self.job.label,
            "folder": str(self.job.folder),
            "parameters": parameter_count(self.job.config.shapes()),
            "max_epochs": self.job.config.max_epochs,
            "max_networks": self.job.config.members,
            "epochs": self.epochs,
            "seconds": self.seconds,
            "test_accuracy": self.test_accuracy,
            "members": self.members,
            **({"reason": self.reason} if self.reason else {}),
            **({} if self.validation_accuracy is None else {"validation_accuracy": self.validation_accuracy}),
        }


def outcome(job: Job, results: Sequence[Result], pruned: bool, one_by_one: bool = False) -> Outcome:
    """Of a trial whose members have all ended; one_by_one: they trained one after another, not together."""
    statuses = {result.status for result in results}
    status = "KILLED" if "KILLED" in statuses else "PRUNED" if pruned else "FINISHED"
    if statuses == {"FAILED"}:
        status = "FAILED"
    tests = [0.0 if result.status == "FAILED" else result.test_accuracy for result in results]
    tested = [accuracy for accuracy in tests if accuracy is not None]
    return Outcome(
        job=job,
        status=status,
        validation_accuracy=None if status == "FAILED" else fmean(one.validation_accuracy or 0.0 for one in results),
        test_accuracy=None if status == "FAILED" or len(tested) < len(results) else fmean(tested),
        epochs=sum(len(result.history) for result in results),
        seconds=(sum if one_by_one else max)(result.seconds for result in results),
        reason=DIVERGED if status == "FAILED" else "",
        members=[_member(result) for result in results],
    )


def _member(result: Result) -> dict[str, Any]:
    shown = {name: getattr(result, name) for name in ("seed", "repeat", "vote", "status", "best_epoch")}
    accuracies = {name: getattr(result, name) for name in ("validation_accuracy", "test_accuracy")}
    return {**shown, **accuracies, "epochs": len(result.history)}


class Judged(Protocol):
    """What has a validation accuracy, or none."""

    @property
    def validation_accuracy(self) -> float | None:
        """In 0…1."""


J = TypeVar("J", bound=Judged)


def better_first(judged: Sequence[J]) -> list[J]:
    """By validation accuracy; those without one last, each kind in its order."""

    def value(one: J) -> float:
        return -math.inf if one.validation_accuracy is None else one.validation_accuracy

    return sorted(judged, key=value, reverse=True)
