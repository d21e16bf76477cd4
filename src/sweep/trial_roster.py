"""The trials in one stack: tells each trial's record what its members did, takes pruned trials out, lets new ones in.

A member (one network) has two numbers: the stack's, in the order in which members join, and its trial's, from 0.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from statistics import fmean
from typing import Protocol

from src.runs.checkpoint import Saved
from src.sweep.job import Job
from src.sweep.space.settings import COST
from src.tracking.record import Record
from src.training.checkpoint import Checkpoint
from src.training.result import Result, Row
from src.training.stack import Member, members_of

# A trial, its record, and the checkpoints of those of its members that train, by their numbers in the trial.
Training = tuple[Job, Record, dict[int, Checkpoint]]


class TrialSource(Protocol):
    """Where a stack's trials come from, and who is told how they ended."""

    one_by_one: bool  # whether the members of a trial train one after another, not together

    def next_job(self, room: int) -> Job | None:
        """Another trial for this stack, of at most `room` members; None where there is none."""

    def saved(self, job: Job) -> Saved:
        """The checkpoint of an earlier attempt of a trial that joins the stack; an empty one where it begins."""

    def record(self, job: Job, saved: Saved) -> Record:
        """The record of a trial that begins, or goes on from the checkpoint `saved`."""

    def reported(self, job: Job, step: int, values: Mapping[str, float]) -> bool:
        """Takes what is known of the trial after epoch `step`, or of its repeat `step`; True: prune it.

        values: by name, such as validation_accuracy and validation_cost, means over its members, and `seconds`.
        """

    def ended(self, job: Job, record: Record, pruned: bool) -> None:
        """Is told that all members of the trial have ended; `pruned`: because it was pruned."""

    def offered(self, trials: Callable[[], list[Training]], last: bool) -> None:
        """Is offered checkpoints after an epoch: `trials`, when called, copies the state of all trials in the stack.

        last: training ends here, so there will be no later offer.
        """


def members_left(job: Job, saved: Saved, one_by_one: bool) -> tuple[list[Member], list[Member]]:
    """The trial's members that have not ended: those that train now, and those that wait for one before them to end.

    saved: its checkpoint, from which they go on. one_by_one: one member trains at a time.
    """
    members = members_of([job.config])
    members = [
        replace(member, checkpoint=saved.members.get(member.number), start=job.starts.get(member.number))
        for member in members
    ]
    left = [member for member in members if member.number not in saved.ended]
    now = 1 if one_by_one else len(left)
    return left[:now], left[now:]


class StackedTrial:
    """One trial in the stack; `waiting`: its members that begin when the one before them has ended."""

    def __init__(self, job: Job, record: Record, waiting: list[Member]) -> None:
        self.job, self.record, self.waiting = job, record, waiting
        self.numbers: dict[int, int] = {}  # a member's number in the stack -> its number in the trial
        self.rows: dict[int, Row] = {}  # a member's number in the trial -> the row of its last epoch so far
        self.start = time.perf_counter()  # when it joined, minus the seconds that it had trained before
        self.pruned = False

    def values(self, seconds: float | None = None) -> dict[str, float]:
        """What is known of the trial after its last epoch, by name, such as validation_accuracy and validation_cost.

        Means over the members, in which a metric's NaN counts as its `lost`, and `seconds`, by default those until now.
        """
        task, rows = self.job.config.task, list(self.rows.values())
        means = {
            one.field("validation"): fmean(one.counted(row.get(one.key("validation"))) for row in rows)
            for one in (task.metric, *task.reported)
        }
        means[COST] = fmean(row.get("validation/cost", math.nan) for row in rows)
        return means | {"seconds": time.perf_counter() - self.start if seconds is None else seconds}

    @property
    def training(self) -> list[int]:
        """The members that still train, by their numbers in the stack."""
        return [number for number, own in self.numbers.items() if own not in self.record.results]


class TrialRoster:
    """Observes a stack that holds the members of several trials, and decides which members leave it and join it."""

    def __init__(self, source: TrialSource, jobs: Iterable[Job]) -> None:
        self.source = source
        self.trials: list[StackedTrial] = []
        self._by_number: dict[int, StackedTrial] = {}
        self._count = 0
        for job in jobs:
            self._takes_in(job)

    def _takes_in(self, job: Job) -> list[Member]:
        """Takes the trial into the stack; returns the members that begin, or go on, at once."""
        saved = self.source.saved(job)
        now, later = members_left(job, saved, self.source.one_by_one)
        trial = StackedTrial(job, self.source.record(job, saved), later)
        self.trials.append(trial)
        self._go_on(trial, saved)
        for member in now:
            self._number(trial, member)
        return now

    def _go_on(self, trial: StackedTrial, saved: Saved) -> None:
        """Tells the record and the source what an earlier attempt did, from its checkpoint.

        Reports of earlier attempts do not prune; only new ones do. The seconds of earlier attempts are taken to have
        been the same in each epoch.
        """
        trial.record.go_on(saved, self.source.one_by_one)
        if self.source.one_by_one:
            for own, result in sorted(saved.ended.items()):
                self._report(trial, own, result)
            return
        by_epoch: dict[int, dict[int, Row]] = {}
        for own, history in saved.histories().items():
            for row in history:
                by_epoch.setdefault(int(row["epoch"]), {})[own] = row
        before = [one.seconds for one in saved.ended.values()] + [one.seconds for one in saved.members.values()]
        seconds = max(before, default=0.0)
        for epoch, rows in sorted(by_epoch.items()):
            trial.rows |= rows
            self.source.reported(trial.job, epoch, trial.values(seconds * epoch / max(by_epoch)))
        trial.start -= seconds

    def _number(self, trial: StackedTrial, member: Member) -> None:
        trial.numbers[self._count] = member.number
        self._by_number[self._count] = trial
        self._count += 1

    def progressed(self, epoch: int, batch: int, members: int) -> None:
        """Does nothing: trials are told at the end of an epoch, not after each chunk of mini-batches."""

    def epoch_ended(self, rows: dict[int, Row], so_far: Callable[[int], Result]) -> None:
        """Gives each trial's record the rows of its members, by their numbers in the trial; `rows` has the stack's."""
        for trial in self.trials:
            own_rows = {trial.numbers[number]: row for number, row in rows.items() if number in trial.numbers}
            if own_rows:
                trial.rows |= own_rows
                trial.record.epoch_ended(own_rows, partial(_own_so_far, trial, so_far))

    def pruned(self, rows: dict[int, Row]) -> set[int]:
        """The members of all trials that the source prunes after this epoch, by their numbers in the stack."""
        leaving = set[int]()
        if self.source.one_by_one:
            return leaving
        for trial in self.trials:
            own = [row for number, row in rows.items() if number in trial.numbers]
            if own and self.source.reported(trial.job, max(int(row["epoch"]) for row in own), trial.values()):
                leaving |= set(trial.training)
        return leaving

    def ended(self, results: dict[int, Result]) -> None:
        """Hands results to the trials' records; a trial whose members have all ended leaves the stack."""
        for number, result in results.items():
            trial = self._by_number.pop(number)
            own = trial.numbers[number]
            trial.record.ended({own: result})
            trial.pruned |= result.status == "PRUNED"  # a member that was pruned after its last epoch has FINISHED
            if self.source.one_by_one:
                self._one_ended(trial, own, result)
        for trial in [trial for trial in self.trials if not trial.training and not trial.waiting]:
            self.trials.remove(trial)
            self.source.ended(trial.job, trial.record, trial.pruned)

    def _one_ended(self, trial: StackedTrial, own: int, result: Result) -> None:
        """After a repeat: the next one joins when there is room, unless the trial is pruned or was stopped."""
        trial.pruned = self._report(trial, own, result) and bool(trial.waiting)
        if trial.pruned or result.status == "KILLED":
            trial.waiting.clear()

    def _report(self, trial: StackedTrial, own: int, result: Result) -> bool:
        """Reports a repeat; True: prune the trial. A repeat that diverged, or was stopped, is not reported."""
        if result.status != "FINISHED" or result.validation_score is None:
            return False
        return self.source.reported(trial.job, own, {result.score.field("validation"): result.validation_score})

    def joining(self, free: int) -> list[Member]:
        """At most `free` members that join: first the next ones of trials that have begun, then those of new trials."""
        members = list[Member]()
        for trial in self.trials:
            if trial.waiting and not trial.training and len(members) < free:
                members.append(trial.waiting.pop(0))
                self._number(trial, members[-1])
        while free > len(members) and (job := self.source.next_job(free - len(members))):
            members += self._takes_in(job)
        return members

    def offer_checkpoints(self, take: Callable[[], dict[int, Checkpoint]], last: bool) -> None:
        """Offers the source the checkpoints of all trials; `take`, called where they are due, copies them by member.

        last: training ends here, so there will be no later offer.
        """

        def in_stack() -> list[Training]:
            all_of_them = take()
            return [
                (trial.job, trial.record, {own: all_of_them[n] for n, own in trial.numbers.items() if n in all_of_them})
                for trial in self.trials
            ]

        if self.trials:
            self.source.offered(in_stack, last)


def _own_so_far(trial: StackedTrial, so_far: Callable[[int], Result], own: int) -> Result:
    """The result so far of the trial's member `own`."""
    return so_far(next(number for number, member in trial.numbers.items() if member == own))
