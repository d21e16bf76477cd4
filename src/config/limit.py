"""A constraint on a trial, such as `parameters <= 100000`: the sweep's sampler and the report read it alike."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from math import isfinite


@dataclass(frozen=True)
class Limit:
    """A figure of a trial must not be above, or not be below, a bound."""

    name: str  # of the figure
    upper: bool  # whether the value must not be above the bound
    bound: float

    @classmethod
    def read(cls, text: str, names: Collection[str] = ()) -> "Limit":
        """Such as "parameters <= 100000"; names: those that are accepted, by default any.

        Raises ValueError with what is accepted.
        """
        match = re.fullmatch(r"\s*(\w+)\s*(<=|>=)\s*(\S+)\s*", text)
        try:
            if match is None or (names and match[1] not in names) or not isfinite(float(match[3])):
                raise ValueError
            return cls(match[1], match[2] == "<=", float(match[3]))
        except ValueError:
            known = f", NAME one of {', '.join(names)}" if names else ""
            raise ValueError(f"must be NAME <= NUMBER or NAME >= NUMBER{known}") from None

    def violation(self, value: float) -> float:
        """By how much `value` breaks the limit, in Optuna's sense: not above 0 where it is kept."""
        return value - self.bound if self.upper else self.bound - value
