"""RReLU: a rectifier whose slope below 0 is drawn anew for each value in each step of training.

    a = z where z > 0, else slope · z       slope uniform in LOWER … UPPER; in evaluation their mean

Slopes come from the member's key, so they are the same alone and in any stack. Source: B. Xu et al., Empirical
Evaluation of Rectified Activations (2015); as torch.nn.RReLU, which draws from torch's generator.
"""

import torch
from torch import Tensor

from src.config.shapes import LayerShape
from src.models.dropout import SLOPES, uniform

LOWER, UPPER = 1 / 8, 1 / 3  # Xu et al.'s, and torch's


class RReLU:
    """The RReLU of a layer: (B, C, …) -> the same shape."""

    def __init__(self, layer: LayerShape, number: int) -> None:
        self.stream = SLOPES + number

    def __call__(self, z: Tensor, key: Tensor | None = None) -> Tensor:
        """Applies the activation to z: with a key (training) by slopes drawn from it, without one by their mean."""
        drawn = 0.5 if key is None else uniform(z.shape, key, self.stream)
        return torch.where(z > 0, z, (LOWER + (UPPER - LOWER) * drawn) * z)


PART = RReLU
