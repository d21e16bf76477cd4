"""A multirun without a study: every combination of the grid is a trial, known from the start, and none is pruned."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from hydra.core.utils import JobStatus

from src.config.error import TrialFailed, UserError
from src.config.files import write_text
from src.data.dataset import Dataset
from src.runs import terminal
from src.sweep.job import Job
from src.sweep.outcome import Outcome, better_first, outcome
from src.sweep.screen import SweepScreen
from src.sweep.stacks import train_all
from src.sweep.trial_row import TrialRow, rows_of
from src.tracking.record import Record
from src.tracking.study_tracking import TrialTracker, open_study


class Multirun:
    """The source of a grid's trials, a Sweep (stacks.py): it gives all of them at once and prunes none."""

    one_by_one = resumable = False

    def __init__(self, jobs: list[Job], folder: Path, uid: str, screen: SweepScreen, swept: dict[str, str]) -> None:
        self.waiting, self.screen = list(jobs), screen
        self.best: Outcome | None = None
        self.outcomes: list[Outcome] = []
        # A parent run keeps the trials together; it is named as the folder, which is the command's own.
        name = f"{jobs[0].config.name} {folder.name}"
        self.tracking = open_study(jobs[0].config, folder, study=name, uid=uid, params=swept, say=terminal.say)
        self._trackers: dict[Job, TrialTracker] = {}

    def jobs(self, room: int) -> list[Job]:
        """At the first call all trials, whatever the `room`, so that those of one structure train together; then []."""
        given, self.waiting = self.waiting, []
        return given

    def begin(self, jobs: list[Job]) -> None:
        """Does nothing: a grid notes nothing about trials that wait."""

    def tracker(self, job: Job, dataset: str, device: str, seeds: list[int], resumed: str) -> TrialTracker:
        """The trial's tracker, made at the first call.

        dataset, device: what is really used; seeds: one a member; resumed: "", as a grid's trials do not go on.
        """
        if job not in self._trackers:
            self._trackers[job] = self.tracking.trial(
                job.config,
                job.folder,
                number=job.number,
                place=job.number,
                attempt=0,
                label=job.label,
                dataset=dataset,
                device=device,
                seeds=seeds,
            )
        return self._trackers[job]

    def over(self) -> bool:
        """False: a grid ends only when all its trials have."""
        return False

    def reported(self, job: Job, step: int, values: Mapping[str, float]) -> bool:
        """False: a grid prunes nothing."""
        return False

    def kept(self, job: Job) -> bool:
        """False: a grid's trial is not started again, so no later attempt will look for its checkpoint."""
        return False

    def ended(self, job: Job, record: Record, pruned: bool, dataset: Dataset) -> bool:
        """Writes and tracks the trial's results and gives Hydra its validation score; True: it has ended for good.

        Raises OSError where not all of its files could be written.
        """
        conclusion = record.conclude(dataset)
        if conclusion.lost:
            raise OSError(conclusion.lost)
        result = outcome(job, conclusion.results, pruned)
        record.finish(conclusion)
        if result.status == "FAILED":
            error = TrialFailed(f"Trial {job.number} ({job.label}) {result.reason}. Try a smaller optim.eta.")
            job.returned.status, job.returned.return_value = JobStatus.FAILED, error
        else:
            job.returned.status, job.returned.return_value = JobStatus.COMPLETED, result.validation_score
        self._note(result)
        return True

    def failed(self, job: Job, record: Record | None, status: str, reason: str, error: BaseException) -> None:
        """Ends the trial's tracking, writes traceback.txt, and lets its JobReturn raise the error when it is read."""
        if record:
            record.abort(status, reason)
        elif job in self._trackers:  # its stack broke, and it could not begin again
            self._trackers[job].abort(status, reason)
        with suppress(OSError):  # the first error is the one to tell
            write_text(job.folder / "traceback.txt", reason)
        own = error if isinstance(error, UserError) else TrialFailed(_sentence(job, error))
        job.returned.status, job.returned.return_value = JobStatus.FAILED, own
        self._note(Outcome(job, status, reason=reason))

    def _note(self, result: Outcome) -> None:
        self.outcomes.append(result)
        if result.status == "FINISHED" and self._is_best(result):
            self.best = result
            self.screen.best = f"{result.score.written(result.validation_score)} ({result.job.label})"
        self.screen.trial_ended(result)

    def _is_best(self, result: Outcome) -> bool:
        """Whether it is better than the best so far."""
        return better_first([*([self.best] if self.best else []), result], result.score)[0] is result

    def rows(self) -> list[TrialRow]:
        """The rows of the table at the end, one a job that has ended."""
        return rows_of(self.outcomes)

    def finish(self, status: str) -> None:
        """Ends the tracking: first trials that are still open, then the grid's run above them.

        That run alone carries the best trial's number and score.
        """
        over = {one.job for one in self.outcomes}
        for job, tracker in self._trackers.items():
            if job not in over:
                tracker.abort(status, "stopped")
        best = self.best
        found = {best.score.field("validation"): best.validation_score, "trial": best.job.number} if best else {}
        self.tracking.finish(status, found)


def _sentence(job: Job, error: BaseException) -> str:
    return f"Trial {job.number} ({job.label}) failed: {type(error).__name__}: {error}. See {job.folder}/traceback.txt."


def train_multirun(
    jobs: list[Job], folder: Path, uid: str, max_members: int | None, swept: dict[str, str]
) -> list[Outcome]:
    """Trains all jobs, at most `max_members` networks in a stack (None: no limit); returns how each ended.

    uid: the grid's, unlike any other's. swept: the keys that the jobs set differently -> their values. The JobReturn of
    a job that failed raises its error.
    """
    screen = SweepScreen(len(jobs), folder, score=jobs[0].config.task.metric)
    source = Multirun(jobs, folder, uid, screen, swept)
    train_all(source, screen, max_members or sum(job.config.members for job in jobs))
    screen.next_commands([], source.tracking.address, jobs[0].config.tracking.uri)
    return source.outcomes
