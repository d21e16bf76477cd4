"""Measuring in interleaved rounds: each round runs every contender once, so that other load affects all of them alike.

A contender's cost is the median over the rounds, its spread the smallest and the largest value. A ratio of two
contenders is taken within each round; then its median and spread are taken likewise.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

MICRO = 1e6  # microseconds a second
MOST_STEPS = 4_000  # the most steps of a sample; with its warm-up, fewer than the 5,000 of an epoch


@dataclass(frozen=True)
class Contender:
    """A program that is measured."""

    name: str
    run: Callable[[int], float]  # trains so many mini-batches, after a warm-up, and returns the seconds they took
    members: int = 1  # networks that a step trains
    smallest: int = 16  # the fewest steps of a sample


@dataclass(frozen=True)
class Sample:
    """A quantity measured n times."""

    values: tuple[float, ...]

    @property
    def n(self) -> int:
        """The number of measurements."""
        return len(self.values)

    @property
    def median(self) -> float:
        """The median of the values."""
        return statistics.median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        """The smallest and the largest value."""
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
    """The value in about three digits: 0.123, 1.23, 12.3, 123; all digits of larger ones: 1,234."""
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:,.{int(value < 100)}f}"


def interleaved(contenders: Sequence[Contender], rounds: int, seconds: float) -> dict[str, Sample]:
    """Microseconds a step and member of every contender, by name; a sample takes about `seconds`.

    Each round begins with another contender, so that none always follows the same one.
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
    """The number of steps that take about `seconds`; a first run, which is not timed, does what is only done once."""
    contender.run(contender.smallest)
    each = contender.run(contender.smallest) / contender.smallest
    return max(contender.smallest, min(MOST_STEPS, round(seconds / each)))


@dataclass(frozen=True)
class Goal:
    """Two bounds on a ratio: the least that is required, and the goal."""

    least: float
    goal: float

    def verdict(self, ratio: float) -> str:
        """Which of the two bounds the ratio reaches, in words."""
        return "goal met" if ratio >= self.goal else "least met" if ratio >= self.least else "not met"

    def __str__(self) -> str:
        return f"{self.least:g} / {self.goal:g}"
