"""Where a study's trials were at the end of an epoch, each in its own folder: a killed trial's next attempt goes on."""

from collections.abc import Callable
from dataclasses import replace

from src.changes import different
from src.data.dataset import Dataset
from src.error import UserError
from src.results.checkpoint import FILE, FREE, Pace, Saved, read, remove
from src.sweep.job import Job
from src.sweep.seats import Training


class TrialCheckpoints:
    """Reads and writes them, all that train in a stack at the same time."""

    def __init__(self, say: Callable[[str], None], written: Callable[[Job], bool]) -> None:
        """say: takes one line for the user. written: is told of each one, and says whether it will be found."""
        self._say, self._written, self._pace = say, written, Pace(say)
        self._data: tuple[Dataset, Saved] | None = None  # what was trained on last

    def saved(self, job: Job, dataset: Dataset) -> Saved:
        """Where the trial goes on; nothing is there of one that begins, or has to begin anew."""
        begins = Saved("", {}, None, job.label)
        if job.goes_on is None or not (job.goes_on / FILE).is_file():  # its process may have run on another machine
            return begins
        try:
            saved = read(job.goes_on)
        except UserError as error:
            self._say(f"trial {job.number} ({job.label}) begins anew: {error}")
            return begins
        free = (*FREE, "name", "published")
        changed = [key for key in different(saved.config, job.config) if not key.startswith(free)]
        if saved.checksum != self._trained_on(dataset).checksum:
            changed.append("data")
        if changed:
            self._say(f"trial {job.number} ({job.label}) begins anew: {', '.join(changed)} changed since it was killed")
        return begins if changed else saved

    def _trained_on(self, dataset: Dataset) -> Saved:
        if self._data is None or self._data[0] is not dataset:
            self._data = dataset, Saved("", {}, None, "").trained_on(dataset)
        return self._data[1]

    def offered(self, trials: Callable[[], list[Training]], dataset: Dataset, last: bool) -> None:
        """Writes those of all trials if they are due, or the last ones."""
        self._pace.offered(lambda: self._write(trials(), dataset), last)

    def _write(self, trials: list[Training], dataset: Dataset) -> None:
        for job, record, training in trials:
            if not (training or record.results):
                continue
            shared, config = self._trained_on(dataset), job.config.shown()
            replace(shared, config=config, label=job.label, ended=record.results, members=training).write(job.folder)
            if self._written(job):
                before, job.goes_on = job.goes_on, job.folder
                if before is not None and before != job.folder:
                    remove(before)

    def remove(self, job: Job) -> None:
        """The trial has ended."""
        remove(job.folder)
        if job.goes_on is not None:
            remove(job.goes_on)
