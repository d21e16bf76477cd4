"""One member's network: how it is built, and the state with which it begins.

A network computes one member and knows nothing of stacks: forward(x) gives the outputs for a mini-batch x (B, …). A
network that draws random numbers in training, or computes something else there than in evaluation, is called as
forward(x, key=key) in training and as forward(x, key=None) in evaluation.
"""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor, nn

from src.config.schema import RunConfig
from src.config.shapes import LayerShape
from src.models.init import initial_weights
from src.models.network import Network


class Model(Protocol):
    """A kind of network: it builds a member's module and its initial state."""

    # Its layers with their sizes, for kernels that compute such layers; None: it is not made of these layers.
    plan: Sequence[LayerShape] | None
    inverted: bool  # whether its dropout follows the inverted convention, not the chapter's

    def build(self) -> nn.Module:
        """One member's module; its weights are placeholders until a state is loaded."""

    def first_state(self, seed: int) -> dict[str, Tensor]:
        """One member's initial parameters and buffers, float32 on the CPU; they depend on the seed alone."""


class LayeredModel:
    """A network made of the layers that `model.layers`, or `model.maps` and `model.hidden`, list."""

    def __init__(self, plan: list[LayerShape], init: str = "chapter", inverted: bool = False) -> None:
        self.plan: Sequence[LayerShape] | None = plan
        self.layers, self.init, self.inverted = plan, init, inverted

    def build(self) -> Network:
        """One member's module."""
        return Network(self.layers, inverted=self.inverted)

    def first_state(self, seed: int) -> dict[str, Tensor]:
        """One member's initial parameters and buffers by the rule `init` (src/models/init.py), from the seed alone."""
        return initial_weights(self.layers, self.init, seed)


def model_of(config: RunConfig) -> Model:
    """The network of a checked configuration."""
    return LayeredModel(config.shapes(), config.model.init, config.model.dropout_convention == "inverted")
