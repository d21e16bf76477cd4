"""Pretraining: before trials that begin together train, each hidden layer of theirs is trained by itself, in turn.

A phase trains one layer of all trials as a stack (src/config/phases.py), from the weights with which the network would
begin without. For a trial it is a run of its own, in the folder `pretrain-N` of the trial's folder, with results,
weights and a checkpoint; a trial that goes on takes from there what has ended, and goes on with the rest. The codes of
a layer, what it makes of the data below it, are computed once and are the next phase's data, by member.
Source: [DLT] LISA lab, Deep Learning Tutorials, "Stacked Denoising Autoencoders", "Deep Belief Networks".
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import torch

from src.config.error import UserError
from src.config.kept_config import different
from src.config.phases import phase_name, phases
from src.config.schema import RunConfig
from src.data.codes import coded
from src.data.dataset import Dataset, Split
from src.models.model import model_of
from src.runs.checkpoint import FREE, Saved
from src.runs.result_files import RESULTS, read_weights
from src.sweep.checkpoints import TrialCheckpoints
from src.sweep.job import Job
from src.sweep.trial_roster import Training, TrialRoster, members_left
from src.tracking.record import Record
from src.tracking.tracker import Tracker
from src.training.engines.engine import State
from src.training.fit import Prepared, prepare, run_roster
from src.training.memory import check_codes
from src.training.roster import Observer
from src.training.stack import Member, members_of

PARTS = ("weight", "bias")  # of a layer
SAMPLE = 1_000  # examples by which the time of a phase is estimated


class Host(Protocol):
    """The run, or the sweep, whose trials are pretrained."""

    def say(self, line: str) -> None:
        """Shows one line of text."""

    def interrupted(self) -> bool:
        """Whether the user has asked to stop."""

    def observer(self, number: int, prepared: Prepared, done: Saved) -> Observer | None:
        """Who watches phase `number`, from 0, of which `done` has been trained before; None: nobody."""

    def tracker(self, job: Job, number: int, saved: Saved) -> Tracker:
        """What tracks phase `number` of a trial; job: that phase's own, saved: the checkpoint from which it goes on."""

    def kept(self, job: Job) -> bool:
        """Is told that the trial has left something from which a next attempt can go on; whether that will look."""

    def ended(self, job: Job, number: int, record: Record, dataset: Dataset) -> None:
        """Is told that phase `number` of a trial has ended; concludes its record. dataset: the phase's."""


def pretrain(jobs: list[Job], dataset: Dataset, host: Host) -> None:
    """Trains all phases of these trials, which may share a stack, and gives each job its `starts`.

    dataset: the trials' own. Raises KeyboardInterrupt where the user stops it; what is there is kept.
    """
    everyone = [(job, member) for job in jobs for member in members_of([job.config])]
    weights = [model_of(job.config).first_state(member.seed) for job, member in everyone]
    data, count = dataset, len(phases(jobs[0].config))
    for number in range(count):
        layer = f"layers.{number}"
        first = [{f"layers.0.{part}": own[f"{layer}.{part}"] for part in PARTS} for own in weights]
        found = _Phase(number, everyone, first, data, dataset, host).trained()
        for own, trained in zip(weights, found, strict=True):
            own |= {f"{layer}.{part}": trained[f"layers.0.{part}"] for part in PARTS}
        if number + 1 < count:
            units, splits = found[0]["layers.0.bias"].numel(), (data.train, data.validation, data.test)
            check_codes(len(found), sum(map(len, splits)), units, data.train.inputs.device)
            data = coded(data, found, phases(jobs[0].config)[number].model.activation)
    for (job, member), own in zip(everyone, weights, strict=True):
        job.starts[member.number] = own


def estimated_seconds(config: RunConfig, dataset: Dataset, members: int) -> float:
    """About how long the phases of a stack of so many members train, by a few steps of each on a part of the data."""
    seconds, count = 0.0, min(len(dataset.train), max(SAMPLE, config.pretrain.batch_size))
    part = dataset.first(count)
    for number, phase in enumerate(phases(config)):
        if number:
            codes = torch.rand(count, *phase.shapes()[0].weight_shape[1:], 1, 1)
            train, validation, test = (
                Split(codes[: len(one)], one.targets) for one in (part.train, part.validation, part.test)
            )
            part = replace(part, train=train, validation=validation, test=test)
        sized = phase.model_copy(update={"repeats": members, "seed": 0})
        seconds += prepare([sized], part, _say_nothing).seconds
    return seconds * len(dataset.train) / count


def _say_nothing(line: str) -> None:
    """Swallows what the preparation of an estimate has to say; the phase itself says it again."""


class _Phase:
    """One phase of all trials: the TrialSource of its stack."""

    one_by_one = False

    def __init__(
        self,
        number: int,
        everyone: list[tuple[Job, Member]],
        first: list[State],
        data: Dataset,
        raw: Dataset,
        host: Host,
    ) -> None:
        """everyone: the members of all trials; first: the initial weights of each.

        data: that of the phase; raw: that of the trials, from which it follows.
        """
        self.number, self.data, self.raw, self.host = number, data, raw, host
        self.jobs = {job: _job(job, number) for job, _ in everyone}
        self.parents = {own: job for job, own in self.jobs.items()}
        self.everyone = [(self.jobs[job], member.number) for job, member in everyone]
        for (job, member), state in zip(self.everyone, first, strict=True):
            job.starts[member] = state
        self.checkpoints = TrialCheckpoints(host.say, lambda job: host.kept(self.parents[job]))
        self.weights: dict[Job, dict[int, State]] = {}
        self._saved: dict[Job, Saved] = {}

    def trained(self) -> list[State]:
        """Trains those members that have not ended before; the weights of everyone, in order."""
        for job in self.parents:
            found = finished(job)
            if found is not None:
                self.weights[job] = found
        todo = [job for job in self.parents if job not in self.weights]
        if todo:
            self._train(todo)
        return [self.weights[job][member] for job, member in self.everyone]

    def _train(self, jobs: list[Job]) -> None:
        self._saved = {job: self.checkpoints.saved(job, self.raw) for job in jobs}
        left = [(job, member) for job in jobs for member in members_left(job, self._saved[job], False)[0]]
        places = {pair: place for place, pair in enumerate(self.everyone)}
        data = self.data.of([places[job, member.number] for job, member in left])
        if not left:  # a process was killed between the last epoch and the results
            for job in jobs:
                self.ended(job, self.record(job, self._saved[job]), False)
            return
        prepared = prepare([job.config for job in jobs], data, self.host.say, [member for _, member in left])
        observer = self.host.observer(self.number, prepared, self._saved[jobs[0]])
        roster = TrialRoster(self, jobs)
        watching = [roster, *([observer] if observer else [])]
        run_roster(prepared, roster, watching, self.host.interrupted, offer=roster.offer_checkpoints)
        if any(job not in self.weights for job in jobs):
            raise KeyboardInterrupt

    # The TrialSource of the phase's stack.

    def next_job(self, room: int) -> Job | None:
        """None: all trials begin together."""
        return None

    def saved(self, job: Job) -> Saved:
        """The checkpoint from which the phase goes on."""
        return self._saved[job]

    def record(self, job: Job, saved: Saved) -> Record:
        """The record of the phase in its own folder."""
        return Record(job.config, job.folder, self.host.tracker(job, self.number, saved))

    def reported(self, job: Job, step: int, values: Mapping[str, float]) -> bool:
        """False: pretraining is not pruned."""
        return False

    def offered(self, trials: Callable[[], list[Training]], last: bool) -> None:
        """Writes the phase's checkpoints where they are due."""
        self.checkpoints.offered(trials, self.raw, last)

    def ended(self, job: Job, record: Record, pruned: bool) -> None:
        """Keeps the phase's results and weights, unless the user has stopped it."""
        if any(result.status == "KILLED" for result in record.results.values()):
            record.abort("KILLED", "stopped")
            return
        self.host.ended(job, self.number, record, self.data)
        self.weights[job] = {
            member: result.weights if result.best_epoch else not_finite(result.weights)
            for member, result in record.results.items()
        }
        self.host.kept(self.parents[job])
        self.checkpoints.remove(job)


def _job(job: Job, number: int) -> Job:
    """The trial's phase as a trial of its own, in a folder inside the trial's."""
    config, name = phases(job.config)[number], phase_name(number)
    left = [folder / name for folder in (job.folder, *job.goes_on)]
    return Job(config, job.folder / name, job.overrides, job.number, f"{job.label} {name}".strip(), left)


def finished(job: Job) -> dict[int, State] | None:
    """The weights of all members of a phase that has ended in one of its folders, by number; None where none has."""
    return next((found for folder in job.goes_on if (found := _weights_in(folder, job.config)) is not None), None)


def _weights_in(folder: Path, config: RunConfig) -> dict[int, State] | None:
    try:
        members = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
        whole = all(member["status"] in ("FINISHED", "FAILED") for member in members)
        changed = [key for key in different(members[0]["config"], config) if not key.startswith((*FREE, "name"))]
        if not whole or changed or len(members) != config.members:
            return None
        states = [read_weights(folder, number) for number in range(len(members))]
    except (OSError, ValueError, LookupError, TypeError, UserError):  # no such file, or half of one
        return None
    ended = [
        state if member["best_epoch"] else not_finite(state) for state, member in zip(states, members, strict=True)
    ]
    return dict(enumerate(ended))


def not_finite(weights: State) -> State:
    """NaNs of the same shapes, for a member that has diverged: it takes no further part."""
    return {
        name: torch.full_like(value, torch.nan) if value.is_floating_point() else value
        for name, value in weights.items()
    }
