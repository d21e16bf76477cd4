"""A study as it lies in Optuna's store, read only: what the report and the list of studies are made from.

Trials carry what a sweep notes in their user attributes (place, attempt, epochs, members, …; src/sweep/). A study made
by hand, without them, is read as well: where an attribute is missing or of another kind, Optuna's own figures count.

    place    the trial's number in the study's budget, from 0, which names and tables show; every attempt has the same
    attempt  which try in its place the trial is: 0 the first time, one more after each time that it was killed
    state    COMPLETE, PRUNED, FAIL, KILLED (for Optuna a FAIL that carries `killed`), RUNNING or WAITING
    kind     the state, but DIVERGED for a PRUNED trial that carries a `reason`: so a sweep marks a trial without any
             finite validation cost

Optuna is imported when a store is read, not before.
"""

import difflib
import itertools
import math
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

from src.config import wording
from src.config.address import STUDIES, lower_scheme, masked, sqlite_path
from src.config.error import UserError
from src.config.limit import Limit
from src.config.metric import ACCURACY, Metric
from src.config.section import SEEDS
from src.config.wording import ending, locked
from src.sweep.space.settings import COST
from src.tracking.readable import readable

ATTRIBUTES = "sweepstack"  # the study's user attribute that holds its settings
FIRST_SWEEP = "python -m src.train +sweeps=quick"
FRESH_REPEATS = 5
BUSY_SECONDS = 20  # a SQLite store that another process writes to


@dataclass(frozen=True)
class Member:
    """One network of a trial; a score is None where it is not recorded, and the metric's `lost` where it diverged."""

    seed: int
    validation_score: float | None
    test_score: float | None


@dataclass(frozen=True)
class Trial:
    """One trial (one attempt at a place), as far as it went."""

    number: int  # Optuna's
    place: int
    attempt: int
    state: str
    values: list[float]  # one an objective; empty where there is none yet
    params: dict[str, Any]
    distributions: dict[str, Any]  # Optuna's
    curve: dict[int, float]  # epoch -> what was reported, finite ones only
    started: datetime | None
    ended: datetime | None
    label: str
    folder: str
    device: str
    parameters: int | None  # of one member
    max_epochs: int | None
    max_networks: int | None  # how many networks it was to train; None in older studies
    epochs: int | None  # trained, added up over all members; None where a KILLED trial has not noted it
    seconds: float | None  # for which it trained; None where a KILLED trial has not noted it
    resumed: str  # from where it went on, such as "after epoch 5": its figures include those of the attempt before
    validation_score: float | None  # mean over the members, as the sweep counts it; None in older studies
    test_score: float | None
    reason: str  # why a FAIL failed, or why a PRUNED trial diverged
    worker: dict[str, Any]
    silent: float | None  # seconds since the worker's last sign of life, None where it gave none
    members: list[Member]
    validation_cost: float | None = None  # mean over the members, as the score; None in older studies

    @property
    def value(self) -> float | None:
        """The first objective, None where it is missing or not finite."""
        return self.values[0] if self.values and math.isfinite(self.values[0]) else None

    @property
    def kind(self) -> str:
        """The state, but DIVERGED for a PRUNED trial that no other has beaten: it had no finite validation cost."""
        return ending(self.state, self.reason)


@dataclass(frozen=True)
class Study:
    """A study and its trials in the order of their numbers."""

    name: str
    storage: str
    maximised: list[bool]  # one an objective
    trials: list[Trial]
    attributes: dict[str, Any] = field(default_factory=dict)  # what the sweep noted: settings, identity, version, …

    @property
    def by_hand(self) -> bool:
        """Whether it was made by hand with Optuna, not by a sweep; its trials cannot be trained again from here."""
        return not self.attributes

    @property
    def settings(self) -> dict[str, Any]:
        """The sweeper's settings; empty for a study made by hand."""
        return _section(self.attributes, "settings")

    @property
    def identity(self) -> dict[str, Any]:
        """What all trials share beside the space (configuration, data set); empty for a study made by hand."""
        return _section(self.attributes, "identity")

    @property
    def score(self) -> Metric:
        """The metric of its trials' task; the accuracy where the study does not say."""
        return Metric.from_json(self.attributes.get("score"))

    @property
    def objectives(self) -> list[str]:
        """The names of the objectives, such as validation_accuracy; `value` where the study does not say."""
        names = self.settings.get("objectives")
        if isinstance(names, list) and len(names) == len(self.maximised):
            return [str(name) for name in names]
        count = len(self.maximised)
        return ["value"] if count == 1 else [f"value {place + 1}" for place in range(count)]

    @property
    def reports_value(self) -> bool:
        """Whether what trials report is the first objective. A sweep's trials always report their validation score."""
        return self.by_hand or self.objectives[0] == self.score.field("validation")

    @property
    def by_epoch(self) -> bool:
        """Whether trials report once an epoch; with the pruner wilcoxon they report once a repeat instead."""
        return self.settings.get("pruner") != "wilcoxon"

    def reached(self, trial: Trial) -> float | None:
        """The trial's value; of a trial that is not complete, its last report (with wilcoxon the mean of its reports).

        None where there is none, or where reports are not the first objective.
        """
        if trial.state == "COMPLETE":
            return trial.value
        if not self.reports_value or not trial.curve:
            return None
        return trial.curve[max(trial.curve)] if self.by_epoch else fmean(trial.curve.values())

    @property
    def total(self) -> int | None:
        """How many places there will be, with those begun before the budget was lowered; None: unknown."""
        return None if self._budget is None else len(self._budget.union(trial.place for trial in self.places))

    @cached_property
    def places(self) -> list[Trial]:
        """The latest attempt of every place, in the order of the places; trials that only WAIT are left out."""
        latest = dict[int, Trial]()
        for trial in self.trials:
            if trial.state != "WAITING":
                old = latest.get(trial.place)
                if old is None or (trial.attempt, trial.number) > (old.attempt, old.number):
                    latest[trial.place] = trial
        return [latest[place] for place in sorted(latest)]

    @cached_property
    def ranked(self) -> list[Trial]:
        """Complete trials with a finite value that keep all constraints, the best first.

        Of equals in the first objective the best in the next one comes first; of equals in all, the lower place.
        """
        fit = [trial for trial in self.places if trial.state == "COMPLETE" and trial.value is not None]
        fit = [trial for trial in fit if not self.broken(trial)]
        return sorted(fit, key=self._signed, reverse=True)  # which keeps the order of equals

    @property
    def best(self) -> Trial | None:
        """The first of `ranked`; None where no trial is complete."""
        return self.ranked[0] if self.ranked else None

    @property
    def published(self) -> Trial | None:
        """The fixed first trial, the setting to compare with; None where the sweep has none."""
        if not self.settings.get("first"):
            return None
        return next((trial for trial in self.places if trial.place == 0), None)

    def front(self) -> list[Trial]:
        """The Pareto front: trials that no other one dominates, the best by the first objective first."""
        front = list[Trial]()
        for trial in self.ranked:  # sorted by all objectives: a trial can only be beaten by one before it
            if not any(self._dominates(other, trial) for other in front):
                front.append(trial)
        return front

    def command(self, name: str, *more: str) -> str:
        """A command on this study, as one would type it; more: its further arguments."""
        return command(name, self.name, self.storage, *more)

    def fresh_seeds(self) -> list[str]:
        """Overrides that train a trial again with seeds that no trial of the study had."""
        used = {member.seed for trial in self.trials for member in trial.members}
        first = 100 * (max(used, default=0) // 100 + 1)
        if first + FRESH_REPEATS > SEEDS:  # none are left above: the first gap
            first = next(one for one in itertools.count(0, 100) if used.isdisjoint(range(one, one + FRESH_REPEATS)))
        return [f"repeats={FRESH_REPEATS}", f"seed={first}"]

    def _dominates(self, one: Trial, other: Trial) -> bool:
        a, b = self._signed(one), self._signed(other)
        return a != b and all(x >= y for x, y in zip(a, b, strict=True))

    def _signed(self, trial: Trial) -> list[float]:
        """The trial's values, those to be minimised with their signs changed, so that higher is better."""
        return [value if up else -value for value, up in zip(trial.values, self.maximised, strict=True)]

    def broken(self, trial: Trial) -> list[str]:
        """The constraints that a trial does not keep, such as `parameters <= 100000`; unknown figures break none."""
        constraints = self.settings.get("constraints")
        return [str(rule) for rule in constraints if _breaks(str(rule), self, trial)] if constraints else []

    def count(self) -> Counter[str]:
        """Kind -> how many places have a latest trial of that kind."""
        return Counter(trial.kind for trial in self.places)

    @property
    def left(self) -> set[int] | None:
        """The places still to be done, also those that are RUNNING or KILLED; None where the budget is unknown."""
        done = {trial.place for trial in self.places if trial.state not in ("RUNNING", "KILLED")}
        return None if self._budget is None else self._budget - done

    @property
    def _budget(self) -> set[int] | None:
        """The places of the budget at the study's latest start; None where that is unknown."""
        total = _whole(self.attributes.get("total", self.settings.get("n_trials")))
        return None if total is None else set(range(total))


def _breaks(rule: str, study: Study, trial: Trial) -> bool:
    try:
        limit = Limit.read(rule)
    except ValueError:
        return False
    noted = {"parameters": trial.parameters, "seconds": trial.seconds, COST: trial.validation_cost}
    known = (
        noted
        | {study.score.field("validation"): trial.validation_score}
        | dict(zip(study.objectives, trial.values, strict=False))
    )
    value = known.get(limit.name)
    return value is not None and limit.violation(value) > 0


def command(name: str, study: str, storage: str, *more: str) -> str:
    """A command on the study of that name in that store, as one would type it; more: its further arguments."""
    where = [] if storage == STUDIES else [f"storage={masked(storage)}"]
    return wording.command(name, f"study={study}", *more, *where)


# Reading a study from Optuna's store.


def read_study(name: str, storage: str = STUDIES) -> Study:
    """The study of that name. Raises UserError where there is no such study or no store."""
    with _opened(storage) as store:
        names = [summary.study_name for summary in store.get_all_studies()]
        if name not in names:
            raise UserError(f"study={name}: no such study in {masked(storage)}; {_others(name, names)}")
        return _study(store, name, storage)


def read_studies(storage: str = STUDIES) -> list[Study]:
    """All studies of a store, in the order of their creation. Raises UserError where there is no store."""
    with _opened(storage) as store:
        return [_study(store, summary.study_name, storage) for summary in store.get_all_studies()]


def _others(name: str, names: Sequence[str]) -> str:
    """The names of the studies that there are, in a sentence, those most like `name` first."""
    if not names:
        return f"it holds none yet. A first one: {FIRST_SWEEP}"
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    rest = [other for other in names if other not in near]
    return f"there are: {', '.join([*near, *rest])}."


@contextmanager
def _opened(storage: str) -> Iterator[Any]:
    """Optuna's storage, closed at the end. Whatever is wrong with the store becomes a UserError."""
    storage = lower_scheme(storage)
    with readable(storage) as address, _opened_at(address, storage) as store:
        yield store


@contextmanager
def _opened_at(address: str, storage: str) -> Iterator[Any]:
    """The store at `address`, where what the user calls `storage` can be read. Raises UserError, which names that."""
    _check_file(storage, sqlite_path(address))
    import optuna
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    options = {"connect_args": {"timeout": BUSY_SECONDS}} if sqlite_path(address) else {}
    try:
        if "://" not in storage:
            raise ValueError("an address has a scheme such as sqlite:///")
        store = optuna.storages.RDBStorage(address, engine_kwargs=options, skip_table_creation=True)
    except (ValueError, ImportError, RuntimeError, SQLAlchemyError, StorageInternalError) as error:
        raise UserError(
            f"storage={masked(storage)}: cannot be opened ({locked(_line(error), sqlite_path(storage))})."
        ) from None
    try:
        yield store
    except (SQLAlchemyError, StorageInternalError) as error:
        raise UserError(
            f"storage={masked(storage)}: cannot be read ({locked(_line(error), sqlite_path(storage))})."
        ) from None
    finally:
        store.remove_session()
        store.engine.dispose()


def _check_file(storage: str, path: Path | None) -> None:
    """Raises UserError for a SQLite address without a file, and a file that is not there or holds no studies."""
    if path is None:
        if storage.startswith("sqlite"):
            raise UserError(
                f"storage={masked(storage)}: names no file, and studies in memory end with their process; "
                f"accepted: sqlite:///PATH/studies.db."
            )
        return
    if not path.is_file():
        raise UserError(
            f"storage={storage}: there is no store yet. The first sweep creates it: {FIRST_SWEEP}. "
            f"Studies that are kept somewhere else: storage=sqlite:///PATH/studies.db"
        )
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)) as base:
            tables = {row[0] for row in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error as error:
        reason = locked(str(error), path)
        raise UserError(f"storage={storage}: cannot be read ({reason}); accepted: an Optuna store.") from None
    if not {"studies", "trials"} <= tables:
        raise UserError(f"storage={storage}: holds no Optuna studies; accepted: an Optuna store, such as {STUDIES}.")


def _line(error: Exception) -> str:
    """The error's text in one line; of a StorageInternalError, which does not say what is wrong, that of its cause."""
    from optuna.exceptions import StorageInternalError

    said = (isinstance(error, StorageInternalError) and error.__cause__) or error
    text = " ".join(masked(str(said)).split())
    return text if len(text) <= 200 else f"{text[:199]}…"


def _study(store: Any, name: str, storage: str) -> Study:
    from optuna.study import StudyDirection

    key = store.get_study_id_from_name(name)
    attributes, beats = _section(store.get_study_user_attrs(key), ATTRIBUTES), _beats(store)
    score = Metric.from_json(attributes.get("score"))
    return Study(
        name=name,
        storage=storage,
        maximised=[direction == StudyDirection.MAXIMIZE for direction in store.get_study_directions(key)],
        trials=[read_trial(frozen, beats, score) for frozen in store.get_all_trials(key, deepcopy=False)],
        attributes=attributes,
    )


def _beats(store: Any) -> dict[int, datetime]:
    """Optuna's id of a trial -> its worker's last heartbeat, universal time."""
    from optuna.storages._rdb.models import TrialHeartbeatModel as Beat
    from sqlalchemy import select

    with store.engine.connect() as connection:
        rows = connection.execute(select(Beat.trial_id, Beat.heartbeat))
        return {trial: beat.replace(tzinfo=UTC) for trial, beat in rows}


def read_trial(frozen: Any, beats: dict[int, datetime], score: Metric = ACCURACY) -> Trial:
    """One of Optuna's trials; beats: its id -> the worker's last heartbeat; score: of the study."""
    attrs = frozen.user_attrs
    curve = {step: float(value) for step, value in sorted(frozen.intermediate_values.items()) if math.isfinite(value)}
    members = [_member(item, score) for item in _items(attrs.get("members")) if isinstance(item, dict)]
    beat = beats.get(frozen._trial_id)
    networks = max(1, len(_items(attrs.get("seeds"))))
    killed = frozen.state.name == "FAIL" and attrs.get("killed") is True
    return Trial(
        number=frozen.number,
        place=_first_of(_whole(attrs.get("place")), frozen.number),
        attempt=_whole(attrs.get("attempt")) or 0,
        state="KILLED" if killed else frozen.state.name,
        values=[float(value) for value in frozen.values or []],
        params=dict(frozen.params),
        distributions=dict(frozen.distributions),
        curve=curve,
        started=frozen.datetime_start,
        ended=frozen.datetime_complete,
        label=_text(attrs.get("label")),
        folder=_text(attrs.get("folder")),
        device=_text(attrs.get("device")),
        parameters=_whole(attrs.get("parameters")),
        max_epochs=_whole(attrs.get("max_epochs")),
        max_networks=_whole(attrs.get("max_networks")),
        epochs=_first_of(_whole(attrs.get("epochs")), None if killed else len(curve) * networks or None),
        # A killed trial's end is when the next process noticed, perhaps days later.
        seconds=_first_of(_number(attrs.get("seconds")), None if killed else _lasted(frozen)),
        resumed=_text(attrs.get("resumed")),
        validation_score=_number(attrs.get(score.field("validation"))),
        test_score=_number(attrs.get(score.field("test"))),
        reason=_text(attrs.get("reason")),
        worker=_section(attrs, "worker"),
        silent=None if beat is None else (datetime.now(UTC) - beat).total_seconds(),
        members=members,
        validation_cost=_number(attrs.get(COST)),
    )


def _lasted(frozen: Any) -> float | None:
    """Seconds from a trial's start to its end."""
    if frozen.datetime_start is None or frozen.datetime_complete is None:
        return None
    seconds: float = (frozen.datetime_complete - frozen.datetime_start).total_seconds()
    return seconds


def _member(item: dict[str, Any], score: Metric) -> Member:
    lost = score.lost if item.get("status") == "FAILED" else None  # as in the means of src/sweep/outcome.py
    scores = (_first_of(_number(item.get(score.field(split))), lost) for split in ("validation", "test"))
    return Member(_whole(item.get("seed")) or 0, *scores)


# Attributes in a store may be of any type: each of these takes what it expects and gives a default for all else.


def _first_of(given: Any, otherwise: Any) -> Any:
    return otherwise if given is None else given


def _section(content: dict[str, Any], key: str) -> dict[str, Any]:
    value = content.get(key)
    return value if isinstance(value, dict) else {}


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
