"""A study in MLflow: one run above all, below it a run a trial, and below that one a member where a trial has several.

    study     kind=study    the space that is searched, how far it has come, and the best trial
    trial     kind=trial    its parameters, its curves (means over its members) and its results
    member    kind=member   where a trial has several: the same of one network

A trial's tag `status` is FINISHED, PRUNED, FAILED or KILLED, as in Optuna; MLflow, which knows no PRUNED, calls that
one FINISHED. Runs are known by their uid (UID of the study, UID-NUMBER of a trial with Optuna's number,
UID-NUMBER-MEMBER of a member), so that whatever is written a second time after a crash finds the run that is there.

One thread writes for all trials (src/results/background.py), through one queue (src/results/journal.py).
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

from src.config import RunConfig
from src.result import Result, Status, dotted
from src.results.background import Errands
from src.results.journal import UID_TAG, Journal, Row, absolute, milliseconds
from src.results.tracking import (
    FIGURES,
    LOG_KEYS,
    config_text,
    curve_values,
    finite_values,
    flatten,
    last_values,
    logarithms,
    member_tags,
    provenance,
    trial_status,
)

WRITE_SECONDS = 1.0  # what trials leave is written together, so often; a run in MLflow is at most that much behind
STUDY_TAG = "study.uid"
REASON_LENGTH = 500


@dataclass(frozen=True)
class Trial:
    """What tells one trial from the others. seeds: one a member. reason: the traceback of one that failed."""

    config: RunConfig
    folder: Path  # where its files lie
    number: int  # Optuna's
    place: int  # the number that names show
    attempt: int  # 0, or 1 for the second one in its place
    label: str  # what differs, such as "eta=0.03 activation=relu"
    dataset: str
    device: str
    seeds: list[int]
    reason: str = ""

    @property
    def name(self) -> str:
        """The run's name."""
        again = [f"attempt {self.attempt + 1}"] if self.attempt else []
        return " · ".join([f"trial {self.place}", *([self.label] if self.label else []), *again])


class TrialTracker(Protocol):
    """Where a trial's epochs and results go; every method returns at once and raises nothing."""

    def epoch(self, rows: Sequence[Row | None]) -> None:
        """Records one epoch: one row a member, None for one that has stopped."""

    def finish(
        self,
        results: Sequence[Result],
        summary: Row | None = None,
        artifacts: Iterable[Path] = (),
        status: Status | None = None,
    ) -> None:
        """Records what the trial left and ends its runs; `status` where it is not to follow from the members'."""

    def abort(self, status: Status, reason: str) -> None:
        """Ends the runs without results. reason: a line, or a traceback. Does nothing after `finish`."""


class StudyTracker:
    """The tracker of one study. Its methods return at once, but for `finish`, and do not raise because of the store."""

    def __init__(
        self,
        config: RunConfig,
        folder: Path,
        *,
        study: str,
        uid: str,
        log_keys: Iterable[str] = (),
        params: dict[str, str] | None = None,
        say: Callable[[str], None] = print,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Opens the study's run, or goes on with it.

        config: what all trials share. folder: this command's; what cannot be logged is kept there. uid: the study's,
        the same whenever it goes on. log_keys: what is searched in log scale. params: key -> the text of its space.
        """
        self._config, self._study, self._uid = config, study, uid
        self._log_keys = {*LOG_KEYS, *log_keys}
        self._journal = Journal(absolute(config.tracking.uri), config.tracking.experiment, folder, say=say, clock=clock)
        self._errands = Errands(self._journal.flush, WRITE_SECONDS)
        self._errands.tell(lambda: self._open(params or {}))

    def _open(self, params: dict[str, str]) -> None:
        tags = {**provenance(), "exp": self._config.name, "kind": "study", "study": self._study}
        tags |= {STUDY_TAG: self._uid, UID_TAG: self._uid, "status": "RUNNING"}
        note = {"do": "run", "run": self._uid, "parent": None, "name": self._study, "tags": tags, "tried": True}
        self._journal.add({**note, "time": milliseconds()})
        self._journal.add({"do": "open", "run": self._uid})
        self._journal.batch(self._uid, params=params, tags={"status": "RUNNING"})
        text = config_text(self._config)
        self._journal.add({"do": "text", "run": self._uid, "name": "config.yaml", "text": text})

    def trial(
        self,
        config: RunConfig,
        folder: Path,
        *,
        number: int,
        place: int,
        attempt: int,
        label: str,
        dataset: str,
        device: str,
        seeds: list[int],
    ) -> TrialTracker:
        """The tracker of a trial that begins. number: Optuna's; place: the one in names; seeds: one a member."""
        trial = Trial(config, folder, number, place, attempt, label, dataset, device, seeds)
        return _Told(_TrialRuns(self._journal, trial, self._study, self._uid, self._log_keys), self._errands.tell)

    def progress(self, metrics: Row, step: int | None = None) -> None:
        """Records how far the study has come, under study/…; step: trials done, by default metrics["done"]."""
        values = {key if "/" in key else f"study/{key}": value for key, value in finite_values(metrics).items()}
        at = int(metrics.get("done", 0)) if step is None else step
        self._errands.tell(lambda: self._journal.batch(self._uid, metrics=values, step=at))

    def finish(self, status: Status, best: dict[str, Any] | None = None, artifacts: Iterable[Path] = ()) -> None:
        """Ends the study's run and returns once all is written, or kept where the store does not answer.

        status: FINISHED, KILLED, FAILED, or RUNNING where another process goes on. best: numbers become the metrics
        best/KEY, and the dict `params` in it the tags best.KEY. Raises the first error of the tracking itself.
        """
        self._errands.tell(lambda: self._finish(status, best or {}, list(artifacts)))
        self._errands.end()

    def _finish(self, status: Status, best: dict[str, Any], artifacts: list[Path]) -> None:
        numbers = {f"best/{key}": value for key, value in best.items() if isinstance(value, int | float)}
        chosen = {f"best.{key}": text for key, text in flatten(best.get("params") or {}).items()}
        self._journal.batch(self._uid, metrics=finite_values(numbers), tags={**chosen, "status": status})
        for path in artifacts:
            self._journal.file(self._uid, path, "")
        if status != "RUNNING":
            self._journal.add({"do": "end", "run": self._uid, "status": status, "time": milliseconds()})
        self._journal.close()


class NullStudyTracker:
    """Records nothing (tracking=none); a TrialTracker as well."""

    def trial(self, *about: Any, **more: Any) -> TrialTracker:
        """A tracker that records nothing."""
        return self

    def epoch(self, rows: Sequence[Row | None]) -> None:
        """Does nothing."""

    def progress(self, metrics: Row, step: int | None = None) -> None:
        """Does nothing."""

    def abort(self, status: Status, reason: str) -> None:
        """Does nothing."""

    def finish(self, *about: Any, **more: Any) -> None:
        """Does nothing."""


def open_study(config: RunConfig, folder: Path, **about: Any) -> StudyTracker | NullStudyTracker:
    """The tracker of a study, by `tracking.kind`; see StudyTracker for the arguments."""
    return NullStudyTracker() if config.tracking.kind == "none" else StudyTracker(config, folder, **about)


class _Told:
    """A TrialTracker that passes everything to another thread."""

    def __init__(self, runs: "_TrialRuns", tell: Callable[[Callable[[], None]], None]) -> None:
        self._runs, self._tell = runs, tell
        self._tell(runs.start)

    def epoch(self, rows: Sequence[Row | None]) -> None:
        kept = list(rows)
        self._tell(lambda: self._runs.epoch(kept))

    def finish(
        self,
        results: Sequence[Result],
        summary: Row | None = None,
        artifacts: Iterable[Path] = (),
        status: Status | None = None,
    ) -> None:
        kept, paths = list(results), list(artifacts)
        self._tell(lambda: self._runs.finish(kept, summary, paths, status))

    def abort(self, status: Status, reason: str) -> None:
        self._tell(lambda: self._runs.abort(status, reason))


class _TrialRuns:
    """Turns a trial's events into notes; see TrialTracker."""

    def __init__(self, journal: Journal, trial: Trial, study: str, uid: str, log_keys: Iterable[str]) -> None:
        self._journal, self._trial, self._log_keys = journal, trial, log_keys
        self._study_uid, self._uid = uid, trial_uid(uid, trial.number)
        several = len(trial.seeds) > 1
        self._members = [f"{self._uid}-{index}" for index in range(len(trial.seeds))] if several else [self._uid]
        self._tags = {
            **provenance(),
            "exp": trial.config.name,
            "dataset": trial.dataset,
            "device": trial.device,
            "study": study,
            STUDY_TAG: uid,
            "trial": str(trial.place),
            "number": str(trial.number),
            "attempt": str(trial.attempt + 1),
            "status": "RUNNING",
        }
        self._not_finite: set[str] = set()  # members that have had such a value
        self._ended = False

    def start(self, tried: bool = False) -> None:
        """Creates the runs; with `tried`, those that are not there yet."""
        name, seeds = self._trial.name, self._trial.seeds
        self._start(self._uid, self._study_uid, name, "trial", seeds[0], tried)
        if len(seeds) > 1:
            for index, (uid, seed) in enumerate(zip(self._members, seeds, strict=True)):
                shown = f"{name} · member {index} · seed {seed}"
                self._start(uid, self._uid, shown, "member", seed, tried)

    def _start(self, uid: str, parent: str, name: str, kind: str, seed: int, tried: bool) -> None:
        tags = {**self._tags, "kind": kind, UID_TAG: uid}
        note = {"do": "run", "run": uid, "parent": parent, "name": name, "tags": tags, "time": milliseconds()}
        self._journal.add({**note, "tried": True} if tried else note)
        self._journal.batch(uid, params=self._params(seed))

    def _params(self, seed: int) -> dict[str, str]:
        content = {**self._trial.config.shown(), "seed": seed}
        logs = logarithms(dotted(content), self._log_keys)
        return {**flatten(content), **logs, "dataset": self._trial.dataset, "trial": str(self._trial.place)}

    def epoch(self, rows: Sequence[Row | None]) -> None:
        """Records one epoch of the members, and their means for the trial."""
        known = [(uid, row) for uid, row in zip(self._members, rows, strict=True) if row is not None]
        if not known:
            return
        epoch = int(known[0][1]["epoch"])
        for uid, row in known:
            values, lost = curve_values(row)
            tags = {}
            if lost and uid not in self._not_finite:
                self._not_finite.add(uid)
                tags["not_finite"] = f"{', '.join(lost)} from epoch {epoch}"
            self._journal.batch(uid, metrics=values, step=epoch, tags=tags)
        if len(self._members) > 1:
            self._journal.batch(self._uid, metrics=_means([curve_values(row)[0] for _, row in known]), step=epoch)

    def finish(
        self, results: Sequence[Result], summary: Row | None, artifacts: Iterable[Path], status: Status | None
    ) -> None:
        """Records results, artifacts and the end of every run."""
        if self._ended:
            return
        own = [result.status if result.status != "RUNNING" else status or "KILLED" for result in results]
        for uid, result in zip(self._members, results, strict=True):
            # Step 0: MLflow draws a metric whose step is above 0 as a curve, these as bars.
            self._journal.batch(uid, metrics=last_values(result), tags=member_tags(result))
        if len(results) > 1:
            self._journal.batch(self._uid, metrics=_means([last_values(result) for result in results], len(results)))
        self._journal.batch(self._uid, metrics=finite_values(summary or {}))
        for index, uid in enumerate(self._members):
            self._journal.file(uid, self._trial.folder / f"member-{index:02d}" / "weights.pt", "")
        for path in artifacts:
            self._journal.file(self._uid, path, "figures" if path.suffix in FIGURES else "")
        self._end({**dict(zip(self._members, own, strict=True)), self._uid: status or trial_status(own)})

    def abort(self, status: Status, reason: str) -> None:
        """Ends every run without results."""
        if self._ended:
            return
        lines = reason.strip().splitlines()
        if lines:  # of a traceback, the last line says what happened
            self._journal.batch(self._uid, tags={"reason": lines[-1][:REASON_LENGTH]})
        if len(lines) > 1:
            self._journal.add({"do": "text", "run": self._uid, "name": "traceback.txt", "text": reason})
        self._end(dict.fromkeys([*self._members, self._uid], status))

    def _end(self, statuses: dict[str, Status]) -> None:
        # The trial's own run comes last: where it has ended, so have its members'.
        for uid, status in sorted(statuses.items(), key=lambda pair: pair[0] == self._uid):
            self._journal.batch(uid, tags={"status": status})
            self._journal.add({"do": "end", "run": uid, "status": mlflow_status(status), "time": milliseconds()})
        self._ended = True


def trial_uid(study: str, number: int) -> str:
    """The uid of a trial's run."""
    return f"{study}-{number}"


def mlflow_status(status: Status) -> str:
    """MLflow's own word for a status."""
    return "FINISHED" if status == "PRUNED" else status


def _means(rows: Sequence[Row], at_least: int = 1) -> Row:
    """The mean of every value that at least so many rows have."""
    keys = dict.fromkeys(key for row in rows for key in row)
    values = {key: [row[key] for row in rows if key in row] for key in keys}
    return {key: fmean(own) for key, own in values.items() if len(own) >= at_least}
