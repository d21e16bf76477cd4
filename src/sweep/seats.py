"""Who sits in a stack: tells each trial's record what its members did, takes pruned trials out, lets new ones in.

The stack numbers its members in the order in which they join; a trial numbers its own from 0.
"""

from collections.abc import Callable, Iterable
from functools import partial
from statistics import fmean
from typing import Protocol

from src.result import Result
from src.results.record import Record
from src.sweep.job import Job
from src.training.module import Row
from src.training.stack import Member, members_of


class Office(Protocol):
    """Where the seats' trials come from, and who is told what became of them."""

    one_by_one: bool  # the members of a trial follow one another, instead of training together

    def next_job(self, room: int) -> Job | None:
        """Another trial for this stack, of at most `room` members; None: there is none."""

    def record(self, job: Job) -> Record:
        """The record of a trial that begins."""

    def reported(self, job: Job, step: int, value: float) -> bool:
        """The trial's mean validation accuracy in epoch `step`, or of its repeat `step`; True: it is to be pruned."""

    def ended(self, job: Job, record: Record, pruned: bool) -> None:
        """All members of the trial have ended."""


class Seat:
    """One trial in the stack."""

    def __init__(self, job: Job, record: Record, waiting: list[Member]) -> None:
        self.job, self.record, self.waiting = job, record, waiting
        self.numbers: dict[int, int] = {}  # the stack's number of a member -> the trial's
        self.accuracies: dict[int, float] = {}  # by the trial's number: in the member's last epoch so far
        self.pruned = False

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
        """Gives the trial its seat; returns the members that begin at once."""
        members = members_of([job.config])
        now = 1 if self.office.one_by_one else len(members)
        seat = Seat(job, self.office.record(job), members[now:])
        self.seats.append(seat)
        for own in range(now):
            self._number(seat, own)
        return members[:now]

    def _number(self, seat: Seat, own: int) -> None:
        seat.numbers[self._count] = own
        self._by_number[self._count] = seat
        self._count += 1

    def progressed(self, epoch: int, batch: int, members: int) -> None:
        """Nothing: trials are told by epochs."""

    def epoch_ended(self, rows: dict[int, Row], so_far: Callable[[int], Result]) -> None:
        """See Observer: each trial's record gets its rows."""
        for seat in self.seats:
            own_rows = {seat.numbers[number]: row for number, row in rows.items() if number in seat.numbers}
            if own_rows:
                seat.accuracies |= {own: row["validation/accuracy"] for own, row in own_rows.items()}
                seat.record.epoch_ended(own_rows, partial(_own_so_far, seat, so_far))

    def pruned(self, rows: dict[int, Row]) -> set[int]:
        """See Roster: asks for each trial that trained in this epoch."""
        leaving = set[int]()
        if self.office.one_by_one:
            return leaving
        for seat in self.seats:
            own = [row for number, row in rows.items() if number in seat.numbers]
            if own:
                epoch, value = max(int(row["epoch"]) for row in own), fmean(seat.accuracies.values())
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
        value = float("nan") if result.validation_accuracy is None else result.validation_accuracy
        seat.pruned = result.status == "FINISHED" and self.office.reported(seat.job, own, value) and bool(seat.waiting)
        if seat.pruned or result.status == "KILLED":
            seat.waiting.clear()

    def joining(self, free: int) -> list[Member]:
        """See Roster: first those whose trial has begun, then new trials, as long as there is room for one."""
        members = list[Member]()
        for seat in self.seats:
            if seat.waiting and not seat.training and len(members) < free:
                self._number(seat, len(seat.record.results))
                members.append(seat.waiting.pop(0))
        while free > len(members) and (job := self.office.next_job(free - len(members))):
            members += self._seated(job)
        return members


def _own_so_far(seat: Seat, so_far: Callable[[int], Result], own: int) -> Result:
    """The result so far of the trial's member `own`."""
    return so_far(next(number for number, member in seat.numbers.items() if member == own))
