"""The engine for the tasks whose networks have tied weights: kernels train, one thread a member; torch does the rest.

A member's result depends neither on other members nor on the number of threads, bit for bit.
Legend: K members, M mini-batches in a chunk, B examples in a mini-batch, N examples, V inputs, H hidden units.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, from_numpy, uint8

from src.config.shapes import Tied
from src.data.scaling import BYTE
from src.tasks.contrast import Contrast
from src.tasks.reconstruct import Reconstruct
from src.training.engines.cpu import autoencoder, boltzmann
from src.training.engines.cpu.queue import Queue, Workers, piece_length
from src.training.engines.cpu.room import layer_of, room_for
from src.training.engines.cpu.tied import Layer
from src.training.engines.engine import State, Sums
from src.training.engines.torch_engine import TorchEngine
from src.training.hyper import Hyper
from src.training.spec import StackSpec

WEIGHT, BIAS, VISIBLE = "layers.0.weight", "layers.0.bias", "visible_bias"


class TiedEngine(TorchEngine):
    """The torch engine on a CPU, but for training: kernels do that, unless a member has momentum or l1."""

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
        (rows, steps, batch), size = order.shape, piece_length(order.shape[1])
        layers = self._layers()
        rooms = [room_for(layers[0], batch) for _ in range(self._workers.threads)]
        flat, orders, first = inputs.flatten(-3).numpy(), order.numpy(), first_step.expand(len(layers)).tolist()
        divisor, seeds = np.float32(BYTE if inputs.dtype == uint8 else 1), self._seed.numpy().astype(np.uint32)
        numbers = self.numbers.of(eta, first_step, steps)
        own = numbers.values[:, [numbers.names.index(name) for name in ("share", "eta")]].transpose(0, 2, 1).copy()
        sums, kernel = np.zeros((2, len(layers))), self._kernel()

        def piece(member: int, start: int, thread: int) -> None:
            sums[:, member] += kernel(
                member,
                start,
                layers[member],
                rooms[thread],
                flat[member] if inputs.dim() > 4 else flat,
                divisor,
                orders[member if rows > 1 else 0, start : start + size],
                first[member] + start,
                seeds[member],
                own[member, start : start + size],
                self.spec.decay_all,
            )

        self._workers.run(Queue(len(layers), range(0, steps, size)), piece)
        self._take_back(layers, steps)
        return Sums(*from_numpy(sums))

    def _layers(self) -> list[Layer]:
        """Each member's parameters as the kernels need them: copies."""
        each = (self.parameters[name].numpy() for name in (WEIGHT, BIAS, VISIBLE))
        return [layer_of(*one) for one in zip(*each, strict=True)]

    def _kernel(self) -> Callable[..., Any]:
        """A member's training, called with its number, the first step's number in the chunk, and the kernel's
        arguments; gives the sums of mean costs and of scores."""
        if isinstance(self.spec.task, Reconstruct):
            corruption = self.hyper["corruption"].float().numpy()

            def reconstruct(member: int, start: int, *arguments: Any) -> Any:
                return autoencoder.train(*arguments, corruption[member])

            return reconstruct
        k, persistent = self.hyper["k"].tolist(), (self.hyper["persistent"] != 0).tolist()
        chain, flipped = self._own["chain"].numpy(), self._own["flipped"].tolist()

        def contrast(member: int, start: int, *arguments: Any) -> Any:
            return boltzmann.train(
                *arguments, int(k[member]), persistent[member], chain[member], flipped[member] + start
            )

        return contrast

    def _take_back(self, layers: list[Layer], steps: int) -> None:
        """Makes the layers the members' parameters again, after so many steps."""
        for member, layer in enumerate(layers):
            weights = layer.weights.reshape(-1, layer.stride)[: layer.inputs, : layer.outputs]
            self.parameters[WEIGHT][member] = from_numpy(weights).t()
            self.parameters[BIAS][member] = from_numpy(layer.bias[: layer.outputs])
            self.parameters[VISIBLE][member] = from_numpy(layer.visible)
        if "flipped" in self._own:
            self._own["flipped"].add_(steps).remainder_(layers[0].inputs)
