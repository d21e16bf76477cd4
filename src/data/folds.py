"""Cross-validation: the examples in F parts, each of which validates networks that are trained on the others.

Members of one stack have folds of their own, so that all parts are trained at once (src/data/dataset.py, `crossed`).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from src.config.schema import DataConfig, Kind
from src.data.dataset import Dataset, Split, crossed
from src.data.error import DataError
from src.data.scaling import as_seen, fitted

Rows = NDArray[np.int64]


def fold_rows(
    targets: NDArray[Any], kind: Kind, folds: int, seed: int, groups: Sequence[Any] | None = None
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


def folded(dataset: Dataset, config: DataConfig, kind: Kind) -> Dataset:
    """The folds of a data set whose inputs need no fitting but data.normalise; the test set stays as it is.

    Training and validation examples are dealt anew. Raises DataError as `fold_rows`.
    """
    assert config.folds is not None
    inputs = torch.cat([dataset.train.inputs, dataset.validation.inputs])
    targets = torch.cat([dataset.train.targets, dataset.validation.targets])
    rows = fold_rows(targets.numpy(), kind, config.folds, config.split_seed)

    def fold(train: Rows, held: Rows) -> Dataset:
        parts = [Split(inputs[own], targets[own]) for own in map(torch.from_numpy, (train, held))]
        one = replace(dataset, train=parts[0], validation=parts[1])
        return scaled(one) if config.normalise == "channel" else one

    return crossed([fold(*own) for own in rows])


def scaled(data: Dataset) -> Dataset:
    """The data with inputs as a network sees them after a scaling that is fitted on the training split, float32."""
    scaling = fitted(data.train.inputs)
    numbers = scaling.on(torch.device("cpu"))

    def seen(split: Split) -> Split:
        x: Tensor = as_seen(split.inputs, numbers)
        return Split(x, split.targets)

    return replace(data, train=seen(data.train), validation=seen(data.validation), test=seen(data.test))
