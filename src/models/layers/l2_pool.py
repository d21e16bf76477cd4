"""L2 pooling: the root of the sum of squares of each size × size region [N6]."""

import torch
import torch.nn.functional as F
from torch import Tensor

from src.config.shapes import ConvPool


class L2Pool:
    """L2 pooling of a layer: (B, C, H, W) -> (B, C, H', W'); side' = (side − pool_size) // pool_stride + 1."""

    def __init__(self, layer: ConvPool, number: int) -> None:
        self.size, self.stride = layer.pool_size, layer.pool_stride

    def __call__(self, z: Tensor, key: Tensor | None = None) -> Tensor:
        """Pools z, the same in training and in evaluation; where a region is all 0, its gradient is 0, not NaN."""
        squares = F.avg_pool2d(z * z, self.size, self.stride) * self.size**2
        positive = squares > 0
        return torch.where(positive, squares, torch.ones_like(squares)).sqrt() * positive


PART = L2Pool
