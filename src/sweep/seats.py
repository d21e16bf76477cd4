"""Who sits in a stack: tells each trial's record what its members did, takes pruned trials out, lets new ones in.

The stack numbers its members in the order in which they join; a trial numbers its own from 0, by their places in it.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from statistics import fmean
from typing import Protocol

from src.runs.checkpoint import Saved
from src.sweep.job import Job
from src.tracking.record import Record
from src.training.checkpoint import Checkpoint
from src.training.result import Result, Row
from src.training.stack import Member, members_of

# A trial, its record, and those of its members that train, by place.
Training = tuple[Job, Record, dict[int, Checkpoint]]


class Office(Protocol):
    """Where the seats' trials come from, and who is told what became of them."""

    one_by_one: bool  # the members of a trial follow one another, instead of training together

    def next_job(self, room: int) -> Job | None:
        """Another trial for this stack, of at most `room` members; None: there is none."""

    def saved(self, job: Job) -> Saved:
        """Where a trial that gets a seat goes on, or that it begins."""

    def record(self, job: Job, saved: Saved) -> Record:
        """The record of a trial that begins, or goes on where it was `saved`."""

    def reported(self, job: Job, step: int, value: float) -> bool:
        """The trial's mean validation score in epoch `step`, or of its repeat `step`; True: it is to be pruned."""

    def ended(self, job: Job, record: Record, pruned: bool) -> None:
        """All members of the trial have ended."""

    def offered(self, trials: Callable[[], list[Training]], last: bool) -> None:
        """See Keep: of all trials in the stack."""


def seated(job: Job, saved: Saved, one_by_one: bool) -> tuple[list[Member], list[Member]]:
    """The trial's members that train at once, and those that wait for them; without the ones that have ended."""
    members = members_of([job.config])
    members = [replace(member, checkpoint=saved.members.get(member.place)) for member in members]
    left = [member for member in members if member.place not in saved.ended]
    now = 1 if one_by_one else len(left)
    return left[:now], left[now:]


class Seat:
    """One trial in the stack."""

    def __init__(self, job: Job, record: Record, waiting: list[Member]) -> None:
        self.job, self.record, self.waiting = job, record, waiting
        self.numbers: dict[int, int] = {}  # the stack's number of a member -> the trial's
        self.scores: dict[int, float] = {}  # by the trial's number: in the member's last epoch so far
        self.pruned = False

    def score_of(self, row: Row) -> float:
        """The validation score of an epoch, as a mean over members counts it."""
        score = self.job.config.task.score
        return score.counted(row[score.key("validation")])

    @property
    def training(self) -> list[int]:
        """The stack's numbers of the members that still train."""
        return [number for number, own in self.numbers.items() if own not in self.record.results]


class Seats:
    """Observer and Roster of a stack that holds the members of several trials."""

    def __init__(self, office: Office, jobs: Iterable[Job]) -> None:
        self.office = office
        self.seats: list[Seat] = []
        self._by_number: dict[int, Seat] = {}
        self._count = 0
        for job in jobs:
            self._seated(job)

    def _seated(self, job: Job) -> list[Member]:
        """Gives the trial its seat; returns the members that begin, or go on, at once."""
        saved = self.office.saved(job)
        now, later = seated(job, saved, self.office.one_by_one)
        seat = Seat(job, self.office.record(job, saved), later)
        self.seats.append(seat)
        self._go_on(seat, saved)
        for member in now:
            self._number(seat, member)
        return now

    def _go_on(self, seat: Seat, saved: Saved) -> None:
        """What an earlier attempt did and reported. It was let through then: the next report decides."""
        seat.record.go_on(saved, self.office.one_by_one)
        if self.office.one_by_one:
            for own, result in sorted(saved.ended.items()):
                self._report(seat, own, result)
            return
        by_epoch: dict[int, dict[int, float]] = {}
        for own, history in saved.histories().items():
            for row in history:
                by_epoch.setdefault(int(row["epoch"]), {})[own] = seat.score_of(row)
        for epoch, scores in sorted(by_epoch.items()):
            seat.scores |= scores
            self.office.reported(seat.job, epoch, fmean(seat.scores.values()))

    def _number(self, seat: Seat, member: Member) -> None:
        seat.numbers[self._count] = member.place
        self._by_number[self._count] = seat
        self._count += 1

    def progressed(self, epoch: int, batch: int, members: int) -> None:
        """Nothing: trials are told by epochs."""

    def epoch_ended(self, rows: dict[int, Row], so_far: Callable[[int], Result]) -> None:
        """See Observer: each trial's record gets its rows."""
        for seat in self.seats:
            own_rows = {seat.numbers[number]: row for number, row in rows.items() if number in seat.numbers}
            if own_rows:
                seat.scores |= {own: seat.score_of(row) for own, row in own_rows.items()}
                seat.record.epoch_ended(own_rows, partial(_own_so_far, seat, so_far))

    def pruned(self, rows: dict[int, Row]) -> set[int]:
        """See Roster: asks for each trial that trained in this epoch."""
        leaving = set[int]()
        if self.office.one_by_one:
            return leaving
        for seat in self.seats:
            own = [row for number, row in rows.items() if number in seat.numbers]
            if own:
                epoch, value = max(int(row["epoch"]) for row in own), fmean(seat.scores.values())
                if self.office.reported(seat.job, epoch, value):
                    leaving |= set(seat.training)
        return leaving

    def ended(self, results: dict[int, Result]) -> None:
        """See Roster: a trial whose members have all ended leaves its seat."""
        for number, result in results.items():
            seat = self._by_number.pop(number)
            own = seat.numbers[number]
            seat.record.ended({own: result})
            seat.pruned |= result.status == "PRUNED"  # not so where its last epoch was over anyway
            if self.office.one_by_one:
                self._one_ended(seat, own, result)
        for seat in [seat for seat in self.seats if not seat.training and not seat.waiting]:
            self.seats.remove(seat)
            self.office.ended(seat.job, seat.record, seat.pruned)

    def _one_ended(self, seat: Seat, own: int, result: Result) -> None:
        """After a repeat: the next one waits for a place, unless the trial is pruned or has been stopped."""
        seat.pruned = self._report(seat, own, result) and bool(seat.waiting)
        if seat.pruned or result.status == "KILLED":
            seat.waiting.clear()

    def _report(self, seat: Seat, own: int, result: Result) -> bool:
        """Whether the trial is to be pruned after this repeat; one that diverged, or was stopped, says nothing."""
        if result.status != "FINISHED" or result.validation_score is None:
            return False
        return self.office.reported(seat.job, own, result.validation_score)

    def joining(self, free: int) -> list[Member]:
        """See Roster: first those whose trial has begun, then new trials, as long as there is room for one."""
        members = list[Member]()
        for seat in self.seats:
            if seat.waiting and not seat.training and len(members) < free:
                members.append(seat.waiting.pop(0))
                self._number(seat, members[-1])
        while free > len(members) and (job := self.office.next_job(free - len(members))):
            members += self._seated(job)
        return members

    def keep(self, take: Callable[[], dict[int, Checkpoint]], last: bool) -> None:
        """See Keep."""

        def trials() -> list[Training]:
            all_of_them = take()
            return [
                (seat.job, seat.record, {own: all_of_them[n] for n, own in seat.numbers.items() if n in all_of_them})
                for seat in self.seats
            ]

        if self.seats:
            self.office.offered(trials, last)


def _own_so_far(seat: Seat, so_far: Callable[[int], Result], own: int) -> Result:
    """The result so far of the trial's member `own`."""
    return so_far(next(number for number, member in seat.numbers.items() if member == own))
