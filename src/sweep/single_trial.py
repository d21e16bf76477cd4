"""A plain run: one trial, in a stack of its own."""

from collections.abc import Callable, Mapping

from src.runs.checkpoint import Checkpoints, Saved
from src.sweep.job import Job
from src.sweep.trial_roster import Training
from src.tracking.record import Record


class SingleTrial:
    """The TrialSource of a stack that holds one trial: no other joins it, and it is not pruned."""

    one_by_one = False

    def __init__(self, record: Record, saved: Saved, checkpoints: Checkpoints) -> None:
        self._record, self._saved, self._checkpoints = record, saved, checkpoints

    def next_job(self, room: int) -> Job | None:
        """None: no other trial joins the stack."""
        return None

    def saved(self, job: Job) -> Saved:
        """The checkpoint from which the run goes on; an empty one where it begins."""
        return self._saved

    def record(self, job: Job, saved: Saved) -> Record:
        """The run's record, which its command has made."""
        return self._record

    def reported(self, job: Job, step: int, values: Mapping[str, float]) -> bool:
        """False: a trial on its own has nobody to be worse than."""
        return False

    def ended(self, job: Job, record: Record, pruned: bool) -> None:
        """Does nothing: the command itself concludes the record."""

    def offered(self, trials: Callable[[], list[Training]], last: bool) -> None:
        """Writes the run's checkpoint file where that is due, or always where training ends here (`last`)."""
        self._checkpoints.offered(self._record.results, lambda: trials()[0][2], last)
