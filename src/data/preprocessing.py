"""From the columns of a table to what networks see: numbers standardised, categories as one-hot vectors.

    number      (value − mean) / sd      mean and sd of the training rows; a missing value is the training rows' median
    category    1 for its value, 0 for all others; "missing" is a value of its own, one that is not known all zeros

A fitted Preprocessing is plain data (`as_json`), so a run's folder is enough to apply it to a new table.
Legend: N rows, F features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from src.data.error import DataError

MOST_CATEGORIES = 256  # values of a column of texts
MISSING = "(missing)"


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers: in float64 the median that stands for a missing value, the mean and the sd."""

    name: str
    median: float
    mean: float
    sd: float  # 1 where all values are equal

    @property
    def features(self) -> list[str]:
        """The names of its features: its own."""
        return [self.name]

    def apply(self, values: Any) -> NDArray[Any]:
        """(N, 1) float64. Raises DataError for what is no number."""
        numbers = as_numbers(values, self.name)
        return ((np.where(np.isnan(numbers), self.median, numbers) - self.mean) / self.sd)[:, None]


@dataclass(frozen=True)
class CategoryColumn:
    """A column of texts with its known values, MISSING among them where one was missing."""

    name: str
    values: tuple[str, ...]

    @property
    def features(self) -> list[str]:
        """The names of its features, such as colour=red."""
        return [f"{self.name}={value}" for value in self.values]

    def apply(self, values: Any) -> NDArray[Any]:
        """(N, values) of 0 and 1."""
        known: NDArray[Any] = self.texts(values)[:, None] == np.array(self.values, dtype=object)[None]
        return known.astype("float64")

    def texts(self, values: Any) -> NDArray[Any]:
        """A column as texts (N,), MISSING where a value is missing.

        Of a table in which the column has numbers only, the 2.0 to which a missing value beside it turns a 2 is "2",
        unless "2.0" is known.
        """
        texts = as_texts(values)
        if values.dtype.kind == "f":
            short = [text.removesuffix(".0") if text not in self.values else text for text in texts]
            return np.array(short, dtype=object)
        return texts


@dataclass(frozen=True)
class Preprocessing:
    """What turns the columns of a table into features, in this order of columns."""

    columns: tuple[NumberColumn | CategoryColumn, ...]

    @property
    def features(self) -> list[str]:
        """The names of the F features."""
        return [name for column in self.columns for name in column.features]

    def apply(self, frame: Any) -> NDArray[Any]:
        """The features (N, F) float32 of a table's rows; other columns of the table are not looked at.

        Raises DataError where a column is missing, or holds texts where numbers are expected.
        """
        if missing := [column.name for column in self.columns if column.name not in frame.columns]:
            raise DataError(f"The table has no column {', '.join(missing)}, on which the networks were trained.")
        with np.errstate(over="ignore"):
            x = np.concatenate([column.apply(frame[column.name]) for column in self.columns], 1).astype("float32")
        if not np.isfinite(x).all():
            odd = self.features[int(np.flatnonzero(~np.isfinite(x).all(0))[0])]
            raise DataError(f"The column {odd} holds numbers that float32 cannot hold; accepted: up to 3.4e38.")
        return x

    def as_json(self) -> dict[str, Any]:
        """Plain values for a JSON file, from which `from_json` makes an equal Preprocessing."""
        kinds = {NumberColumn: "number", CategoryColumn: "category"}
        return {
            "columns": [
                {key: list(one) if isinstance(one, tuple) else one for key, one in asdict(column).items()}
                | {"kind": kinds[type(column)]}
                for column in self.columns
            ]
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Preprocessing":
        """The Preprocessing that `as_json` gave."""

        def column(one: Mapping[str, Any]) -> NumberColumn | CategoryColumn:
            if one["kind"] == "number":
                return NumberColumn(one["name"], one["median"], one["mean"], one["sd"])
            return CategoryColumn(one["name"], tuple(one["values"]))

        return cls(tuple(column(one) for one in content["columns"]))


def fit(frame: Any, rows: NDArray[Any], known: NDArray[Any] | None = None) -> Preprocessing:
    """The preprocessing that the rows of a table need, fitted on `rows`, the indices of the training split.

    known: the rows whose categories get a feature, by default `rows`; with the same `known` for all folds of a
    cross-validation they have the same features.
    """
    return Preprocessing(tuple(_fitted(frame[name], str(name), rows, known) for name in frame.columns))


def _fitted(
    values: Any, name: str, rows: NDArray[Any], known: NDArray[Any] | None = None
) -> NumberColumn | CategoryColumn:
    if not is_numbers(values):
        texts = as_texts(values.iloc[rows if known is None else known])
        kinds = sorted(set(texts))
        if len(kinds) > MOST_CATEGORIES:
            raise DataError(
                f"The column {name} holds {len(kinds)} different texts, such as {kinds[0]!r}; accepted: numbers, or at "
                f"most {MOST_CATEGORIES} categories; data.drop=[{name}] leaves it out."
            )
        return CategoryColumn(name, tuple(kinds))
    numbers = as_numbers(values.iloc[rows], name)
    there = numbers[~np.isnan(numbers)]
    if not len(there):
        return NumberColumn(name, 0.0, 0.0, 1.0)
    median = float(np.median(there))
    filled = np.where(np.isnan(numbers), median, numbers)
    sd = float(filled.std()) if filled.min() < filled.max() else 0.0
    return NumberColumn(name, median, float(filled.mean()), sd if sd > 0 and np.isfinite(sd) else 1.0)


def is_numbers(values: Any) -> bool:
    """Whether a column of a table is one of numbers (or of true and false), and not of categories."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    return bool(is_numeric_dtype(values.dtype) or is_bool_dtype(values.dtype))


def as_numbers(values: Any, name: str) -> NDArray[Any]:
    """A column as float64 (N,), NaN where a value is missing. Raises DataError for texts and infinite numbers."""
    try:
        numbers: NDArray[Any] = values.to_numpy(dtype="float64", na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise DataError(f"The column {name} holds what is no number: {error}; accepted: numbers.") from None
    if np.isinf(numbers).any():
        row = int(np.flatnonzero(np.isinf(numbers))[0])
        raise DataError(f"The column {name} holds {numbers[row]:g} in row {row + 1}; accepted: finite numbers.")
    return numbers


def as_texts(values: Any) -> NDArray[Any]:
    """A column as texts (N,), MISSING where a value is missing."""
    missing = values.isna().to_numpy()
    return np.array([MISSING if gone else str(one) for one, gone in zip(values, missing, strict=True)], dtype=object)


def missing_words(frame: Any) -> str:
    """Which columns have missing values and how many, in one sentence; empty where none has."""
    counts = {str(name): int(frame[name].isna().sum()) for name in frame.columns}
    said: Sequence[str] = [f"{name} {count:,}" for name, count in counts.items() if count]
    if not said:
        return ""
    more = f" and {len(said) - 8} more columns" if len(said) > 8 else ""
    return (
        f"Missing values: {', '.join(said[:8])}{more}; a number becomes the training rows' median, a category one of "
        "its own."
    )
