"""A copy of a study in memory, for samplers and pruners: every trial of the store, with the same numbers.

Samplers read all trials again and again; from memory that costs next to nothing. In this module a *note* is a system
attribute of Optuna's that a sampler or pruner sets on a trial or the study, such as the rungs of successive halving;
new notes are kept apart until the store writes them. A trial's identifier in here is its number.
"""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from src.sweep.studies.halving import RUNG
from src.sweep.studies.places import is_killed

STUDY = 0  # identifier of the only study

# Begins the notes of the tree estimator (TPE) about what it drew for a running trial, also for keys that the trial then
# does not have. The store has no such notes, and a study that is read anew must sample alike: so none are kept here.
_DRAWN = "tpe:"


class StudyCache(InMemoryStorage):
    """Optuna's storage in memory, which also knows which notes the store has not written yet."""

    def __init__(self, name: str, directions: list[StudyDirection]) -> None:
        super().__init__()
        self.create_new_study(directions, name)
        self._several = len(directions) > 1
        self._study_notes: dict[str, Any] = {}
        self._trial_notes: dict[int, dict[str, Any]] = {}

    def put(self, trial: FrozenTrial) -> None:
        """Takes in a trial of the store that is new or has changed. A new one must have the next number."""
        kept = copy.copy(trial)
        kept._trial_id = trial.number
        if kept.state == TrialState.WAITING:  # queued by another tool: no sampler must see it
            kept.state = TrialState.FAIL
        if is_killed(kept):  # its next attempt reports again, and must not have itself for a competitor
            kept.system_attrs = {key: one for key, one in kept.system_attrs.items() if not key.startswith(RUNG)}
        if self._several:  # samplers for several objectives take no trial with reports
            kept.intermediate_values = {}
        if trial.number == len(self):
            self._max_trial_id = trial.number
            self._trial_id_to_study_id_and_number[trial.number] = (STUDY, trial.number)
            self._studies[STUDY].trials.append(kept)
        else:
            self._set_trial(trial.number, kept)
        self._update_cache(trial.number, STUDY)

    def enqueue(self, fixed: Mapping[str, Any], user_attrs: Mapping[str, Any], notes: Mapping[str, Any]) -> None:
        """Queues the trial that the study's `ask` begins next; `fixed` are parameters that are not sampled."""
        own = {**notes, "fixed_params": dict(fixed)} if fixed else dict(notes)
        template = create_trial(state=TrialState.WAITING, user_attrs=dict(user_attrs), system_attrs=own)
        number = self.create_new_trial(STUDY, template)
        if own:
            self._trial_notes[number] = own

    def __len__(self) -> int:
        return len(self._studies[STUDY].trials)

    def all(self) -> list[FrozenTrial]:
        """All trials in the order of their numbers."""
        return self.get_all_trials(STUDY, deepcopy=False)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Called by samplers: sets a note about the study."""
        super().set_study_system_attr(study_id, key, value)
        self._study_notes[key] = value

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Called by samplers and pruners: sets a note about a trial; what was drawn for it is ignored."""
        if not key.startswith(_DRAWN):
            super().set_trial_system_attr(trial_id, key, value)
            self._trial_notes.setdefault(trial_id, {})[key] = value

    def take_study_notes(self) -> dict[str, Any]:
        """The notes about the study since the last call, which from now on count as written."""
        notes, self._study_notes = self._study_notes, {}
        return notes

    def take_notes(self, number: int) -> dict[str, Any]:
        """The notes about a trial since the last call, which from now on count as written."""
        return self._trial_notes.pop(number, {})

    @contextmanager
    def unchanged_by_errors(self, number: int) -> Iterator[None]:
        """A context: where its body raises, the trial and its notes are again what they were before."""
        trial, notes = self.get_trial(number), dict(self._trial_notes.get(number, {}))
        best = self._studies[STUDY].best_trial_id
        try:
            yield
        except BaseException:
            self._set_trial(number, trial)
            self._trial_notes[number] = notes
            self._studies[STUDY].best_trial_id = best
            raise

    def know_study(self, attrs: Mapping[str, Any]) -> None:
        """Takes in the store's notes about the study."""
        for key, value in attrs.items():
            super().set_study_system_attr(STUDY, key, value)
