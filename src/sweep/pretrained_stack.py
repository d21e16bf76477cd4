"""The pretraining of a sweep's trials that begin together."""

from collections.abc import Callable

from src.config.wording import number_of
from src.data.dataset import Dataset
from src.runs.checkpoint import Saved
from src.runs.run_words import duration
from src.sweep.job import Job
from src.sweep.sweep import Screen, Sweep
from src.tracking.record import Record
from src.tracking.tracker import NullTracker, Tracker
from src.training.fit import Prepared


class PretrainedStack:
    """The Host (pretraining.py) of a sweep's trials that begin together; its phases are not tracked in MLflow."""

    def __init__(self, sweep: Sweep, screen: Screen, interrupted: Callable[[], bool]) -> None:
        self.sweep, self.screen, self.interrupted = sweep, screen, interrupted

    def say(self, line: str) -> None:
        """Shows one line of text."""
        self.screen.say(line)

    def observer(self, number: int, prepared: Prepared, done: Saved) -> None:
        """None: a line says that the phase begins."""
        networks = number_of(len(prepared.members), "network")
        self.screen.say(f"pretraining of layer {number + 1}: {networks}, {duration(prepared.seconds)}")

    def tracker(self, job: Job, number: int, saved: Saved) -> Tracker:
        """One that records nothing."""
        return NullTracker()

    def kept(self, job: Job) -> bool:
        """Notes in the study that the trial can go on from what it has left."""
        return self.sweep.kept(job)

    def ended(self, job: Job, number: int, record: Record, dataset: Dataset) -> None:
        """Writes the phase's results. Raises OSError where a file is lost."""
        conclusion = record.conclude(dataset)
        if conclusion.lost:
            raise OSError(conclusion.lost)
