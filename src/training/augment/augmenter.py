"""Changing the training images of a stack while it trains, as src/config/augment.py says.

A chunk is cut into pieces. While the engine trains on one of them, threads make the next one's images; both leave
Python's lock to others. What becomes of an image does not depend on cuts or threads.
Legend: K members, M mini-batches in a chunk or piece, B images in a mini-batch, N training images.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from src.config.augment import AugmentConfig, high
from src.data.dataset import Dataset, Split
from src.data.scaling import BYTE
from src.training.device import cores
from src.training.engines.engine import Engine, Sums
from src.training.stack import Member

if TYPE_CHECKING:
    from src.training.augment.strengths import Colours

PIECE_BYTES = 32 << 20  # of a piece's images at most, unless those of one mini-batch are more; two pieces are held
PIECES = 8  # of a chunk: the engine waits for the first one, and a call of it takes about as long as two steps of conv2
BLOCK = 20  # a piece's mini-batches are a multiple of it, where they are more, which is what CUDA graphs take at once
TASK_IMAGES = 500  # that a thread changes before it takes the next task


class _Own(NamedTuple):
    """A member's part of the kernel's arguments."""

    seed: np.uint32
    turns: np.ndarray  # (N,)
    strengths: np.ndarray
    colours: "Colours"


class _Piece(NamedTuple):
    """Consecutive mini-batches of a chunk, whose images are being made."""

    order: Tensor  # (K, M, B): the images by their index in the training split
    first_step: Tensor  # (K,)
    eta: Tensor  # (K,) or (K, M)
    images: Tensor  # (K·M·B or more, C, H, W) float32
    tasks: list[Future[None]]  # that make them


class Augmenter:
    """Trains an engine on changed images; where no member wants that, on the images as they are.

    dataset: that of the stack; what is changed are copies of its training images.
    threads: so many change them; None: one a core.
    """

    def __init__(self, dataset: Dataset, threads: int | None) -> None:
        self._dataset = dataset
        self._pool = ThreadPoolExecutor(threads or cores())  # starts no thread before there is a task
        self._members: list[_Own] = []
        self._images: np.ndarray | None = None  # the training images on the CPU, (N, C·H·W)
        self._turns: dict[tuple[int, ...], np.ndarray] = {}  # by half_angle
        self._colours: dict[tuple[int, bool], Colours] = {}  # by fold, and whether with components
        self._rooms: list[Tensor] = []  # two pieces' images on the CPU
        self._on_device: Split | None = None  # a piece on another device; it stays at its address

    def set_members(self, members: Sequence[Member | None]) -> None:
        """The members from now on, by their position in the engine; None: one that trains no more."""
        wanted = any(one and one.config.augment.wanted for one in members)
        self._members = [self._own(one) for one in members] if wanted else []

    @property
    def changes(self) -> bool:
        """Whether any of the members has its images changed."""
        return bool(self._members)

    def train(self, engine: Engine, split: Split, order: Tensor, first_step: Tensor, eta: Tensor) -> Sums:
        """Trains one chunk; split: the training split, the other arguments and the result are those of Engine.train."""
        if not self._members:
            return engine.train(split.inputs, split.trained_on, order, first_step, eta)
        members = len(self._members)
        every, first_step = order.expand(members, -1, -1), first_step.expand(members)
        length = self._piece_length(every, split)

        def begun(start: int) -> _Piece:
            own = eta if eta.dim() == 1 else eta[:, start : start + length]
            part = every[:, start : start + length]
            return self._begun(split, part, first_step + start, own, self._rooms[start // length % 2])

        sums, ahead = Sums(*torch.zeros(2, members, dtype=torch.float64)), [begun(0)]
        try:
            for following in range(length, every.shape[1] + length, length):
                piece = ahead[0]
                for task in piece.tasks:
                    task.result()
                ahead = [begun(following)] if following < every.shape[1] else []
                found = engine.train(*self._seen(split, piece), piece.first_step, piece.eta)
                sums = Sums(sums.cost + found.cost, sums.score + found.score)
        finally:
            wait(task for piece in ahead for task in piece.tasks)  # where the engine fails
        return sums

    def _piece_length(self, order: Tensor, split: Split) -> int:
        """The mini-batches of a piece of the chunk with this order; makes the rooms for two of them."""
        members, steps, batch = order.shape
        shape = split.inputs.shape[1:]
        length = max(1, min(-(-steps // PIECES), PIECE_BYTES // (4 * members * batch * shape.numel())))
        length = min(steps, length if length < BLOCK else -(-length // BLOCK) * BLOCK)
        images = members * length * batch
        if not self._rooms or len(self._rooms[0]) < images:
            pinned = split.inputs.device.type == "cuda"
            self._rooms = [torch.zeros(images, *shape, pin_memory=pinned) for _ in range(2)]
            self._on_device = None
        return length

    def _begun(self, split: Split, order: Tensor, first_step: Tensor, eta: Tensor, images: Tensor) -> _Piece:
        """A piece whose images threads have begun to write to `images`."""
        from src.training.augment.kernels import changed

        (members, steps, batch), shape = order.shape, tuple(split.inputs.shape[1:])
        if self._images is None:
            self._images = split.inputs.cpu().flatten(1).numpy()
        stored, orders, out = self._images, order.reshape(members, -1).numpy(), images.flatten(1).numpy()
        divisor = np.float32(BYTE if stored.dtype == np.uint8 else 1)
        size = -(-TASK_IMAGES // batch)  # mini-batches of a task

        def change(member: int, start: int) -> None:
            first, last = start * batch, min(start + size, steps) * batch
            own, when = self._members[member], int(first_step[member]) + start
            where = out[member * steps * batch :][first:last]
            which = orders[member, first:last]
            arguments = own.turns, shape, own.seed, when, batch, own.strengths, own.colours, where
            changed(stored, divisor, which, *arguments)

        every = [(member, start) for start in range(0, steps, size) for member in range(members)]
        return _Piece(order, first_step, eta, images, [self._pool.submit(change, *one) for one in every])

    def _seen(self, split: Split, piece: _Piece) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs, targets and order for the engine: the piece's images as one split, each with its own index."""
        order = torch.arange(piece.order.numel()).view(piece.order.shape)
        device = split.inputs.device
        targets = split.trained_on[piece.order.flatten().to(device)]
        if device.type == "cpu":
            return piece.images, targets, order
        if self._on_device is None:
            room = targets.new_zeros(len(piece.images), *targets.shape[1:])
            self._on_device = Split(torch.zeros_like(piece.images, device=device), room)
        self._on_device.inputs[: len(targets)].copy_(piece.images[: len(targets)])
        self._on_device.targets[: len(targets)].copy_(targets)
        return self._on_device.inputs, self._on_device.targets, order

    def _own(self, member: Member | None) -> _Own:
        from src.training.augment.strengths import colours_of, strengths_of, turns_of

        seed, fold, config = (member.seed, member.fold, member.config.augment) if member else (0, 0, AugmentConfig())
        train, classes, components = self._dataset.train, tuple(config.half_angle), high(config.colour_pca) > 0
        if classes not in self._turns:
            self._turns[classes] = turns_of(train.targets, classes)
        if (fold, components) not in self._colours:
            count = self._dataset.member_examples
            self._colours[fold, components] = colours_of(train.inputs[fold * count :][:count], components)
        own = self._turns[classes], strengths_of(config), self._colours[fold, components]
        return _Own(np.uint32(seed), *own)
