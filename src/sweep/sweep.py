"""The two interfaces between stacks of trials and a sweep: where its trials come from, and what shows how it goes."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from src.data.dataset import Dataset
from src.sweep.job import Job
from src.sweep.trial_row import TrialRow
from src.tracking.record import Record
from src.tracking.tracker import Tracker
from src.training.fit import Prepared
from src.training.roster import Observer


class Sweep(Protocol):
    """Where trials come from, and who is told how they ended: a grid (multirun.py) or a study (trials.py)."""

    one_by_one: bool  # whether the repeats of a trial train one after another, not together
    resumable: bool  # whether a trial that is killed is started again, from its checkpoint

    def jobs(self, room: int) -> list[Job]:
        """New trials with at most `room` members in all, or a single one that is larger; [] where there is none now."""

    def over(self) -> bool:
        """Whether no trial is to begin any more, not even one that `jobs` has given and that still waits."""

    def begin(self, jobs: list[Job]) -> None:
        """Is told that these trials, which `jobs` has given before, now make a stack together."""

    def tracker(self, job: Job, dataset: str, device: str, seeds: list[int], resumed: str) -> Tracker:
        """What tracks the trial in MLflow; called again for a trial that begins anew.

        dataset, device: what is really used; seeds: one a member; resumed: such as "after epoch 5", "" where it begins.
        """

    def reported(self, job: Job, step: int, values: Mapping[str, float]) -> bool:
        """Takes what is known of the trial after epoch `step`, or of its repeat `step`; True: prune it.

        values: by name, such as validation_accuracy and validation_cost, means over its members, and `seconds`.
        """

    def kept(self, job: Job) -> bool:
        """Is told of a new checkpoint in the trial's folder; returns whether its next attempt will look for it there.

        Raises nothing.
        """

    def ended(self, job: Job, record: Record, pruned: bool, dataset: Dataset) -> bool:
        """Is told that all members of the trial have ended; True: for good, so that its checkpoints can go."""

    def failed(self, job: Job, record: Record | None, status: str, reason: str, error: BaseException) -> None:
        """Is told that the trial ends without results, as FAILED or KILLED; `reason` is the text of the error."""

    def rows(self) -> list[TrialRow]:
        """The trials as the table at the end shows them."""

    def finish(self, status: str) -> None:
        """Is told that nothing more is trained; `status`: FINISHED, KILLED (by the user), or FAILED for any error."""


class Screen(AbstractContextManager[Any], Protocol):
    """Shows the user how the sweep goes, as long as its context is entered."""

    def stack(self, prepared: Prepared, jobs: list[Job], waiting: int) -> Observer:
        """Is told that a stack of these trials begins, while `waiting` others wait; returns what observes it."""

    def went_on(self, epochs: int) -> None:
        """Is told that a trial goes on whose networks had trained so many epochs, added up, in earlier attempts."""

    def say(self, line: str) -> None:
        """Shows one line of text."""

    def table(self, rows: list[TrialRow]) -> None:
        """Shows how the trials ended."""
