"""A network for one member: convolutions with pooling, fully connected layers, the softmax's logits at the end.

Nothing here knows of stacks. Legend: B images, C channels, H × W pixels, D dense layers.
"""

import torch
from torch import Tensor, nn

from src.config import shapes
from src.models.dropout import CONVOLUTIONS, drop
from src.models.layers.convolution import Convolution
from src.models.layers.dense import Dense


class Network(nn.Module):
    """A list of layers; `dropout` (D,) is the probability for the inputs of each dense layer, the softmax last.

    Called with a `key` (src/models/dropout.py) it trains: inputs of layers are zeroed at random, as the key decides.
    Without a key it evaluates: inputs are multiplied by 1 − p in the chapter's convention, unchanged in the inverted.
    `dropout=None`, here and in the call, means no dropout in dense layers; a convolution's is part of its shape.
    """

    def __init__(
        self, layers: list[shapes.LayerShape], dropout: list[float] | None = None, inverted: bool = False
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            Convolution(shape, number) if isinstance(shape, shapes.ConvPool) else Dense(shape, number)
            for number, shape in enumerate(layers)
        )
        self.inverted = inverted
        self.dropout: Tensor | None
        self.register_buffer("dropout", None if dropout is None else torch.tensor(dropout), persistent=False)

    def forward(self, x: Tensor, dropout: Tensor | None = None, key: Tensor | None = None) -> Tensor:
        """(B, C, H, W) -> logits (B, classes); `dropout` (D,) replaces the network's own."""
        p = self.dropout if dropout is None else dropout
        dense = 0
        for number, layer in enumerate(self.layers):
            if isinstance(layer, Dense):
                x = x.flatten(1)
                if p is not None:
                    x = self._dropped(x, p[dense], key, dense)
                dense += 1
            elif isinstance(layer, Convolution) and layer.shape.dropout:
                x = self._dropped(x, layer.shape.dropout, key, CONVOLUTIONS + number)
            x = layer(x, key)
        return x

    def _dropped(self, x: Tensor, p: Tensor | float, key: Tensor | None, stream: int) -> Tensor:
        if key is not None:
            return drop(x, p, key, stream, self.inverted)
        return x if self.inverted else x * (1 - p)
