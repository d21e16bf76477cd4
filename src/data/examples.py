"""The user's own examples as they were read, before they are dealt to splits; no torch, so commands are refused early.

Legend: N examples, T numbers or labels to predict.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from src.config.task import Kind
from src.data.error import DataError

MOST_CLASSES = 256
PARTS = ("train", "validation", "test")
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Examples:
    """All examples of a source, those of all parts one behind the other."""

    name: str  # of the data set, in tables and tags
    source: str  # one line: where they were read
    inputs: Any  # (N, …) uint8 or float32; of a table its columns of inputs, a DataFrame of N rows
    targets: NDArray[Any]  # classes (N,) int64, or numbers or labels (N, T) float32
    class_names: Sequence[str] = ()  # of classes that are no whole numbers from 0
    given: tuple[Rows, Rows, Rows] | None = None  # rows of the three parts that the source has; an empty one is dealt
    groups: NDArray[Any] | None = None  # (N,) rows with an equal value go to the same split
    times: NDArray[Any] | None = None  # (N,) later rows validate and test earlier ones
    weights: NDArray[np.float64] | None = None  # (N,) of each example in the cost of training, 0 or more, at any scale
    unit: str = "rows"  # what an example is, in the plural
    notes: tuple[str, ...] = ()  # what was changed in reading, a sentence each

    @property
    def classes(self) -> int:
        """The number of classes, at least 2; 2 for other targets."""
        return max(2, len(self.class_names), int(self.targets.max()) + 1) if self.targets.ndim == 1 else 2


def consecutive(counts: Sequence[int]) -> tuple[Rows, Rows, Rows]:
    """The rows of three parts of these lengths that lie one behind the other."""
    ends = np.cumsum([0, *counts])
    one, two, three = (np.arange(ends[i], ends[i + 1], dtype=np.int64) for i in range(3))
    return one, two, three


def targets_of(values: NDArray[Any], kind: Kind, where: str) -> tuple[NDArray[Any], list[str]]:
    """Targets as networks are trained on them, and the names of classes that are no whole numbers from 0.

    values: (N,) or (N, T) of any type; where: their origin in messages, such as "y of a.npz" or "the column price of".
    Raises DataError where they are not what a task of this kind needs.
    """
    if kind == "classes":
        return _classes(values, where)
    return _numbers(values, kind, where), []


def _numbers(values: NDArray[Any], kind: Kind, where: str) -> NDArray[Any]:
    columns = values.reshape(len(values), -1) if values.ndim <= 2 else values
    if columns.ndim != 2:
        raise DataError(f"{where}: has {values.ndim} dimensions; accepted: (N,) or (N, T), a row an example")
    found = _first_missing(columns)
    if found is not None:
        raise DataError(f"{where}: the target of example {found} is missing; accepted: a {kind[:-1]} for every example")
    try:
        numbers = columns.astype("float32")
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{where}: holds what is no number ({error}); accepted: {kind} for this task") from None
    if not np.isfinite(numbers).all():
        raise DataError(f"{where}: holds a number that is not finite in float32; accepted: up to 3.4e38, no inf")
    if kind == "labels" and not np.isin(numbers, (0, 1)).all():
        odd = numbers[~np.isin(numbers, (0, 1))][0]
        raise DataError(f"{where}: holds {odd:g} as a label; accepted: 0 and 1 (or true and false) in every column")
    return numbers


def _classes(values: NDArray[Any], where: str) -> tuple[NDArray[Any], list[str]]:
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise DataError(
            f"{where}: has the shape {values.shape}; accepted: one class an example, (N,); several labels an example "
            "are task=multilabel, numbers task=regress"
        )
    found = _first_missing(values)
    if found is not None:
        raise DataError(f"{where}: the target of example {found} is missing; accepted: a class for every example")
    if values.dtype.kind == "f":
        if not (np.isfinite(values).all() and (values == np.round(values)).all() and (abs(values) < 2**53).all()):
            odd = values[~(np.isfinite(values) & (values == np.round(values)))]
            raise DataError(
                f"{where}: holds {odd[0] if len(odd) else values[0]:g}, which names no class; accepted: texts or whole "
                "numbers; to predict numbers use task=regress"
            )
        values = values.astype("int64")
    elif values.dtype.kind not in "iub":
        values = values.astype(str)
    kinds, codes = np.unique(values, return_inverse=True)
    if len(kinds) < 2:
        raise DataError(f"{where}: holds one class only, {str(kinds[0])!r}; accepted: at least 2")
    if len(kinds) > MOST_CLASSES:
        raise DataError(
            f"{where}: holds {len(kinds)} classes; accepted: 2 to {MOST_CLASSES}; to predict numbers use task=regress"
        )
    if values.dtype.kind in "iu" and kinds[0] >= 0 and kinds[-1] < MOST_CLASSES and kinds[-1] < 2 * len(kinds):
        plain = bool(kinds[0] == 0)  # classes 0, 1, … stay as they are, though one may have no example
        if plain:
            return values.astype("int64"), []
    return codes.astype("int64"), [str(one) for one in kinds]


def weights_of(values: NDArray[Any], count: int, where: str) -> NDArray[np.float64]:
    """The weights of `count` examples, (N,) from (N,) or (N, 1), finite numbers of 0 or more. Raises DataError."""
    accepted = "accepted: a number of 0 or more for every example"
    if values.shape not in ((count,), (count, 1)):
        raise DataError(f"{where}: has the shape {values.shape}, and there are {count} examples; {accepted}")
    values = values.reshape(count)
    if values.dtype.kind not in "biuf":
        raise DataError(f"{where}: is of the type {values.dtype}; {accepted}")
    weights: NDArray[np.float64] = values.astype("float64")
    wrong = np.flatnonzero(~((weights >= 0) & (weights <= np.finfo("float32").max)))
    if len(wrong):
        odd = weights[wrong[0]]
        what = "the weight is missing (NaN)" if np.isnan(odd) else f"holds {odd:g}"
        raise DataError(f"{where}: {what} in example {wrong[0]} (from 0); {accepted}, at most 3.4e38")
    return weights


def _first_missing(values: NDArray[Any]) -> int | None:
    """The index of the first example with a missing value, None or NaN; None where there is none."""
    missing = values != values if values.dtype.kind == "f" else np.zeros(values.shape, bool)
    if values.dtype.kind == "O":
        import pandas as pd

        missing = pd.isna(values)
    rows = np.flatnonzero(missing.reshape(len(values), -1).any(1))
    return int(rows[0]) if len(rows) else None
