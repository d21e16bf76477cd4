"""What an engine is: it holds K members' weights and can train and evaluate them.

Legend: K members, M mini-batches in a chunk, B images in a mini-batch, N images, C classes, D dense layers.

Weights travel under the names of the network's state_dict with a leading member axis: `layers.0.weight`
(K, maps, C, field, field) for a convolution, (K, outputs, inputs) for a dense layer, whose inputs are ordered as torch
flattens (C, H, W); `layers.0.bias` (K, maps or outputs). The softmax layer is the last `layers.L`. What a layer's parts
learn or keep follows under their kind, such as `layers.0.norm.running_mean` (K, maps or outputs).

One step of one member under SGD, mini-batch number t (from 0), mean cost over the mini-batch:

    g = d cost / d w + (lambda_ / batches) · w + (l1 / batches) · sign(w)    weights; biases: first term only  (1)
    v <- momentum · v + g                                                                                          (2)
    w <- w − eta · v                                                                                               (3)

The terms with lambda_ and l1 are mostly too small for float32 to add; src/training/update/decay.py says how they count.
src/training/update/numbers.py is what holds for every update rule.

Dropout of dense layer d, sample b of the mini-batch, input unit u (in torch's order) of U: the input is zeroed where

    (hash(seed, t, d, b·U + u) >> 8) · 2^-24 < p                                                                   (4)

with hash(s, t, d, i) = mix(mix(mix(mix(s) ^ t) ^ d) + 0x9E3779B9·i), all modulo 2^32, and mix = lowbias32
(x ^= x>>16; x *= 0x7feb352d; x ^= x>>15; x *= 0x846ca68b; x ^= x>>16; C. Wellons, "hash prospector", 2018). t counts
from the member's first mini-batch, d from the first dense layer (the inputs of convolutions, and random slopes, have
numbers d of their own: src/models/dropout.py); so a mask depends on nothing but the member itself.
Chapter's convention: kept inputs unchanged in training, weights times (1 − p) in evaluation [N6]; inverted: kept
inputs divided by (1 − p) in training, evaluation unchanged.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from src.training.hyper import Hyper
from src.training.spec import StackSpec

# Parameters and buffers under the names of the network's state_dict, and what the update rule keeps beside a parameter
# under SLOT:NAME, such as velocity:layers.0.weight; with a leading axis K where it is a stack's.
State = dict[str, Tensor]


def slot_name(slot: str, parameter: str) -> str:
    """The name in a State of what the rule keeps beside `parameter`."""
    return f"{slot}:{parameter}"


def without_slots(state: State) -> State:
    """The network's own part of a State: what evaluates it, and what is kept of it."""
    return {name: value for name, value in state.items() if ":" not in name}


def slots_of(state: State, slots: Iterable[str], parameters: Iterable[str]) -> State:
    """Those of `slots` in `state` of each of the parameters, zeros where it has none."""
    names = [(slot_name(slot, name), name) for slot in slots for name in parameters]
    return {slot: state[slot] if slot in state else torch.zeros_like(state[name]) for slot, name in names}


def joined_states(states: Iterable[State], slots: Iterable[str], parameters: Collection[str]) -> State:
    """The members of several states one behind the other, with `slots` of each of the parameters and no others."""
    whole = [without_slots(state) | slots_of(state, slots, parameters) for state in states]
    return {name: torch.cat([state[name] for state in whole]) for name in whole[0]}


class Sums(NamedTuple):
    """What the members' networks came to; (K,) float64 each.

    In training: the sum over mini-batches of their mean costs, and the sum over examples of their scores. In
    evaluation: the mean cost of an example, and the mean of the examples' scores.
    """

    cost: Tensor
    score: Tensor


class Engine(Protocol):
    """K members of one structure."""

    spec: StackSpec
    resize_seconds: float  # what `select` costs beyond a copy, such as a new compilation

    @classmethod
    def refuses(cls, spec: StackSpec) -> str | None:
        """What of the spec it cannot serve exactly, in a few words; None: it can."""

    @property
    def description(self) -> str:
        """For the run's header, such as "torch, compiled, 2 threads"."""

    def train(self, inputs: Tensor, targets: Tensor, order: Tensor, first_step: Tensor, eta: Tensor) -> Sums:
        """Trains one chunk.

        inputs (N, C, H, W) uint8 or float32: the network sees value / 255 of a byte, a float as it is, and that by
        spec.scaling where there is one; targets (N,) int64; order (K or 1, M, B) int64 picks the examples (1: the same
        for all members); first_step (K,) or () int64: number of the chunk's first mini-batch, counted from each
        member's own start; eta (K,) float32, in force for the whole chunk, or (K, M). A chunk that does not begin with
        an epoch follows the one before it.
        """

    def evaluate(self, inputs: Tensor, targets: Tensor) -> Sums:
        """Mean cost and score of every member."""

    def predictions(self, inputs: Tensor) -> Tensor:
        """What the task keeps of the outputs for N inputs: (K, N, …) float32."""

    def state(self, slots: bool = True) -> State:
        """The members' state, leading axis K, with or without slots; read it, never write into it."""

    def load(self, state: State) -> None:
        """Replaces the members' state; a slot that `state` lacks starts at zero."""

    def select(self, rows: Tensor) -> None:
        """Keeps the members at `rows` (int64), in that order."""

    def add(self, hyper: Hyper, state: State) -> None:
        """Takes new members in, behind those that are here; a slot that their `state` lacks starts at zero."""
