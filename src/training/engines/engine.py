"""What an engine is: it holds K members' weights and can train and evaluate them.

Legend: K members, M mini-batches in a chunk, B images in a mini-batch, N images, C classes, D dense layers.

Weights travel under the names of the network's state_dict with a leading member axis: `layers.0.weight`
(K, maps, C, field, field) for a convolution, (K, outputs, inputs) for a dense layer, whose inputs are ordered as torch
flattens (C, H, W); `layers.0.bias` (K, maps or outputs). The softmax layer is the last `layers.L`.

One step of one member, mini-batch number t (from 0), mean cost over the mini-batch:

    g = d cost / d w + (lambda_ / batches) · w + (l1 / batches) · sign(w)    weights; biases: first term only  (1)
    v <- momentum · v + g                                                                                          (2)
    w <- w − eta · v                                                                                               (3)

The terms with lambda_ and l1 are mostly too small for float32 to add; src/training/update/decay.py says how they count.

Dropout of dense layer d, sample b of the mini-batch, input unit u (in torch's order) of U: the input is zeroed where

    (hash(seed, t, d, b·U + u) >> 8) · 2^-24 < p                                                                   (4)

with hash(s, t, d, i) = mix(mix(mix(mix(s) ^ t) ^ d) + 0x9E3779B9·i), all modulo 2^32, and mix = lowbias32
(x ^= x>>16; x *= 0x7feb352d; x ^= x>>15; x *= 0x846ca68b; x ^= x>>16; C. Wellons, "hash prospector", 2018). t counts
from the member's first mini-batch, d from the first dense layer; so a mask depends on nothing but the member itself.
Chapter's convention: kept inputs unchanged in training, weights times (1 − p) in evaluation [N6]; inverted: kept
inputs divided by (1 − p) in training, evaluation unchanged.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


@dataclass
class Members:
    """What differs between the members of a stack."""

    lambda_: Tensor  # (K,) float32, L2
    l1: Tensor  # (K,) float32
    momentum: Tensor  # (K,) float32
    dropout: Tensor  # (K, D) float32, of each dense layer's inputs
    seed: Tensor  # (K,) int64 in 0 … 2^32 − 1

    def __len__(self) -> int:
        return len(self.seed)

    def select(self, rows: Tensor) -> "Members":
        """The members at `rows` (int64), in that order."""
        return Members(*(value[rows] for value in self.__dict__.values()))

    def joined(self, others: "Members") -> "Members":
        """These members, then the others."""
        return Members(
            *(torch.cat(pair) for pair in zip(self.__dict__.values(), others.__dict__.values(), strict=True))
        )


class Engine(Protocol):
    """K members of one structure."""

    resize_seconds: float  # what `select` costs beyond a copy, such as a new compilation

    @property
    def description(self) -> str:
        """For the run's header, such as "torch, compiled, 2 threads"."""

    def train(
        self, images: Tensor, labels: Tensor, order: Tensor, first_step: Tensor, eta: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Trains one chunk: the sum of its mini-batches' mean costs (K,) float64, and its correct answers (K,) int64.

        images (N, C, H, W) uint8, pixel value / 255 is what the network sees; labels (N,) int64; order (K or 1, M, B)
        int64 picks the images (1: the same for all members); first_step (K,) or () int64: number of the chunk's
        first mini-batch, counted from each member's own start; eta (K,) float32, in force for the whole chunk.
        """

    def evaluate(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean cost (K,) float64 and accuracy (K,) float64 of every member; a NaN counts as wrong."""

    def probabilities(self, images: Tensor) -> Tensor:
        """Softmax outputs (K, N, C) float32."""

    def weights(self) -> dict[str, Tensor]:
        """The members' weights in the canonical layout, leading axis K; read them, never write into them."""

    def velocities(self) -> dict[str, Tensor]:
        """The members' v of (2), laid out as the weights; empty where nobody has momentum. Not to be written into."""

    def load(self, weights: dict[str, Tensor], velocities: dict[str, Tensor] | None = None) -> None:
        """Replaces the members' weights; velocities start at zero, unless they are given."""

    def select(self, rows: Tensor) -> None:
        """Keeps the members at `rows` (int64), in that order."""

    def add(self, members: Members, weights: dict[str, Tensor], velocities: dict[str, Tensor] | None = None) -> None:
        """Takes new members in, behind those that are here; their velocities start at zero, unless they are given."""
