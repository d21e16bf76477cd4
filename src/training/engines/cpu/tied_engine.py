"""The engine for the tasks whose networks have tied weights: kernels train and evaluate; torch does the rest.

A member's result depends neither on other members nor on the number of threads, bit for bit.
Legend: K members, M mini-batches in a chunk, B examples in a mini-batch, N examples, V inputs, H hidden units.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, from_numpy, uint8

from src.config.shapes import Tied
from src.data.dataset import BY_MEMBER
from src.data.scaling import BYTE
from src.tasks.contrast import Contrast
from src.tasks.reconstruct import Reconstruct
from src.training.engines.cpu import autoencoder, boltzmann
from src.training.engines.cpu.queue import Queue, Workers, pieces
from src.training.engines.cpu.room import layer_of, room_for
from src.training.engines.cpu.tied import Layer
from src.training.engines.engine import Means, State, Sums
from src.training.engines.torch_engine import TorchEngine
from src.training.hyper import Hyper
from src.training.spec import StackSpec

_EVALUATION_BATCH = 20  # examples of a mini-batch in evaluation
_EVALUATION_BLOCK = 25  # mini-batches that a thread evaluates before it takes the next task
WEIGHT, BIAS, VISIBLE = "layers.0.weight", "layers.0.bias", "visible_bias"


class TiedEngine(TorchEngine):
    """The torch engine on a CPU, but for evaluation and, unless a member has momentum or l1, training: by kernels."""

    def __init__(self, spec: StackSpec, hyper: Hyper, state: State, threads: int) -> None:
        """Raises ValueError for a spec that this engine refuses."""
        reason = self.refuses(spec)
        if reason:
            raise ValueError(f"trainer.engine = 'cpu': cannot serve {reason}; use engine=torch")
        super().__init__(spec, hyper, state, torch.device("cpu"))
        self._workers = Workers(threads)

    @classmethod
    def refuses(cls, spec: StackSpec) -> str | None:
        """In a few words, what of the spec the kernels cannot compute; None where they can compute all of it."""
        if type(spec.task) not in (Reconstruct, Contrast):
            return "another task than task=reconstruct or task=contrast"
        shape = spec.model.plan[0] if spec.model.plan else None
        if not isinstance(shape, Tied) or shape.activation != "sigmoid" or shape.norm != "none" or not shape.bias:
            return "another network than one tied layer of sigmoid units"
        if spec.rule.name != "sgd":
            return f"optim.rule={spec.rule.name}"
        if spec.clips or spec.bounds:
            return "optim.clip_norm" if spec.clips else "optim.max_norm"
        return "scaled inputs" if spec.scaling else None

    @property
    def description(self) -> str:
        """The engine in words for the run's header, such as "cpu, 2 threads"."""
        if not self._by_kernels:
            return super().description
        return f"cpu, {self._workers.threads} thread{'s' if self._workers.threads > 1 else ''}"

    @property
    def _by_kernels(self) -> bool:
        return not self.numbers.slots and not self.numbers.shrinks_by_amounts

    def train(self, inputs: Tensor, targets: Tensor, order: Tensor, first_step: Tensor, eta: Tensor) -> Sums:
        """Trains one chunk; arguments and result as in Engine.train.

        Inputs with an axis more, (K, N, C, H, W), are each member's own.
        """
        if not self._by_kernels:
            return super().train(inputs, targets, order, first_step, eta)
        rows, steps, batch = order.shape
        orders, first = order.numpy(), first_step.expand(len(self._seed)).tolist()
        starts, length, size = pieces(steps, len(first), self._workers.threads)
        numbers = self.numbers.of(eta, first_step, steps)
        own = numbers.values[:, [numbers.names.index(name) for name in ("share", "eta")]].transpose(0, 2, 1).copy()
        layers, sums = self._layers(), np.zeros((len(first), 3))
        call = self._kernel(inputs, layers, batch, training=True)

        def task(member: int, start: int, thread: int) -> None:
            for first_of_piece in range(start, min(start + length, steps), size):
                piece(member, first_of_piece, thread)

        def piece(member: int, start: int, thread: int) -> None:
            part = slice(start, start + size)
            mine = orders[member if rows > 1 else 0, part]
            call(member, thread, sums[member], mine, start, first[member] + start, own[member, part])

        self._workers.run(Queue(len(first), starts), task)
        self._take_back(layers, steps)
        return Sums(from_numpy(sums[:, 0] / batch), from_numpy(sums[:, 1]))

    def evaluate(self, inputs: Tensor, targets: Tensor, members: Sequence[int] | None = None) -> Means:
        """Mean cost and mean score of every member over the N examples; inputs as in `train`."""
        chosen, count = range(len(self._seed)) if members is None else members, len(targets)
        full = count // _EVALUATION_BATCH * _EVALUATION_BATCH
        order = np.arange(full).reshape(-1, _EVALUATION_BATCH)
        blocks = [order[first : first + _EVALUATION_BLOCK] for first in range(0, len(order), _EVALUATION_BLOCK)]
        blocks += [np.arange(full, count).reshape(1, -1)] if full < count else []
        call = self._kernel(inputs, self._layers(), _EVALUATION_BATCH, training=False)
        sums = np.zeros((len(chosen), len(blocks), 3))
        nothing = np.empty((0, 2), np.float32)

        def block(row: int, number: int, thread: int) -> None:
            call(chosen[row], thread, sums[row, number], blocks[number], 0, 0, nothing)

        self._workers.run(Queue(len(chosen), range(len(blocks)), together=True), block)
        cost, score, free_energy = from_numpy(sums.sum(1) / count).unbind(1)
        return Means(cost, score, {"free_energy": free_energy} if self._is_machine else {})

    @property
    def _is_machine(self) -> bool:
        return isinstance(self.spec.task, Contrast)

    def _kernel(self, inputs: Tensor, layers: list[Layer], batch: int, training: bool) -> Callable[..., None]:
        """Runs a member over mini-batches of up to `batch` of these inputs.

        Called with the member, the thread, the sums to add to, the mini-batches, their position in the chunk, the
        number of the first step, and the steps' numbers.
        """
        rooms = [room_for(layers[0], batch) for _ in range(self._workers.threads)]
        flat, divisor = inputs.flatten(-3).numpy(), np.float32(BYTE if inputs.dtype == uint8 else 1)
        seeds, run = self._seed.numpy().astype(np.uint32), boltzmann.run if self._is_machine else autoencoder.run

        def call(
            member: int,
            thread: int,
            sums: np.ndarray,  # (3,)
            order: np.ndarray,  # (M, B)
            position: int,
            first_step: int,
            numbers: np.ndarray,  # (M, 2)
        ) -> None:
            seen = flat[member] if inputs.dim() == BY_MEMBER else flat
            step = divisor, order, first_step, seeds[member], numbers, self.spec.decay_all
            run(
                layers[member],
                rooms[thread],
                seen,
                *step,
                *self._own_arguments(member, position, training),
                training,
                sums,
            )

        return call

    def _own_arguments(self, member: int, position: int, training: bool) -> tuple[Any, ...]:
        """The kernel's arguments that only its task has; position: of the first mini-batch in the chunk."""
        if not self._is_machine:
            return (np.float32(self.hyper["corruption"][member].item() if training else 0),)
        k, persistent = int(self.hyper["k"][member]), bool(self.hyper["persistent"][member])
        return k, persistent, self._own["chain"][member].numpy(), int(self._own["flipped"][member]) + position

    def _layers(self) -> list[Layer]:
        """Each member's parameters as the kernels need them: copies."""
        each = (self.parameters[name].numpy() for name in (WEIGHT, BIAS, VISIBLE))
        return [layer_of(*one) for one in zip(*each, strict=True)]

    def _take_back(self, layers: list[Layer], steps: int) -> None:
        """Makes the layers the members' parameters again, after so many steps."""
        for member, layer in enumerate(layers):
            weights = layer.weights.reshape(-1, layer.stride)[: layer.inputs, : layer.outputs]
            self.parameters[WEIGHT][member] = from_numpy(weights).t()
            self.parameters[BIAS][member] = from_numpy(layer.bias[: layer.outputs])
            self.parameters[VISIBLE][member] = from_numpy(layer.visible)
        if "flipped" in self._own:
            self._own["flipped"].add_(steps).remainder_(layers[0].inputs)
