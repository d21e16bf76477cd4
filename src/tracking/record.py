"""The *record* of one trial: collects what its members do while they train, in whatever stack, and writes it down.

It writes to the trial's folder (results, weights, votes), and tells the trial's tracker.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from src.config.files import write_json
from src.config.folder import named_owner
from src.config.schema import RunConfig
from src.data.dataset import Dataset
from src.runs.checkpoint import Saved
from src.runs.result_files import RESULTS, WHITENING, ResultsSoFar, write_plain_weights, write_weights
from src.runs.summary import Summary, of_folds, of_snapshots, summarise
from src.runs.vote import Vote, vote
from src.tracking.study_tracking import TrialTracker
from src.tracking.tracker import Tracker
from src.training.result import Result, Row, Status


@dataclass
class Conclusion:
    """What a trial that has ended left; `files`: what it wrote beside result.json and weights."""

    results: list[Result]
    votes: list[Vote]
    summary: Summary
    path: Path  # of result.json
    lost: str  # what could not be written to the folder and why, for the user; empty where all is there
    files: list[Path] = field(default_factory=list)
    folds: Summary | None = None  # of a cross-validation
    snapshots: Summary | None = None  # of the votes of each network's snapshots


class Record:
    """Follows the members of one trial, by their numbers in the trial, from 0."""

    def __init__(self, config: RunConfig, folder: Path, tracker: Tracker | TrialTracker) -> None:
        self.config, self.folder, self.tracker = config, folder, tracker
        self.keeper, self._owner = ResultsSoFar(folder), named_owner(folder)
        self.results: dict[int, Result] = {}  # of members that have ended

    def epoch_ended(self, rows: dict[int, Row], so_far: Callable[[int], Result]) -> None:
        """Records one epoch: `rows` of the members that trained in it; `so_far` gives a member's result up to here."""
        known = {**self.results, **dict.fromkeys(rows)}
        self.keeper.epoch_ended(lambda: [self.results.get(member) or so_far(member) for member in sorted(known)])
        self.tracker.epoch([rows.get(member) for member in range(self.config.members)])

    def ended(self, results: dict[int, Result]) -> None:
        """Takes in the results of members that have ended."""
        self.results |= results

    def go_on(self, saved: Saved, one_by_one: bool) -> None:
        """Takes in the trial's checkpoint and tells the tracking what its members did before, epoch by epoch.

        one_by_one: its members train one after another.
        """
        self.results |= saved.ended
        told: dict[tuple[float, ...], dict[int, Row]] = {}  # time of an epoch, to sort by -> its rows by member
        for place, history in saved.histories().items():
            for row in history:
                told.setdefault((place, row["epoch"]) if one_by_one else (row["epoch"],), {})[place] = row
        for _, rows in sorted(told.items()):
            self.tracker.epoch([rows.get(place) for place in range(self.config.members)])

    def conclude(self, dataset: Dataset) -> Conclusion:
        """Writes results, votes and weights to the folder; returns what the trial left.

        Members that never began are left out.
        """
        results = [self.results[member] for member in sorted(self.results)]
        votes, summary = conclude(self.config, results, dataset)
        lost = self._keep(results, votes)
        self.keeper.close()
        path, files = self.folder / RESULTS, [self.folder / "votes.json"] if votes else []
        files += [self.folder / WHITENING] if any(one.whitening is not None for one in results) else []
        score = self.config.task.metric
        folds = of_folds(results, score) if self.config.data.folds else None
        return Conclusion(results, votes, summary, path, lost, files, folds, of_snapshots(results, score))

    def _keep(self, results: list[Result], votes: list[Vote]) -> str:
        """Writes the files, small ones first; returns what could not be written and why, empty where all was."""
        now = named_owner(self.folder)
        if now and self._owner and now != self._owner:
            return f"{self.folder}: was replaced while the run trained, by what {now} left; nothing was written there"
        kept = list[str]()
        try:
            kept.append(write_json(self.folder / RESULTS, [result.as_json() for result in results]).name)
            if votes:
                kept.append(write_json(self.folder / "votes.json", [one.as_json() for one in votes]).name)
            write_weights(results, self.folder)
            write_plain_weights(results, self.folder)
        except OSError as error:
            reason, names = error.strerror or error, " and ".join(kept) or "nothing"
            return f"{self.folder}: not all could be written ({reason}); kept: {names}; make room, and start it again"
        if now != self._owner:
            return (
                f"{self.folder}: was removed while the run trained; what it came to at its end was written there anew"
            )
        return ""

    def finish(self, conclusion: Conclusion, **status: Status) -> None:
        """Tells the tracking how the trial ended; `status`: where it does not follow from its members' statuses."""
        metrics = _metrics(conclusion, self.config.members)
        light = [result.without_tensors() for result in conclusion.results]  # the tracking may hold them for a while
        self.tracker.finish(light, metrics, conclusion.files, **status)

    def abort(self, status: str, reason: str) -> None:
        """Ends a trial without a conclusion: writes the results so far to its folder and ends its tracking.

        An error while the results are written is passed over: the error that led here is the one to tell.
        """
        with suppress(Exception):  # the first error is the one to tell
            self.keeper.keep_last(status)
        self.tracker.abort(status, reason)


def conclude(config: RunConfig, results: list[Result], dataset: Dataset) -> tuple[list[Vote], Summary]:
    """The vote of each repeat of an ensemble, and the summary over the repeats; after a refit nothing chooses one."""
    votes, summary = _concluded(config, results, dataset)
    return votes, replace(summary, chapter_rule=None) if config.data.refit else summary


def _concluded(config: RunConfig, results: list[Result], dataset: Dataset) -> tuple[list[Vote], Summary]:
    score = config.task.metric
    if config.ensemble == 1:
        validation = [result.validation_score for result in results]
        return [], summarise(validation=validation, test=[result.test_score for result in results], score=score)
    votes, validation = [], []
    for repeat in sorted({result.repeat for result in results}):
        members = [result for result in results if result.repeat == repeat]
        nothing = torch.full((len(dataset.test), dataset.classes), float("nan"))  # a member without a vote
        given = [nothing if member.probabilities is None else member.probabilities for member in members]
        votes.append(vote(torch.stack(given), dataset.test.targets))
        known = [member.validation_score for member in members if member.validation_score is not None]
        validation.append(sum(known) / len(known) if known else None)
    return votes, summarise(validation=validation, test=[vote.accuracy for vote in votes], score=score)


def _metrics(conclusion: Conclusion, members: int) -> Row | None:
    """The metrics of the trial's own run in MLflow, above those of its members; None where it has one member."""
    if members == 1:
        return None
    metrics, votes = conclusion.summary.metrics(), conclusion.votes
    metrics |= conclusion.folds.metrics("validation") if conclusion.folds else {}
    metrics |= conclusion.snapshots.metrics("snapshots") if conclusion.snapshots else {}
    if votes and votes[0].accuracy is not None and votes[0].mean_probability_accuracy is not None:
        metrics["vote/plurality"] = votes[0].accuracy
        metrics["vote/mean_probability"] = votes[0].mean_probability_accuracy
        metrics["vote/errors"] = len(votes[0].errors)
    return metrics
