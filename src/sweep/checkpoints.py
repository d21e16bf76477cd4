"""The checkpoints of a study's trials: their state at the end of an epoch, each trial's in its own folder.

The next attempt of a trial that was killed goes on from there.
"""

from collections.abc import Callable
from dataclasses import replace

from src.config.error import UserError
from src.config.kept_config import different
from src.data.dataset import Dataset
from src.models.own import changed_code
from src.runs.checkpoint import FILE, FREE, Pace, Saved, read, remove
from src.sweep.job import Job
from src.sweep.trial_roster import Training


class TrialCheckpoints:
    """Reads and writes checkpoints of trials; those of all trials in a stack are written at the same time."""

    def __init__(self, say: Callable[[str], None], written: Callable[[Job], bool]) -> None:
        """say: takes one line for the user.

        written: called with each trial whose checkpoint was written; returns whether its next attempt will find it.
        """
        self._say, self._written, self._pace = say, written, Pace(say)
        self._data: tuple[Dataset, Saved] | None = None  # the last data set, with its checksum

    def saved(self, job: Job, dataset: Dataset) -> Saved:
        """The state from which the trial goes on; an empty one where it begins.

        It begins anew where its settings or data have changed, or its checkpoint cannot be read; `say` says so.
        """
        folder = next((folder for folder in job.goes_on if (folder / FILE).is_file()), None)
        if folder is None:  # none was due, or its process ran on another machine
            return Saved("", {}, None, job.label)
        try:
            saved = read(folder)
            free = (*FREE, "name", "published")
            changed = [key for key in different(saved.config, job.config) if not key.startswith(free)]
            if saved.checksum != self._trained_on(dataset).checksum:
                changed.append("data")
            if not changed:
                if line := changed_code(job.config.model.target, saved.code):
                    self._say(f"trial {job.number} ({job.label}): {line}")
                return saved
            reason = f"{', '.join(changed)} changed since it was killed"
        except UserError as error:  # of another version, or damaged
            reason = str(error).partition(";")[0].splitlines()[0]
        self._say(f"trial {job.number} ({job.label}) begins anew: {reason}")
        return Saved("", {}, None, job.label)

    def _trained_on(self, dataset: Dataset) -> Saved:
        if self._data is None or self._data[0] is not dataset:
            self._data = dataset, Saved("", {}, None, "").trained_on(dataset)
        return self._data[1]

    def offered(self, trials: Callable[[], list[Training]], dataset: Dataset, last: bool) -> None:
        """Writes the checkpoints of all `trials` where they are due, and always where training ends here (`last`)."""
        self._pace.offered(lambda: self._write(trials(), dataset), last)

    def _write(self, trials: list[Training], dataset: Dataset) -> None:
        """Writes every trial's checkpoint. Raises OSError at the end where at least one could not be written."""
        failed: list[str] = []
        for job, record, training in trials:
            if not (training or record.results):
                continue
            shared, config = self._trained_on(dataset), job.config.shown()
            saved = replace(shared, config=config, label=job.label, ended=record.results, members=training)
            try:
                job.folder.mkdir(parents=True, exist_ok=True)
                saved.write(job.folder)
            except (OSError, NotImplementedError, RuntimeError) as error:  # torch.save's own is a RuntimeError
                failed.append(f"{job.folder}: {(str(error) or repr(error)).splitlines()[0]}")
                continue
            if self._written(job):
                before, job.goes_on = job.goes_on, [job.folder]
                for folder in before:
                    if folder != job.folder:
                        remove(folder)
        if failed:
            raise OSError(failed[0])

    def remove(self, job: Job) -> None:
        """Deletes the checkpoints of a trial that has ended, in its own folder and those of its earlier attempts."""
        for folder in (job.folder, *job.goes_on):
            remove(folder)
