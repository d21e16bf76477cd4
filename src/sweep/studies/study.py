"""A study that is never lost: ask for a trial, report its epochs, tell how it ended; go on after any interruption.

    with open_study(settings, space, identity, print) as study:
        while asks := study.ask(count=8):
            for ask in asks:
                ...                                           # train what ask.overrides says
                if study.report(ask, epoch, score):        # the pruner has seen enough
                    study.tell(ask, "PRUNED", attrs=attrs)
            study.tell(ask, "COMPLETE", [score], attrs)

A *place* (0 ... n_trials - 1) is a number in the budget; each attempt to train it is a trial of Optuna's, with a number
of its own. A process that asks for trials holds the study's lock (lock.py) while it reads what other processes have
done (study_cache.py), ends the running trials of processes that are gone (worker.py), takes the next place (places.py)
and writes the new trial in one transaction (store.py). If it is killed before that transaction, nothing has happened;
if it is killed after it, the trial is a running one without a living worker, which the next to ask will end. A trial's
end is one transaction too, and only a trial that still runs can end: where another process has taken its place over, a
late result is not used. So at any moment every place has at most one trial that counts.
"""

import copy
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from src.config.wording import number_of
from src.sweep.space import identity as identities
from src.sweep.space.grid_points import GridPoints, total
from src.sweep.space.settings import StudySettings
from src.sweep.space.space import Space
from src.sweep.studies.halving import RUNG, Halving
from src.sweep.studies.lock import Lock, study_lock
from src.sweep.studies.places import NextTrial, Places, is_killed
from src.sweep.studies.samplers import make_pruner, make_sampler, quiet, reseed, sampling
from src.sweep.studies.store import Store, connect
from src.sweep.studies.study_cache import StudyCache
from src.sweep.studies.worker import BEAT_SECONDS, HEARTBEAT_SECONDS, Pulse, Worker, lives

REFRESH_SECONDS = 2.0  # a report looks for other processes' news this often, and reports are written within it

State = Literal["COMPLETE", "PRUNED", "FAIL", "KILLED"]
Kind = Literal["COMPLETE", "PRUNED", "FAIL", "KILLED", "RUNNING"]
Entry = tuple[int, list[float], dict[str, Any]]  # place, a value for each objective, params

_TAKEN = "trial {}: another process had taken it over, so this result is not used"

# Optuna's system attributes of a trial that belong to one attempt; the next one starts without them.
_OF_ONE_ATTEMPT = (RUNG, "constraints", "fixed_params")


@dataclass(frozen=True)
class Ask:
    """A trial to be trained."""

    number: int  # Optuna's
    place: int
    attempt: int  # how often a trial in this place was killed before
    params: dict[str, Any]  # key -> value as Optuna stores it
    overrides: list[str]  # the params as overrides for Hydra
    repeats: bool = False  # whether it has the parameters of the attempt before
    left: tuple[str, ...] = ()  # folders of earlier attempts that may hold a checkpoint, the latest first


@dataclass(frozen=True)
class Latest:
    """The latest trial of a place, with all that the study keeps about it."""

    place: int
    kind: Kind
    params: dict[str, Any]  # key -> value as Optuna stores it
    attrs: dict[str, Any]
    feasible: bool  # whether it keeps the constraints, as far as they are known


@dataclass(frozen=True)
class Counts:
    """How many trials ended in which way, all attempts counted, and how many places of the budget are done."""

    complete: int
    pruned: int
    failed: int  # raised
    killed: int  # trials whose process ended first, whether or not their place was asked again
    running: int
    places_done: int
    places_left: int  # the running ones included


def open_study(
    settings: StudySettings, space: Space, identity: Mapping[str, Any], say: Callable[[str], None], command: str = ""
) -> "Study":
    """The study `settings.study_name`: made, or taken up where it stopped.

    identity: what its trials share beyond the settings (fixed configuration, data set), JSON-able. say: takes one line
    for the user. command: what one types to go on with the study. Raises ConfigError where the study was made with
    other settings (they are shown), UserError where the store cannot be opened.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = connect(settings.storage)
    lock = study_lock(settings.storage, settings.study_name)
    try:
        with lock:
            study_id, uid = identities.agree(storage, settings, space, dict(identity), command)
            return Study(settings, space, Store(storage, study_id), lock, uid, say)
    except BaseException:
        storage.engine.dispose()
        lock.close()
        raise


class Study:
    """A study as one process works on it, from one thread. `open_study` makes it, while it holds the study's lock."""

    def __init__(
        self,
        settings: StudySettings,
        space: Space,
        store: Store,
        lock: Lock,
        uid: str,
        say: Callable[[str], None],
    ) -> None:
        self.settings = settings
        self.space = space
        self.total = total(settings, space)  # places
        self.uid = uid  # the same in every process and after every interruption
        self.reaped: list[int] = []  # numbers of trials without a living worker that were ended here; grows in `ask`
        self._store = store
        self._lock = lock
        self._say = say
        self._worker = Worker()
        self._first = space.first(settings.first)
        self._points = GridPoints(settings, space) if settings.sampler == "grid" else None
        self._signs = [1 if direction == "maximize" else -1 for direction in settings.directions]
        by_objectives = settings.pruner == "asha" and not settings.follows_score
        self._halving = Halving(settings.pruner_options, self._signs) if by_objectives else None
        self._opened = time.monotonic()
        self._mine: dict[int, optuna.Trial] = {}  # trials that run in this process, by number
        self._steps: dict[int, set[int]] = {}  # steps that these have reported, by number
        self._identifiers: dict[int, int] = {}  # a trial's number -> its identifier in the store
        self._load()
        self._reap()
        self.resumed = len(self._cache) > 0
        if self.resumed:
            self._say(self._welcome())
        if (beyond := len(self._first) - self.total) > 0:
            words = f"{number_of(beyond, 'trial')} at the end of hydra.sweeper.first"
            self._say(f"study {settings.study_name} has room for {self.total}: {words} will not run")
        self._beaten = time.monotonic()
        self._pulse = Pulse(self._beat, REFRESH_SECONDS)

    def _welcome(self) -> str:
        again = f", {len(self.reaped)} that were left running are asked again" if self.reaped else ""
        return f"study {self.settings.study_name} goes on: {self._done()} are done{again}"

    def _done(self) -> str:
        """How far the study is, such as "12 of 20 trials" or "44 trials, more than n_trials=10,"."""
        over, total = self._places.over, self.total
        done = f"{self._places.done(total)} of {total} trials"
        return done if over <= total else f"{number_of(over, 'trial')}, more than n_trials={total},"

    # --- a trial's beginning ------------------------------------------------------------------------------------------

    def ask(self, count: int, waits: bool = False) -> list[Ask]:
        """At most `count` new trials to train, killed ones first; fewer, or none, where the budget is used up.

        An error while a trial begins ends the list there; it is raised where no trial has begun before. waits: the
        trials wait first; until `note` says {"waits": False}, they are not blamed where their process dies.
        """
        asks: list[Ask] = []
        if count < 1:
            return asks
        with self._lock:
            self.refresh()
            self._reap()
            while len(asks) < count and not self._budget_spent() and (next_trial := self._places.next(self.total)):
                try:
                    asks.append(self._start(next_trial, {"waits": True} if waits else {}))
                except Exception:
                    if not asks:
                        raise
                    break
        return asks

    def _start(self, next_trial: NextTrial, attrs: Mapping[str, Any]) -> Ask:
        attrs = {"place": next_trial.place, "attempt": next_trial.attempt, "worker": self._worker.as_json(), **attrs}
        attrs |= {"fruitless": next_trial.fruitless} if next_trial.attempt else {}
        if next_trial.repeated:
            attrs |= ({"left": list(next_trial.left)} if next_trial.left else {}) | (
                {"further": True} if next_trial.further else {}
            )
        self._cache.enqueue(self._fixed(next_trial), attrs, _notes_to_repeat(next_trial.repeated))
        try:
            trial = self._study.ask()
            number = trial.number
            reseed(self._study.sampler, [self.settings.seed, number])
            with sampling(self._study.sampler):
                params = self.space.suggest(trial)
            overrides = self.space.overrides(params)
            begun = copy.copy(self._cache.get_trial(number))
            begun.system_attrs = self._cache.take_notes(number)
            identifier, stored = self._store.add(begun, self._cache.take_study_notes())
        except BaseException:
            self._stale = True  # a trial that never began must not stay in the cache
            self._load()
            raise
        self._mine[stored] = trial
        if stored == number:
            self._identifiers[number] = self._last = identifier
            self._saw(self._cache.get_trial(number))
        else:
            self._load()  # another program has added a trial without the lock
        return Ask(
            stored,
            next_trial.place,
            next_trial.attempt,
            params,
            overrides,
            next_trial.repeated is not None,
            next_trial.left,
        )

    def _fixed(self, next_trial: NextTrial) -> dict[str, Any]:
        """The parameters of the next trial that are not sampled (repeated, fixed or of a grid): name -> value."""
        if next_trial.repeated is not None:
            return dict(next_trial.repeated.params)
        # Every attempt of such a place has them; keys that `first` leaves out are sampled.
        wanted = self._first[next_trial.place] if next_trial.place < len(self._first) else {}
        if self._points is None:
            return wanted
        return self._points.next((trial.params for trial in self._places.latest.values()), wanted)

    # --- while it runs ------------------------------------------------------------------------------------------------

    @property
    def prunes_by_objectives(self) -> bool:
        """Whether trials are ended by several objectives, or by another one than the score: `report` then needs all."""
        return self._halving is not None

    def report(self, ask: Ask, step: int, value: float, objectives: Sequence[float] = ()) -> bool:
        """Takes the validation score of a running trial in an epoch (`step`, from 1); True: end it, and tell PRUNED.

        objectives: what each of the study's objectives is after that epoch, where `prunes_by_objectives`.
        A step that was reported before is ignored. Samplers see reports only where the score is the only objective.
        True as well where another process has taken the place over.
        """
        if time.monotonic() - self._looked > REFRESH_SECONDS:
            self._catch_up()
        if self._is_taken(ask):
            return True
        steps = self._steps.setdefault(ask.number, set())
        if step in steps:
            return False
        steps.add(step)
        prune = False
        if self.settings.follows_score:
            with quiet() if self.settings.pruner == "wilcoxon" else nullcontext():
                self._mine[ask.number].report(value, step)
                prune = bool(self._mine[ask.number].should_prune())
        elif self._halving:
            trial = self._cache.get_trial(ask.number)
            notes, prune = self._halving.judged(trial, step, objectives, self._cache.all())
            for name, noted in notes.items():
                self._cache.set_trial_system_attr(ask.number, name, noted)
        self._store.queue(self._identifiers[ask.number], step, value, self._cache.take_notes(ask.number))
        return prune

    def _is_taken(self, ask: Ask) -> bool:
        return ask.number not in self._mine and is_killed(self._cache.get_trial(ask.number))

    def note(self, ask: Ask, attrs: Mapping[str, Any]) -> None:
        """Writes user attributes of a running trial, such as the folder that it writes to. Raises StoreError."""
        self._store.note(self._identifiers[ask.number], attrs)

    def _beat(self) -> None:
        """Writes heartbeats, where they are due, and what is queued; called again and again in the pulse's thread."""
        living: list[int] = []
        if time.monotonic() - self._beaten >= BEAT_SECONDS:
            self._beaten = time.monotonic()
            living = [self._identifiers[number] for number in list(self._mine) if number in self._identifiers]
        self._store.beat(living)

    # --- its end ------------------------------------------------------------------------------------------------------

    def tell(self, ask: Ask, state: State, values: list[float] | None = None, attrs: Mapping[str, Any] = {}) -> bool:
        """Ends a trial, with all that is to be kept about it; False where another process has taken its place over.

        COMPLETE needs a value for each objective, none of them NaN, and in `attrs` what the constraints name beyond
        them. The value of a PRUNED trial is the last one reported. FAIL: it raised. KILLED: it was interrupted, and its
        place will be asked again; with `stopped` in attrs the trial is not to blame for it. False: the result is not
        used, and `say` says so. After an error, such as StoreError where the store does not answer, nothing has
        changed: the trial still runs here and may be told again.
        """
        if self._is_taken(ask):
            self._say(_TAKEN.format(ask.place))
            return False
        with self._cache.unchanged_by_errors(ask.number):
            counts = self._end(ask, state, values, attrs)
        self._mine.pop(ask.number, None)
        self._steps.pop(ask.number, None)
        if not counts:
            self._say(_TAKEN.format(ask.place))
        return counts

    def _end(self, ask: Ask, state: State, values: list[float] | None, attrs: Mapping[str, Any]) -> bool:
        self._set_constraints(ask, state, values, attrs)
        outcome = TrialState.FAIL if state == "KILLED" else TrialState[state]
        if state == "KILLED":
            attrs = {**attrs, "killed": True}
            self._cache.set_trial_user_attr(ask.number, "killed", True)
        self._study.tell(ask.number, values if state == "COMPLETE" else None, outcome)
        ended, notes = self._cache.get_trial(ask.number), self._cache.take_notes(ask.number)
        if self._store.finish(self._identifiers[ask.number], outcome, ended.values or (), attrs, notes):
            self._saw(ended)
            return True
        self._load()
        return False

    def _set_constraints(self, ask: Ask, state: State, values: list[float] | None, attrs: Mapping[str, Any]) -> None:
        told: dict[str, float] = dict(zip(map(str, self.settings.objectives), values or (), strict=False))
        known = {**attrs, **told}
        for text, limit in zip(self.settings.constraints, self.settings.limits, strict=True):
            if limit.name in known:
                self._mine[ask.number].set_constraint(text, limit.violation(known[limit.name]))
            elif state == "COMPLETE":
                raise ValueError(f"trial {ask.place} is told without {limit.name}, which the constraint {text!r} needs")

    def close(self) -> None:
        """Ends trials that still run here as KILLED, then closes the store, the lock and the pulse."""
        try:
            for number in list(self._mine):
                attrs = self._cache.get_trial(number).user_attrs
                self.tell(Ask(number, attrs["place"], attrs["attempt"], {}, []), "KILLED")
        finally:
            self._pulse.close()
            self._worker.close()
            self._lock.close()
            self._store.close()

    def __enter__(self) -> "Study":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def refresh(self) -> None:
        """Reads what other processes have done since the last look. Raises StoreError."""
        self._load() if self._stale else self._catch_up()

    # --- the study so far ---------------------------------------------------------------------------------------------

    def counts(self) -> Counts:
        """How many trials ended in which way, and how many places are done, as of the last look into the store."""
        kinds = Counter(self._kinds.values())
        done = self._places.done(self.total)
        return Counts(
            complete=kinds["COMPLETE"],
            pruned=kinds["PRUNED"],
            failed=kinds["FAIL"],
            killed=kinds["KILLED"],
            running=kinds["RUNNING"],
            places_done=done,
            places_left=self.total - done,
        )

    def states(self) -> dict[int, Kind]:
        """Optuna's number -> how the trial ended, of all trials that a sweep has made."""
        return dict(self._kinds)

    def attrs(self, number: int) -> dict[str, Any]:
        """The user attributes of a trial by Optuna's number, read from the store. Raises StoreError."""
        return self._store.trial_attrs(self._identifiers[number])

    def latest(self) -> list[Latest]:
        """The latest trial of every place that was begun, in the order of the places. Raises StoreError."""
        attrs = {trial.number: trial.user_attrs for trial in self._store.changed(set(), -1)}
        return [
            Latest(
                place=place,
                kind=self._kinds[trial.number],
                params=self.space.params(trial.params),
                attrs=attrs.get(trial.number, {}),
                feasible=_is_feasible(trial),
            )
            for place, trial in sorted(self._places.latest.items())
        ]

    def folders(self, place: int) -> list[Path]:
        """The folders of the place's latest trial and of its earlier attempts, as far as noted; absolute paths."""
        latest = self._places.latest.get(place)
        attrs = latest.user_attrs if latest else {}
        return [Path(one).resolve() for one in (attrs.get("folder"), *attrs.get("left", [])) if one]

    def ended_with_checkpoint(self) -> list[str]:
        """The folders of trials that have ended for good and may still hold a checkpoint."""
        ended = [trial for trial in self._cache.all() if trial.state.is_finished() and not is_killed(trial)]
        return [trial.user_attrs["folder"] for trial in ended if "checkpoint" in trial.user_attrs]

    def best(self) -> Entry | None:
        """The best complete trial that keeps the constraints; None where there is none.

        Equals in the first objective are ranked by the next ones, equals in all by the lower place.
        """
        return None if self._best is None else self._entry(self._best)

    def front(self) -> list[Entry]:
        """The Pareto front: the complete trials that keep the constraints and that no other one dominates."""
        return [self._entry(trial) for trial in self._study.best_trials if trial.number in self._kinds]

    def _entry(self, trial: FrozenTrial) -> Entry:
        return trial.user_attrs["place"], list(trial.values), self.space.params(trial.params)

    def reason_to_stop(self) -> str | None:
        """Why `ask` gives no trial; None where it would give one, or where trials of this process still run."""
        if reason := self._budget_spent():
            return reason
        if self._mine or self._places.next(self.total):
            return None
        return f"the last {self.counts().running} of {self.total} trials run in another process"

    def without_value(self) -> str | None:
        """What to tell the user where no trial of the study has a value; None where one has."""
        counts = self.counts()
        if counts.complete:
            return None
        kinds = {"pruned or diverged": counts.pruned, "failed": counts.failed, "killed": counts.killed}
        kinds["running in another process"] = counts.running
        found = ", ".join(f"{number} {kind}" for kind, number in kinds.items() if number) or "none has begun"
        again = "the same command goes on" if counts.places_left else "another hydra.sweeper.study_name begins anew"
        return f"study {self.settings.study_name}: no trial has a value ({found}); {self.reason_to_stop()}; {again}"

    def _budget_spent(self) -> str | None:
        settings = self.settings
        if self._places.done(self.total) == self.total:
            if self._places.over > self.total:
                return f"{self._done()} are done"
            return f"all {self.total} trials are done" if self.total > 1 else "its one trial is done"
        if settings.target is not None and self._best is not None and self._reaches(settings.target, self._best):
            return f"target {settings.target:g} reached"
        if self._failed >= max(settings.max_failures, 1):
            return f"{number_of(self._failed, 'trial')} failed (hydra.sweeper.max_failures={settings.max_failures})"
        if settings.timeout_minutes is not None and time.monotonic() - self._opened > 60 * settings.timeout_minutes:
            return f"timeout of {settings.timeout_minutes:g} min"
        return None

    def _reaches(self, target: float, trial: FrozenTrial) -> bool:
        value: float = trial.values[0]
        return self._signs[0] * value >= self._signs[0] * target

    def _rank(self, trial: FrozenTrial) -> tuple[float, ...]:
        """A key to sort by: the better the trial, the higher."""
        values = (sign * value for sign, value in zip(self._signs, trial.values, strict=True))
        return (*values, -trial.user_attrs["place"])

    # --- what the store says ------------------------------------------------------------------------------------------

    def _load(self) -> None:
        """Reads the whole study anew from the store. Where that is silent, StoreError; nothing has changed."""
        self._store.flush()
        news = self._store.changed(set(), -1), self._store.study_attrs()
        self._cache = StudyCache(
            self.settings.study_name, [StudyDirection[one.upper()] for one in self.settings.directions]
        )
        self._places = Places(always_repeat=self._points is not None)
        self._kinds: dict[int, Kind] = {}  # by number
        self._failed = 0
        self._best: FrozenTrial | None = None
        self._others: set[int] = set()  # identifiers of trials that run, or wait, in other processes
        self._last = -1  # the highest identifier seen
        self._study: optuna.Study = optuna.load_study(
            study_name=self.settings.study_name,
            storage=self._cache,
            sampler=make_sampler(self.settings, conditional=self.space.conditional or self.space.hook is not None),
            pruner=make_pruner(self.settings),
        )
        self._take(*news)
        self._stale = False  # whether the cache holds what the store does not
        running = [number for number in self._mine if self._kinds.get(number) == "RUNNING"]
        self._mine = {number: optuna.Trial(self._study, number) for number in running}

    def _catch_up(self) -> None:
        """Reads the trials that other processes have begun or changed since the last look."""
        self._take(self._store.changed(self._others, self._last), self._store.study_attrs())
        places = {number: self._cache.get_trial(number).user_attrs["place"] for number in self._mine}
        if any(self._places.latest[place].number != number for number, place in places.items()):
            self._load()  # another process has taken this one for dead, and has begun a new attempt in its place

    def _take(self, trials: list[FrozenTrial], study_attrs: Mapping[str, Any]) -> None:
        for trial in trials:
            self._last = max(self._last, trial._trial_id)
            self._identifiers[trial.number] = trial._trial_id
            elsewhere = not trial.state.is_finished() and trial.number not in self._mine
            (self._others.add if elsewhere else self._others.discard)(trial._trial_id)
            self._cache.put(trial)
            self._saw(self._cache.get_trial(trial.number))
        self._cache.know_study(study_attrs)
        self._looked = time.monotonic()

    def _saw(self, trial: FrozenTrial) -> None:
        """Takes in a trial that is new or has changed; ignores one that another program has added."""
        if "place" not in trial.user_attrs:
            return
        self._places.see(trial)
        kind = _kind(trial)
        self._failed += (kind == "FAIL") - (self._kinds.get(trial.number) == "FAIL")
        self._kinds[trial.number] = kind
        if _may_be_best(trial) and (self._best is None or self._rank(trial) > self._rank(self._best)):
            self._best = trial

    def _reap(self) -> None:
        """Ends the running trials of workers that are gone as KILLED, so that their places are asked again."""
        left = [trial for trial in self._cache.all() if self._is_left(trial)] if self._others else []
        for trial in left:
            if self._store.finish(self._identifiers[trial.number], TrialState.FAIL, user_attrs={"killed": True}):
                self.reaped.append(trial.number)
        if left:
            self._catch_up()

    def _is_left(self, trial: FrozenTrial) -> bool:
        identifier = self._identifiers[trial.number]
        if identifier not in self._others or trial.state != TrialState.RUNNING:
            return False
        worker = trial.user_attrs.get("worker", {})
        if worker.get("token") == self._worker.token:  # begun here, but interrupted before `ask` could return it
            return True
        living = lives(worker)
        return bool(self._store.silent([identifier], HEARTBEAT_SECONDS)) if living is None else not living


def _notes_to_repeat(trial: FrozenTrial | None) -> dict[str, Any]:
    """What the sampler noted about a killed trial, as far as it holds for the next attempt; {} without such a trial."""
    notes = {} if trial is None else trial.system_attrs
    return {key: value for key, value in notes.items() if not key.startswith(_OF_ONE_ATTEMPT)}


def _kind(trial: FrozenTrial) -> Kind:
    if is_killed(trial):
        return "KILLED"
    kinds: dict[TrialState, Kind] = {
        TrialState.COMPLETE: "COMPLETE",
        TrialState.PRUNED: "PRUNED",
        TrialState.FAIL: "FAIL",
    }
    return kinds.get(trial.state, "RUNNING")


def _may_be_best(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.COMPLETE and _is_feasible(trial)


def _is_feasible(trial: FrozenTrial) -> bool:
    return all(violation <= 0 for violation in trial.constraints.values())
