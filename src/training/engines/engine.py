"""The interface of the engines: an engine holds the weights of K members, trains them and evaluates them.

Legend: K members, M mini-batches in a chunk, B images in a mini-batch, N images, C classes, D dense layers.

Weights travel under the names of the network's state_dict with a leading member axis: `layers.0.weight`
(K, maps, C, field, field) for a convolution, (K, outputs, inputs) for a dense layer, whose inputs are ordered as torch
flattens (C, H, W); `layers.0.bias` (K, maps or outputs). The softmax layer is the last `layers.L`. What a layer's parts
learn or keep follows under their kind, such as `layers.0.norm.running_mean` (K, maps or outputs).

One step of one member under SGD, mini-batch number t (from 0), mean cost over the mini-batch:

    g = d cost / d w + (lambda_ / batches) · w + (l1 / batches) · sign(w)    weights; biases: first term only  (1)
    v <- momentum · v + g                                                                                          (2)
    w <- w − eta · v                                                                                               (3)

The terms with lambda_ and l1 are mostly too small to be added in float32; src/training/update/decay.py says how they
have their effect all the same. src/training/update/numbers.py has the equations for any update rule.

Dropout of dense layer d, sample b of the mini-batch, input unit u (in torch's order) of U: the input is zeroed where

    (hash(seed, t, d, b·U + u) >> 8) · 2^-24 < p                                                                   (4)

with hash(s, t, d, i) = mix(mix(mix(mix(s) ^ t) ^ d) + 0x9E3779B9·i), all modulo 2^32, and mix = lowbias32
(x ^= x>>16; x *= 0x7feb352d; x ^= x>>15; x *= 0x846ca68b; x ^= x>>16; C. Wellons, "hash prospector", 2018). t counts
from the member's first mini-batch, d from the first dense layer (the inputs of convolutions, and random slopes, have
numbers d of their own: src/models/dropout.py); so a mask depends on nothing but the member itself.
Chapter's convention: kept inputs unchanged in training, weights times (1 − p) in evaluation [N6]; inverted: kept
inputs divided by (1 − p) in training, evaluation unchanged.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from src.tasks.task import Task
from src.training.hyper import Hyper
from src.training.spec import StackSpec

# Parameters and buffers under the names of the network's state_dict, and the tensors that the update rule keeps beside
# a parameter (its slots) under SLOT:NAME, such as velocity:layers.0.weight. A stack's have a leading axis K.
State = dict[str, Tensor]


def slot_name(slot: str, parameter: str) -> str:
    """The name in a State of a parameter's slot, such as velocity:layers.0.weight."""
    return f"{slot}:{parameter}"


def without_slots(state: State) -> State:
    """The network's own part of a State, its parameters and buffers, without the update rule's slots."""
    return {name: value for name, value in state.items() if ":" not in name}


def slots_of(state: State, slots: Iterable[str], parameters: Iterable[str]) -> State:
    """The part of `state` that holds these slots of these parameters; zeros for those that it lacks."""
    names = [(slot_name(slot, name), name) for slot in slots for name in parameters]
    return {slot: state[slot] if slot in state else torch.zeros_like(state[name]) for slot, name in names}


def joined_states(states: Iterable[State], slots: Iterable[str], parameters: Collection[str]) -> State:
    """One State of the members of several, one behind the other, with these slots of these parameters and no others.

    A slot that a state lacks is zero for its members.
    """
    whole = [without_slots(state) | slots_of(state, slots, parameters) for state in states]
    return {name: torch.cat([state[name] for state in whole]) for name in whole[0]}


class AnotherEngineError(RuntimeError):
    """Members that join a stack cannot train on its engine; chosen anew, with them, another one would take all."""


class Sums(NamedTuple):
    """The sum of the mini-batches' mean costs and the sum of the examples' scores of each member, (K,) float64 each."""

    cost: Tensor
    score: Tensor


class Means(NamedTuple):
    """Each member's mean cost and its score, and what else the task watches and measures, by its name.

    (K,) float64 each.
    """

    cost: Tensor
    score: Tensor
    monitors: Mapping[str, Tensor] = MappingProxyType({})  # as in Task.monitors
    measures: Mapping[str, Tensor] = MappingProxyType({})  # as in Task.measured, over all examples


def means_of(
    task: Task, cost: Tensor, score: Tensor, predictions: Tensor, targets: Tensor, monitors: Mapping[str, Tensor]
) -> Means:
    """The Means of K members; cost, score, monitors: (K,), means over the examples; predictions: (K, N, …) for them."""
    measures = {name: value.cpu() for name, value in task.measured(predictions, targets).items()}
    return Means(cost, measures.pop(task.score.name, task.finish(score)), monitors, measures)


def joined_means(parts: Sequence[Means], members: Sequence[Sequence[int]]) -> Means:
    """The Means of K members from those of parts of them; members: the positions of each part's, K in all."""
    order = torch.tensor([k for own in members for k in own]).argsort()

    def whole(values: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(values))[order]

    monitors = {name: whole([part.monitors[name] for part in parts]) for name in parts[0].monitors}
    measures = {name: whole([part.measures[name] for part in parts]) for name in parts[0].measures}
    return Means(whole([part.cost for part in parts]), whole([part.score for part in parts]), monitors, measures)


class Engine(Protocol):
    """Holds, trains and evaluates K members of one structure."""

    spec: StackSpec
    hyper: Hyper  # of its members
    resize_seconds: float  # what another number of members costs beyond a copy, such as a new compilation

    @classmethod
    def refuses(cls, spec: StackSpec) -> str | None:
        """In a few words, what of the spec this engine cannot compute exactly; None where it can compute all."""

    @property
    def description(self) -> str:
        """The engine in words for the run's header, such as "torch, compiled, 2 threads"."""

    def train(self, inputs: Tensor, targets: Tensor, order: Tensor, first_step: Tensor, eta: Tensor) -> Sums:
        """Trains one chunk.

        inputs (N, C, H, W): uint8, of which networks see value / 255, or float32, which they see as it is; both scaled
        by spec.scaling if there is one. Or (K, N, C, H, W) float32: each member's own. targets: classes (N,) int64, or
        numbers or labels (N, T) float32; or with the examples' weights behind them (`Split.trained_on`). order (K or 1,
        M, B) int64: the examples of each mini-batch by their index (1: the same for all members). first_step (K,) or ()
        int64: the number of the chunk's first mini-batch, counted from each member's own start. eta: learning rates,
        (K,) float32 for the whole chunk or (K, M). A chunk that begins no epoch must follow the one before it.
        """

    def evaluate(self, inputs: Tensor, targets: Tensor, members: Sequence[int] | None = None) -> Means:
        """Mean cost and mean score of every member over N examples, shapes and types as in `train`, without weights.

        members: the positions of those to evaluate, to which the result then belongs; None: all K.
        """

    def predictions(self, inputs: Tensor, members: Sequence[int] | None = None) -> Tensor:
        """The task's predictions (`Task.predictions`) of every member, or of these, for N inputs: (K, N, …) float32."""

    def state(self, slots: bool = True) -> State:
        """The members' state with a leading axis K, with or without slots; it must not be written into."""

    def load(self, state: State) -> None:
        """Replaces the members' state by `state`; a slot that it lacks starts at zero."""

    def select(self, rows: Tensor) -> None:
        """Keeps the members at the positions `rows` (int64), in that order, and drops the others."""

    def add(self, hyper: Hyper, state: State) -> None:
        """Adds new members behind the present ones; a slot that their `state` lacks starts at zero.

        Raises AnotherEngineError, and leaves the engine as it is, where it cannot serve them.
        """
