"""How one trial ended: its status, its mean scores and what it cost."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any, Protocol, TypeVar

from src.config.metric import Metric
from src.models.model import parameters_of
from src.sweep.job import Job
from src.sweep.space.settings import COST
from src.training.result import Result, Status

DIVERGED = "diverged: no finite validation cost in any epoch"


@dataclass(frozen=True)
class Outcome:
    """How a trial ended. Scores are means over all its members, where a diverged one counts with the score's `lost`."""

    job: Job
    status: Status  # FINISHED, PRUNED, KILLED or FAILED
    validation_score: float | None = None  # of each member's best epoch
    validation_cost: float | None = None  # of each member's best epoch; infinite with a diverged one
    test_score: float | None = None  # with the weights of that epoch
    epochs: int = 0  # trained, by all members together
    seconds: float = 0.0  # until the last member ended; added up where they trained one by one
    reason: str = ""
    metrics: dict[str, float] = field(default_factory=dict)  # means over its members, such as validation_f1
    members: list[dict[str, Any]] = field(default_factory=list)

    @property
    def score(self) -> Metric:
        """The metric of the trial's task, of which its scores are values."""
        return self.job.config.task.metric

    def as_status(self, status: Status) -> "Outcome":
        """The same outcome with another status."""
        return replace(self, status=status)

    def attributes(self) -> dict[str, Any]:
        """The user attributes that a study keeps of the trial, beside its value."""
        return {
            "label": self.job.label,
            "folder": str(self.job.folder),
            "parameters": parameters_of(self.job.config),
            "max_epochs": self.job.config.max_epochs,
            "max_networks": self.job.config.members,
            "epochs": self.epochs,
            "seconds": self.seconds,
            **({} if self.validation_cost is None else {COST: self.validation_cost}),
            self.score.field("test"): self.test_score,
            "members": self.members,
            **({"reason": self.reason} if self.reason else {}),
            **self.metrics,
            **({} if self.validation_score is None else {self.score.field("validation"): self.validation_score}),
        }


def outcome(job: Job, results: Sequence[Result], pruned: bool, one_by_one: bool = False) -> Outcome:
    """The outcome of a trial whose members have all ended; `results`: one a member.

    pruned: whether the sweep ended it early. one_by_one: its members trained one after another, not together.
    """
    score = job.config.task.metric
    statuses = {result.status for result in results}
    status = "KILLED" if "KILLED" in statuses else "PRUNED" if pruned else "FINISHED"
    if statuses == {"FAILED"}:
        status = "FAILED"
    tests = [score.lost if result.status == "FAILED" else result.test_score for result in results]
    tested = [value for value in tests if value is not None]
    return Outcome(
        job=job,
        status=status,
        validation_score=None if status == "FAILED" else fmean(score.counted(one.validation_score) for one in results),
        validation_cost=None if status == "FAILED" else fmean(_cost(result) for result in results),
        test_score=None if status == "FAILED" or len(tested) < len(results) else fmean(tested),
        epochs=sum(len(result.history) for result in results),
        seconds=(sum if one_by_one else max)(result.seconds for result in results),
        reason=DIVERGED if status == "FAILED" else "",
        metrics=_metrics(job, results) if status == "FINISHED" else {},
        members=[_member(result) for result in results],
    )


def _metrics(job: Job, results: Sequence[Result]) -> dict[str, float]:
    """The means of the metrics that are reported beside the score; a diverged member counts with each one's `lost`."""
    named = {one.field(split): one for one in job.config.task.reported for split in ("validation", "test")}
    return {name: fmean(one.counted(result.metrics.get(name)) for result in results) for name, one in named.items()}


def _cost(result: Result) -> float:
    """The validation cost of the best epoch; infinite where there is none."""
    own = (row.get("validation/cost") for row in result.history if row["epoch"] == result.best_epoch)
    cost = next(own, None)
    return math.inf if cost is None else cost


def _member(result: Result) -> dict[str, Any]:
    shown = {name: getattr(result, name) for name in ("seed", "repeat", "vote", "status", "best_epoch")}
    score = result.score
    scores = {score.field("validation"): result.validation_score, score.field("test"): result.test_score}
    return {**shown, **scores, "epochs": len(result.history)}


class Judged(Protocol):
    """Anything that has a validation score, which may be None."""

    @property
    def validation_score(self) -> float | None:
        """The mean over its networks; None where there is none."""


J = TypeVar("J", bound=Judged)


def better_first(judged: Sequence[J], score: Metric) -> list[J]:
    """Sorted by validation score, the best first and those without one last; equals keep their order."""
    return sorted(judged, key=lambda one: score.merit(one.validation_score), reverse=True)
