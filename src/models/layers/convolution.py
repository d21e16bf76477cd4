"""A convolution with its parts: pooling, norm and activation, in any order.

    a = σ(pool(w ∗ x) + b)            the chapter's, where there is no norm [N6, network3.py]                   (1)
    a = pool(σ(norm(w ∗ x + b)))      where there is one                                                        (2)

The bias comes before the first part that is not pooling.
"""

from typing import Any

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
        self.as_products = False  # whether a training step convolves by `products`; the engine says so

    def forward(self, x: Tensor, key: Tensor | None = None) -> Tensor:
        """(B, C, H, W) -> (B, maps, H'', W''); `key` is that of the training step, None in evaluation."""
        convolve = products if self.as_products and key is not None else F.conv2d
        z = convolve(x, self.weight, stride=self.shape.stride, padding=self.shape.padding)
        for kind in self.parts:
            if kind == self._biased and self.bias is not None:
                z = z + self.bias[:, None, None]
            z = getattr(self, kind)(z, key)
        return z


def products(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """The convolution of x (B, C, H, W) with weight (maps, C, field, field) as one product of matrices.

    Rounding apart the same as F.conv2d: (B, maps, H', W'). Under vmap it stays one product a member, of which all
    members' run at once, where F.conv2d becomes a convolution in groups, whose kernels cuDNN starts one a group.
    """
    maps, _, field, _ = weight.shape
    padded = F.pad(x, [padding] * 4) if padding else x
    patches: Tensor = _Patches.apply(padded, field, stride)
    batch, _, height, width = patches.shape[:4]
    columns = patches.permute(1, 4, 5, 0, 2, 3).reshape(-1, batch * height * width)  # (C·field², B·H'·W')
    return (weight.flatten(1) @ columns).view(maps, batch, height, width).transpose(0, 1)


class _Patches(torch.autograd.Function):
    """x (B, C, H, W) -> what each place of a convolution sees, (B, C, H', W', field, field), a view."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, field: int, stride: int) -> Tensor:
        return x.unfold(2, field, stride).unfold(3, field, stride)

    @staticmethod
    def setup_context(context: Any, inputs: tuple[Tensor, int, int], output: Tensor) -> None:
        x, context.field, context.stride = inputs
        context.height, context.width = x.shape[2:]

    @staticmethod
    def backward(context: Any, slope: Tensor) -> tuple[Tensor, None, None]:
        return _Summed.apply(slope, context.height, context.width, context.field, context.stride), None, None


class _Summed(torch.autograd.Function):
    """The gradient of _Patches, (B, C, H', W', field, field) -> (B, C, H, W): torch has no rule of vmap for it."""

    @staticmethod
    def forward(slope: Tensor, height: int, width: int, field: int, stride: int) -> Tensor:
        rows = [*slope.shape[:3], width, field]
        by_row = torch.ops.aten.unfold_backward(slope, rows, 3, field, stride)
        found: Tensor = torch.ops.aten.unfold_backward(by_row, [*rows[:2], height, width], 2, field, stride)
        return found

    @staticmethod
    def setup_context(context: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Nothing is kept: a gradient of the gradient is not asked for."""

    @staticmethod
    def vmap(info: Any, dims: tuple[int, ...], slope: Tensor, *sizes: int) -> tuple[Tensor, int]:
        stacked = slope.movedim(dims[0], 0)
        return _Summed.apply(stacked.flatten(0, 1), *sizes).unflatten(0, stacked.shape[:2]), 0
