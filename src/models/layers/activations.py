"""The activation functions that neither learn nor draw anything, by name."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def _part(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor | None], Tensor]:
    """The part that applies `function` in training and in evaluation alike."""

    def activation(z: Tensor, key: Tensor | None = None) -> Tensor:
        return function(z)

    return activation


def _identity(z: Tensor) -> Tensor:
    return z


ACTIVATIONS = {
    "sigmoid": _part(torch.sigmoid),
    "tanh": _part(torch.tanh),
    "relu": _part(torch.relu),
    "leaky_relu": _part(F.leaky_relu),  # slope 0.01
    "elu": _part(F.elu),
    "gelu": _part(F.gelu),  # exact
    "silu": _part(F.silu),
    "none": _part(_identity),  # the softmax's logits
}
