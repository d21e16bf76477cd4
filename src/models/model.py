"""One member's network: how it is built, and the state with which it begins.

A network sees one member and nothing of stacks: forward(x) gives the outputs for a mini-batch x (B, …). One that draws
random numbers in training, or behaves otherwise in it, is called as forward(x, key=key) then, and with key=None when it
is evaluated.
"""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor, nn

from src.config.schema import RunConfig
from src.config.shapes import LayerShape
from src.models.init import initial_weights
from src.models.network import Network


class Model(Protocol):
    """A kind of network, before any weights."""

    plan: (
        Sequence[LayerShape] | None
    )  # its layers with their sizes; None: it is no list of layers that a kernel may know
    inverted: bool  # the convention of its dropout: inverted, or the chapter's

    def build(self) -> nn.Module:
        """One member's module; its weights mean nothing yet."""

    def first_state(self, seed: int) -> dict[str, Tensor]:
        """Its parameters and buffers at the start, float32 on the CPU, from the seed alone."""


class LayeredModel:
    """The layers of `model.layers`, or of `model.maps` and `model.hidden`."""

    def __init__(self, plan: list[LayerShape], init: str = "chapter", inverted: bool = False) -> None:
        self.plan: Sequence[LayerShape] | None = plan
        self.layers, self.init, self.inverted = plan, init, inverted

    def build(self) -> Network:
        """One member's module."""
        return Network(self.layers, inverted=self.inverted)

    def first_state(self, seed: int) -> dict[str, Tensor]:
        """By the rule of `init`, src/models/init.py."""
        return initial_weights(self.layers, self.init, seed)


def model_of(config: RunConfig) -> Model:
    """The network of a checked configuration."""
    return LayeredModel(config.shapes(), config.model.init, config.model.dropout_convention == "inverted")
