"""Networks for one member: convolutions with pooling, fully connected layers, softmax.

    convolution   a = σ(pool(w ∗ x) + b)      pooling first, then bias and activation [N6, network3.py]      (1)
    dense         a = σ(w x + b), the last one without σ: the softmax's logits                               (2)

Nothing here knows of stacks. Legend: B images, C channels, H × W pixels, D dense layers.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.config import shapes
from src.models.activations import ACTIVATIONS
from src.models.dropout import drop


def l2_pool(x: Tensor, size: int, stride: int) -> Tensor:
    """Root of the sum of squares of each size × size region; its gradient is 0 where the region is 0."""
    squares = F.avg_pool2d(x * x, size, stride) * size**2
    positive = squares > 0
    return torch.where(positive, squares, torch.ones_like(squares)).sqrt() * positive


class ConvPool(nn.Module):
    """Equation (1)."""

    def __init__(self, shape: shapes.ConvPool) -> None:
        super().__init__()
        self.shape = shape
        self.weight = nn.Parameter(torch.zeros(shape.weight_shape))  # (maps, C, field, field)
        self.bias = nn.Parameter(torch.zeros(shape.maps))
        self.activation = ACTIVATIONS[shape.activation]

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, maps, H'', W'')."""
        shape = self.shape
        z = F.conv2d(x, self.weight, stride=shape.stride)
        if shape.pool == "max":
            z = F.max_pool2d(z, shape.pool_size, shape.pool_stride)
        elif shape.pool == "l2":
            z = l2_pool(z, shape.pool_size, shape.pool_stride)
        return self.activation(z + self.bias[:, None, None])


class Dense(nn.Module):
    """Equation (2)."""

    def __init__(self, shape: shapes.Dense) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(shape.weight_shape))  # (outputs, inputs)
        self.bias = nn.Parameter(torch.zeros(shape.outputs))
        self.activation = ACTIVATIONS[shape.activation]

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs) -> (B, outputs)."""
        return self.activation(F.linear(x, self.weight, self.bias))


class Network(nn.Module):
    """A list of layers; `dropout` (D,) is the probability for the inputs of each dense layer, the softmax last.

    Called with a `key` (see src/models/dropout.py) it trains: inputs are dropped by the key. Without one it evaluates:
    in the chapter's convention inputs are multiplied by 1 − p, in the inverted one they stay. `dropout=None` in the
    constructor leaves dropout out altogether.
    """

    def __init__(
        self, layers: list[shapes.LayerShape], dropout: list[float] | None = None, inverted: bool = False
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            ConvPool(shape) if isinstance(shape, shapes.ConvPool) else Dense(shape) for shape in layers
        )
        self.inverted = inverted
        self.dropout: Tensor | None
        self.register_buffer("dropout", None if dropout is None else torch.tensor(dropout), persistent=False)

    def forward(self, x: Tensor, dropout: Tensor | None = None, key: Tensor | None = None) -> Tensor:
        """(B, C, H, W) pixels in 0…1 -> logits (B, classes); `dropout` (D,) replaces the network's own."""
        p = self.dropout if dropout is None else dropout
        dense = 0
        for layer in self.layers:
            if isinstance(layer, Dense):
                x = x.flatten(1)
                if p is not None:
                    x = self._dropped(x, p[dense], key, dense)
                dense += 1
            x = layer(x)
        return x

    def _dropped(self, x: Tensor, p: Tensor, key: Tensor | None, dense: int) -> Tensor:
        if key is not None:
            return drop(x, p, key, dense, self.inverted)
        return x if self.inverted else x * (1 - p)
