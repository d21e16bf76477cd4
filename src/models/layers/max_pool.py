"""Max pooling: the largest value of each size × size region."""

import torch.nn.functional as F
from torch import Tensor

from src.config.shapes import ConvPool


class MaxPool:
    """Max pooling of a layer: (B, C, H, W) -> (B, C, H', W'); side' = (side − pool_size) // pool_stride + 1."""

    def __init__(self, layer: ConvPool, number: int) -> None:
        self.size, self.stride = layer.pool_size, layer.pool_stride

    def __call__(self, z: Tensor, key: Tensor | None = None) -> Tensor:
        """Pools z; training and evaluation do the same, so `key` is not read."""
        return F.max_pool2d(z, self.size, self.stride)


PART = MaxPool
