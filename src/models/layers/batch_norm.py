"""Batch norm: each map, or unit, to mean 0 and variance 1 over a mini-batch.

    z' = γ (z − mean) / sqrt(variance + ε) + β       mean and variance over examples and pixels           (1)
    running ← (1 − MOMENTUM) running + MOMENTUM · that of the mini-batch, its variance by n − 1           (2)

γ and β are learnt and begin as 1 and 0. In evaluation the running mean and variance, which begin as 0 and 1, stand in
(1). Source: S. Ioffe and C. Szegedy (2015); as torch.nn.BatchNorm1d and BatchNorm2d.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.config.shapes import LayerShape

MOMENTUM, EPSILON = 0.1, 1e-5  # torch's


class BatchNorm(nn.Module):
    """The batch norm of a layer: (B, C, …) -> the same shape; the running mean and variance are buffers."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, layer: LayerShape, number: int) -> None:
        super().__init__()
        channels = layer.output[0]
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, z: Tensor, key: Tensor | None = None) -> Tensor:
        """Normalises z.

        With a key (training) by the mini-batch's own statistics, which also update the running ones in place; without
        one (evaluation) by the running statistics.
        """
        statistics = self.running_mean, self.running_var
        return F.batch_norm(z, *statistics, self.weight, self.bias, key is not None, MOMENTUM, EPSILON)


PART = BatchNorm
