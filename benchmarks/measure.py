"""Interleaved rounds: each runs every contender once, so that whatever else the machine does hits all of them alike.

A contender's cost is the median over the rounds, its spread the smallest and the largest. A ratio of two is taken
within each round, then treated likewise.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

MICRO = 1e6  # microseconds a second
MOST_STEPS = 4_000  # a sample; with its warm-up fewer than an epoch's 5,000


@dataclass(frozen=True)
class Contender:
    """`run(steps)` trains so many mini-batches, after a warm-up of its own, and returns the seconds they took."""

    name: str
    run: Callable[[int], float]
    members: int = 1  # networks that a step trains
    smallest: int = 16  # steps a sample at least


@dataclass(frozen=True)
class Sample:
    """One number measured n times."""

    values: tuple[float, ...]

    @property
    def n(self) -> int:
        """How often."""
        return len(self.values)

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        """Smallest and largest."""
        return min(self.values), max(self.values)

    def __str__(self) -> str:
        """Median and spread, such as 35.1 (34.0–36.2)."""
        low, high = self.spread
        return f"{number(self.median)} ({number(low)}–{number(high)})"

    def over(self, other: "Sample") -> "Sample":
        """The ratio self : other, round by round."""
        return Sample(tuple(mine / theirs for mine, theirs in zip(self.values, other.values, strict=True)))


def threaded(threads: int, run: Callable[[int], float]) -> Callable[[int], float]:
    """`run` with torch set to so many threads."""

    def timed(steps: int) -> float:
        torch.set_num_threads(threads)
        return run(steps)

    return timed


def number(value: float) -> str:
    """Three digits that count: 0.123, 1.23, 12.3, 1,234."""
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:,.{int(value < 100)}f}"


def interleaved(contenders: Sequence[Contender], rounds: int, seconds: float) -> dict[str, Sample]:
    """Microseconds a step and member of every contender by name; a sample lasts about `seconds`.

    Each round starts with another contender, so none always follows the same one.
    """
    steps = {contender.name: _steps(contender, seconds) for contender in contenders}
    values: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for turn in range(rounds):
        start = turn % len(contenders)
        for contender in [*contenders[start:], *contenders[:start]]:
            count = steps[contender.name]
            values[contender.name].append(contender.run(count) / count / contender.members * MICRO)
    return {name: Sample(tuple(taken)) for name, taken in values.items()}


def _steps(contender: Contender, seconds: float) -> int:
    """Steps that take about `seconds`; the first, discarded run also warms up whatever is only done once."""
    contender.run(contender.smallest)
    each = contender.run(contender.smallest) / contender.smallest
    return max(contender.smallest, min(MOST_STEPS, round(seconds / each)))


@dataclass(frozen=True)
class Goal:
    """A ratio that is asked for, and one that is aimed at."""

    least: float
    goal: float

    def verdict(self, ratio: float) -> str:
        """Which of the two is met."""
        return "goal met" if ratio >= self.goal else "least met" if ratio >= self.least else "not met"

    def __str__(self) -> str:
        return f"{self.least:g} / {self.goal:g}"
