"""A study in Python: its trials as a table, the best one, and its report."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.api.html import table
from src.api.run import Run, load_run
from src.config.address import STUDIES
from src.config.error import UserError
from src.config.wording import number_of

if TYPE_CHECKING:
    from pandas import DataFrame

    from src.sweep.studies.study_record import Study as Record
    from src.sweep.studies.study_record import Trial


class Study:
    """A study as its store held it when this object was made; `load_study` reads what came since.

    record: all that is known of it. name, storage: as `load_study` takes them.
    """

    def __init__(self, record: "Record") -> None:
        self.record, self.name, self.storage = record, record.name, record.storage
        self._folder: Path | None = None  # of its report

    @property
    def trials(self) -> "list[Trial]":
        """The latest attempt of every trial, in the order of their numbers (`place`)."""
        return self.record.places

    @property
    def best(self) -> "Trial | None":
        """The best complete trial that keeps all constraints (params, values, members, …); None where there is none.

        With several objectives it is the best by the first one.
        """
        return self.record.best

    def frame(self) -> "DataFrame":
        """A DataFrame with a row for each trial: how it ended, objectives, parameters, what it cost, its folder.

        A parameter is NaN where the trial does not have it. Test scores are left out, so that nobody chooses by them:
        `best` has that of the chosen trial.
        """
        import pandas as pd

        rows = [self._row(trial) for trial in self.trials]
        return pd.DataFrame(rows, columns=None if rows else ["trial", "status"]).set_index("trial")

    def _row(self, trial: "Trial") -> dict[str, Any]:
        score, values = self.record.score.field("validation"), trial.values or [math.nan] * len(self.record.objectives)
        objectives = dict(zip(self.record.objectives, values, strict=False))
        return {
            "trial": trial.place,
            "status": trial.kind,
            **{score: trial.validation_score},
            **({} if trial.state == "PRUNED" else objectives),  # the value of a pruned trial is that of its last epoch
            **trial.params,
            "members": len(trial.members) or None,
            "epochs": trial.epochs,
            "seconds": trial.seconds,
            "folder": trial.folder,
        }

    def run(self, trial: int | None = None) -> Run:
        """The run of a trial, by its number, by default of the best one. Raises UserError where there is none."""
        chosen = self.best if trial is None else next((one for one in self.trials if one.place == trial), None)
        if chosen is None or not chosen.folder:
            numbers = f"0 to {self.trials[-1].place}" if self.trials else "none yet"
            raise UserError(f"trial = {trial!r}: study {self.name} has no such results; accepted: {numbers}")
        return load_run(chosen.folder)

    def report(self, folder: Any = None) -> Path:
        """Writes the study's report and its figures; returns the path of report.html, beside which is report.md.

        folder: where, by default mlruns/reports/NAME. Raises UserError where it cannot be written.
        """
        from src.commands.report import written

        pages = written(self.record, None if folder is None else Path(folder).expanduser())
        self._folder = pages[0].parent
        return pages[0].resolve()

    @property
    def figures(self) -> dict[str, Path]:
        """The pictures of its report, which is written at the first call: name -> png file."""
        folder = self._folder or self.report().parent
        return {path.stem: path.resolve() for path in sorted((folder / "figures").glob("*.png"))}

    def __repr__(self) -> str:
        return f"<Study {self.name}: {self._states()}; {self._best()}>"

    def _repr_html_(self) -> str:
        keys = list(dict.fromkeys(key for trial in self.record.ranked for key in trial.params))
        heads = ["trial", *self.record.objectives, *keys]
        rows = [
            [
                str(trial.place),
                *(f"{value:.5g}" for value in trial.values),
                *(_plain(trial.params.get(key)) for key in keys),
            ]
            for trial in self.record.ranked
        ]
        return table(f"{self.name}: {self._states()}", heads, rows, self._best())

    def _states(self) -> str:
        ended = ", ".join(f"{count} {kind}" for kind, count in self.record.count().items())
        return f"{number_of(len(self.trials), 'trial')}{f' ({ended})' if ended else ''}"

    def _best(self) -> str:
        from src.commands.report import summary

        return summary(self.record)


def _plain(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def load_study(name: str, storage: Any = STUDIES) -> Study:
    """The study of that name in the store at `storage`, an address such as sqlite:///PATH/studies.db, or a path.

    Raises UserError where there is no such store or study.
    """
    from src.sweep.studies.study_record import read_study

    address = str(storage)
    return Study(read_study(str(name), address if "://" in address else f"sqlite:///{Path(address).expanduser()}"))
