"""Successive halving by several objectives: after given epochs, the trials with the best trade-offs go on.

Rung r = 0, 1, … is after min_resource · reduction_factor^(min_early_stopping_rate + r) epochs. A trial that reaches a
rung is compared with those that have reached it so far, by what each one's objectives were there:

    front 0: trials that no other one dominates; front f + 1: those that trials of fronts 0 … f alone dominate      (1)
    crowding of a trial: the sum over objectives of (next above − next below) / (highest − lowest) in its front,
                         infinite for the front's ends in an objective                                              (2)

One dominates another that it is better than in some objective, and worse than in none. Sorted by (1), and in a front by
(2), the most lonely first, the first 1 / reduction_factor of the trials go on, at least one, and those equal to the
last of these.

Sources: R. Schmucker et al., "Multi-objective asynchronous successive halving" (2021), but with the order of K. Deb et
al., "A fast and elitist multiobjective genetic algorithm: NSGA-II" (2002); rungs as in optuna.pruners.
SuccessiveHalvingPruner. Legend: N trials, O objectives.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np

from src.sweep.space.options import AshaOptions

# Begins the names of the notes that say what a trial's objectives were at a rung, as those of Optuna's own pruner.
RUNG = "completed_rung_"


class Noted(Protocol):
    """A trial as Optuna keeps it: its number, and its notes."""

    number: int
    system_attrs: dict[str, Any]


class Halving:
    """Ends trials at rungs by several objectives; the same options as those of pruner=asha."""

    def __init__(self, options: Mapping[str, Any], signs: Iterable[int]) -> None:
        """signs: of each objective 1 where higher is better, -1 where lower is. min_resource "auto" is one epoch."""
        self.options, self.signs = AshaOptions.model_validate(options), np.array(list(signs), float)

    def rung_epochs(self, rung: int) -> int:
        """After how many epochs a rung is."""
        own = self.options
        first = 1 if own.min_resource == "auto" else own.min_resource
        return first * int(own.reduction_factor ** (own.min_early_stopping_rate + rung))

    def judged(
        self, trial: Noted, epoch: int, values: Iterable[float], others: Iterable[Noted]
    ) -> tuple[dict[str, list[float]], bool]:
        """The notes to keep about a trial after this epoch, and whether it ends here.

        values: its objectives now; others: all trials of the study, whether or not this one is among them. A trial with
        an objective that is no finite number ends at the next rung, and is not compared with others.
        """
        own, notes = [float(value) for value in values], dict[str, list[float]]()
        while epoch >= self.rung_epochs(rung := _rungs(trial, notes)):
            if not np.isfinite(own).all():
                return notes, True
            name = f"{RUNG}{rung}"
            notes[name] = own
            there = [
                one.system_attrs[name] for one in others if name in one.system_attrs and one.number != trial.number
            ]
            if not self.is_among_the_first(np.array([*there, own])):
                return notes, True
        return notes, False

    def is_among_the_first(self, values: np.ndarray) -> bool:
        """Whether the last of the trials with these objectives (N, O) at a rung goes on."""
        own = self.options
        if len(values) <= own.bootstrap_count:
            return False
        costs = -self.signs * values
        ranks = fronts(costs)
        before, front = int((ranks < ranks[-1]).sum()), np.flatnonzero(ranks == ranks[-1])
        lonely = crowding(costs[front])
        lonelier = int((lonely > lonely[-1]).sum())  # the last trial is the last of its front
        return before + lonelier < max(1, len(values) // own.reduction_factor)


def _rungs(trial: Noted, notes: Mapping[str, Any]) -> int:
    """How many rungs the trial has reached."""
    return sum(name.startswith(RUNG) for name in {**trial.system_attrs, **notes})


def fronts(costs: np.ndarray) -> np.ndarray:
    """The number of each trial's front by equation (1), (N,) int; costs (N, O), of which lower ones are better."""
    no_worse = np.all(costs[:, None] <= costs[None], axis=2)  # (N, N): the trial of the row than that of the column
    dominates = no_worse & ~no_worse.T
    ranks, left, front = np.zeros(len(costs), int), np.ones(len(costs), bool), 0
    while left.any():
        free = left & ~np.any(dominates[left], axis=0)
        ranks[free] = front
        left, front = left & ~free, front + 1
    return ranks


def crowding(costs: np.ndarray) -> np.ndarray:
    """Equation (2) for the trials of one front, (N,); costs (N, O). Objectives in which all are equal do not count."""
    total = np.zeros(len(costs))
    for column in costs.T:
        order = np.argsort(column, kind="stable")
        ordered = column[order]
        if ordered[0] == ordered[-1]:
            continue
        total[order[1:-1]] += (ordered[2:] - ordered[:-2]) / (ordered[-1] - ordered[0])
        total[(column == ordered[0]) | (column == ordered[-1])] = np.inf
    return total
