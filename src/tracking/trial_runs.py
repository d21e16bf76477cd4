"""The runs of one trial of a study in MLflow: the trial's own, and below it one a member where it has several.

A trial that trains is recorded as it happens (TrialTracker), one whose process was killed from its folder (`replay`).
Either way it becomes notes in the study's queue (src/tracking/journal.py).
"""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from math import nan
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

from src.config.kept_config import dotted
from src.config.metric import ACCURACY
from src.config.schema import RunConfig
from src.runs.summary import summarise
from src.tracking.journal import Journal, milliseconds
from src.tracking.log_error import DATA_TAG, validation_data, with_log_error
from src.tracking.tracker import (
    FIGURES,
    curve_values,
    finite_values,
    flatten,
    last_values,
    logarithms,
    member_tags,
    provenance,
    score_values,
    short_label,
    trial_status,
)
from src.tracking.writer import UID_TAG
from src.training.result import Result, Row, Status

STUDY_TAG = "study.uid"
REASON_LENGTH = 500


@dataclass(frozen=True)
class Trial:
    """A study's trial, as its runs show it. seeds: one a member. reason: the traceback, where it failed."""

    config: RunConfig
    folder: Path  # where its files lie
    number: int  # Optuna's
    place: int  # its number in the study's budget, which names show
    attempt: int  # how often a trial in this place was killed before
    label: str  # its parameters, such as "eta=0.03 activation=relu"
    dataset: str
    device: str
    seeds: list[int]
    reason: str = ""
    resumed: str = ""  # from where of an earlier attempt it goes on, such as "after epoch 5"

    @property
    def name(self) -> str:
        """The run's name, such as "#3 tanh eta=0.294": some twenty letters are all that the column of the UI shows."""
        again = [f"· attempt {self.attempt + 1}"] if self.attempt else []
        return " ".join([f"#{self.place}", *([short_label(self.label)] if self.label else []), *again])


class TrialTracker(Protocol):
    """Records the epochs and results of a study's trial; every method returns at once and raises nothing."""

    def epoch(self, rows: Sequence[Row | None]) -> None:
        """Records one epoch: one row a member, None for one that has stopped."""

    def finish(
        self,
        results: Sequence[Result],
        summary: Row | None = None,
        artifacts: Iterable[Path] = (),
        status: Status | None = None,
    ) -> None:
        """Records what the trial left and ends its runs.

        results: one a member. summary: metrics over its members. artifacts: files. status: the trial's, None where it
        follows from its members' statuses.
        """

    def abort(self, status: Status, reason: str) -> None:
        """Ends the runs without results. reason: a line, or a traceback. Does nothing after `finish`."""


class TrialRuns:
    """Turns what happens in a trial into notes in the journal; `uid` is the study's."""

    def __init__(self, journal: Journal, trial: Trial, study: str, uid: str, log_keys: Iterable[str]) -> None:
        self._journal, self._trial, self._log_keys = journal, trial, log_keys
        self._study_uid, self._uid = uid, trial_uid(uid, trial.number)
        several = len(trial.seeds) > 1
        self._members = [f"{self._uid}-{index}" for index in range(len(trial.seeds))] if several else [self._uid]
        self._tags = {
            **provenance(),
            "exp": trial.config.name,
            "dataset": trial.dataset,
            DATA_TAG: validation_data(trial.dataset),
            "device": trial.device,
            "study": study,
            STUDY_TAG: uid,
            "trial": str(trial.place),
            "number": str(trial.number),
            "attempt": str(trial.attempt + 1),
            "status": "RUNNING",
            **({"resumed": trial.resumed} if trial.resumed else {}),
        }
        self._not_finite: set[str] = set()  # uids of members that have had a value that is not finite
        self._curves: dict[str, dict[int, Row]] = {}  # uid of a member that has begun -> epoch -> its values
        self._shown = 0  # up to which epoch the trial's own curve is recorded
        self._ended = False

    @property
    def uids(self) -> set[str]:
        """The uids of the trial's runs: its own and its members'."""
        return {self._uid, *self._members}

    def start(self, there: Collection[str] = ()) -> None:
        """Creates the trial's runs; there: the uids of those that the store has already, which go on."""
        name, seeds = self._trial.name, self._trial.seeds
        self._start(self._uid, self._study_uid, name, "trial", seeds[0], there)
        if len(seeds) > 1:
            for index, (uid, seed) in enumerate(zip(self._members, seeds, strict=True)):
                shown = f"{name} · member {index} · seed {seed}"
                self._start(uid, self._uid, shown, "member", seed, there)

    def _start(self, uid: str, parent: str, name: str, kind: str, seed: int, there: Collection[str]) -> None:
        tags = {**self._tags, "kind": kind, UID_TAG: uid}
        note = {"do": "run", "run": uid, "parent": parent, "name": name, "tags": tags, "time": milliseconds()}
        self._journal.add({**note, "tried": True} if uid in there else note)
        self._journal.batch(uid, params=self._params(seed))

    def _params(self, seed: int) -> dict[str, str]:
        content = {**self._trial.config.shown(), "seed": seed}
        logs = logarithms(dotted(content), self._log_keys)
        return {**flatten(content), **logs, "dataset": self._trial.dataset, "trial": str(self._trial.place)}

    def epoch(self, rows: Sequence[Row | None]) -> None:
        """Records one epoch: a row a member, None for one that has stopped, and their means as the trial's own curve.

        The means begin once all members have begun; an epoch that was recorded before is passed over.
        """
        known = [
            (uid, row)
            for uid, row in zip(self._members, rows, strict=True)
            if row is not None and int(row["epoch"]) not in self._curves.get(uid, {})  # recorded before its stack broke
        ]
        if not known:
            return
        epoch = int(known[0][1]["epoch"])
        for uid, row in known:
            values, lost = curve_values(row, self._trial.config.task.metric)
            self._curves.setdefault(uid, {})[epoch] = values
            tags = {}
            if lost and uid not in self._not_finite:
                self._not_finite.add(uid)
                tags["not_finite"] = f"{', '.join(lost)} from epoch {epoch}"
            self._journal.batch(uid, metrics=values, step=epoch, tags=tags)
        if len(self._curves) == len(self._members):
            self._show_means(epoch)

    def _show_means(self, last: int) -> None:
        """Records the trial's own curve up to epoch `last`; a member that has stopped counts with its last epoch."""
        if len(self._members) == 1:  # the trial's run is its member's
            return
        for epoch in range(self._shown + 1, last + 1):
            rows = [curve.get(epoch, curve[max(curve)]) for curve in self._curves.values()]
            self._journal.batch(self._uid, metrics=_means(rows), step=epoch)
        self._shown = max(self._shown, last)

    def finish(
        self, results: Sequence[Result], summary: Row | None, artifacts: Iterable[Path], status: Status | None
    ) -> None:
        """Records results, artifacts and the end of every run; a member that never began has no result among them."""
        if self._ended:
            return
        self._show_means(max((epoch for curve in self._curves.values() for epoch in curve), default=0))
        members = dict(zip(self._trial.seeds, self._members, strict=True))
        statuses = dict.fromkeys(self._members, status or "KILLED")
        for result in results:
            # Step 0: MLflow draws a metric whose step is above 0 as a curve, these as bars.
            self._journal.batch(members[result.seed], metrics=last_values(result), tags=member_tags(result))
            if result.status != "RUNNING":
                statuses[members[result.seed]] = result.status
        if len(self._members) > 1:
            self._journal.batch(self._uid, metrics=_mean_values(results))
        self._journal.batch(self._uid, metrics=finite_values(summary or {}))
        for index, uid in enumerate(self._members):
            self._journal.file(uid, self._trial.folder / f"member-{index:02d}" / "weights.pt", "")
        for path in artifacts:
            self._journal.file(self._uid, path, "figures" if path.suffix in FIGURES else "")
        self._close({**statuses, self._uid: status or trial_status(list(statuses.values()))})

    def abort(self, status: Status, reason: str) -> None:
        """Ends every run as `status`, without results; does nothing after `finish`."""
        if self._ended:
            return
        self._because(reason)
        self._close(dict.fromkeys([*self._members, self._uid], status))

    def _because(self, reason: str) -> None:
        lines = reason.strip().splitlines()
        if lines:  # of a traceback, the last line says what happened
            self._journal.batch(self._uid, tags={"reason": lines[-1][:REASON_LENGTH]})
        if len(lines) > 1:
            self._journal.add({"do": "text", "run": self._uid, "name": "traceback.txt", "text": reason})

    def replay(self, status: Status) -> None:
        """Records what the trial left in its folder, as if it had just happened, and ends its runs as `status`."""
        folder, config = self._trial.folder, self._trial.config
        results = read_results(folder / "result.json", self._trial.seeds)
        if results is None:
            self.abort(status, self._trial.reason)
            return
        histories = {result.seed: {int(row["epoch"]): row for row in result.history} for result in results}
        for epoch in sorted({epoch for history in histories.values() for epoch in history}):
            self.epoch([histories.get(seed, {}).get(epoch) for seed in self._trial.seeds])
        self._because(self._trial.reason)
        summary = None
        if config.replicates > 1 and config.ensemble == 1:
            validation = [result.validation_score for result in results]
            test = [result.test_score for result in results]
            summary = summarise(validation=validation, test=test, score=config.task.metric).metrics()
        self.finish(results, summary, [folder / "votes.json"], status)

    def _close(self, statuses: dict[str, Status]) -> None:
        end(self._journal, statuses)
        self._ended = True


def end(journal: Journal, statuses: dict[str, Status]) -> None:
    """Ends runs; statuses: uid -> status, which their tag takes too."""
    for uid, status in statuses.items():
        journal.batch(uid, tags={"status": status})
        journal.add({"do": "end", "run": uid, "status": mlflow_status(status), "time": milliseconds()})


def read_results(path: Path, seeds: Collection[int]) -> list[Result] | None:
    """The members' results in result.json at `path`; None where it is missing, damaged or that of other seeds."""
    try:
        results = [Result.from_kept(own) for own in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        return None
    results = [replace(result, history=[_finite_or_nan(row) for row in result.history]) for result in results]
    return results if results and {result.seed for result in results} <= set(seeds) else None


def _finite_or_nan(row: Row) -> Row:
    """The row with NaN for null, which stands in the file for a value that was not finite."""
    return {key: nan if value is None else value for key, value in row.items()}


def trial_uid(study: str, number: int) -> str:
    """The uid of a trial's run, from its study's uid and Optuna's number."""
    return f"{study}-{number}"


def mlflow_status(status: Status) -> str:
    """The status as MLflow names it, which has no PRUNED: that becomes FINISHED."""
    return "FINISHED" if status == "PRUNED" else status


def _means(rows: Sequence[Row], at_least: int = 1) -> Row:
    """The mean of every value that at least `at_least` rows have."""
    keys = dict.fromkeys(key for row in rows for key in row)
    values = {key: [row[key] for row in rows if key in row] for key in keys}
    return {key: fmean(own) for key, own in values.items() if len(own) >= at_least}


def _mean_values(results: Sequence[Result]) -> Row:
    """The means of the values that all members have, with (1) of log_error.py computed from the mean score.

    A member that diverged counts with the score's `lost` in both scores, unless all have.
    """
    values = [last_values(result) for result in results]
    score = results[0].score if results else ACCURACY
    lost: Any = score_values(score, score.lost, score.lost)
    if any(result.status != "FAILED" for result in results):
        values = [own | lost if result.status == "FAILED" else own for own, result in zip(values, results, strict=True)]
    means = finite_values(_means(values, len(results)))
    return with_log_error(means, score)  # the logarithm of the mean error, not the mean of logarithms
