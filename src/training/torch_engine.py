"""The torch engine: any network on any device. `vmap` turns one member's step into the stack's.

The step is the one defined in src/training/engine.py, equations (1)–(3). Legend: K members, M mini-batches in a chunk,
B images in a mini-batch, N images, C classes.
"""

import contextlib
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call, grad_and_value, vmap

from src.nets.dropout import step_key
from src.nets.network import Network
from src.shapes import LayerShape
from src.training.engine import Members

# Images a member sees at once in evaluation; 1,000 and more are up to twice as slow for convolutions on a CPU.
EVALUATION_BATCH = 500
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
        self.device, self.precision, self.compiled, self.say = device, precision, compiled, say
        self.resize_seconds = COMPILE_SECONDS if compiled else 0.0
        self.members = Members(*(value.to(device) for value in members.__dict__.values()))
        self.batches = batches
        self.uses_dropout = bool((members.dropout > 0).any())
        self.uses_momentum = bool((members.momentum > 0).any())
        self.uses_l1 = bool((members.l1 > 0).any())
        with torch.device("meta"):  # the network lends its structure only; its weights come from `weights`
            self.network = Network(layers, inverted=convention == "inverted")
        self.parameters: Weights = {}
        self.load(weights)
        self._step = self._plain_step
        if compiled:
            self._step = torch.compile(self._plain_step, dynamic=False)
        if device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"

    @property
    def description(self) -> str:
        """For the run's header."""
        words = ["torch", "compiled" if self.compiled else "eager"]
        if self.device.type == "cpu":
            threads = torch.get_num_threads()
            words.append(f"{threads} thread{'s' if threads > 1 else ''}")
        elif self.precision != 32:
            words.append(str(self.precision))
        return ", ".join(words)

    def load(self, weights: Weights) -> None:
        """Replaces the members' weights (copied); velocities start at zero."""
        self.parameters = {name: value.to(self.device, copy=True) for name, value in weights.items()}
        moving = self.parameters if self.uses_momentum else {}
        self.velocities = {name: torch.zeros_like(value) for name, value in moving.items()}

    def weights(self) -> Weights:
        """The members' weights, leading axis K."""
        return self.parameters

    def select(self, rows: Tensor) -> None:
        """Keeps the members at `rows`; a compiled step compiles again for the new size."""
        rows = rows.to(self.device)
        self.members = self.members.select(rows)
        self.parameters = {name: value[rows].contiguous() for name, value in self.parameters.items()}
        self.velocities = {name: value[rows].contiguous() for name, value in self.velocities.items()}

    def train(
        self, images: Tensor, labels: Tensor, order: Tensor, first_step: int, eta: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See Engine.train."""
        count = len(self.members)
        order, eta = order.to(self.device), eta.to(self.device)
        cost = torch.zeros(count, device=self.device)
        correct = torch.zeros(count, dtype=torch.int64, device=self.device)
        steps = torch.arange(first_step, first_step + order.shape[1], device=self.device)
        keys = step_key(self.members.seed[None], steps[:, None])  # (M, K)
        batch_cost, batch_correct = cost, correct
        with torch.no_grad(), self._autocast():
            for m in range(order.shape[1]):
                batch_cost, batch_correct = self._call(images, labels, order[:, m], keys[m], eta)
                cost += batch_cost
                correct += batch_correct
        return cost.cpu().double(), correct.cpu()

    def evaluate(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """See Engine.evaluate."""
        count = len(self.members)
        cost = torch.zeros(count, device=self.device)
        correct = torch.zeros(count, dtype=torch.int64, device=self.device)
        for start in range(0, len(labels), EVALUATION_BATCH):
            y = labels[start : start + EVALUATION_BATCH]
            logits = self._logits(images[start : start + EVALUATION_BATCH])  # (K, B, C)
            cost += F.cross_entropy(logits.transpose(1, 2), y.expand(count, -1), reduction="none").sum(1)
            correct += _correct(logits, y)
        return cost.cpu().double() / len(labels), correct.cpu().double() / len(labels)

    def probabilities(self, images: Tensor) -> Tensor:
        """See Engine.probabilities."""
        parts = [self._logits(part).softmax(-1).cpu() for part in images.split(EVALUATION_BATCH)]
        return torch.cat(parts, dim=1)

    def _logits(self, images: Tensor) -> Tensor:
        def one(weights: Weights, dropout: Tensor) -> Tensor:
            logits: Tensor = functional_call(self.network, weights, (pixels, dropout if self.uses_dropout else None))
            return logits

        pixels = images.float() / 255
        with torch.no_grad(), self._autocast():
            stacked: Tensor = vmap(one)(self.parameters, self.members.dropout)  # (K, B, C)
        return stacked.float()

    def _call(self, *arguments: Tensor) -> tuple[Tensor, Tensor]:
        """One step; where compilation fails (no compiler, say), the plain one from here on, with one line."""
        try:
            return self._step(*arguments)
        except Exception as error:  # torch's own classes for this differ between releases
            if not self.compiled:
                raise
            self.compiled, self._step = False, self._plain_step
            self.say(f"torch.compile does not work here ({str(error).splitlines()[0][:120]}); going on without it.")
            return self._step(*arguments)

    def _plain_step(
        self, images: Tensor, labels: Tensor, order: Tensor, keys: Tensor, eta: Tensor
    ) -> tuple[Tensor, Tensor]:
        """order (K or 1, B), keys and eta (K,) -> mean cost (K,), correct answers (K,)."""

        def cost(weights: Weights, x: Tensor, y: Tensor, dropout: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
            drop = (dropout, key) if self.uses_dropout else ()
            logits = functional_call(self.network, weights, (x, *drop)).float()
            return F.cross_entropy(logits, y), logits

        shared = order.shape[0] == 1  # then all members see the same images, and the first layer is cheaper
        if shared:
            order = order[0]
        x, y = images[order].float() / 255, labels[order]
        axes = (0, None, None, 0, 0) if shared else (0, 0, 0, 0, 0)
        gradients, (costs, logits) = vmap(grad_and_value(cost, has_aux=True), in_dims=axes)(
            self.parameters, x, y, self.members.dropout, keys
        )
        for name, gradient in gradients.items():
            self._update(name, gradient, eta)
        return costs, _correct(logits, y)

    def _update(self, name: str, gradient: Tensor, eta: Tensor) -> None:
        """Equations (1)–(3) of src/training/engine.py for one parameter (K, …)."""
        weight, members = self.parameters[name], self.members

        def column(value: Tensor) -> Tensor:
            return value.view(-1, *[1] * (weight.dim() - 1))  # (K, 1, …)

        decayed = name.endswith("weight")
        if decayed and self.uses_l1:
            gradient = gradient + column(members.l1 / self.batches) * weight.sign()
        if self.uses_momentum:
            if decayed:
                gradient = gradient + column(members.lambda_ / self.batches) * weight
            velocity = self.velocities[name]
            velocity.mul_(column(members.momentum)).add_(gradient)
            weight.sub_(column(eta) * velocity)
            return
        if decayed:
            weight.mul_(column(1 - eta * members.lambda_ / self.batches))
        weight.addcmul_(column(eta), gradient, value=-1)

    def _autocast(self) -> contextlib.AbstractContextManager[object]:
        if self.precision == "bf16" and self.device.type == "cuda":
            return torch.autocast("cuda", dtype=torch.bfloat16)
        return contextlib.nullcontext()


def _correct(logits: Tensor, labels: Tensor) -> Tensor:
    """(K, B, C), (B,) or (K, B) -> answers that are right (K,); a NaN counts as wrong."""
    best, answer = logits.max(-1)
    return ((answer == labels) & best.isfinite()).sum(-1)


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
