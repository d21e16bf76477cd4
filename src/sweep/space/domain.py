"""Domains, the sets of values that a swept key may take: interval, range or choice, written as in Hydra's overrides.

    interval(low, high)               a number, low <= x <= high
    int(interval(low, high))          a whole number, low <= x <= high: both ends occur
    tag(log, interval(low, high))     the same in log scale; also tag(log, int(interval(low, high)))
    range(start, stop, step)          start, start + step, ... below stop: `stop` itself never occurs, as in Hydra
    choice(a, b, c)    or    a,b,c    one of the elements: numbers, texts, true, false, null, lists, dictionaries

Optuna stores scalars only, so the value of a list or dictionary in a study is its text: `[100,100]`.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from src.sweep.space import override

SYNTAX = (
    "interval(low, high), int(interval(low, high)), tag(log, interval(low, high)), range(start, stop, step) "
    "or choice(a, b, ...)"
)

Scalar = None | bool | int | float | str

# Optuna computes low + n · step in floats: a value within this many steps of an element counts as that element.
_ROUNDING = Decimal("1e-6")
# Optuna takes a float for an element where it lies within 1e-8 steps of it. Beyond this many steps from 0, neighbouring
# floats themselves lie farther apart than that.
_STEPS_FROM_0 = 10**7


class Domain(ABC):
    """The values that one dimension may take, in the form in which Optuna stores them."""

    @abstractmethod
    def distribution(self) -> Any:
        """The domain as a distribution of Optuna's."""

    @abstractmethod
    def ends(self) -> list[Scalar]:
        """The lowest and the highest value, or all elements of a choice."""

    @abstractmethod
    def values(self) -> list[Scalar] | None:
        """All values in order; None where they are endless."""

    @abstractmethod
    def size(self) -> int | None:
        """How many values there are; None where they are endless."""

    @abstractmethod
    def encode(self, value: Any) -> Scalar:
        """`value` as Optuna stores it. Raises ValueError, which tells the rule, for a value outside the domain."""

    @abstractmethod
    def text(self) -> str:
        """The domain in the syntax above, the same for equal domains."""

    def suggest(self, trial: Any, name: str) -> Scalar:
        """A value that an Optuna trial samples under `name`, freed of the rounding errors of low + n · step."""
        from optuna.distributions import CategoricalDistribution, IntDistribution

        of = self.distribution()
        if isinstance(of, CategoricalDistribution):
            return self.encode(trial.suggest_categorical(name, of.choices))
        suggest = trial.suggest_int if isinstance(of, IntDistribution) else trial.suggest_float
        return self.encode(suggest(name, of.low, of.high, step=of.step, log=of.log))

    def written(self, value: Scalar) -> str:
        """The right side of the override KEY=VALUE that sets this value; a number with all its digits."""
        return override.written(self.encode(value))


@dataclass(frozen=True)
class Interval(Domain):
    """Numbers between two ends, both of them included."""

    low: float
    high: float
    whole: bool = False
    log: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise ValueError("both ends must be finite")
        if self.low > self.high:
            raise ValueError(f"low must not be above high: {self.low!r} > {self.high!r}")
        if self.log and self.low <= 0:
            raise ValueError(f"in log scale both ends must be above 0, not {self.low!r}")
        if self.log and self.whole and self.low < 1:
            raise ValueError("whole numbers in log scale start at 1")

    def distribution(self) -> Any:
        """Optuna's distribution."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=self.log)
        return FloatDistribution(self.low, self.high, log=self.log)

    def ends(self) -> list[Scalar]:
        """Low and high, once where they are equal."""
        return [self.low] if self.low == self.high else [self.low, self.high]

    def values(self) -> list[Scalar] | None:
        """All whole numbers; None where the interval is of floats, unless its ends are equal."""
        if self.whole:
            return list(range(int(self.low), int(self.high) + 1))
        return [self.low] if self.low == self.high else None

    def size(self) -> int | None:
        """How many whole numbers there are; None where the interval is of floats, unless its ends are equal."""
        if self.whole:
            return int(self.high) - int(self.low) + 1
        return 1 if self.low == self.high else None

    def encode(self, value: Any) -> Scalar:
        """`value` itself, as an int or a float. Raises ValueError where it lies outside the interval."""
        kind = "a whole number" if self.whole else "a number"
        fits = isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high
        if not fits or (self.whole and value != int(value)):
            raise ValueError(f"must be {kind} from {self.low!r} to {self.high!r}")
        return int(value) if self.whole else float(value)

    def text(self) -> str:
        """Such as tag(log, interval(0.001, 1.0))."""
        inner = f"interval({self.low!r}, {self.high!r})"
        inner = f"int({inner})" if self.whole else inner
        return f"tag(log, {inner})" if self.log else inner


@dataclass(frozen=True)
class Range(Domain):
    """`count` numbers from `start` in steps of `step`, in decimal arithmetic, so that multiples of 0.1 are exact."""

    start: Decimal
    step: Decimal  # above 0
    count: int
    whole: bool

    @classmethod
    def between(cls, start: float, stop: float, step: float) -> "Range":
        """The numbers of Hydra's range(start, stop, step), in rising order. Raises ValueError where there are none."""
        if not all(math.isfinite(number) for number in (start, stop, step)):
            raise ValueError("start, stop and step must be finite")
        if step == 0:
            raise ValueError("step must not be 0")
        first, end, by = (Decimal(repr(number)) for number in (start, stop, step))
        count = math.ceil((end - first) / by)
        if count < 1:
            raise ValueError("there is no value from start to below stop (stop itself never occurs)")
        whole = all(isinstance(number, int) for number in (start, stop, step))
        if not whole and max(abs(first), abs(end)) > _STEPS_FROM_0 * abs(by):
            raise ValueError(
                f"start and stop must lie within {_STEPS_FROM_0:,} steps of 0, or floats blur the elements"
            )
        return cls(first if by > 0 else first + (count - 1) * by, abs(by), count, whole)

    def _element(self, index: int) -> Scalar:
        number = self.start + index * self.step
        return int(number) if self.whole else float(number)

    def _step(self) -> Any:
        return int(self.step) if self.whole else float(self.step)

    def distribution(self) -> Any:
        """Optuna's distribution."""
        from optuna.distributions import FloatDistribution, IntDistribution

        low, high = (self._element(index) for index in (0, self.count - 1))
        kind: Any = IntDistribution if self.whole else FloatDistribution
        return kind(low, high, step=self._step())

    def ends(self) -> list[Scalar]:
        """The first and the last element."""
        return [self._element(index) for index in sorted({0, self.count - 1})]

    def values(self) -> list[Scalar] | None:
        """All elements."""
        return [self._element(index) for index in range(self.count)]

    def size(self) -> int | None:
        """How many elements there are."""
        return self.count

    def encode(self, value: Any) -> Scalar:
        """The element that `value` equals, rounding errors apart. Raises ValueError where it equals none."""
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            index = (Decimal(repr(value)) - self.start) / self.step
            if 0 <= round(index) < self.count and abs(index - round(index)) < _ROUNDING:
                return self._element(round(index))
        low, high = self._element(0), self._element(self.count - 1)
        raise ValueError(f"must be one of {low!r} to {high!r} in steps of {self._step()!r}")

    def text(self) -> str:
        """Such as range(0.0, 0.3, 0.1), whose second number is the first that no longer occurs."""
        return f"range({self._element(0)!r}, {self._element(self.count)!r}, {self._step()!r})"


@dataclass(frozen=True)
class Choice(Domain):
    """One of several elements; `stored` holds each in the form in which Optuna stores it."""

    elements: tuple[Any, ...]
    stored: tuple[Scalar, ...]

    @classmethod
    def of(cls, elements: list[Any]) -> "Choice":
        """The choice of these elements. Raises ValueError for one that no override can hold, or that occurs twice."""
        for element in elements:
            again = override.read(override.written(element))
            if again != element:
                raise ValueError(f"Hydra reads {element!r} as {again!r}")
        stored = tuple(override.written(item) if isinstance(item, list | dict) else item for item in elements)
        for index, value in enumerate(stored):
            if value in stored[:index]:
                both = [elements[stored.index(value)], elements[index]]
                raise ValueError(f"{both[0]!r} and {both[1]!r} are the same to the sampler; name each once")
        return cls(tuple(elements), stored)

    def distribution(self) -> Any:
        """Optuna's distribution."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.stored)

    def ends(self) -> list[Scalar]:
        """All elements."""
        return list(self.stored)

    def values(self) -> list[Scalar] | None:
        """All elements."""
        return list(self.stored)

    def size(self) -> int | None:
        """How many elements there are."""
        return len(self.stored)

    def encode(self, value: Any) -> Scalar:
        """The stored form of an element, which may be given in either form. Raises ValueError for any other value."""
        for known in (self.elements, self.stored):
            for element, stored in zip(known, self.stored, strict=True):
                if element == value and isinstance(element, bool) == isinstance(value, bool):
                    return stored
        raise ValueError(f"must be one of {', '.join(override.written(item) for item in self.elements)}")

    def written(self, value: Scalar) -> str:
        """The right side of the override that sets the element stored as `value`: a list is written as a list."""
        return override.written(self.elements[self.stored.index(value)])

    def text(self) -> str:
        """Such as choice(relu, [100,100]); with null, which Hydra's choice(...) cannot hold, such as relu,null."""
        texts = [override.written(item) for item in self.elements]
        return ",".join(texts) if None in self.elements else f"choice({', '.join(texts)})"


def read_domain(text: Any) -> Domain:
    """The domain that `text` describes in the syntax above. Raises ValueError, which tells the rule that it breaks."""
    from hydra.core.override_parser.types import ChoiceSweep, Glob, IntervalSweep, RangeSweep

    single = f"is one value, not a search space; accepted: {SYNTAX}"
    if not isinstance(text, str):
        raise ValueError(single)
    try:
        sweep = override.parsed(text)._value
    except ValueError as error:
        raise ValueError(f"{error}; accepted: {SYNTAX}") from None
    if isinstance(sweep, Glob):
        raise ValueError("glob(...) is not swept over here; name the options: choice(a, b)")
    if not isinstance(sweep, ChoiceSweep | IntervalSweep | RangeSweep):
        raise ValueError(single)
    if getattr(sweep, "shuffle", False):
        raise ValueError("shuffle(...) means nothing here, the sampler chooses the order")
    if sweep.tags - {"log"}:
        raise ValueError(f"no such tag: {', '.join(sorted(sweep.tags - {'log'}))}; accepted: log")
    if isinstance(sweep, IntervalSweep):
        assert sweep.start is not None
        assert sweep.end is not None
        return Interval(sweep.start, sweep.end, whole=isinstance(sweep.start, int), log="log" in sweep.tags)
    if sweep.tags:
        raise ValueError("only an interval can be in log scale")
    if isinstance(sweep, RangeSweep):
        assert sweep.start is not None
        assert sweep.stop is not None
        return Range.between(sweep.start, sweep.stop, sweep.step)
    return Choice.of([override.plain(item) for item in sweep.list])
