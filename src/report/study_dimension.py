"""The dimensions of a study's search space, worked out from the distributions from which its trials were sampled.

Optuna knows a dimension by its *name*; the name is a configuration's *key*, or where a key has several domains, the key
and a condition: `optim.eta when model.activation=relu` (src/sweep/space/dimension.py).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from src.sweep.studies.study_record import Study, Trial

WHEN = " when "


@dataclass(frozen=True)
class Dimension:
    """One dimension: a choice of elements, or numbers from `low` to `high` (over all trials), perhaps in log scale."""

    label: str  # Optuna's name of it, or its key where it joins several of these names
    short: str  # the label without its section, such as eta, where that is unique
    names: tuple[str, ...]  # Optuna's names that it joins
    choices: tuple[str, ...] | None  # as texts; None for numbers
    low: float = math.nan
    high: float = math.nan
    log: bool = False

    @property
    def single(self) -> bool:
        """Whether it has only one value."""
        return len(self.choices) < 2 if self.choices is not None else self.low == self.high

    @property
    def ends(self) -> tuple[float, float]:
        """The lowest and the highest number that `number` can give."""
        if self.choices is not None:
            return 0.0, float(len(self.choices) - 1)
        return self._scaled(self.low), self._scaled(self.high)

    @property
    def domain(self) -> str:
        """The possible values, in words."""
        if self.choices is not None:
            return ", ".join(self.choices)
        ends = f"{shown(self.low)} to {shown(self.high)}"
        return f"{ends}, log scale" if self.log else ends

    def within(self, trial: Trial) -> bool:
        """Whether the trial has a value of this dimension."""
        return any(name in trial.params for name in self.names)

    def value(self, trial: Trial) -> Any:
        """The trial's value, which it must have."""
        return next(trial.params[name] for name in self.names if name in trial.params)

    def number(self, trial: Trial) -> float:
        """The trial's value as a number: itself, its logarithm to base 10 in log scale, or an element's index."""
        value = self.value(trial)
        return float(self.choices.index(element(value))) if self.choices is not None else self._scaled(value)

    def fraction(self, value: float) -> float:
        """Where a number that `number` gives lies between the ends, 0…1; 0.5 where there is only one value."""
        low, high = self.ends
        return 0.5 if self.single else (value - low) / (high - low)

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.log else float(value)


def dimensions(study: Study) -> list[Dimension]:
    """The study's dimensions, one for each of Optuna's names, in the order in which trials first had them."""
    names = list(dict.fromkeys(name for trial in study.trials for name in trial.distributions))
    return [_dimension(study, name, [name], names) for name in names]


def keys(study: Study) -> list[Dimension]:
    """The study's dimensions, one for each key: several names of the same key are joined."""
    names = list(dict.fromkeys(name for trial in study.trials for name in trial.distributions))
    found = list(dict.fromkeys(key_of(name) for name in names))
    return [_dimension(study, key, [name for name in names if key_of(name) == key], found) for key in found]


def key_of(name: str) -> str:
    """The configuration's key that a dimension sets."""
    return name.split(WHEN)[0]


def _dimension(study: Study, label: str, names: Sequence[str], labels: Sequence[str]) -> Dimension:
    having = [(trial, name) for trial in study.trials for name in names if name in trial.distributions]
    known = [trial.distributions[name] for trial, name in having]
    last = [_last(other) for other in labels]
    short = _last(label) if last.count(_last(label)) == 1 else label
    if any(hasattr(one, "choices") for one in known):  # numbers of other trials count as elements too
        declared = [choice for one in known for choice in getattr(one, "choices", ())]
        values = [element(value) for value in [*declared, *(trial.params[name] for trial, name in having)]]
        return Dimension(label, short, tuple(names), tuple(dict.fromkeys(values)))
    low, high = min(one.low for one in known), max(one.high for one in known)
    return Dimension(label, short, tuple(names), None, low, high, all(one.log for one in known))


def _last(label: str) -> str:
    key, when, condition = label.partition(WHEN)
    return key.rsplit(".", 1)[-1] + when + condition


def settings(trial: Trial) -> str:
    """A trial's parameters as KEY=VALUE one after another, floats to four digits."""
    return " ".join(f"{key_of(name)}={shown(value)}" for name, value in trial.params.items())


def element(value: Any) -> str:
    """A value as overrides write it, with all its digits."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def shown(value: Any) -> str:
    """A value for a reader: floats to four digits."""
    return f"{value:.4g}" if isinstance(value, float) else element(value)
