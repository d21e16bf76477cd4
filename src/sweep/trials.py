"""An Optuna study as the source of trials: asks it for them, reports their epochs, tells it how they ended.

What a trial leaves is written in this order, so that a study that is killed between two steps can go on: results and
weights in the trial's folder, then the study in Optuna's store, then MLflow, which the next start of the study brings
into line with the study.
"""

import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from src.config.check import parse
from src.config.error import StoreError, TrialFailed, UserError
from src.config.schema import RunConfig
from src.config.wording import ending, number_of
from src.data.dataset import Dataset
from src.models.model import parameters_of
from src.runs import terminal
from src.runs.checkpoint import remove
from src.runs.result_files import results_in
from src.sweep import fault
from src.sweep.job import Job
from src.sweep.outcome import Outcome, outcome
from src.sweep.screen import SweepScreen
from src.sweep.stacks import train_all
from src.sweep.studies.study import Ask, Entry, Latest, State, Study
from src.sweep.studies.study_record import command
from src.sweep.studies.worker import lives
from src.sweep.trial_row import TrialRow, rows_of
from src.tracking.record import Record
from src.tracking.study_tracking import LIVES, open_study
from src.tracking.trial_runs import Trial, TrialTracker

Compose = Callable[[list[str], int, str], Job]  # overrides, place, label -> a checked trial; raises where it cannot run


class Trials:
    """The source of a study's trials, a Sweep (stacks.py). A trial's place is its number in the study's budget."""

    resumable = True

    def __init__(self, study: Study, compose: Compose, base: RunConfig, folder: Path, screen: SweepScreen) -> None:
        """compose: makes a trial from its overrides. base: the configuration that all trials share.

        folder: this command's own.
        """
        self.study, self.compose, self.base, self.screen = study, compose, base, screen
        self.settings = study.settings
        self.one_by_one = self.settings.pruner == "wilcoxon"  # this pruner compares repeats, one after another
        self.outcomes: list[Outcome] = []
        self.tracking = open_study(
            base,
            folder,
            study=self.settings.study_name,
            uid=study.uid,
            log_keys=study.space.log_keys(),
            params=_shown_space(study),
            say=terminal.say,
        )
        self.tracking.reconcile(dict(study.states()), self._again)
        for left in study.ended_with_checkpoint():  # its process was killed before it removed the checkpoint
            remove(Path(left))
        self._asks: dict[Job, Ask] = {}
        self._kept = set[Job]()  # trials whose first checkpoint the study has noted
        self._trackers: dict[Job, TrialTracker] = {}
        self._show_best()
        self._show_totals()

    def jobs(self, room: int) -> list[Job]:
        """The next trials of the study, for at most `room` networks; [] where its budget is used up.

        A trial whose configuration cannot run counts as failed, and the next one is asked for. Raises the errors that
        the surroundings caused (fault.py).
        """
        size = 1 if self.one_by_one else self.base.members
        while asks := self.study.ask(max(1, room // size), waits=True):
            jobs = [job for ask in asks if (job := self._job(ask))]
            if jobs:
                return jobs
        return []

    def _job(self, ask: Ask) -> Job | None:
        label = _label(ask.params)
        try:
            job = self.compose(ask.overrides, ask.place, label)
        except Exception as error:
            if fault.is_of_surroundings(error):
                raise
            job = Job(self.base, Path(), ask.overrides, ask.place, label)
            self._asks[job] = ask
            reason = str(error) if isinstance(error, UserError) else "".join(traceback.format_exception(error))
            self.failed(job, None, "FAILED", reason, error)
            return None
        job.returned = None  # Hydra's, with two whole configurations: a study has thousands of trials
        job.goes_on = [Path(folder) for folder in ask.left]
        if not ask.repeats:  # new parameters: nobody will go on there
            while job.goes_on:
                remove(job.goes_on.pop())
        self._asks[job] = ask
        return job

    def begin(self, jobs: list[Job]) -> None:
        """Notes in the study that the trials' stack begins: if the process dies from now on, one may be the cause."""
        for job in jobs:
            self.study.note(self._asks[job], {"waits": False})

    def tracker(self, job: Job, dataset: str, device: str, seeds: list[int], resumed: str) -> TrialTracker:
        """The trial's tracker, made at the first call, when the study notes the trial's folder and data too.

        dataset, device: what is really used; seeds: one a member; resumed: such as "after epoch 5", "" where it begins.
        """
        if job not in self._trackers:
            ask = self._asks[job]
            about = {"label": job.label, "folder": str(job.folder), "overrides": job.overrides, "waits": False}
            about |= {"dataset": dataset, "device": device, "seeds": seeds}
            self.study.note(ask, about | ({"resumed": resumed} if resumed else {}))
            self._trackers[job] = self._tracker(job, dataset, device, seeds, resumed)
        return self._trackers[job]

    def over(self) -> bool:
        """Whether the study's budget is used up."""
        return self.study.reason_to_stop() is not None

    def reported(self, job: Job, step: int, values: Mapping[str, float]) -> bool:
        """Reports a trial's values after an epoch (or repeat) `step` to the study; True: its pruner ends the trial."""
        objectives: list[float] = []
        if self.study.prunes_by_objectives:
            known = {**values, "parameters": parameters_of(job.config)}
            objectives = [known[name] for name in self.settings.objectives]
        return self.study.report(self._asks[job], step, values[self.settings.score.field("validation")], objectives)

    def kept(self, job: Job) -> bool:
        """Notes a trial's first checkpoint in the study; True: its next attempt will look for it.

        False where the store does not answer: then the next checkpoint is noted.
        """
        if job not in self._kept:
            try:
                self.study.note(self._asks[job], {"checkpoint": True})
            except UserError:
                return False
            self._kept.add(job)
        return True

    def ended(self, job: Job, record: Record, pruned: bool, dataset: Dataset) -> bool:
        """Writes the trial's results, then tells the study, then the tracking; True: it has ended for good.

        A diverged trial is told as pruned, so that the sampler learns that its settings are bad; from a failed one it
        would learn nothing. Raises OSError where not all of its files could be written.
        """
        conclusion = record.conclude(dataset)
        if conclusion.lost:
            raise OSError(conclusion.lost)
        result = outcome(job, conclusion.results, pruned, self.one_by_one)
        attrs = result.attributes()
        if result.status == "FINISHED":
            values = [attrs[name] for name in self.settings.objectives]
            counts = self.study.tell(self._asks[job], "COMPLETE", values, attrs)
        else:
            state: State = "KILLED" if result.status == "KILLED" else "PRUNED"
            attrs |= {"stopped": True} if state == "KILLED" else {}
            counts = self.study.tell(self._asks[job], state, None, attrs)
            result = result.as_status(state)
        if not counts:  # another process has begun a new attempt in the trial's place
            result = result.as_status("KILLED")
        record.finish(conclusion, status=result.status)
        self._note(result)
        return result.status != "KILLED"

    def failed(self, job: Job, record: Record | None, status: str, reason: str, error: BaseException) -> None:
        """Tells the study, the tracking and the screen that a trial ended without a result, and why."""
        ask = self._asks[job]
        attrs: dict[str, Any] = {"label": job.label, "reason": reason, "overrides": job.overrides}
        # A trial may break a device by what it does, again and again; for other faults it is not to blame.
        attrs |= {"stopped": True} if status == "KILLED" and not fault.is_of_device(error) else {}
        self.study.tell(ask, "KILLED" if status == "KILLED" else "FAIL", None, attrs)
        if record:
            record.abort(status, reason)
        else:  # it never began, or not since its stack broke
            (self._trackers.get(job) or self._tracker(job, "none", "none", [job.config.seed])).abort(status, reason)
        if status == "FAILED":
            self.screen.say(f"trial {ask.place} ({job.label}) failed: {reason.strip().splitlines()[-1]}")
        self._note(Outcome(job, status, reason=reason))

    def _tracker(self, job: Job, dataset: str, device: str, seeds: list[int], resumed: str = "") -> TrialTracker:
        ask = self._asks[job]
        return self.tracking.trial(
            job.config,
            job.folder,
            number=ask.number,
            place=ask.place,
            attempt=ask.attempt,
            label=job.label,
            dataset=dataset,
            device=device,
            seeds=seeds,
            resumed=resumed,
        )

    def _note(self, result: Outcome) -> None:
        self.outcomes.append(result)
        best = self._show_best()
        self._show_totals()
        self.screen.trial_ended(result)
        self._asks.pop(result.job)
        self._trackers.pop(result.job, None)
        self._kept.discard(result.job)
        counts = self.study.counts()
        self.screen.before = counts.places_done - sum(self.screen.counts.values()) + self.screen.counts["KILLED"]
        figures = {"done": counts.places_done, "pruned": counts.pruned, "failed": counts.failed}
        self.tracking.progress(figures | ({"best": best[1][0]} if best else {}))

    def _show_totals(self) -> None:
        counts = self.study.counts()
        self.screen.totals = {"FINISHED": counts.complete, "PRUNED": counts.pruned, "FAILED": counts.failed}

    def rows(self) -> list[TrialRow]:
        """The rows of the table at the end: all trials of the study, or this command's where the store is silent."""
        try:
            trials, best = self.study.latest(), self.study.best()
        except StoreError:
            return rows_of(self.outcomes)
        here = {one.job.number for one in self.outcomes}
        return [self._row(one, one.place in here, best is not None and best[0] == one.place) for one in trials]

    def _row(self, one: Latest, here: bool, best: bool) -> TrialRow:
        judged: set[str] = {*self.settings.objectives, *(limit.name for limit in self.settings.limits)}
        score = self.settings.score
        shown = judged & one.attrs.keys() - {score.field("validation")}
        figures = {name: one.attrs[name] for name in sorted(shown)}
        status = {"COMPLETE": "FINISHED" if one.feasible else "INFEASIBLE", "FAIL": "FAILED"}.get(one.kind, one.kind)
        whole = {"epochs", "max_networks"} <= one.attrs.keys()  # the second is missing in older studies
        epochs = one.attrs["epochs"] / one.attrs["max_networks"] if whole else None
        return TrialRow(
            one.place,
            _label(one.params),
            ending(status, one.attrs.get("reason", "")),
            one.attrs.get(score.field("validation")),
            one.attrs.get(score.field("test")),
            epochs,
            figures,
            here,
            best,
        )

    def _show_best(self) -> Entry | None:
        best = self.study.best()
        if best:
            place, values, params = best
            name, score = self.settings.objectives[0], self.settings.score
            of_score = name == score.field("validation")
            value = score.written(values[0]) if of_score else f"{name} {values[0]:,g}"
            self.screen.best = f"{value} (trial {place}: {_label(params)})"
        return best

    def _again(self, number: int) -> Trial | Literal["lives"] | None:
        """A trial of an earlier process, from its folder and the study's notes, so that the tracking can record it.

        LIVES where that process still runs and records it itself; None where the study has noted no folder.
        """
        attrs = self.study.attrs(number)
        if "folder" not in attrs:
            return None
        if lives(attrs["worker"]):  # that process records the trial itself
            return LIVES
        folder = Path(attrs["folder"])
        try:
            config = parse(results_in(folder)[0]["config"])
        except (UserError, LookupError):
            config = self.base
        return Trial(
            config,
            folder,
            number,
            attrs["place"],
            attrs["attempt"],
            attrs["label"],
            attrs.get("dataset", "unknown"),
            attrs.get("device", "unknown"),
            attrs.get("seeds", [config.seed]),
            attrs.get("reason", ""),
        )

    def finish(self, status: str) -> None:
        """Ends trials that still wait as KILLED, then the study's own run in MLflow, which carries the best trial.

        That run stays open where another process still trains trials of the study.
        """
        for job in list(self._asks):  # those left have waited for a stack
            self.failed(job, None, "KILLED", "stopped before it began", KeyboardInterrupt())
        if self.study.reaped:  # this process has ended trials that killed processes left running
            self.tracking.reconcile(dict(self.study.states()), self._again)
        # Of several processes the last one ends the run: whoever sees another one run has written before that one ends.
        self.tracking.written()
        with suppress(StoreError):
            self.study.refresh()
        best = self.study.best()
        found: dict[str, Any] = {}
        if best:
            place, values, params = best
            found = {"trial": place, **dict(zip(self.settings.objectives, values, strict=True)), "params": params}
        self.tracking.finish("RUNNING" if status == "FINISHED" and self.study.counts().running else status, found)


def _shown_space(study: Study) -> dict[str, str]:
    """Each swept key -> its domains in words, as the study's own run in MLflow shows them."""
    shown: dict[str, list[str]] = {}
    for name, domain in study.space.as_json().items():
        key, _, when = name.partition(" ")
        shown.setdefault(key, []).append(f"{domain} {when}".strip())
    return {key: "; ".join(domains) for key, domains in shown.items()}


def _label(params: dict[str, Any]) -> str:
    """A trial's parameters, such as "eta=0.03 activation=relu"."""
    return " ".join(f"{key.split('.')[-1]}={_shown(value)}" for key, value in params.items())


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def train_study(study: Study, compose: Compose, base: RunConfig, folder: Path, limit: int, dataset: Dataset) -> None:
    """Trains the study's trials until the budget is used up. Raises TrialFailed where one failed or none has value."""
    counts = study.counts()
    screen = SweepScreen(study.total, folder, done=counts.places_done, score=study.settings.score)
    source = Trials(study, compose, base, folder, screen)
    try:
        train_all(source, screen, limit, (base, dataset))
    except KeyboardInterrupt:
        done = f"{study.counts().places_done} of {study.total} trials are done"
        terminal.say(f"study {study.settings.study_name}: {done}; the same command goes on")
        raise
    terminal.say(f"study {study.settings.study_name}: {study.reason_to_stop() or 'stopped'}")
    objectives = study.settings.objectives
    if len(objectives) > 1:
        places = ", ".join(str(place) for place, _, _ in study.front())
        terminal.say(f"Pareto front of {' and '.join(objectives)}: trials {places or 'none yet'}")
    screen.next_commands(_next_commands(study), source.tracking.address, base.tracking.uri)
    _raise_what_failed(study, source.outcomes)


def _raise_what_failed(study: Study, outcomes: list[Outcome]) -> None:
    """Raises TrialFailed where trials of this command raised, or no trial of the study has a value."""
    failed = [one for one in outcomes if one.status == "FAILED"]
    name, counts, problems = study.settings.study_name, study.counts(), list[str]()
    if failed:
        first = failed[0]
        reason = first.reason.strip().splitlines()[-1].strip()  # a traceback ends with the error
        words = number_of(len(failed), "trial")
        problems.append(f"{words} failed; trial {first.job.number} ({first.job.label}): {reason}")
    if not outcomes and counts.places_left and counts.failed >= max(study.settings.max_failures, 1):
        why = f"study {name}: {study.reason_to_stop()}; nothing was trained. A larger max_failures goes on"
        problems.append(f"{why}; what failed: {command('report', name, study.settings.storage)}")
    elif nothing := study.without_value():
        problems.append(nothing)
    if problems:
        raise TrialFailed("\n".join(problems))


def _next_commands(study: Study) -> list[tuple[str, str]]:
    """The commands that one may type now, each with what it is for."""
    name, storage, best = study.settings.study_name, study.settings.storage, study.best()
    lines = [(command("report", name, storage), "what was found, with plots")]
    if best:
        lines.append((command("rerun", name, storage, f"trial={best[0]}"), "that trial again, alone"))
    return lines
