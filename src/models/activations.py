"""The activation functions by name."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def _identity(z: Tensor) -> Tensor:
    return z


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "leaky_relu": F.leaky_relu,  # slope 0.01
    "elu": F.elu,
    "gelu": F.gelu,  # exact
    "silu": F.silu,
    "none": _identity,  # the softmax's logits
}
