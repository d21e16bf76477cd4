"""A table's columns as numbers, as graphs of trained networks take them: a row of float64 for a row of the table.

    number      itself; a missing value NaN
    category    the index of its value in the column's list; a missing value NaN; one that is not known UNKNOWN
Legend: N rows, D columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from src.data.error import DataError
from src.data.preprocessing import MISSING, CategoryColumn, Preprocessing, as_numbers

UNKNOWN = -1


@dataclass(frozen=True)
class Column:
    """A column by its name; values: of categories, in the order of their codes; None: numbers."""

    name: str
    values: tuple[str, ...] | None = None

    def coded(self, values: Any) -> NDArray[Any]:
        """The column of a table as numbers, (N,) float64. Raises DataError for texts where numbers are expected."""
        if self.values is None:
            return as_numbers(values, self.name)
        codes = {value: float(code) for code, value in enumerate(self.values)} | {MISSING: np.nan}
        texts = CategoryColumn(self.name, self.values).texts(values)
        return np.array([codes.get(text, UNKNOWN) for text in texts], dtype="float64")

    def as_json(self) -> dict[str, Any]:
        """Its name, its kind and, of categories, their values."""
        if self.values is None:
            return {"name": self.name, "kind": "number"}
        return {"name": self.name, "kind": "category", "values": list(self.values)}


@dataclass(frozen=True)
class Columns:
    """The columns that networks see, in this order."""

    columns: tuple[Column, ...]

    @classmethod
    def of(cls, preprocessings: Sequence[Preprocessing]) -> "Columns":
        """Every column that any of them reads, in the order of their first use; of categories all known values.

        Raises DataError where a column is one of numbers here and one of categories there.
        """
        found: dict[str, Column] = {}
        for one in [column for own in preprocessings for column in own.columns]:
            values = one.values if isinstance(one, CategoryColumn) else None
            before = found.setdefault(one.name, Column(one.name, values))
            if (before.values is None) != (values is None):
                raise DataError(f"The column {one.name} holds numbers for one network and categories for another.")
            if before.values is not None and values is not None:
                found[one.name] = Column(one.name, tuple(sorted({*before.values, *values} - {MISSING})))
        return cls(tuple(found.values()))

    @property
    def names(self) -> list[str]:
        """The columns' names."""
        return [column.name for column in self.columns]

    def coded(self, frame: Any, where: str) -> NDArray[Any]:
        """The rows of a table as numbers, (N, D) float64; its other columns are not looked at.

        where: the table in messages. Raises DataError where a column is missing, or holds texts in place of numbers.
        """
        if missing := [name for name in self.names if name not in frame.columns]:
            there = ", ".join(map(str, frame.columns[:12])) + (", …" if len(frame.columns) > 12 else "")
            raise DataError(
                f"{where}: has no column {', '.join(missing)}, on which the networks were trained; it has {there}; "
                f"accepted: a table with {', '.join(self.names)}."
            )
        try:
            return np.stack([column.coded(frame[column.name]) for column in self.columns], 1)
        except DataError as error:
            raise DataError(f"{where}: {error}") from None
