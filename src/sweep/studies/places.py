"""Which place of a study comes next: a budget of `n_trials` counts places, and every place ends with one trial.

A place whose trial was killed is asked again as its next attempt, with the same parameters, until two attempts in a row
were killed outright before they came any further (five, where one before them left a checkpoint); then it gets new
ones. So a study that is killed often, or by one of its trials, still reaches its total.
"""

from dataclasses import dataclass, field

from optuna.trial import FrozenTrial, TrialState

TRIES, TRIES_TO_GO_ON = 2, 5


@dataclass(frozen=True)
class NextTrial:
    """A place to be filled; `repeated` is the killed trial whose parameters are taken again.

    fruitless: attempts in a row, with these parameters, that were killed outright and left no checkpoint.
    further: one of them did leave one. left: folders of earlier attempts that may hold it, the latest first.
    """

    place: int
    attempt: int = 0
    repeated: FrozenTrial | None = None
    fruitless: int = 0
    further: bool = False
    left: tuple[str, ...] = ()


@dataclass
class Places:
    """The latest trial of every place. `always_repeat`: no attempt has parameters of its own (a grid has no others)."""

    always_repeat: bool = False
    latest: dict[int, FrozenTrial] = field(default_factory=dict)
    _killed: set[int] = field(default_factory=set)
    _over: set[int] = field(default_factory=set)
    _fresh: int = 0  # no place before this one is unused

    def see(self, trial: FrozenTrial) -> None:
        """Takes note of a trial, new or changed."""
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
        """The next place of `total` that nobody has or had; killed ones come first."""
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
        """How many places are over, those beyond a total included."""
        return len(self._over)

    def done(self, total: int) -> int:
        """How many of `total` places are over."""
        if self._fresh <= total:
            return len(self._over)
        return sum(place < total for place in self._over)


def _fruitless(trial: FrozenTrial) -> int:
    """Attempts up to this killed one that came no further."""
    attrs = trial.user_attrs
    if "checkpoint" in attrs:
        return 0
    blameless = attrs.get("stopped") or attrs.get("waits")
    return int(attrs.get("fruitless", attrs["attempt"] % TRIES)) + (not blameless)


def _further(trial: FrozenTrial) -> bool:
    """Whether this attempt or one before it left a checkpoint."""
    return "checkpoint" in trial.user_attrs or "further" in trial.user_attrs


def _left(trial: FrozenTrial) -> tuple[str, ...]:
    """The trial's folder, and those of earlier attempts unless their checkpoints have gone."""
    attrs = trial.user_attrs
    own = [attrs["folder"]] if "folder" in attrs else []
    return (*own, *([] if "checkpoint" in attrs else attrs.get("left", [])))


def is_killed(trial: FrozenTrial) -> bool:
    """Whether the trial's process ended, or was asked to end, before the trial did."""
    return trial.state == TrialState.FAIL and bool(trial.user_attrs.get("killed"))
