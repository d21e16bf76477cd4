"""A convolution with its pooling and activation, in the chapter's order:

a = σ(pool(w ∗ x) + b)      pooling first, then bias and activation [N6, network3.py]
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.config.shapes import ConvPool
from src.models.layers.part import part_of


class Convolution(nn.Module):
    """One layer of a network, number `number` from 0."""

    def __init__(self, shape: ConvPool, number: int = 0) -> None:
        super().__init__()
        self.shape = shape
        self.weight = nn.Parameter(torch.zeros(shape.weight_shape))  # (maps, C, field, field)
        self.bias = nn.Parameter(torch.zeros(shape.maps))
        self.pool = None if shape.pool == "none" else part_of("pool", shape, number)
        self.activation = part_of("activation", shape, number)

    def forward(self, x: Tensor, key: Tensor | None = None) -> Tensor:
        """(B, C, H, W) -> (B, maps, H'', W''); key: of the training step, None: it is evaluated."""
        z = F.conv2d(x, self.weight, stride=self.shape.stride)
        if self.pool:
            z = self.pool(z, key)
        return self.activation(z + self.bias[:, None, None], key)
