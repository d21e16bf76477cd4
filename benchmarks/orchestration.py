"""The cost of a study without its training: ask, three reports, tell, and the runs in MLflow.

A study of 1,000 trials in six dimensions (tree-structured Parzen estimator, SQLite, one trial asked at a time) is
carried through from its first trial. The trials before a mark are measured one by one: by the clock, median with
smallest and largest, and in processor time, mean a trial: of the thread that asks and tells, and of all threads, the
one that writes to MLflow included. Beside it stands Optuna's own storage on a copy of the same database.

    python -m benchmarks.orchestration                     1,000 trials with and without MLflow; about a minute
    python -m benchmarks.orchestration --tracking none     without MLflow only; half of it
"""

import argparse
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

import optuna

from benchmarks import command
from benchmarks.measure import Sample, number
from benchmarks.report import Report
from src.config.check import parse
from src.config.compose import composed
from src.config.schema import RunConfig
from src.sweep.space.settings import StudySettings
from src.sweep.space.space import Space
from src.sweep.studies.study import Ask, Study, open_study
from src.training.result import Result

TRIALS, MARKS = 1_000, (100, 1_000)
WINDOW, LONG_WINDOW = 50, 250  # trials before each mark that are measured: by the clock, and in processor time
EPOCHS = 3
GOAL_MILLISECONDS = 20
OWN_TRIALS = 10  # trials with Optuna's own storage, after one that fills its caches
PARTS = ("ask", "reports", "tell", "log")

PARAMS = {
    "optim.eta": "tag(log, interval(0.001, 3))",
    "optim.lambda_": "tag(log, interval(0.001, 10))",
    "optim.momentum": "interval(0, 0.95)",
    "model.dropout": "interval(0, 0.8)",
    "batch_size": "tag(log, int(interval(1, 100)))",
    "model.activation": "sigmoid,tanh,relu",
}


def value_of(params: dict[str, Any]) -> float:
    """The value of a trial: a function without noise whose only maximum is 1."""
    distance: float = (
        abs(params["optim.eta"] - 0.1)
        + abs(params["optim.lambda_"] - 1) / 3
        + abs(params["optim.momentum"] - 0.5)
        + abs(params["model.dropout"] - 0.3)
        + abs(params["batch_size"] - 10) / 50
    )
    value: float = 1 / (1 + distance) - 0.1 * (params["model.activation"] != "relu")
    return value


@dataclass
class Meter:
    """The times of the trials before one mark, in milliseconds, by the parts of a trial."""

    parts: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    asking: list[float] = field(default_factory=list)  # processor time of the thread that asks
    processor: list[float] = field(default_factory=list)  # of all threads

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """A context whose time counts as the part `name` of a trial."""
        start = time.perf_counter()
        yield
        self.parts[name].append((time.perf_counter() - start) * 1000)

    @contextmanager
    def trial(self) -> Iterator[None]:
        """A context whose time, by the clock and of the processor, counts as a whole trial."""
        start, asking = time.process_time(), time.thread_time()
        with self.part("all"):
            yield
        self.asking.append((time.thread_time() - asking) * 1000)
        self.processor.append((time.process_time() - start) * 1000)

    def row(self) -> list[object]:
        """The row of the table: the parts, the whole trial, and the mean processor times."""
        taken = [Sample(tuple(self.parts[name])) if name in self.parts else "–" for name in (*PARTS, "all")]
        return [*taken, number(fmean(self.asking)), number(fmean(self.processor))]

    def raw(self) -> dict[str, list[float]]:
        """Every sample."""
        return {**self.parts, "asking": self.asking, "processor": self.processor}

    def verdict(self) -> str:
        """Whether a trial's median is within the goal."""
        median = Sample(tuple(self.parts["all"])).median
        return "met" if median <= GOAL_MILLISECONDS else "not met"


class Tracked:
    """Logs the runs in MLflow of a study's trials, as a sweep does."""

    def __init__(self, folder: Path, uid: str) -> None:
        from src.tracking.study_tracking import StudyTracker

        content = composed(["+exp=shallow", "data=digits"])
        content["tracking"]["uri"] = f"sqlite:///{folder}/mlflow.db"
        self._config: RunConfig = parse(content)
        self._folder = folder
        self._study = StudyTracker(self._config, folder, study="benchmark", uid=uid, params=PARAMS, say=print)

    def log(self, ask: Ask, value: float) -> None:
        """Logs the curve and the result of a trial with one member."""
        trial = self._study.trial(
            self._config,
            self._folder / "trial",
            number=ask.number,
            place=ask.place,
            attempt=ask.attempt,
            label=" ".join(ask.overrides),
            dataset="digits",
            device="cpu",
            seeds=[0],
        )
        rows = [
            {"epoch": epoch, "train/cost": 1 / epoch, "validation/accuracy": value, "validation/cost": 1 / epoch}
            for epoch in range(1, EPOCHS + 1)
        ]
        for row in rows:
            trial.epoch([row])
        result = Result({}, 0, "FINISHED", rows, EPOCHS, value, value, 0.1, "digits", "cpu")
        trial.finish([result], None, ())
        self._study.progress({"done": ask.place + 1, "best": value})

    def finish(self) -> float:
        """Waits until everything is written; returns the seconds that took."""
        start = time.perf_counter()
        self._study.finish("FINISHED")
        return time.perf_counter() - start


def main() -> None:
    """The command."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    options = _options()
    report = Report("Orchestration, milliseconds a trial (median, smallest–largest)", options.quick)
    for tracking in options.tracking:
        with TemporaryDirectory() as folder:
            _carry_through(report, Path(folder), tracking, options)
    report.save(options.json)


def _options() -> argparse.Namespace:
    parser = command.parser("orchestration", __doc__)
    parser.add_argument("--trials", type=command.at_least_one, default=TRIALS, help=f"how many ({TRIALS:,})")
    parser.add_argument("--tracking", type=command.listed("none mlflow"), default=["none", "mlflow"])
    options = parser.parse_args()
    options.window, options.own = WINDOW, OWN_TRIALS
    if options.quick:
        options.trials, options.window, options.own = 24, 6, 2
    options.marks = [mark for mark in MARKS if mark < options.trials] + [options.trials]
    return options


def _carry_through(report: Report, folder: Path, tracking: str, options: argparse.Namespace) -> None:
    """Runs one study from its first trial to its last, and reports the times before each mark."""
    database = folder / "studies.db"
    settings = StudySettings(study_name="benchmark", storage=f"sqlite:///{database}", n_trials=options.trials)
    rows, raw = [], {}
    with open_study(settings, Space.parse(PARAMS), {}, print) as study:
        tracked = Tracked(folder, study.uid) if tracking == "mlflow" else None
        done = 0
        for mark in options.marks:
            meter = _train(study, tracked, mark - done, options.window)
            done = mark
            rows.append([f"{mark:,}", *meter.row(), f"{GOAL_MILLISECONDS}: {meter.verdict()}"])
            raw[str(mark)] = meter.raw()
            if tracked is None:
                own = _optuna_alone(database, options.own)
                rows.append([f"{mark:,}, Optuna alone", *own.row(), ""])
                raw[f"{mark}, Optuna alone"] = own.raw()
        late = tracked.finish() if tracked else 0.0
    report.say("With MLflow:" if tracked else "Without tracking:")
    columns = ["trials", "ask", "3 reports", "tell", "log", "all", "processor, this thread", "all threads", "goal"]
    report.table(columns, rows, raw)
    if tracked:
        report.say(f"The last runs were written {late:.1f} s after the last trial.")
    else:
        start = time.process_time()
        open_study(settings, Space.parse(PARAMS), {}, lambda _: None).close()
        report.say(f"Opening the study again: {time.process_time() - start:.2f} s of processor time.")


def _train(study: Study, tracked: Tracked | None, trials: int, window: int) -> Meter:
    """Runs `trials` more trials; returns the times of the last ones, of `window` of them by the clock."""
    meter = Meter()
    for left in range(trials, 0, -1):
        if left == LONG_WINDOW:
            meter.asking, meter.processor = [], []
        if left == window:
            meter.parts.clear()
        with meter.trial():
            with meter.part("ask"):
                (ask,) = study.ask(1)
            value = value_of(ask.params)
            with meter.part("reports"):
                for epoch in range(1, EPOCHS + 1):
                    study.report(ask, epoch, value * (1 - 0.5**epoch))
            with meter.part("tell"):
                study.tell(ask, "COMPLETE", [value], _attrs(ask, value))
            if tracked:
                with meter.part("log"):
                    tracked.log(ask, value)
    return meter


def _attrs(ask: Ask, value: float) -> dict[str, Any]:
    """The attributes that a trial keeps in the study."""
    member = {"seed": 0, "repeat": 0, "vote": 0, "status": "FINISHED", "best_epoch": EPOCHS, "epochs": EPOCHS}
    accuracies = {"validation_accuracy": value, "test_accuracy": value}
    about = {"label": " ".join(ask.overrides), "folder": f"multirun/benchmark/{ask.place}", "parameters": 1_000}
    counts = {"max_epochs": EPOCHS, "epochs": EPOCHS, "seconds": 0.1, "test_accuracy": value}
    return {**about, **counts, "members": [member | accuracies]}


def _optuna_alone(database: Path, trials: int) -> Meter:
    """Runs trials with Optuna's own storage on a copy of the database; the first one is not measured."""
    copied = database.with_name("copied.db")
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copied)) as target:
        source.backup(target)
    storage = optuna.storages.RDBStorage(f"sqlite:///{copied}")
    study = optuna.load_study(study_name="benchmark", storage=storage, sampler=optuna.samplers.TPESampler(seed=0))
    distributions = Space.parse(PARAMS).distributions()
    meter = Meter()
    for index in range(trials + 1):
        meter = Meter() if index == 1 else meter
        with meter.trial():
            with meter.part("ask"):
                trial = study.ask(distributions)
            value = value_of(trial.params)
            with meter.part("reports"):
                for epoch in range(1, EPOCHS + 1):
                    trial.report(value * (1 - 0.5**epoch), epoch)
            with meter.part("tell"):
                for key, attr in _attrs(Ask(trial.number, 0, 0, {}, []), value).items():
                    trial.set_user_attr(key, attr)
                study.tell(trial, value)
    storage.engine.dispose()
    return meter


if __name__ == "__main__":
    command.run(main)
