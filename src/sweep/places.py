"""Which place of a study comes next: a budget of `n_trials` counts places, and every place ends with one trial.

A place whose trial was killed is asked again as its next attempt, with the same parameters, until two attempts in a row
were killed outright before they came any further; then it gets new ones. So a study that is killed often, or by one of
its trials, still reaches its total.
"""

from dataclasses import dataclass, field

from optuna.trial import FrozenTrial, TrialState

TRIES = 2


@dataclass(frozen=True)
class Spot:
    """A place to be filled; `repeated` is the killed trial whose parameters are taken again.

    fruitless: attempts in a row, with these parameters, that were killed outright and left no checkpoint.
    checkpoint: the folder of the latest one in this place; whoever repeats no parameters has no use for it.
    """

    place: int
    attempt: int = 0
    repeated: FrozenTrial | None = None
    fruitless: int = 0
    checkpoint: str | None = None


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

    def next(self, total: int) -> Spot | None:
        """The next place of `total` that nobody has or had; killed ones come first."""
        killed = [place for place in self._killed if place < total]
        if killed:
            trial = self.latest[min(killed)]
            attempt = trial.user_attrs["attempt"] + 1
            fruitless, checkpoint = _fruitless(trial), _checkpoint(trial)
            if fruitless < TRIES or self.always_repeat:
                return Spot(min(killed), attempt, trial, fruitless, checkpoint)
            return Spot(min(killed), attempt, checkpoint=checkpoint)
        return Spot(self._fresh) if self._fresh < total else None

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


def _checkpoint(trial: FrozenTrial) -> str | None:
    """The folder of the latest one up to this trial."""
    return trial.user_attrs.get("checkpoint") or trial.user_attrs.get("goes_on")


def is_killed(trial: FrozenTrial) -> bool:
    """Whether the trial's process ended, or was asked to end, before the trial did."""
    return trial.state == TrialState.FAIL and bool(trial.user_attrs.get("killed"))
