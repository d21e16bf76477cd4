"""The mini-batches of an epoch, cut into chunks; to Lightning, a chunk is a batch.

A chunk ends where it is long enough, where the validation set is to be evaluated, and at the end of the epoch. The
result does not depend on the cuts. Legend: K members, M mini-batches in a chunk, B images in a mini-batch.
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
    """Consecutive mini-batches of an epoch, which an engine trains in one call."""

    order: Tensor  # (K or 1, M, B): the images by their index
    first_step: Tensor  # (K,): number of the first mini-batch, counted from 0 at each member's start
    epoch: int  # of the stack, from 0
    check: bool  # whether the validation set is evaluated after it
    ends_epoch: bool


class Chunks:
    """The chunks of the stack's next epoch, each time that it is iterated.

    seeds: the members' seeds in the stack's order; length: mini-batches in a chunk at most; check_every: mini-batches
    between two evaluations of the validation set.
    """

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
        """The members from the next epoch on, by position: (seed, the stack's epoch in which the member started)."""
        self.seeds, self.born = [seed for seed, _ in members], [born for _, born in members]

    def __len__(self) -> int:
        return len(self.cuts)

    def __iter__(self) -> Iterator[Chunk]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        own = [epoch - born for born in self.born]  # each member's own epoch, from 0
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
