"""PReLU: a rectifier whose slope below 0 is learnt, one for each map of a convolution or unit of a dense layer.

    a = z where z > 0, else weight · z       weight begins as 0.25

Source: K. He et al., Delving Deep into Rectifiers (2015); as torch.nn.PReLU(num_parameters=maps or units).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.config.shapes import LayerShape

FIRST_SLOPE = 0.25  # He et al.'s, and torch's


class PReLU(nn.Module):
    """The PReLU of a layer, with a learnt slope for each map or unit: (B, C, …) -> the same shape."""

    def __init__(self, layer: LayerShape, number: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((layer.output[0],), FIRST_SLOPE))

    def forward(self, z: Tensor, key: Tensor | None = None) -> Tensor:
        """Applies the activation to z; training and evaluation do the same, so `key` is not read."""
        return F.prelu(z, self.weight)


PART = PReLU
