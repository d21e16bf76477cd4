"""A fully connected layer with its parts: a = σ(norm(w x + b))."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.config import shapes
from src.models.layers.part import part_of


class Dense(nn.Module):
    """A fully connected layer of this shape; `number` is its number in the network, from 0."""

    def __init__(self, shape: shapes.Dense, number: int = 0) -> None:
        super().__init__()
        self.shape = shape
        self.weight = nn.Parameter(torch.zeros(shape.weight_shape))  # (outputs, inputs)
        self.bias = nn.Parameter(torch.zeros(shape.outputs)) if shape.bias else None
        self.parts = shape.parts
        for kind in self.parts:
            setattr(self, kind, part_of(kind, shape, number))

    def forward(self, x: Tensor, key: Tensor | None = None) -> Tensor:
        """(B, inputs) -> (B, outputs); `key` is that of the training step, None in evaluation."""
        z = F.linear(x, self.weight, self.bias)
        for kind in self.parts:
            z = getattr(self, kind)(z, key)
        return z
