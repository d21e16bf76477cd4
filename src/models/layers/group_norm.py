"""Group norm: each example's maps, or units, in `groups` groups, each group to mean 0 and variance 1.

    z' = γ (z − mean) / sqrt(variance + ε) + β       mean and variance over a group's maps and pixels

γ and β are learnt, one for each map or unit; they begin as 1 and 0. Nothing depends on the other examples, so training
and evaluation are the same. One group is layer norm. Source: Y. Wu and K. He, Group Normalization (2018); as
torch.nn.GroupNorm.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.config.shapes import LayerShape

EPSILON = 1e-5  # torch's


class GroupNorm(nn.Module):
    """The group norm of a layer: (B, C, …) -> the same shape."""

    def __init__(self, layer: LayerShape, number: int) -> None:
        super().__init__()
        assert layer.groups is not None
        self.groups, channels = layer.groups, layer.output[0]
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, z: Tensor, key: Tensor | None = None) -> Tensor:
        """Normalises z; training and evaluation do the same, so `key` is not read."""
        return F.group_norm(z, self.groups, self.weight, self.bias, EPSILON)


PART = GroupNorm
