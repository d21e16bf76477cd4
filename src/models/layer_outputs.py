"""What each layer of one member's network gives for a mini-batch, in evaluation: for statistics and for figures.

The layers of a network that the configuration lists are `layers.0`, `layers.1` and so on, each with its activation;
with tied weights it is the one of the hidden units. Of a class of the user's they are the modules that hold no others,
by their names, such as `body.0`; what its forward computes by functions is not seen.
Legend: B examples.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from src.models.layers.convolution import Convolution
from src.models.layers.dense import Dense
from src.models.network import Network
from src.models.own import seeded
from src.models.own_dropout import CountedDropout
from src.models.tied import TiedLayer

SILENT = (CountedDropout, nn.Dropout, nn.Identity, nn.Flatten, nn.Unflatten)  # change nothing, or shapes alone
ENDS = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}  # the values that an activation comes near without reaching them
OWN_ENDS: dict[type[nn.Module], str] = {nn.Sigmoid: "sigmoid", nn.Tanh: "tanh"}


def layer_outputs(network: nn.Module, x: Tensor, **arguments: object) -> dict[str, Tensor]:
    """The outputs (B, …) of each layer for inputs x (B, …) as networks see them, by its name, in the order of calls.

    network: in evaluation; arguments: further ones of its call, such as `dropout`. Of a layer that is called several
    times the last outputs count, of one that gives several tensors the first; what is no tensor with an entry an
    example is left out. No gradients are recorded, and torch's random numbers come from a fixed seed.
    """
    with torch.no_grad(), seeded(0):
        if isinstance(network, TiedLayer):
            return {"layers.0": network.hidden(x)}
        found: dict[str, Tensor] = {}
        handles = [
            one.register_forward_hook(_listener(name, len(x), found)) for name, one in layers_of(network).items()
        ]
        try:
            network(x, **arguments)
        finally:
            for handle in handles:
                handle.remove()
    return found


def layers_of(network: nn.Module) -> dict[str, nn.Module]:
    """The layers of a network that is not one with tied weights, by their names."""
    if isinstance(network, Network):
        return {f"layers.{number}": layer for number, layer in enumerate(network.layers)}
    leaves = {name: one for name, one in network.named_modules() if name and not any(one.children())}
    return {name: one for name, one in leaves.items() if not isinstance(one, SILENT)}


def ends_of(network: nn.Module, name: str) -> tuple[float, float] | None:
    """The ends of the range of a layer's activation; None where it has none or they are not known."""
    layer = network if isinstance(network, TiedLayer) else network.get_submodule(name)
    if isinstance(layer, TiedLayer | Convolution | Dense):
        return ENDS.get(layer.shape.activation)
    return ENDS.get(OWN_ENDS.get(type(layer), ""))


def _listener(name: str, count: int, found: dict[str, Tensor]) -> Callable[[nn.Module, object, object], None]:
    """A hook that keeps a layer's outputs for `count` examples under its name."""

    def heard(_: nn.Module, inputs: object, outputs: object) -> None:
        value = outputs[0] if isinstance(outputs, tuple) and outputs else outputs
        if isinstance(value, Tensor) and value.is_floating_point() and value.dim() > 1 and len(value) == count:
            found[name] = value

    return heard


def weights_of(network: nn.Module) -> list[str]:
    """The names of the trained parameters of two dimensions or more, without biases and the scales of norms."""
    return [name for name, one in network.named_parameters() if one.requires_grad and one.dim() > 1]
