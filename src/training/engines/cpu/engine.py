"""The cpu engine: Numba kernels over plain arrays, one thread a member; the Engine of engines/engine.py.

Threads never share a number that is written: a member is trained by one thread at a time, with that thread's working
memory. So a member's result depends neither on its neighbours nor on the count of threads, bit for bit.
Legend: K members, M mini-batches in a chunk, B images in a mini-batch, N images, C classes, D dense layers.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Literal

import numpy as np
from torch import Tensor, from_numpy

from src.config.shapes import Dense, LayerShape
from src.training.engines.cpu import network
from src.training.engines.cpu.activations import ACTIVATIONS
from src.training.engines.cpu.layout import Plan, aligned, pack, unpack
from src.training.engines.cpu.update import Rule
from src.training.engines.engine import Members
from src.training.update.decay import Decay, decay

# A member's chunk is trained in pieces: where K is no multiple of the threads, the member that is behind gets a thread.
_PIECES = 8
_EVALUATION_BATCH = 20  # images that go through the network together in evaluation
_EVALUATION_BLOCK = 25  # such mini-batches a task
_ZERO = np.float32(0)
_NO_RULE = Rule(_ZERO, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO, True)  # in evaluation, where nothing reads it


def unsupported(layers: Sequence[LayerShape]) -> str | None:
    """Why this engine cannot serve a network, in a few words; None: it can."""
    kinds = [isinstance(layer, Dense) for layer in layers]
    if not kinds or not kinds[-1]:
        return "no dense layer at the end"
    if kinds != sorted(kinds):
        return "a convolution behind a dense layer"
    unknown = sorted({layer.activation for layer in layers} - set(ACTIVATIONS))
    return f"activation {unknown[0]}" if unknown else None


class CpuEngine:
    """K members of one structure, trained by a pool of threads."""

    resize_seconds = 0.0  # nothing is compiled for a count of members

    def __init__(
        self,
        layers: Sequence[LayerShape],
        members: Members,
        weights: dict[str, Tensor],
        batches: int,
        convention: Literal["chapter", "inverted"],
        threads: int,
    ) -> None:
        """Layers with their sizes, the softmax last; `batches`: mini-batches of an epoch. Raises ValueError."""
        reason = unsupported(layers)
        if reason:
            raise ValueError(f"trainer.engine = 'cpu': cannot serve {reason}; use engine=torch")
        self.description = f"cpu, {threads} thread{'s' if threads > 1 else ''}"
        self._layers = list(layers)
        self._members = members
        self._batches = batches
        self._inverted = convention == "inverted"
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads)
        self._plan_for(_EVALUATION_BATCH)
        self.load(weights)

    def _plan_for(self, batch: int) -> None:
        """A plan and working memory for mini-batches of up to `batch` images."""
        self._plan = Plan(self._layers, batch)
        # One a thread; no kernel reads what it has not written before, beyond the zeros that pad.
        self._work = [
            (aligned((self._plan.work,)), np.zeros(self._plan.integers, np.int32)) for _ in range(self._threads)
        ]

    def load(self, weights: dict[str, Tensor], velocities: dict[str, Tensor] | None = None) -> None:
        """See Engine.load."""
        self._weights = pack(self._plan, self._layers, weights)
        if velocities:
            self._velocity = pack(self._plan, self._layers, velocities)
        else:
            self._velocity = aligned((len(self._weights), self._velocity_size()))

    def weights(self) -> dict[str, Tensor]:
        """The members' weights in the canonical layout, leading axis K."""
        return unpack(self._plan, self._layers, self._weights)

    def velocities(self) -> dict[str, Tensor]:
        """See Engine.velocities."""
        return unpack(self._plan, self._layers, self._velocity) if self._velocity.size else {}

    def select(self, rows: Tensor) -> None:
        """Keeps the members at `rows` (int64), in that order."""
        self._members = self._members.select(rows)
        for name in ("_weights", "_velocity"):
            kept = getattr(self, name)[rows.numpy()]
            replaced = aligned(kept.shape)
            replaced[:] = kept
            setattr(self, name, replaced)

    def add(self, members: Members, weights: dict[str, Tensor], velocities: dict[str, Tensor] | None = None) -> None:
        """See Engine.add."""
        self._members = self._members.joined(members)
        self._weights = _stacked(self._weights, pack(self._plan, self._layers, weights))
        still = np.zeros((len(members), 0), np.float32)
        theirs = pack(self._plan, self._layers, velocities) if velocities else still
        self._velocity = _stacked(self._velocity, theirs, max(self._velocity.shape[1], self._velocity_size()))

    def _velocity_size(self) -> int:
        """Numbers that a member's velocities take: none where nobody has momentum."""
        return self._weights.shape[1] if bool((self._members.momentum != 0).any()) else 0

    def train(
        self, images: Tensor, labels: Tensor, order: Tensor, first_step: Tensor, eta: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Trains one chunk; the mini-batches' mean costs summed (K,) float64, and the correct answers (K,) int64."""
        rows, steps, batch = order.shape
        if batch > self._plan.batch:
            self._plan_for(batch)
        plan, members = self._plan, len(self._members)
        flat, answers = _flat(images), _numpy(labels)
        orders = _numpy(order)
        dropout, first = _numpy(self._members.dropout), _numpy(first_step.expand(members))
        shrinks = decay(self._members, _numpy(eta), first, steps, self._batches)
        rules = self._rules(batch, eta, shrinks)
        costs, correct = np.zeros(members), np.zeros(members, np.int64)
        size = max(1, -(-steps // _PIECES))
        nothing = np.empty((0, 0), np.float32)

        def piece(member: int, start: int, thread: int) -> None:
            cost, right = network.run(
                plan.signals,
                plan.layers,
                plan.tables,
                self._weights[member],
                self._velocity[member],
                *self._work[thread],
                plan.image[0],
                flat,
                answers,
                orders[member if rows > 1 else 0, start : start + size],
                int(first[member]) + start,
                rules[member],
                shrinks.share[member, start : start + size],
                shrinks.amount[member, start : start + size],
                dropout[member],
                self._inverted,
                np.uint32(self._members.seed[member].item()),
                True,
                nothing,
            )
            costs[member] += cost
            correct[member] += right

        self._run(_Queue(members, range(0, steps, size)), piece)
        return from_numpy(costs), from_numpy(correct)

    def _rules(self, batch: int, eta: Tensor, shrinks: Decay) -> list[Rule]:
        members, f32 = self._members, np.float32
        return [
            Rule(
                eta=f32(eta[k]),
                batch_share=f32(1) / f32(batch),
                decay_share=f32(0),
                decay_amount=f32(0),
                l2=shrinks.l2_in_gradient[k],
                l1=shrinks.l1_in_gradient[k],
                momentum=f32(members.momentum[k]),
                plain=bool(members.l1[k] == 0 and members.momentum[k] == 0),
            )
            for k in range(len(members))
        ]

    def evaluate(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean cost (K,) float64 and accuracy (K,) float64 of every member; a NaN counts as wrong."""
        _, costs, correct = self._evaluate(images, _numpy(labels))
        return from_numpy(costs / len(images)), from_numpy(correct / len(images))

    def probabilities(self, images: Tensor) -> Tensor:
        """Softmax outputs (K, N, C) float32."""
        outputs, _, _ = self._evaluate(images, np.zeros(len(images), np.int64))
        return from_numpy(outputs)

    def _evaluate(self, images: Tensor, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Softmax outputs (K, N, C), summed cost (K,), correct answers (K,)."""
        plan, members, flat = self._plan, len(self._members), _flat(images)
        # Mini-batches (rows of a block) in blocks; the images that fill no mini-batch are one of their own.
        full = len(images) // _EVALUATION_BATCH * _EVALUATION_BATCH
        order = np.arange(full).reshape(-1, _EVALUATION_BATCH)
        blocks = [order[row : row + _EVALUATION_BLOCK] for row in range(0, len(order), _EVALUATION_BLOCK)]
        if full < len(images):
            blocks.append(np.arange(full, len(images)).reshape(1, -1))
        outputs = np.empty((members, len(images), self._layers[-1].output[0]), np.float32)
        costs, correct = np.zeros((members, len(blocks))), np.zeros((members, len(blocks)), np.int64)
        dropout, nothing = _numpy(self._members.dropout), np.empty(0, np.float32)

        def evaluate(member: int, number: int, thread: int) -> None:
            block = blocks[number]
            cost, correct[member, number] = network.run(
                plan.signals,
                plan.layers,
                plan.tables,
                self._weights[member],
                self._velocity[member],
                *self._work[thread],
                plan.image[0],
                flat,
                labels,
                block,
                0,
                _NO_RULE,
                nothing,
                nothing,
                dropout[member],
                self._inverted,
                np.uint32(0),
                False,
                outputs[member, block[0, 0] : block[-1, -1] + 1],
            )
            costs[member, number] = cost * block.shape[1]

        self._run(_Queue(members, range(len(blocks)), together=True), evaluate)
        return outputs, costs.sum(1), correct.sum(1)

    def _run(self, queue: "_Queue", task: Callable[[int, int, int], None]) -> None:
        """All tasks of the queue, task(member, start, thread) each; the first one's error is raised."""

        def worker(thread: int) -> None:
            done = None
            while (done := queue.next(done)) is not None:
                task(*done, thread)

        for future in [self._pool.submit(worker, thread) for thread in range(self._threads)]:
            future.result()


class _Queue:
    """Hands out (member, start): of the members that no thread holds the one with the most left to do.

    With equal pieces this ends as early as any order can. Starts of one member follow one another; `together`: they
    may also be worked on at the same time.
    """

    def __init__(self, members: int, starts: Iterable[int], together: bool = False) -> None:
        self._left = [list(starts)[::-1] for _ in range(members)]
        self._held = set[int]()
        self._together = together
        self._lock = Lock()

    def next(self, done: tuple[int, int] | None) -> tuple[int, int] | None:
        """The next task after `done` (None: the thread's first); None where none is left for this thread."""
        with self._lock:
            if done is not None:
                self._held.discard(done[0])
            free = [member for member, left in enumerate(self._left) if left and member not in self._held]
            if not free:
                return None
            member = max(free, key=lambda member: (len(self._left[member]), -member))
            if not self._together:
                self._held.add(member)
            return member, self._left[member].pop()


def _stacked(first: np.ndarray, then: np.ndarray, width: int | None = None) -> np.ndarray:
    """The rows of both, aligned; `width`: of the result, what a row lacks is zero."""
    both = aligned((len(first) + len(then), first.shape[1] if width is None else width))
    both[: len(first), : first.shape[1]] = first
    both[len(first) :, : then.shape[1]] = then
    return both


def _numpy(values: Tensor) -> np.ndarray:
    return np.ascontiguousarray(values.detach().cpu().numpy())


def _flat(images: Tensor) -> np.ndarray:
    """(N, C·H·W) uint8."""
    return _numpy(images).reshape(len(images), -1)
