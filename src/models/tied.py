"""What autoencoders and restricted Boltzmann machines have in common: one layer whose weights lead both ways.

Legend: B examples, V inputs of one, H hidden units.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.config.shapes import Tied
from src.models.init import initial_weights


class TiedLayer(nn.Module):
    """W (H, V) and b (H,) as `layers.0.weight` and `layers.0.bias`, the names that a network's first layer has too; b'
    (V,) as `visible_bias`."""

    def __init__(self, shape: Tied) -> None:
        super().__init__()
        self.shape = shape
        self.layers = nn.ModuleList([nn.Linear(shape.inputs, shape.outputs)])
        self.visible_bias = nn.Parameter(torch.zeros(shape.inputs))

    def up(self, x: Tensor) -> Tensor:
        """W x + b: (B, V) -> (B, H)."""
        z: Tensor = self.layers[0](x)
        return z

    def hidden(self, x: Tensor) -> Tensor:
        """What the hidden units are for inputs (B, …), in evaluation: probabilities (B, H)."""
        return self.up(x.flatten(1)).sigmoid()

    def down(self, h: Tensor) -> Tensor:
        """Wᵀ h + b': (B, H) -> (B, V)."""
        weight: Tensor = self.layers[0].weight  # type: ignore[assignment]
        return F.linear(h, weight.t(), self.visible_bias)


def first_tied_state(module: nn.Module, shape: Tied, init: str, seed: int) -> dict[str, Tensor]:
    """The module's state with the layer's initial weights; the biases of its inputs, and buffers, are 0."""
    state: dict[str, Tensor] = module.state_dict()
    return {name: torch.zeros_like(value) for name, value in state.items()} | initial_weights([shape], init, seed)


def cross_entropy(logits: Tensor, x: Tensor) -> Tensor:
    """− Σ_v x_v ln z_v + (1 − x_v) ln(1 − z_v), z = 1 / (1 + exp(-a)): logits a and x in 0 … 1, (B, V) -> nats (B,)."""
    return (F.softplus(logits) - x * logits).sum(-1)
