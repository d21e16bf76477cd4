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
    if groups is not None:
        return _of_groups(targets, groups, kind, folds, seed)
    held = _stratified(targets, folds, seed) if kind == "classes" else _random(count, folds, seed)
    return [(np.flatnonzero(held != fold), np.flatnonzero(held == fold)) for fold in range(folds)]


def _of_groups(
    targets: NDArray[Any], groups: NDArray[Any], kind: Kind, folds: int, seed: int
) -> list[tuple[Rows, Rows]]:
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    splitter = (StratifiedGroupKFold if kind == "classes" else GroupKFold)(folds, shuffle=True, random_state=seed)
    parts = splitter.split(np.zeros(len(targets)), targets, groups)
    return [(np.sort(train), np.sort(held)) for train, held in parts]


# The two below deal as scikit-learn's KFold and StratifiedKFold with shuffle=True do, row for row: importing these
# takes a second, a tenth of a whole study of small networks.


def _random(count: int, folds: int, seed: int) -> Rows:
    """The fold that holds each row out, (N,)."""
    rows = np.arange(count)
    np.random.RandomState(seed).shuffle(rows)
    held = np.empty(count, np.int64)
    held[rows] = np.repeat(np.arange(folds), [count // folds + (fold < count % folds) for fold in range(folds)])
    return held


def _stratified(targets: NDArray[Any], folds: int, seed: int) -> Rows:
    """The fold that holds each row out, (N,); of each class every fold has the same number within one."""
    _, first, codes = np.unique(targets, return_index=True, return_inverse=True)
    classes = np.argsort(np.argsort(first))[codes]  # numbered as they appear
    ordered, random = np.sort(classes), np.random.RandomState(seed)
    shares = [np.bincount(ordered[fold::folds], minlength=len(first)) for fold in range(folds)]
    held = np.empty(len(targets), np.int64)
    for number, share in enumerate(np.transpose(shares)):
        own = np.repeat(np.arange(folds), share)
        random.shuffle(own)
        held[classes == number] = own
    return held
