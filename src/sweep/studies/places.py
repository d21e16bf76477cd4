"""The places of a study's budget, and which of them is trained next.

A *place* (0 ... n_trials - 1) is a number in the budget: every place is to end with one trial, and names and tables
show it as the trial's number. An *attempt* is one try to train the trial of a place, numbered from 0; a place whose
trial was killed (its process ended, or was stopped, before the trial did) is asked again as the next attempt.

The next attempt has the same parameters, and goes on from a checkpoint where there is one. But an attempt that was
killed outright (it trained, and nobody asked it to stop) and left no new checkpoint is *fruitless*; after 2 of them in
a row (5, where an earlier attempt left a checkpoint) the place gets new parameters. So a study that is killed often, or
by one of its trials, still reaches its total.
"""

from dataclasses import dataclass, field

from optuna.trial import FrozenTrial, TrialState

TRIES, TRIES_TO_GO_ON = 2, 5


@dataclass(frozen=True)
class NextTrial:
    """The place that is trained next; `repeated` is the killed trial whose parameters are taken again, None: new ones.

    fruitless: the last attempts in a row, with these parameters, that were killed outright and left no new checkpoint.
    further: whether an attempt with these parameters left one. left: folders that may hold it, the latest first.
    """

    place: int
    attempt: int = 0
    repeated: FrozenTrial | None = None
    fruitless: int = 0
    further: bool = False
    left: tuple[str, ...] = ()


@dataclass
class Places:
    """The latest trial of every place. `always_repeat`: a killed trial never gets new parameters, as in a grid."""

    always_repeat: bool = False
    latest: dict[int, FrozenTrial] = field(default_factory=dict)
    _killed: set[int] = field(default_factory=set)
    _over: set[int] = field(default_factory=set)
    _fresh: int = 0  # no place before this one is unused

    def see(self, trial: FrozenTrial) -> None:
        """Takes in a trial that is new or has changed."""
        place = trial.user_attrs["place"]
        before = self.latest.get(place)
        if before is not None and before.user_attrs["attempt"] > trial.user_attrs["attempt"]:
            return
        self.latest[place] = trial
        self._killed.discard(place)
        if is_killed(trial):
            self._killed.add(place)
        elif trial.state.is_finished():
            self._over.add(place)
        while self._fresh in self.latest:
            self._fresh += 1

    def next(self, total: int) -> NextTrial | None:
        """The next place below `total`: a killed one, else one without a trial; None where none is left."""
        killed = [place for place in self._killed if place < total]
        if killed:
            trial = self.latest[min(killed)]
            attempt = trial.user_attrs["attempt"] + 1
            fruitless, further, left = _fruitless(trial), _further(trial), _left(trial)
            if fruitless < (TRIES_TO_GO_ON if further else TRIES) or self.always_repeat:
                return NextTrial(min(killed), attempt, trial, fruitless, further, left)
            return NextTrial(min(killed), attempt, left=left)
        return NextTrial(self._fresh) if self._fresh < total else None

    @property
    def over(self) -> int:
        """How many places have ended with a trial, also those beyond a budget that was lowered."""
        return len(self._over)

    def done(self, total: int) -> int:
        """How many of the places below `total` have ended with a trial."""
        if self._fresh <= total:
            return len(self._over)
        return sum(place < total for place in self._over)


def _fruitless(trial: FrozenTrial) -> int:
    """How many attempts in a row, up to this killed one, were fruitless."""
    attrs = trial.user_attrs
    if "checkpoint" in attrs:
        return 0
    blameless = attrs.get("stopped") or attrs.get("waits")
    return int(attrs.get("fruitless", attrs["attempt"] % TRIES)) + (not blameless)


def _further(trial: FrozenTrial) -> bool:
    """Whether this attempt or one before it left a checkpoint."""
    return "checkpoint" in trial.user_attrs or "further" in trial.user_attrs


def _left(trial: FrozenTrial) -> tuple[str, ...]:
    """The trial's folder, and those of earlier attempts as long as it has written no checkpoint of its own."""
    attrs = trial.user_attrs
    own = [attrs["folder"]] if "folder" in attrs else []
    return (*own, *([] if "checkpoint" in attrs else attrs.get("left", [])))


def is_killed(trial: FrozenTrial) -> bool:
    """Whether the trial was killed: its process ended, or was asked to end, before the trial did."""
    return trial.state == TrialState.FAIL and bool(trial.user_attrs.get("killed"))
