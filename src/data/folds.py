"""Cross-validation: the examples in F parts, each of which validates networks that are trained on the others.

Members of one stack have folds of their own, so that all parts are trained at once (src/data/dataset.py, `crossed`).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from src.config.task import Kind
from src.data.error import DataError
from src.data.examples import Rows


def fold_rows(
    targets: NDArray[Any], kind: Kind, folds: int, seed: int, groups: NDArray[Any] | None = None
) -> list[tuple[Rows, Rows]]:
    """For each of the folds the rows that train and those that validate, as increasing indices.

    targets: (N,) classes, whose shares are kept in every fold, or (N, T) numbers or labels, which are dealt at random;
    groups: a value for each row; rows of one group stay together. The same seed gives the same folds.
    Raises DataError where there are fewer examples, examples of a class, or groups than folds.
    """
    from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

    count = len(targets)
    if count < folds:
        raise DataError(f"data.folds = {folds}: there are {count} examples; accepted: 2 to {count}")
    if groups is not None and (kinds := len(set(groups))) < folds:
        raise DataError(f"data.folds = {folds}: there are {kinds} groups; accepted: 2 to {kinds}")
    if kind == "classes" and (rarest := int(min(np.unique(targets, return_counts=True)[1]))) < folds:
        raise DataError(
            f"data.folds = {folds}: a class has {rarest} examples only, and each fold needs one; "
            + (f"accepted: 2 to {rarest}, or more examples" if rarest > 1 else "accepted: more examples of that class")
        )
    splitter: Any
    if groups is not None:
        splitter = StratifiedGroupKFold if kind == "classes" else GroupKFold
    else:
        splitter = StratifiedKFold if kind == "classes" else KFold
    parts = splitter(folds, shuffle=True, random_state=seed).split(np.zeros(count), targets, groups)
    return [(np.sort(train), np.sort(held)) for train, held in parts]
