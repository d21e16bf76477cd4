"""A constraint on a trial, such as `parameters <= 100000`, for the sweep's sampler and the report."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from math import isfinite


@dataclass(frozen=True)
class Limit:
    """The constraint that a figure of a trial is not above, or not below, a bound."""

    name: str  # of the figure
    upper: bool  # True: not above the bound; False: not below it
    bound: float

    @classmethod
    def read(cls, text: str, names: Collection[str] = ()) -> "Limit":
        """The limit that a text such as "parameters <= 100000" says; names: the accepted figures, by default any.

        Raises ValueError, whose text says what is accepted.
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
        """By how much `value` breaks the limit, as Optuna's constraints count it: 0 or less where it is kept."""
        return value - self.bound if self.upper else self.bound - value
