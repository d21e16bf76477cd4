"""Dealing examples to the training, validation and test split, as data.split says; the same in every run.

data.validation and data.test are counts, or parts of all examples where they are below 1.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from src.config.data import DataConfig
from src.config.task import Kind
from src.data.error import DataError
from src.data.examples import Examples, Rows
from src.data.folds import fold_rows

STREAM = 0xDEA1  # keeps these random numbers apart from others that come from the same seed


Deal = tuple[Rows, Rows, Rows]  # the rows of training, validation and test


def deals(examples: Examples, kind: Kind, config: DataConfig) -> list[Deal]:
    """How the examples are dealt; in a cross-validation once for each fold, with the same test rows.

    With data.outer_folds the test rows are those of fold data.outer_fold of all examples, parts of the source's own or
    not. Raises DataError where there are too few examples.
    """
    if config.outer_folds is not None:
        rest, test = _folds(examples, np.arange(len(examples.targets)), kind, config, "outer_folds")[config.outer_fold]
        examples = replace(examples, given=(rest, np.zeros(0, np.int64), test))
    train, validation, test = deal(examples, kind, config)
    if config.folds is None:
        return [(train, validation, test)]
    rows = np.sort(np.concatenate([train, validation]))
    return [(*own, test) for own in _folds(examples, rows, kind, config, "folds")]


def _folds(examples: Examples, rows: Rows, kind: Kind, config: DataConfig, key: str) -> list[tuple[Rows, Rows]]:
    """The rows that train and those that are held out, for each fold of data.KEY."""
    how, count = way(examples, kind, config), getattr(config, key)
    if how == "time":
        raise DataError(f"data.{key} = {count}: examples in the order of time have no folds; accepted: null")
    groups = examples.groups[rows] if how == "group" and examples.groups is not None else None
    own: Kind = kind if how != "random" else "numbers"
    parts = fold_rows(examples.targets[rows], own, count, config.split_seed, groups)
    return [(rows[train], rows[held]) for train, held in parts]


def deal(examples: Examples, kind: Kind, config: DataConfig) -> Deal:
    """The rows of the three splits, no row in two of them, but with data.refit those that validate train, too.

    Parts that the source has stay as they are; a missing test part is dealt from the training part, then a missing
    validation part. Training rows are in random order, or by time. Raises DataError where nothing is left to train on.
    """
    count = len(examples.targets)
    train, validation, test = examples.given or (np.arange(count), *(np.zeros(0, np.int64) for _ in range(2)))
    how = way(examples, kind, config)
    train = _ordered(train, examples, how, config.split_seed)
    whole = len(train)
    for key, part in (("test", test), ("validation", validation)):
        if len(part):
            continue
        wanted = _count(getattr(config, key), whole)
        if not 1 <= wanted < len(train):
            raise DataError(
                f"data.{key} = {getattr(config, key)}: {examples.name} has {len(train)} {examples.unit} from which to "
                f"take them, and some must be left to train on; accepted: 1 to {max(1, len(train) - 1)}, or a part "
                "below 1"
            )
        train, held = _held_out(train, wanted, examples, how)
        if key == "test":
            test = held
        else:
            validation = held
    if config.train is not None:
        if config.train > len(train):
            raise DataError(
                f"data.train = {config.train}: {examples.name} has {len(train)} training {examples.unit}; accepted: 1 "
                f"to {len(train)}, or null for all of them"
            )
        train = train[-config.train :] if how == "time" else train[: config.train]
    if config.refit:
        train = _ordered(np.sort(np.concatenate([train, validation])), examples, how, config.split_seed)
    return train, np.sort(validation), np.sort(test)


def way(examples: Examples, kind: Kind, config: DataConfig) -> str:
    """data.split; for auto by group or time where such a column is named, else stratified for classes, else random."""
    if config.split == "stratified" and kind != "classes":
        raise DataError("data.split = 'stratified': the targets are no classes; accepted: random, group or time")
    for wanted, column in (("group", examples.groups), ("time", examples.times)):
        if config.split == wanted and column is None:
            raise DataError(f"data.split = {wanted!r}: no column is named; accepted with it: data.{wanted}=COLUMN")
    if config.split != "auto":
        return config.split
    if examples.groups is not None:
        return "group"
    return "time" if examples.times is not None else ("stratified" if kind == "classes" else "random")


def _count(size: int | float | None, whole: int) -> int:
    if size is None:
        return 0
    return max(1, round(size * whole)) if isinstance(size, float) else size


def _ordered(rows: Rows, examples: Examples, how: str, seed: int) -> Rows:
    if how == "time":
        assert examples.times is not None
        return rows[np.argsort(examples.times[rows], kind="stable")]
    return np.random.default_rng([STREAM, seed]).permutation(rows)


def _held_out(rows: Rows, wanted: int, examples: Examples, how: str) -> tuple[Rows, Rows]:
    """The rows that stay and the `wanted` ones, or at least as many where groups stay together, that are held out."""
    chosen = np.zeros(len(rows), bool)
    if how == "group":
        assert examples.groups is not None
        chosen = _whole_groups(examples.groups[rows], wanted)
    elif how == "stratified":  # every len/wanted-th row of all rows by class: each class keeps its share within one row
        by_class = np.argsort(examples.targets[rows], kind="stable")
        chosen[by_class[((np.arange(wanted) + 0.5) * len(rows) / wanted).astype(int)]] = True
    else:
        chosen[-wanted:] = True
    return rows[~chosen], rows[chosen]


def _whole_groups(groups: NDArray[Any], wanted: int) -> NDArray[Any]:
    """Whole groups with `wanted` rows or some more, in the order in which groups come."""
    kinds, first, codes, sizes = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(first)
    taken = order[: int(np.searchsorted(np.cumsum(sizes[order]), wanted)) + 1]
    if len(taken) >= len(kinds):
        raise DataError(
            f"data.group: {len(kinds)} groups are left, too few to hold {wanted} rows out and leave some to train on; "
            "accepted: more groups, or smaller data.validation and data.test"
        )
    return np.isin(codes, taken)
