"""A convolution with its parts: pooling, norm and activation, in any order.

    a = σ(pool(w ∗ x) + b)            the chapter's, where there is no norm [N6, network3.py]                   (1)
    a = pool(σ(norm(w ∗ x + b)))      where there is one                                                        (2)

The bias comes before the first part that is not pooling.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.config.shapes import ConvPool
from src.models.layers.part import part_of


class Convolution(nn.Module):
    """A convolutional layer of this shape; `number` is its number in the network, from 0."""

    def __init__(self, shape: ConvPool, number: int = 0) -> None:
        super().__init__()
        self.shape = shape
        self.weight = nn.Parameter(torch.zeros(shape.weight_shape))  # (maps, C, field, field)
        self.bias = nn.Parameter(torch.zeros(shape.maps)) if shape.bias else None
        self.parts = shape.parts
        for kind in self.parts:
            setattr(self, kind, part_of(kind, shape, number))
        self._biased = next(kind for kind in self.parts if kind != "pool")

    def forward(self, x: Tensor, key: Tensor | None = None) -> Tensor:
        """(B, C, H, W) -> (B, maps, H'', W''); `key` is that of the training step, None in evaluation."""
        z = F.conv2d(x, self.weight, stride=self.shape.stride, padding=self.shape.padding)
        for kind in self.parts:
            if kind == self._biased and self.bias is not None:
                z = z + self.bias[:, None, None]
            z = getattr(self, kind)(z, key)
        return z
