"""The torch engine: any network on any device. `vmap` turns one member's step into the stack's.

The step is the one defined in engines/engine.py, equations (1)–(3). On a GPU, blocks of steps are captured as CUDA
graphs (graphs.py). Legend: K members, M mini-batches in a chunk, S mini-batches in a block of it, B images
in a mini-batch, N images, C classes.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call, grad_and_value, vmap
from torch.nn import Module
from torch.utils.hooks import RemovableHandle

from src.config.shapes import LayerShape
from src.models.dropout import step_key
from src.models.network import Dense, Network
from src.training.engines.engine import Members
from src.training.engines.graphs import BLOCK, Block, CudaRecorder, Recorder, Replay, Steps
from src.training.update.decay import decay as decay_of

# Images a member sees at once in evaluation; 1,000 and more are up to twice as slow for convolutions on a CPU.
EVALUATION_BATCH = 500
# Elsewhere so many images over all members, where they are more: each mini-batch is a few hundred kernels.
EVALUATION_IMAGES = 8_000
# Shapes for which a process may compile a step; Dynamo's own limit, 8, counts those of all stacks together, and behind
# it steps would run as they are without a word.
COMPILATIONS = 256
# A compilation takes about this long on a CPU, and makes a step at least this part shorter (docs/log.md).
COMPILE_SECONDS = 25.0
COMPILE_GAIN = 0.4

Weights = dict[str, Tensor]


class TorchEngine:
    """K members as tensors with a leading axis K."""

    def __init__(
        self,
        layers: list[LayerShape],
        members: Members,
        weights: Weights,
        batches: int,
        convention: str,
        device: torch.device,
        precision: int | str = 32,
        compiled: bool = False,
        say: Callable[[str], None] = print,
    ) -> None:
        self.device, self.precision, self.say = device, precision, say
        self.resize_seconds = COMPILE_SECONDS if compiled else 0.0
        self.batches = batches
        self.members = members
        self._seat(members)
        with torch.device("meta"):  # the network lends its structure only; its weights come from `weights`
            self.network = Network(layers, inverted=convention == "inverted")
        self.recorder: Recorder | None = CudaRecorder(device) if device.type == "cuda" else None
        self._replay: Replay | None = None
        self._replay_reads: tuple[Tensor, Tensor, torch.Size] | None = None
        self.parameters = {name: value.to(device, copy=True) for name, value in weights.items()}
        self._velocities: Weights = {}
        self._give_velocities()
        self._compiled_step = _compiled(self._plain_step) if compiled else None

    @property
    def compiled(self) -> bool:
        """Whether steps run through torch.compile."""
        return self._compiled_step is not None

    @property
    def description(self) -> str:
        """For the run's header."""
        ways = ["compiled"] * self.compiled + ["CUDA graph"] * (self.recorder is not None)
        words = ["torch", *(ways or ["eager"])]
        if self.device.type == "cpu":
            threads = torch.get_num_threads()
            words.append(f"{threads} thread{'s' if threads > 1 else ''}")
        elif self.precision != 32:
            words.append(str(self.precision))
        return ", ".join(words)

    def load(self, weights: Weights, velocities: Weights | None = None) -> None:
        """See Engine.load; in place, where captured graphs find them."""
        for name, value in weights.items():
            self.parameters[name].copy_(value)
        for name, velocity in self._velocities.items():
            if velocities:
                velocity.copy_(velocities[name])
            else:
                velocity.zero_()

    def weights(self) -> Weights:
        """The members' weights, leading axis K."""
        return self.parameters

    def velocities(self) -> Weights:
        """See Engine.velocities."""
        return self._velocities

    def select(self, rows: Tensor) -> None:
        """Keeps the members at `rows`; what was compiled or captured is so again for the new size."""
        self._replay = None
        rows = rows.to(self.device)
        self.members = self.members.select(rows)
        self.parameters = {name: value[rows].contiguous() for name, value in self.parameters.items()}
        self._velocities = {name: value[rows].contiguous() for name, value in self._velocities.items()}

    def add(self, members: Members, weights: Weights, velocities: Weights | None = None) -> None:
        """See Engine.add; what was compiled for this count of members serves again once there are as many."""
        self._replay = None
        count = len(self.members)
        self._seat(self.members.joined(Members(*(value.to(self.device) for value in members.__dict__.values()))))
        for name, value in self.parameters.items():
            self.parameters[name] = torch.cat([value, weights[name].to(self.device)])
        for name, value in self._velocities.items():
            self._velocities[name] = torch.cat([value, torch.zeros_like(self.parameters[name][count:])])
        self._give_velocities()
        if velocities:
            for name, value in self._velocities.items():
                value[count:] = velocities[name]

    def _seat(self, members: Members) -> None:
        """Sets the members and what at least one of them uses."""
        self.members = Members(*(value.to(self.device) for value in members.__dict__.values()))
        self.uses_dropout = bool((members.dropout > 0).any())
        self.uses_decay = bool((members.lambda_ > 0).any())
        self.uses_momentum = bool((members.momentum > 0).any())
        self.uses_l1 = bool((members.l1 > 0).any())

    def _give_velocities(self) -> None:
        if self.uses_momentum and not self._velocities:
            self._velocities = {name: torch.zeros_like(value) for name, value in self.parameters.items()}

    def train(
        self, images: Tensor, labels: Tensor, order: Tensor, first_step: Tensor, eta: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See Engine.train."""
        order = order.to(self.device).transpose(0, 1).contiguous()  # (M, K or 1, B)
        decay = self._decay(eta, first_step, len(order))
        eta = eta.to(self.device)
        steps = torch.arange(len(order), device=self.device)[:, None] + first_step.to(self.device)  # (M, K)
        keys = step_key(self.members.seed, steps)
        with torch.no_grad(), self._arithmetic():
            cost, correct = self._chunk(images, labels, order, keys, decay, eta)
        return cost.cpu().double(), correct.cpu()

    def _decay(self, eta: Tensor, first_step: Tensor, steps: int) -> Tensor:
        """What decay.py says of each step, in the order of its fields: (M, 4, K)."""
        first = first_step.expand(len(self.members)).cpu().numpy()
        share, amount, *in_gradient = decay_of(self.members, eta.cpu().numpy(), first, steps, self.batches)
        each = [share.T, amount.T, *(np.broadcast_to(one, share.T.shape) for one in in_gradient)]
        return torch.from_numpy(np.stack(each, axis=1)).to(self.device)

    def evaluate(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """See Engine.evaluate."""
        count = len(self.members)
        cost = torch.zeros(count, device=self.device)
        correct = torch.zeros(count, dtype=torch.int64, device=self.device)
        for part, y in zip(images.split(self._evaluation_batch), labels.split(self._evaluation_batch), strict=True):
            logits = self._logits(part)  # (K, B, C)
            cost += F.cross_entropy(logits.transpose(1, 2), y.expand(count, -1), reduction="none").sum(1)
            correct += _correct(logits, y)
        return cost.cpu().double() / len(labels), correct.cpu().double() / len(labels)

    def probabilities(self, images: Tensor) -> Tensor:
        """See Engine.probabilities."""
        parts = [self._logits(part).softmax(-1).cpu() for part in images.split(self._evaluation_batch)]
        return torch.cat(parts, dim=1)

    @property
    def _evaluation_batch(self) -> int:
        share = 0 if self.device.type == "cpu" else EVALUATION_IMAGES // len(self.members)
        return max(EVALUATION_BATCH, share)

    def _logits(self, images: Tensor) -> Tensor:
        def one(weights: Weights, dropout: Tensor) -> Tensor:
            logits: Tensor = functional_call(self.network, weights, (pixels, dropout if self.uses_dropout else None))
            return logits

        pixels = images.float() / 255
        with torch.no_grad(), self._arithmetic():
            stacked: Tensor = vmap(one)(self.parameters, self.members.dropout)  # (K, B, C)
        return stacked.float()

    def _chunk(
        self, images: Tensor, labels: Tensor, order: Tensor, keys: Tensor, decay: Tensor, eta: Tensor
    ) -> tuple[Tensor, Tensor]:
        """order (M, K or 1, B), keys (M, K), decay (M, 4, K), eta (K,) -> sums of mean costs, correct answers (K,)."""

        def block(steps: Steps, eta: Tensor, cost: Tensor, correct: Tensor) -> None:
            self._block(images, labels, steps, eta, cost, correct)

        steps = Steps(order, keys, decay)
        if self.recorder and not self._is_captured(images, labels, order):
            self._capture(block, steps, eta, self.recorder)
            self._replay_reads = images, labels, order.shape[1:]
        if self._replay:
            return self._replay.run(steps, eta)
        cost, correct = torch.zeros_like(eta), torch.zeros_like(keys[0])
        for start in range(0, len(order), BLOCK):
            block(steps.part(start, BLOCK), eta, cost, correct)
        return cost, correct

    def _is_captured(self, images: Tensor, labels: Tensor, order: Tensor) -> bool:
        """Whether the captured graphs read these images and labels, at their addresses, and such mini-batches."""
        if self._replay is None or self._replay_reads is None:
            return False
        held_images, held_labels, shape = self._replay_reads
        addresses = held_images.data_ptr(), held_labels.data_ptr()
        return addresses == (images.data_ptr(), labels.data_ptr()) and shape == order.shape[1:]

    def _capture(self, block: Block, steps: Steps, eta: Tensor, recorder: Recorder) -> None:
        """CUDA graphs for chunks like this one; where that fails, none from here on, with one line."""
        self._replay = None  # gives its memory back first
        state = [*self.parameters.values(), *self._velocities.values()]
        start = time.perf_counter()
        try:
            self._replay = Replay(block, state, steps, eta, recorder)
        except Exception as error:  # torch's own classes for this differ between releases
            if isinstance(_first(error), torch.OutOfMemoryError):
                raise _first(error) from None
            self.recorder = None
            self.say(f"CUDA graphs do not work here ({_line(error)}); going on without them.")
        else:
            self.resize_seconds = time.perf_counter() - start

    def _block(self, images: Tensor, labels: Tensor, steps: Steps, eta: Tensor, cost: Tensor, correct: Tensor) -> None:
        """Trains on steps with eta (K,); adds to cost (K,) and correct (K,)."""
        each = [self._call(images, labels, *step, eta) for step in zip(*steps, strict=True)]
        costs, logits = (torch.stack(parts) for parts in zip(*each, strict=True))  # (S, K), (S, K, B, C)
        cost += costs.sum(0)
        correct += _correct(logits, labels[steps.order]).sum(0)

    def _call(self, *arguments: Tensor) -> tuple[Tensor, Tensor]:
        """One step; where compilation fails (no compiler, say), the plain one from here on, with one line."""
        try:
            return (self._compiled_step or self._plain_step)(*arguments)
        except Exception as error:  # torch's own classes for this differ between releases
            if self._compiled_step is None or isinstance(_first(error), torch.OutOfMemoryError):
                raise
            self._compiled_step = None
            self.say(f"torch.compile does not work here ({_line(error)}); going on without it.")
            return self._plain_step(*arguments)

    def _plain_step(
        self, images: Tensor, labels: Tensor, order: Tensor, keys: Tensor, decay: Tensor, eta: Tensor
    ) -> tuple[Tensor, Tensor]:
        """order (K or 1, B); keys (K,); decay (4, K); eta (K,) -> mean cost (K,), logits (K, B, C)."""
        shared = order.shape[0] == 1  # then all members see the same images, and the first layer is cheaper
        if shared:
            order = order[0]
        x, y = images[order].float() / 255, labels[order]
        images_axis = None if shared else 0
        fused = self._fused_layers()
        fixed = {f"{layer}.weight": self.parameters[f"{layer}.weight"] for layer in fused}
        moving = {name: value for name, value in self.parameters.items() if name not in fixed}
        for layer in fused:  # with a bias of its own, each image has its own delta
            moving[f"{layer}.bias"] = moving[f"{layer}.bias"][:, None].expand(-1, y.shape[-1], -1)  # (K, B, outputs)
        gradients, (costs, (logits, inputs)) = vmap(
            grad_and_value(self._cost, has_aux=True), in_dims=(0, 0, images_axis, images_axis, 0, 0)
        )(moving, fixed, x, y, self.members.dropout, keys)
        for layer in fused:
            self._update_dense(layer, gradients.pop(f"{layer}.bias"), inputs[layer], eta, decay)
        for name, gradient in gradients.items():
            self._update(name, gradient, eta, decay)
        return costs, logits

    def _cost(
        self, moving: Weights, fixed: Weights, x: Tensor, y: Tensor, dropout: Tensor, key: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Weights]]:
        """One member's mean cost, its logits (B, C) and what went into the layers whose weights are `fixed`."""
        drop = (dropout, key) if self.uses_dropout else ()
        with self._inputs(self._fused_layers()) as inputs:
            logits = functional_call(self.network, moving | fixed, (x, *drop)).float()
        # F.cross_entropy under vmap takes three times as many kernels.
        return -logits.log_softmax(1).gather(1, y[:, None]).mean(), (logits, inputs)

    def _fused_layers(self) -> list[str]:
        """Dense layers that `_update_dense` can serve; a compiled step writes gradients in its own way."""
        if self.compiled or self.uses_momentum or self.uses_l1:
            return []
        return [f"layers.{number}" for number, layer in enumerate(self.network.layers) if isinstance(layer, Dense)]

    @contextlib.contextmanager
    def _inputs(self, layers: list[str]) -> Iterator[Weights]:
        """What goes into `layers` (B, inputs) while the network is called."""
        inputs: Weights = {}

        def listen(layer: str) -> RemovableHandle:
            def seen(_: Module, arguments: tuple[Tensor]) -> None:
                inputs[layer] = arguments[0]

            return self.network.get_submodule(layer).register_forward_pre_hook(seen)

        handles = [listen(layer) for layer in layers]
        try:
            yield inputs
        finally:
            for handle in handles:
                handle.remove()

    def _update_dense(self, layer: str, delta: Tensor, x: Tensor, eta: Tensor, decay: Tensor) -> None:
        """Equations (1) and (3) from delta (K, B, outputs) and inputs x (K, B, inputs); the gradient is not stored."""
        weight, bias = self.parameters[f"{layer}.weight"], self.parameters[f"{layer}.bias"]
        step = delta * -eta[:, None, None]
        if self.uses_decay:
            weight.addcmul_(decay[0, :, None, None], weight, value=-1)
        weight.baddbmm_(step.transpose(1, 2), x.to(weight.dtype))
        bias.add_(step.sum(1))

    def _update(self, name: str, gradient: Tensor, eta: Tensor, decay: Tensor) -> None:
        """Equations (1)–(3) of engines/engine.py for one parameter (K, …); decay (4, K), decay.py's fields."""
        weight = self.parameters[name]

        def column(value: Tensor) -> Tensor:
            return value.view(-1, *[1] * (weight.dim() - 1))  # (K, 1, …)

        share, amount, l2, l1 = (column(part) for part in decay)
        decayed = name.endswith("weight")
        if self.uses_momentum:
            if decayed and self.uses_l1:
                gradient = gradient + l1 * weight.sign()
            if decayed and self.uses_decay:
                gradient = gradient + l2 * weight
            self._velocities[name].mul_(column(self.members.momentum)).add_(gradient)
        if decayed and self.uses_l1:
            weight.addcmul_(amount, weight.sign(), value=-1)
        if decayed and self.uses_decay:
            weight.addcmul_(share, weight, value=-1)
        if self.uses_momentum:
            weight.sub_(column(eta) * self._velocities[name])
        else:
            weight.addcmul_(column(eta), gradient, value=-1)

    @contextlib.contextmanager
    def _arithmetic(self) -> Iterator[None]:
        """What `precision` asks of the device; other engines' settings come back at the end."""
        if self.device.type != "cuda":
            yield
            return
        matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
        before = matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark
        # The sizes of mini-batches stay, so it pays that cuDNN measures its algorithms at the first one.
        matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = *[self.precision == "tf32"] * 2, True
        # Without the cache, which would keep every step's converted weights until the chunk ends.
        bf16 = torch.autocast("cuda", torch.bfloat16, enabled=self.precision == "bf16", cache_enabled=False)
        try:
            with bf16:
                yield
        finally:
            matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = before


def _correct(logits: Tensor, labels: Tensor) -> Tensor:
    """(…, K, B, C), (B,) or (…, K or 1, B) -> answers that are right (…, K); a NaN counts as wrong."""
    best, answer = logits.max(-1)
    return ((answer == labels) & (best.abs() < math.inf)).sum(-1)


def _compiled(step: Callable[..., tuple[Tensor, Tensor]]) -> Callable[..., tuple[Tensor, Tensor]]:
    """The step through torch.compile; the first call of a shape compiles it, or raises."""
    import torch._dynamo

    torch._dynamo.config.recompile_limit = COMPILATIONS
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    return torch.compile(step, dynamic=False)


def _first(error: BaseException) -> BaseException:
    """The error that began it: an end of a capture, say, fails because of what was raised inside."""
    while error.__context__ is not None:
        error = error.__context__
    return error


def _line(error: Exception) -> str:
    """The beginning of what the first error said."""
    first = _first(error)
    return (str(first) or type(first).__name__).splitlines()[0][:120]


def fastest_threads(seconds: Callable[[], float], cores: int) -> int:
    """Threads with which `seconds()` is smallest, of 1, 2, 4 … `cores`; torch is left with that number.

    More is not always better: with small tensors the threads mostly wait for each other.
    """
    counts = sorted({min(2**power, cores) for power in range(cores.bit_length() + 1)})
    measured = dict[int, float]()
    for count in counts:
        torch.set_num_threads(count)
        measured[count] = min(seconds(), seconds())
    best = min(measured, key=lambda count: measured[count])
    torch.set_num_threads(best)
    return best


def compilation_pays(step_seconds: float, steps: int) -> bool:
    """Whether `steps` steps of `step_seconds` save more than a compilation takes."""
    return steps * step_seconds * COMPILE_GAIN > COMPILE_SECONDS


def timed(call: Callable[[], object]) -> float:
    """Seconds that `call` takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
