"""The mini-batches of an epoch, cut into chunks: what Lightning takes for its batches.

A chunk ends where it is long enough, where the validation set is to be looked at, and with the epoch. Where the cuts
fall changes nothing in the result. Legend: K members, M mini-batches in a chunk, B images in a mini-batch.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from src.data.order import orders

Order = Literal["fixed", "once", "epoch"]


@dataclass
class Chunk:
    """`order` (K or 1, M, B) picks the images; `first_step` (K,) counts mini-batches since each member's start."""

    order: Tensor
    first_step: Tensor
    epoch: int  # of the stack, from 0
    check: bool  # look at the validation set after it
    ends_epoch: bool


class Chunks:
    """Iterated once an epoch. `seeds` are the members', in the stack's order; `set_members` sets them anew."""

    def __init__(
        self, order: Order, seeds: list[int], images: int, batch_size: int, length: int, check_every: int
    ) -> None:
        self.order, self.images, self.batch_size = order, images, batch_size
        self.set_members([(seed, 0) for seed in seeds])
        self.batches = images // batch_size  # an incomplete last mini-batch is left out [network3.py]
        checks = set(range(check_every, self.batches, check_every)) | {self.batches}
        self.cuts = _cut(sorted(checks), length)
        self.checks = checks
        self.epoch = 0

    def set_members(self, members: list[tuple[int, int]]) -> None:
        """Who sits where from the next epoch on: (seed, the stack's epoch in which it starts)."""
        self.seeds, self.born = [seed for seed, _ in members], [born for _, born in members]

    def __len__(self) -> int:
        return len(self.cuts)

    def __iter__(self) -> Iterator[Chunk]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        own = [epoch - born for born in self.born]  # each member's epoch
        order = orders(self.order, self.seeds, self.images, self.batch_size, own)
        start = 0
        for end in self.cuts:
            first = torch.tensor(own) * self.batches + start
            yield Chunk(order[:, start:end], first, epoch, end in self.checks, end == self.batches)
            start = end


def _cut(ends: list[int], length: int) -> list[int]:
    """The ends of chunks of at most `length` that stop at each of `ends`."""
    cuts, start = list[int](), 0
    for end in ends:
        cuts += [*range(start + length, end, length), end]
        start = end
    return cuts
