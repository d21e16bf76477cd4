"""The pretraining of a plain run: shown in the run's progress bar, each phase a child of its run in MLflow."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from src.commands.run_records import draw_figures, tracking
from src.config.error import StoreError
from src.config.phases import phase_name
from src.data.dataset import Split
from src.runs import run_words, terminal
from src.runs.checkpoint import Saved
from src.sweep.job import Job
from src.training.stack import members_of

if TYPE_CHECKING:
    from src.data.dataset import Dataset
    from src.tracking.background import BackgroundTracker
    from src.tracking.record import Record
    from src.tracking.tracker import Tracker
    from src.training.fit import Prepared


class PretrainedRun:
    """The Host (src/sweep/pretraining.py) of a plain run."""

    def __init__(
        self,
        run: str,
        tracker: "BackgroundTracker",
        dataset: "Dataset",
        bar: terminal.ProgressBar,
        interrupted: Callable[[], bool],
    ) -> None:
        """run: the uid of the run in MLflow; tracker: what records it; dataset: what it is trained on."""
        self.run, self.above, self.dataset, self.bar, self.interrupted = run, tracker, dataset, bar, interrupted
        self.device = ""  # in words, of the phase that trains

    def say(self, line: str) -> None:
        """Prints one line above the progress bar."""
        terminal.say(line)

    def observer(self, number: int, prepared: "Prepared", done: Saved) -> terminal.ProgressBar:
        """The progress bar, which shows phase `number` from now on."""
        terminal.say(
            f"layer {number + 1}: {run_words.network_words(prepared.members[0].config)}; "
            f"{prepared.engine.description}, {run_words.duration(prepared.seconds)}"
        )
        self.device = prepared.device_name
        return self.bar.begin(number, prepared, done)

    def tracker(self, job: Job, number: int, saved: Saved) -> "Tracker":
        """A child of the run."""
        seeds = [member.seed for member in members_of([job.config])]
        own = replace(saved, run=f"{self.run}-{phase_name(number)}")
        return tracking(
            job.config, job.folder, self.dataset.name, self.device, seeds, "", saved=own, parent=(self.run, self.above)
        )

    def kept(self, job: Job) -> bool:
        """True: src.resume looks in the run's folder."""
        return True

    def ended(self, job: Job, number: int, record: "Record", dataset: "Dataset") -> None:
        """Writes the phase's results, draws its figures and ends its run. Raises StoreError where a file is lost."""
        conclusion = record.conclude(self.dataset)
        test = dataset.test
        seen = replace(dataset, test=Split(test.inputs[0], test.targets)) if test.by_member else dataset
        conclusion.files += draw_figures(job.config, conclusion.results, record.folder, seen, [])
        record.finish(conclusion)
        if conclusion.lost:
            raise StoreError(conclusion.lost)
