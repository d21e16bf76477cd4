"""Trains trials as stacks: those of one structure together, in the order in which they come.

A *member* is one network of a trial: a trial has one, or several that differ in their seeds only. A *stack* is a set of
members of one structure that train together, as one set of tensors; it takes at most `limit` members. When a trial
ends, a new trial of the same structure takes its room; trials of another structure wait for a stack of their own. A
stack that does not fit in memory, or that one of its trials breaks, is halved and goes on, so that a trial never takes
others with it. Where the surroundings broke it (src/sweep/fault.py), all stops.
"""

import gc
import traceback
from collections import deque
from collections.abc import Callable, Mapping

from src.config.error import UserError
from src.config.schema import RunConfig, structure_key
from src.data.dataset import Dataset
from src.data.error import DataError
from src.data.load import load
from src.runs.checkpoint import Saved
from src.sweep import fault
from src.sweep.checkpoints import TrialCheckpoints
from src.sweep.job import Job
from src.sweep.pretrained_stack import PretrainedStack
from src.sweep.pretraining import pretrain
from src.sweep.start import start_from_run
from src.sweep.sweep import Screen, Sweep
from src.sweep.trial_roster import Training, TrialRoster, members_left
from src.tracking.record import Record
from src.training.engines.engine import AnotherEngineError
from src.training.fit import Prepared, prepare, run_roster
from src.training.interrupt import Interrupt
from src.training.memory import TooLargeError
from src.training.stack import members_of


def train_all(sweep: Sweep, screen: Screen, limit: int, loaded: tuple[RunConfig, Dataset] | None = None) -> None:
    """Trains all trials that `sweep` gives, and tells it how that ended.

    limit: the most members of a stack. loaded: a configuration and its data set, where that is read already. Raises
    KeyboardInterrupt where the user stops it, SurroundingsError where the surroundings do.
    """
    interrupt = Interrupt(screen.say)
    status, stopped = "FAILED", True
    with interrupt:  # until the sweep is told how it ended: a user's first signal loses no results
        try:
            with screen:
                Stacks(sweep, screen, limit, interrupt, loaded).train()
            status = "FINISHED"
        finally:
            stopped = interrupt.requested
            try:
                sweep.finish("KILLED" if stopped else status)
            finally:
                screen.table(sweep.rows())
    if stopped:
        raise KeyboardInterrupt


class Stacks:
    """Trains all trials that `sweep` gives, stack after stack; it is the TrialSource that each stack asks for more."""

    def __init__(
        self,
        sweep: Sweep,
        screen: Screen,
        limit: int,
        interrupted: Callable[[], bool],
        loaded: tuple[RunConfig, Dataset] | None = None,
    ) -> None:
        """loaded: a configuration and its data set, where that has been read already."""
        self.sweep, self.screen, self.limit, self.interrupted = sweep, screen, limit, interrupted
        self.one_by_one = sweep.one_by_one
        self.waiting: list[Job] = []  # for a stack of their own structure
        self.halves: deque[list[Job]] = deque()  # of stacks that broke, each to be trained as a stack
        self._checkpoints = TrialCheckpoints(screen.say, sweep.kept)
        self._saved: dict[Job, Saved] = {}  # checkpoints of trials that the stack which begins has yet to take in
        self._training: dict[Job, Record] = {}
        self._over = set[Job]()  # trials of this stack that have ended
        self._key = ""
        self._prepared: Prepared | None = None
        self._refusal: Exception | None = None  # what asking for more trials raised
        self._data = loaded
        self._held: dict[str, int] = {}  # structure -> members of the largest trial that has ended

    def train(self) -> None:
        """Trains until the sweep has no more trials, or the user stops it. Raises what `sweep.jobs` raised, last."""
        while not self.interrupted() and not self.sweep.over():
            group = self.halves.popleft() if self.halves else self._group()
            if not group:
                break
            self._train(group)
        if self._refusal and not self.interrupted():
            if fault.is_of_surroundings(self._refusal):
                raise fault.stopped(self._refusal, self.sweep.resumable) from self._refusal
            raise self._refusal

    def _more(self, room: int) -> list[Job]:
        """New trials of the sweep; an error that this raises is kept, and raised when trials under way have ended."""
        if room < 1 or self._refusal:
            return []
        try:
            return self.sweep.jobs(room)
        except Exception as error:
            self._refusal = error
            return []

    def size(self, job: Job) -> int:
        """Members of the trial that train at the same time."""
        return 1 if self.one_by_one else job.config.members

    def _group(self) -> list[Job]:
        """The trials of the next stack: the one that waits longest, and all of its structure that fit beside it."""
        self.waiting += self._more(self.limit - sum(map(self.size, self.waiting)))
        group, members = list[Job](), 0
        for job in self.waiting:
            fits = not group or members + self.size(job) <= self.limit
            if fits and structure_key(job.config) == structure_key((group or [job])[0].config):
                group.append(job)
                members += self.size(job)
        self.waiting = [job for job in self.waiting if job not in group]
        return group

    def _train(self, group: list[Job]) -> None:
        try:
            self._train_together(group)
        except BaseException as error:
            left = [job for job in dict.fromkeys([*group, *self._training]) if job not in self._over]
            if isinstance(error, KeyboardInterrupt | SystemExit) or self.interrupted():
                self._fail(left, "KILLED", error)
                raise KeyboardInterrupt from error  # Lightning turns a second Ctrl-C into an exit of its own
            if not isinstance(error, Exception):
                raise
            if isinstance(error, AnotherEngineError):
                self.screen.say(f"The stack begins anew, one by one: {error}.")
                self.halves.appendleft(left)
                return
            if self._is_of_surroundings(error, left):
                self._fail(left, "KILLED", error)
                raise fault.stopped(error, self.sweep.resumable) from error
            if len(left) > 1 and (isinstance(error, TooLargeError) or not isinstance(error, UserError)):
                middle = len(left) // 2
                if fault.is_of_memory(error):  # the halves must not grow to what was too large
                    self.limit = max(1, sum(map(self.size, left)) // 2)
                self.halves.extendleft([left[middle:], left[:middle]])
                line = fault.first_line(error)
                self.screen.say(f"A stack of {len(left)} trials broke ({line}); each half goes on alone.")
            else:
                self._fail(left, "FAILED", error)
        finally:
            self._training.clear()
            self._saved.clear()
            self._prepared = None
            gc.collect()  # Lightning's objects know each other: the engine's memory must be free for the next stack

    def _is_of_surroundings(self, error: Exception, left: list[Job]) -> bool:
        """Whether the surroundings broke the stack, not one of its trials; `left`: those that have not ended."""
        if fault.is_of_memory(error):
            if len(left) > 1:
                return False  # each half shows it
            if left and self.size(left[0]) <= self._held.get(self._key, 0):
                return True
        self._prepared = None
        fault.let_go(error)
        gc.collect()  # the memory of the stack must be free for the probe

        def probe() -> None:
            if isinstance(error, DataError):
                fault.read_again(self._data[0] if self._data else None)
            elif self._data and left:
                fault.train_plainly(left[0].config, self._data[1])

        return fault.is_of_surroundings(error, probe)

    def _fail(self, jobs: list[Job], status: str, error: BaseException) -> None:
        reason = str(error) if isinstance(error, UserError) else "".join(traceback.format_exception(error))
        for job in jobs:
            self.sweep.failed(job, self._training.get(job), status, reason, error)
            if status == "FAILED":
                self._checkpoints.remove(job)

    def _train_together(self, group: list[Job]) -> None:
        self.sweep.begin(group)
        self._over.clear()
        self._key = structure_key(group[0].config)
        dataset = self._dataset(group[0].config)
        for job in group:
            start_from_run(job)
        self._saved = saved = {job: self._checkpoints.saved(job, dataset) for job in group}
        self._prepared = prepare(
            [job.config for job in group],
            dataset,
            self.screen.say,
            [member for job in group for member in members_left(job, saved[job], self.one_by_one)[0]],
        )
        if self._prepared.members[0].config.pretrain.wanted:
            self._pretrain(group, dataset, saved)
        roster = TrialRoster(self, group)
        watch = self.screen.stack(self._prepared, group, len(self.waiting))
        offer = roster.offer_checkpoints if self.sweep.resumable else None
        run_roster(self._prepared, roster, [roster, watch], self.interrupted, self.limit, offer)

    def _pretrain(self, group: list[Job], dataset: Dataset, saved: dict[Job, Saved]) -> None:
        """Gives the trials that begin the weights of their pretraining; those that go on have theirs."""
        assert self._prepared is not None
        begin = [job for job in group if any(not m.checkpoint for m in members_left(job, saved[job], False)[0])]
        if begin:
            pretrain(begin, dataset, PretrainedStack(self.sweep, self.screen, self.interrupted))
            members = [m for job in group for m in members_left(job, saved[job], self.one_by_one)[0]]
            self._prepared.begin_with(members)

    def _dataset(self, config: RunConfig) -> Dataset:
        """The data set of a configuration, loaded once for stacks that follow one another with the same data."""
        if self._data is None or self._data[0].data != config.data:
            self._data = config, load(config.data, config.task.kind)
        return self._data[1]

    # The TrialSource that a stack asks while it trains.

    def next_job(self, room: int) -> Job | None:
        """A trial of the stack's structure with at most `room` members: one that waits, else a new one of the sweep.

        None where there is none. New trials of another structure wait for a stack of their own, and trials that are
        pretrained begin together.
        """
        assert self._prepared is not None
        if self.halves or self.sweep.over() or self._prepared.members[0].config.pretrain.wanted:
            return None

        def fits(job: Job) -> bool:
            return self.size(job) <= room and structure_key(job.config) == self._key

        while True:
            for job in self.waiting:
                if fits(job):
                    self.waiting.remove(job)
                    start_from_run(job)
                    return job
            new = self._more(min(room, self.limit - sum(map(self.size, self.waiting))))
            if not new:
                return None
            self.waiting += new

    def saved(self, job: Job) -> Saved:
        """The checkpoint of an earlier attempt of the trial, or an empty one; its epochs are shown as done."""
        saved = self._saved.pop(job, None) or self._checkpoints.saved(job, self._dataset(job.config))
        if job.folder not in job.goes_on:  # else those epochs were counted before their stack broke
            self.screen.went_on(sum(map(len, saved.histories().values())))
        return saved

    def offered(self, trials: Callable[[], list[Training]], last: bool) -> None:
        """Writes the trials' checkpoints into their folders where they are due, or always if they are the `last`."""
        assert self._data is not None
        self._checkpoints.offered(trials, self._data[1], last)

    def record(self, job: Job, saved: Saved) -> Record:
        """Begins the trial's record, with the tracker that the sweep gives for it."""
        assert self._prepared is not None
        prepared, seeds = self._prepared, [member.seed for member in members_of([job.config])]
        resumed = f"after epoch {saved.epochs}" if saved.histories() else ""
        tracker = self.sweep.tracker(job, prepared.dataset.name, prepared.device_name, seeds, resumed)
        self._training[job] = Record(job.config, job.folder, tracker)
        return self._training[job]

    def reported(self, job: Job, step: int, values: Mapping[str, float]) -> bool:
        """Passes a report on to the sweep; True: prune the trial."""
        return self.sweep.reported(job, step, values)

    def ended(self, job: Job, record: Record, pruned: bool) -> None:
        """Tells the sweep that the trial has ended, and drops its checkpoints where nobody needs them any more."""
        assert self._prepared is not None
        if self.sweep.ended(job, record, pruned, self._prepared.dataset):
            self._checkpoints.remove(job)
        self._held[self._key] = max(self._held.get(self._key, 0), self.size(job))
        self._over.add(job)
        del self._training[job]
