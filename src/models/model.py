"""One member's network: how it is built, and the state with which it begins.

A network computes one member and knows nothing of stacks: forward(x, key=key) gives the outputs for a mini-batch
x (B, …). `key` is that of a training step, from which random numbers follow; None in evaluation. Further arguments are
those that `Model.arguments` names.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from torch import Tensor, nn

from src.config.schema import RunConfig
from src.config.shapes import LayerShape, parameter_count
from src.models.autoencoder import AutoencoderModel
from src.models.init import initial_weights
from src.models.network import Network
from src.models.own import load_own_state, own_model
from src.models.rbm import RbmModel


class Model(Protocol):
    """A kind of network: it builds a member's module and its initial state."""

    # Its layers with their sizes, for kernels that compute such layers; None: it is not made of these layers.
    plan: Sequence[LayerShape] | None
    inverted: bool  # whether its dropout follows the inverted convention, not the chapter's

    def build(self) -> nn.Module:
        """One member's module; its weights are placeholders until a state is loaded."""

    def first_state(self, seed: int) -> dict[str, Tensor]:
        """One member's initial parameters and buffers, float32 on the CPU; they depend on the seed alone."""

    def of(self, config: RunConfig) -> "Model":
        """The same kind of network for a member of a stack, whose own `config` may differ in what changes no shape."""

    def arguments(self, hyper: dict[str, Tensor]) -> dict[str, Tensor | int]:
        """Further arguments of a call of the network, by name, from the hyperparameters of K members.

        A tensor (K, …) holds each member's own value; a number is the same for all.
        """


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

    def of(self, config: RunConfig) -> "LayeredModel":
        """The same: members differ in hyperparameters only."""
        return self

    def arguments(self, hyper: dict[str, Tensor]) -> dict[str, Tensor | int]:
        """Of the hyperparameters of K members: `dropout` (K, D), if any has dropout."""
        dropout = hyper["dropout"]
        return {"dropout": dropout} if (dropout != 0).any() else {}


def model_of(config: RunConfig) -> Model:
    """The network of a checked configuration."""
    if config.model.target is not None:
        return own_model(config)
    plan, model = config.shapes(), config.model
    if config.task.name == "reconstruct":
        return AutoencoderModel(plan, model.init)
    if config.task.name == "contrast":
        return RbmModel(plan, model.init, config.batch_size)
    return LayeredModel(plan, model.init, model.dropout_convention == "inverted")


def trained_network(config: RunConfig, weights: Mapping[str, Tensor]) -> nn.Module:
    """One member's module with the `weights` that its run has kept, in evaluation."""
    network = model_of(config).build()
    if config.model.target is None:
        network.load_state_dict(weights)
    else:
        load_own_state(network, weights)
    return network.eval()


def parameters_of(config: RunConfig) -> int:
    """The number of weights and biases of one member's network."""
    if config.model.target is None:
        return parameter_count(config.shapes())
    return own_model(config).parameters
