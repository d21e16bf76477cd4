"""Over- and under-sampling: in an epoch each class is seen as often as the largest one, or as the smallest one.

The examples of a class are dealt round after round, each round all of them, permuted anew; an epoch takes as many as it
needs from where the last one stopped. So at any time no example has been taken more than once more than another of its
class, and those that an epoch leaves out come in the next ones. What an epoch takes depends on the member's seed, its
fold and the epoch's number alone. Source: X.-S. Wei, "Must Know Tips/Tricks in Deep Neural Networks" (2015).
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

STREAM = 0x5A4D  # keeps these random numbers apart from others that come from the same seed

Indices = NDArray[np.int64]


class Sampling:
    """Which training examples a member sees in an epoch.

    examples: how many, the same in all folds: of a cross-validation those of the fold where they are least.
    """

    def __init__(self, kind: Literal["over", "under"], folds: Sequence[NDArray[np.int64]]) -> None:
        """folds: the classes of each fold's training examples, (N,); without a cross-validation those of all."""
        self._classes = [[np.flatnonzero(own == name) for name in np.unique(own)] for own in folds]
        most = max if kind == "over" else min
        self.examples = min(len(own) * most(map(len, own)) for own in self._classes)

    def drawn(self, seed: int, epoch: int, fold: int) -> Indices:
        """The examples of an epoch, from 0, by their indices in the fold, class by class: (examples,)."""
        own = self._classes[fold]
        count, more = divmod(self.examples, len(own))  # more: only where another fold has fewer classes
        parts = []
        for number, members in enumerate(own):
            each = count + (number < more)
            parts.append(members[_dealt([STREAM, seed, number], len(members), epoch * each, each)])
        return np.concatenate(parts)


def _dealt(key: list[int], size: int, first: int, count: int) -> Indices:
    """The next `count` of the endless rounds of `size` examples, behind the first `first`, by their index.

    A round that is taken whole is not permuted: the epoch is, afterwards.
    """
    (begins, start), (ends, stop) = divmod(first, size), divmod(first + count, size)

    def part(number: int) -> Indices:
        return np.random.default_rng([*key, number]).permutation(size)

    if begins == ends:
        return part(begins)[start:stop]
    return np.concatenate([part(begins)[start:], np.tile(np.arange(size), ends - begins - 1), part(ends)[:stop]])
