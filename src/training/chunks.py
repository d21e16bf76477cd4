"""The mini-batches of an epoch, cut into chunks; to Lightning, a chunk is a batch.

A chunk ends where it is long enough, where a member looks at the validation set, and at the end of the epoch. The
result does not depend on the cuts. Legend: K members, M mini-batches in a chunk, B images in a mini-batch.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from src.data.order import orders
from src.data.sampling import Sampling

Order = Literal["fixed", "once", "epoch"]


@dataclass
class Chunk:
    """Consecutive mini-batches of an epoch, which an engine trains in one call."""

    order: Tensor  # (K or 1, M, B): the images by their index
    first_step: Tensor  # (K,): number of the first mini-batch, counted from 0 at each member's start
    epoch: int  # of the stack, from 0
    check: bool  # whether a member looks at the validation set after it; true at the end of an epoch
    ends_epoch: bool

    @property
    def done(self) -> list[int]:
        """The mini-batches of each member at the chunk's end, counted from its own start."""
        return (self.first_step + self.order.shape[1]).tolist()


class Chunks:
    """The chunks of the stack's next epoch, each time that it is iterated; how many they are differs by epoch.

    seeds: the members' seeds in the stack's order; images: the examples that a member has, which lie one fold behind
    the other; length: mini-batches in a chunk at most; check_every: mini-batches between two looks of a member at the
    validation set, counted from its own start; watched: whether the mini-batch before each look is a chunk of its own;
    sampling: which of its examples a member sees in an epoch, None: each one once.
    """

    def __init__(
        self,
        order: Order,
        seeds: list[int],
        images: int,
        batch_size: int,
        length: int,
        check_every: int,
        watched: bool = False,
        sampling: Sampling | None = None,
    ) -> None:
        self.order, self.images, self.batch_size, self.sampling = order, images, batch_size, sampling
        self.set_members([(seed, 0, 0) for seed in seeds])
        self.seen = sampling.examples if sampling else images  # in an epoch
        self.batches = self.seen // batch_size  # an incomplete last mini-batch is left out [network3.py]
        self.length, self.check_every, self.watched = length, check_every, watched
        self.epoch = 0

    def set_members(self, members: list[tuple[int, int, int]]) -> None:
        """The members from the next epoch on, by position: (seed, the stack's epoch in which it started, fold)."""
        self.seeds, self.born, self.folds = map(list, zip(*members, strict=True))
        self.first = torch.tensor(self.folds)[:, None, None] * self.images  # where the fold's examples begin, (K, 1, 1)
        # Each member's: a chunk ends after every so many of its mini-batches; 0: it need not.
        self.stops = [0] * len(members)

    @property
    def several(self) -> bool:
        """Whether an epoch may be of several chunks."""
        shortest = min([self.length, self.check_every, *filter(None, self.stops)])
        return shortest < self.batches or (self.watched and self.batches > 1)

    def __iter__(self) -> Iterator[Chunk]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        own = [epoch - born for born in self.born]  # each member's own epoch, from 0
        drawn = list(map(self.sampling.drawn, self.seeds, own, self.folds)) if self.sampling else None
        order = orders(self.order, self.seeds, self.seen, self.batch_size, own, drawn)
        order = order + self.first if self.first.any() else order
        checks = self._checks(own)
        start = 0
        before = {check - 1 for check in checks} - {0} if self.watched else set()
        for end in _cut(sorted(checks | before | self._stops(own)), self.length):
            first = torch.tensor(own) * self.batches + start
            yield Chunk(order[:, start:end], first, epoch, end in checks, end == self.batches)
            start = end

    def _checks(self, own: list[int]) -> set[int]:
        """Where members look at the validation set in their epochs `own`, in mini-batches from the epoch's start."""
        return self._each({(epoch, self.check_every) for epoch in own}) | {self.batches}

    def _stops(self, own: list[int]) -> set[int]:
        """Where chunks end for members with `stops`."""
        return self._each({(epoch, every) for epoch, every in zip(own, self.stops, strict=True) if every})

    def _each(self, members: set[tuple[int, int]]) -> set[int]:
        """The multiples of a number of mini-batches, from a member's start, within its epoch: (epoch, number)."""
        firsts = {(every - epoch * self.batches % every, every) for epoch, every in members}
        return {look for first, every in firsts for look in range(first, self.batches, every)}


def _cut(ends: list[int], length: int) -> list[int]:
    """The ends of chunks of at most `length` that stop at each of `ends`."""
    cuts, start = list[int](), 0
    for end in ends:
        cuts += [*range(start + length, end, length), end]
        start = end
    return cuts
