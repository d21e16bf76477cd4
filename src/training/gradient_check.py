"""The gradient check: autograd's gradient of one member's cost beside central differences, both in float64.

    n_i = (C(w + h e_i) − C(w − h e_i)) / 2h        e_i the unit vector of parameter i                              (1)
    error = |a_i − n_i| / max(|a_i|, |n_i|)         a_i by autograd                                                 (2)

An error above 1e-4 is wrong, unless |a_i − n_i| is what rounding makes of (1), or a kink lies in the way, such as that
of ReLU, of max pooling or of an absolute value: between w − h and w + h, so that a smaller h gives a_i; or at w itself,
where the slopes on both sides differ and a_i lies between them. The masks of dropout and all other random numbers are
those of the member's first step, in every call.
Source: [CS231n] A. Karpathy et al., notes, "Neural Networks Part 3: Gradient checks". Legend: B examples.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from src.models.dropout import step_key
from src.models.own import load_own_state, seeded
from src.models.rbm import DIFFERENCE
from src.tasks.contrast import Contrast
from src.tasks.task import Task
from src.training.spec import StackSpec
from src.training.stack import Member, hyper_of_stack, initial_state

STEPS = (1e-5, 1e-6, 1e-7)  # h of equation (1), the next one where the one before finds another value than autograd
TOLERANCE = 1e-4  # of equation (2) [CS231n]
# What rounding may change in a cost, relative to it: some tens of the last digits of float64.
ROUNDING = 64 * torch.finfo(torch.float64).eps


@dataclass(frozen=True)
class Derivative:
    """The derivative of the cost in one value of a parameter."""

    index: tuple[int, ...]
    autograd: float
    difference: float  # equation (1)
    error: float  # equation (2); 0 within rounding, of derivatives too small to be known better
    kink: bool = False

    @property
    def wrong(self) -> bool:
        """Whether autograd's value is not the derivative; a value that is not finite never is."""
        return not (self.error <= TOLERANCE or self.kink)


@dataclass(frozen=True)
class Checked:
    """What was found of one parameter."""

    name: str
    shape: tuple[int, ...]
    derivatives: list[Derivative]  # of those values that were looked at
    moved: bool  # whether its values were all the same and were moved apart before

    @property
    def wrong(self) -> list[Derivative]:
        """The wrong ones."""
        return [one for one in self.derivatives if one.wrong]

    @property
    def kinks(self) -> int:
        """How many have a kink in the way."""
        return sum(one.kink for one in self.derivatives)

    @property
    def error(self) -> float:
        """The largest error of those without a kink; NaN if one is not finite."""
        errors = [one.error for one in self.derivatives if not one.kink]
        return max(errors, default=0.0) if all(one == one for one in errors) else float("nan")

    @property
    def empty(self) -> bool:
        """Whether the cost does not depend on it, as far as was looked."""
        return all(one.autograd == one.difference == 0 for one in self.derivatives)


class FloatingMember:
    """One member in float64 with its first weights, and calls of it with the arguments of its own."""

    def __init__(self, spec: StackSpec, member: Member) -> None:
        self.module: nn.Module = spec.model.of(member.config).build()
        load_own_state(self.module, initial_state(member, spec.model))
        self.module.double()
        hyper = hyper_of_stack([member])
        given = spec.model.arguments(hyper)
        self.arguments: dict[str, Any] = {
            name: one[0] if isinstance(one, Tensor) else one for name, one in given.items()
        }
        self.key = step_key(hyper["seed"], torch.zeros_like(hyper["seed"]))[0]

    def __call__(self, x: Tensor, key: Tensor | None) -> Tensor:
        """The outputs for inputs x (B, …) float64; with a key in training, else in evaluation."""
        self.module.train(key is not None)
        outputs: Tensor = self.module(x, key=key, **self.arguments)
        return outputs


def check_gradients(
    member: FloatingMember, task: Task, x: Tensor, y: Tensor, sample: int, report: Callable[[], object] = lambda: None
) -> Iterator[Checked]:
    """Compares both gradients of the cost of one mini-batch, inputs x (B, …) and targets y (B, …); yields a parameter
    at a time.

    sample: so many values of each parameter, half of them where autograd's gradient is largest, the others at random;
    report: called after each. Parameters whose values are all equal are moved apart first, by normal numbers of a fixed
    seed: above a softmax layer of zeros, say, no layer would have a gradient.
    """
    own = [(name, one) for name, one in member.module.named_parameters() if one.requires_grad]
    generator = torch.Generator().manual_seed(0)
    moved = {name for name, one in own if _move_apart(one, generator)}
    buffers = [(one, one.clone()) for one in member.module.buffers()]

    def cost() -> Tensor:
        for buffer, before in buffers:
            buffer.copy_(before)
        with seeded(0):
            mean, outputs = task.cost(member, x, y, member.key)
        # A Boltzmann machine reports another cost than the one whose gradient it follows.
        return outputs[:, DIFFERENCE].mean() if isinstance(task, Contrast) else mean

    found = torch.autograd.grad(cost(), [one for _, one in own], allow_unused=True)
    with torch.no_grad():
        for (name, one), gradient in zip(own, found, strict=True):
            slopes = torch.zeros_like(one) if gradient is None else gradient
            derivatives = []
            for place in _places(slopes.flatten(), sample, generator):
                index = tuple(int(part) for part in torch.unravel_index(torch.tensor(place), one.shape))
                derivatives.append(_derivative(cost, one, index, float(slopes[index])))
                report()
            yield Checked(name, tuple(one.shape), derivatives, name in moved)


def count_of(member: FloatingMember, sample: int) -> int:
    """How many derivatives `check_gradients` looks at."""
    return sum(min(sample, one.numel()) for one in member.module.parameters() if one.requires_grad)


def _move_apart(one: Tensor, generator: torch.Generator) -> bool:
    """Adds normal numbers to a parameter whose values are all equal; whether it did."""
    if bool((one != one.flatten()[0]).any()):
        return False
    sd = 0.1 if one.dim() < 2 else one[0].numel() ** -0.5
    with torch.no_grad():
        one += sd * torch.randn(one.shape, generator=generator, dtype=one.dtype)
    return True


def _places(slopes: Tensor, sample: int, generator: torch.Generator) -> list[int]:
    """At most `sample` indices of a flat gradient, first those where it is largest in size."""
    steepest = slopes.abs().argsort(descending=True, stable=True)[: sample // 2].tolist()
    rest = torch.randperm(len(slopes), generator=generator).tolist()
    return list(dict.fromkeys([*steepest, *rest]))[:sample]


def _derivative(cost: Callable[[], Tensor], one: Tensor, index: tuple[int, ...], slope: float) -> Derivative:
    """Compares `slope`, by autograd, with equations (1) and (2) for the value of a parameter at `index`."""
    value = one[index].clone()

    def at(step: float) -> float:
        one[index] = value + step
        found = float(cost())
        one[index] = value
        return found

    first, gap, below, above = Derivative(index, slope, 0.0, 0.0), 0.0, 0.0, 0.0
    for step in STEPS:
        below, above = at(-step), at(step)
        difference = (above - below) / (2 * step)
        rounding = ROUNDING * max(1.0, abs(above)) / step
        apart = abs(slope - difference)
        size = max(abs(slope), abs(difference))
        error = 0.0 if apart <= rounding and size <= rounding / TOLERANCE else apart / size
        if step == STEPS[0]:
            first, gap = Derivative(index, slope, difference, error), apart
            if not first.wrong:
                return first
        elif apart <= TOLERANCE * abs(slope) + rounding and apart < gap / 2:
            return Derivative(index, slope, difference, 0.0, kink=True)
    here = at(0.0)
    low, high = sorted([(here - below) / step, (above - here) / step])
    between = (
        high - low > TOLERANCE * max(abs(low), abs(high)) + rounding and low - rounding <= slope <= high + rounding
    )
    return Derivative(index, slope, first.difference, first.error, kink=between)
