"""The cpu engine: Numba kernels over plain arrays, one thread a member; it implements Engine (engines/engine.py).

Threads never write to the same number: a member is trained by one thread at a time, in that thread's working memory.
So a member's result depends neither on other members nor on the number of threads, bit for bit.
Legend: K members, M mini-batches in a chunk, B images in a mini-batch, N images, C outputs, D dense layers.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, from_numpy, uint8

from src.config.shapes import Dense, LayerShape
from src.data.scaling import BYTE
from src.tasks.classify import Classify
from src.tasks.multilabel import Multilabel
from src.tasks.regress import Regress
from src.tasks.supervised import Supervised
from src.training.engines.cpu import network
from src.training.engines.cpu.activations import ACTIVATIONS
from src.training.engines.cpu.head import HEADS, head_of
from src.training.engines.cpu.layout import Plan, aligned, pack, unpack
from src.training.engines.cpu.queue import Queue, Workers, groups, pieces
from src.training.engines.cpu.update import KERNELS, NUMBERS, Rule, first_rule
from src.training.engines.engine import Means, State, Sums, joined_states, means_of, slot_name, slots_of, without_slots
from src.training.hyper import Hyper, joined, select
from src.training.spec import StackSpec
from src.training.update.numbers import Numbers, StepNumbers

_EVALUATION_BATCH = 20  # images of a mini-batch in evaluation
_EVALUATION_BLOCK = 25  # mini-batches that a thread evaluates before it takes the next task
_TASKS = (Classify, Multilabel, Regress)  # not what inherits from them, which may count otherwise
# Calls that a thread makes at least, as far as there are members: each is for a group of them. A call takes 40 µs.
_GROUPS, _EVALUATED_GROUPS = 16, 2


def unsupported(layers: Sequence[LayerShape]) -> str | None:
    """In a few words, why this engine cannot serve a network of these layers; None where it can."""
    kinds = [isinstance(layer, Dense) for layer in layers]
    if not kinds or not kinds[-1]:
        return "no dense layer at the end"
    if kinds != sorted(kinds):
        return "a convolution behind a dense layer"
    return next((reason for layer in layers if (reason := _without_kernel(layer))), None)


def _without_kernel(layer: LayerShape) -> str | None:
    if layer.activation not in ACTIVATIONS:
        return f"activation {layer.activation}"
    if layer.norm != "none":
        return f"norm {layer.norm}"
    if not layer.bias:
        return "a layer without biases"
    if isinstance(layer, Dense):
        return None
    if layer.pool not in ("max", "l2", "none"):
        return f"pooling {layer.pool}"
    if layer.padding:
        return "a padded convolution"
    if layer.dropout:
        return "dropout of a convolution's inputs"
    return "pooling behind the activation" if layer.parts[-1] == "pool" else None


class CpuEngine:
    """An engine that trains K members of one structure by a pool of threads."""

    resize_seconds = 0.0  # nothing is compiled for a certain number of members

    def __init__(self, spec: StackSpec, hyper: Hyper, state: State, threads: int) -> None:
        """Raises ValueError for a spec that this engine refuses."""
        reason = self.refuses(spec)
        if reason:
            raise ValueError(f"trainer.engine = 'cpu': cannot serve {reason}; use engine=torch")
        assert spec.model.plan is not None
        self.spec, self.description = spec, f"cpu, {threads} thread{'s' if threads > 1 else ''}"
        self._layers = list(spec.model.plan)
        self._threads = threads
        self._workers = Workers(threads)
        self._plan_for(_EVALUATION_BATCH)
        self._seat(hyper)
        self.load(state)

    @classmethod
    def refuses(cls, spec: StackSpec) -> str | None:
        """In a few words, what of the spec the kernels cannot compute; None where they can compute all of it."""
        if spec.model.plan is None:
            return "a network that is no list of layers"
        task = spec.task
        if not isinstance(task, Supervised) or type(task) not in _TASKS:
            return "another task than task=classify, regress or multilabel"
        if task.head not in HEADS:
            return f"task.loss={task.head}"
        if spec.rule.kernel not in KERNELS:
            return f"optim.rule={spec.rule.name}"
        if spec.clips or spec.bounds:
            return "optim.clip_norm" if spec.clips else "optim.max_norm"
        return unsupported(spec.model.plan)

    def _seat(self, hyper: Hyper) -> None:
        """Makes members with these hyperparameters the engine's members."""
        self.hyper, self._numbers = hyper, StepNumbers(self.spec, hyper)

    def _plan_for(self, batch: int) -> None:
        """Makes the plan and the working memory for mini-batches of up to `batch` images."""
        self._plan = Plan(self._layers, batch)
        # One a thread. Kernels read only what they have written before, and the zeros that pad rows.
        self._work = [
            (aligned((self._plan.work,)), np.zeros(self._plan.integers, np.int32)) for _ in range(self._threads)
        ]

    def load(self, state: State) -> None:
        """Replaces the members' state by `state`; slots that it lacks start at zero."""
        self._weights = pack(self._plan, self._layers, without_slots(state))
        self._slots = self._packed_slots(state, len(self._weights))

    def _packed_slots(self, state: State, members: int) -> np.ndarray:
        """The rule's slots (K, slots · size): one after the other, each laid out as the weights."""
        size, names = self._plan.size, without_slots(state)
        packed = aligned((members, len(self._numbers.slots) * size))
        own = slots_of(state, self._numbers.slots, names)
        for number, slot in enumerate(self._numbers.slots):
            values = {name: own[slot_name(slot, name)] for name in names}
            packed[:, number * size : (number + 1) * size] = pack(self._plan, self._layers, values)
        return packed

    def state(self, slots: bool = True) -> State:
        """The members' parameters and, with `slots`, the update rule's slots; copies."""
        state, size = unpack(self._plan, self._layers, self._weights), self._plan.size
        for number, slot in enumerate(self._numbers.slots if slots else ()):
            part = np.ascontiguousarray(self._slots[:, number * size : (number + 1) * size])
            own = unpack(self._plan, self._layers, part)
            state |= {slot_name(slot, name): value for name, value in own.items()}
        return state

    def select(self, rows: Tensor) -> None:
        """Keeps the members at the positions `rows` (int64), in that order."""
        state = self.state()
        self._seat(select(self.hyper, rows))
        self.load({name: value[rows] for name, value in state.items()})

    def add(self, hyper: Hyper, state: State) -> None:
        """Adds new members behind the present ones; slots that `state` lacks start at zero."""
        mine = self.state()
        self._seat(joined(self.hyper, hyper))
        self.load(joined_states([mine, state], self._numbers.slots, without_slots(mine)))

    def train(self, inputs: Tensor, targets: Tensor, order: Tensor, first_step: Tensor, eta: Tensor) -> Sums:
        """Trains one chunk; arguments and result as in Engine.train."""
        _, steps, batch = order.shape
        if batch > self._plan.batch:
            self._plan_for(batch)
        members = len(self.hyper["seed"])
        head = head_of(self.spec.task, self._outputs, targets)
        shared = _flat(inputs), self._sight(inputs), head, _numpy(order), _numpy(first_step.expand(members))
        numbers = _for_kernels(self._numbers.of(eta, first_step, steps))
        sums, everyone, nothing = np.zeros((2, members)), np.arange(members), np.empty((1, 0, 0), np.float32)
        own = groups(members, self._threads, _GROUPS)
        starts, length, piece = pieces(steps, len(own), self._threads)
        rest = self._rule(batch), self._plain, numbers, *self._member_arguments(), True, nothing

        def task(group: int, start: int, thread: int) -> None:
            part, taken = own[group], (start, min(start + length, steps))
            network.run(*self._memory(thread), *shared, *rest, everyone[part], taken, piece, *sums[:, part])

        self._workers.run(Queue(len(own), starts), task)
        return Sums(*from_numpy(sums))

    def _memory(self, thread: int) -> tuple[Any, ...]:
        """The first arguments of `network.run`: plan, the members' rows, the thread's working memory."""
        plan = self._plan
        return (plan.signals, plan.layers, plan.tables, plan.channels), self._weights, self._slots, *self._work[thread]

    def _member_arguments(self) -> tuple[Any, ...]:
        """Each member's dropout, the convention of all of them, and each one's seed."""
        return _numpy(self.hyper["dropout"]), self.spec.model.inverted, _numpy(self.hyper["seed"]).astype(np.uint32)

    @property
    def _plain(self) -> np.ndarray:
        """Rule.plain of each member, (K,)."""
        moves = (self.hyper["momentum"] != 0) | (self.hyper["l1"] != 0) | self.spec.rule.adaptive
        return _numpy(~moves)

    def _rule(self, batch: int) -> Rule:
        """The rule for mini-batches of `batch` images."""
        assert self.spec.rule.kernel is not None
        share = np.float32(1) / np.float32(batch)
        return first_rule(float(share), self.spec.rule.kernel, self._plan.size, self.spec.decay_all)

    def evaluate(self, inputs: Tensor, targets: Tensor, members: Sequence[int] | None = None) -> Means:
        """Mean cost and mean score of every member over N images; a class or label by a NaN counts as wrong."""
        predictions, costs, scores = self._evaluate(inputs, targets, members)
        cost, score = from_numpy(costs / len(targets)), from_numpy(scores / len(targets))
        return means_of(self.spec.task, cost, score, predictions, targets, {})

    def predictions(self, inputs: Tensor, members: Sequence[int] | None = None) -> Tensor:
        """The task's predictions of every member for N images: (K, N, C) float32."""
        count = inputs.shape[-4]
        classes = isinstance(self.spec.task, Classify)
        no_targets = torch.zeros(count, dtype=torch.int64) if classes else torch.zeros(count, self._outputs)
        return self._evaluate(inputs, no_targets, members)[0]

    @property
    def _outputs(self) -> int:
        """C, the network's outputs."""
        return self._layers[-1].output[0]

    def _evaluate(
        self, images: Tensor, targets: Tensor, members: Sequence[int] | None
    ) -> tuple[Tensor, np.ndarray, np.ndarray]:
        """Predictions (K, N, C), summed cost (K,), summed scores (K,) of these members; None: of all."""
        everyone = np.arange(len(self.hyper["seed"]))
        chosen = everyone if members is None else np.array(members, np.int64)
        # Blocks of whole mini-batches; the images that remain make one smaller mini-batch.
        count, head = len(targets), head_of(self.spec.task, self._outputs, targets)
        full = count // _EVALUATION_BATCH * _EVALUATION_BATCH
        order = np.arange(full).reshape(-1, _EVALUATION_BATCH)
        blocks = [order[row : row + _EVALUATION_BLOCK] for row in range(0, len(order), _EVALUATION_BLOCK)]
        if full < count:
            blocks.append(np.arange(full, count).reshape(1, -1))
        predictions = np.empty((len(chosen), count, self._outputs), np.float32)
        sums = np.zeros((2, len(blocks), len(chosen)))
        shared, steps = (_flat(images), self._sight(images), head), np.zeros(len(everyone), np.int64)
        nothing = np.empty((len(everyone), 0, len(NUMBERS)), np.float32)
        rest = steps, self._rule(1), self._plain, nothing, *self._member_arguments(), False
        own = groups(len(chosen), self._threads, _EVALUATED_GROUPS)

        def evaluate(group: int, number: int, thread: int) -> None:
            part, block = own[group], blocks[number]
            taken = predictions[part], chosen[part], (0, len(block)), len(block)
            network.run(*self._memory(thread), *shared, block[None], *rest, *taken, *sums[:, number, part])

        self._workers.run(Queue(len(own), range(len(blocks)), together=True), evaluate)
        sums[0] *= np.array([[block.shape[1]] for block in blocks])
        costs, scores = np.ascontiguousarray(sums.transpose(0, 2, 1)).sum(2)  # (K, blocks), added up member by member
        return from_numpy(predictions), costs, scores

    def _sight(self, images: Tensor) -> tuple[np.float32, np.ndarray]:
        """The divisor of the images' values, 255 or 1, and their scaling: means and sds (2, C), or (2, 0) for none."""
        divisor = np.float32(BYTE if images.dtype == uint8 else 1)
        scaling = self.spec.scaling
        return divisor, np.empty((2, 0), np.float32) if scaling is None else np.array([scaling.mean, scaling.sd], "f4")


def _for_kernels(numbers: Numbers) -> np.ndarray:
    """The numbers in the order of update.NUMBERS: (K, M, H) float32; 0 for those that the rule does not have."""
    members, _, steps = numbers.values.shape
    values = np.zeros((members, steps, len(NUMBERS)), np.float32)
    for column, name in enumerate(NUMBERS):
        if name in numbers.names:
            values[:, :, column] = numbers.values[:, numbers.names.index(name)]
    return values


def _numpy(values: Tensor) -> np.ndarray:
    return np.ascontiguousarray(values.detach().cpu().numpy())


def _flat(images: Tensor) -> np.ndarray:
    """The images as an array (1, N, C·H·W), uint8 or float32; those of each member as (K, N, C·H·W)."""
    flat = _numpy(images.flatten(-3))
    return flat if flat.ndim > 2 else flat[None]
